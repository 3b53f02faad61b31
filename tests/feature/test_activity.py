"""Counting against the plain twin: any packets with any events, any cut, tables that are always too small."""

import numpy as np
import pytest
from flow_packets import DATA, packet, packet_rows, packets
from host_audit import audit
from hypothesis import given, settings
from hypothesis import strategies as st
from naive.host import ESTABLISHED, FIRST_REPLY, NEW_FLOW, REFUSED, SHED, NaiveHosts

from sensor.feature.activity import MOST_VOTES
from sensor.feature.extractor import Extractor
from sensor.feature.schema import HOST_FEATURES, names
from sensor.flow.meter import Meter
from sensor.flow.record import FLOW_EVENT
from sensor.packet.columns import V4_MAPPED
from sensor.settings import FeatureSettings

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")
KEY = (11, 12)
FLOWS = 6
COLUMN = {name: column for column, name in enumerate(names(HOST_FEATURES))}
#: What a window of 10 s leaves of a count with a half-life of 600 s and 300 s.
KEPT = (0.5 ** (10 / 600), 0.5 ** (10 / 300))
SYN, RST, ACK, PSH = 2, 4, 16, 8


def ipv4(number):
    return (0, V4_MAPPED | number)


ADDRESSES = [
    *(ipv4(0x0A00_0001 + number) for number in range(6)),
    (0x2001_0DB8_0000_0000, 1),
    (0x2001_0DB8_0000_0000, 2),
    ipv4(0xE000_00FB),  # multicast
    ipv4(0xFFFF_FFFF),
    ipv4(0),
    (0, 0),
    (0xFF02_0000_0000_0000, 1),
]
_addresses = st.integers(0, len(ADDRESSES) - 1) | st.integers(0, 7)  # mostly hosts'
_events = st.sampled_from([0, 0, NEW_FLOW, NEW_FLOW, FIRST_REPLY, ESTABLISHED, REFUSED, 12, 15])
_packets = st.lists(
    st.tuples(
        st.tuples(_addresses, _addresses),
        st.sampled_from([(6, 0), (6, SYN), (6, SYN | ACK), (6, RST), (6, ACK), (17, 0), (1, 0), (58, 0)]),
        st.tuples(*[st.sampled_from([8, 0, 22, 53, 80, 129, 4000])] * 2),
        st.sampled_from([0, 40, 100, 101, 1400]),
        st.integers(-1, FLOWS - 1),
        st.tuples(_events, st.integers(0, 1), st.sampled_from([0, 1, 1, 7])),
        st.sampled_from([3, 3, 3, 2, 4, SHED]),
    ),
    max_size=40,
)


def rows_of(drawn):
    values = []
    events = np.zeros(len(drawn), FLOW_EVENT)
    for at, (ends, (protocol, flags), ports, payload, flow, (bits, side, weight), kind) in enumerate(drawn):
        source, target = (ADDRESSES[end] for end in ends)
        values.append(
            packet(
                src_hi=source[0], src_lo=source[1], dst_hi=target[0], dst_lo=target[1],
                src_mac=ends[0] % 3, vlan=ends[1] % 2, protocol=protocol, tcp_flags=flags,
                src_port=ports[0], dst_port=ports[1], payload_bytes=payload, ip_bytes=40 + payload,
                wirelen=60, kind=3 if kind == SHED else kind, arp_operation=1 + payload % 2,
                fragment_flags=payload % 8,
            )
        )  # fmt: skip
        if kind == 3:
            events[at] = (flow, bits if flow >= 0 else 0, side, weight)
        else:  # ARP, copies and packets that got no flow have none
            events[at] = (-1, kind if kind == SHED else 0, 0, 0)
    return packet_rows(values), events


def extractor(hosts, flows=FLOWS):
    return Extractor(FeatureSettings(hosts=hosts), flows, KEY)


def assert_equal(closed, expected):
    assert len(closed.rows) == len(expected)
    for row, x, (described, values) in zip(closed.rows, closed.x, expected, strict=True):
        assert {name: row[name] for name in described} == described
        assert {name: x[COLUMN[name]] for name in values} == pytest.approx(values, abs=1e-12)
        assert len(values) == len(COLUMN)


@given(st.integers(2, 16), st.lists(_packets, min_size=1, max_size=4), st.sampled_from([False, False, True]))
@settings(max_examples=120, deadline=None)
def test_every_row_of_every_window_equals_the_twins(hosts, windows, one_way):
    ours, twin = extractor(hosts), NaiveHosts(hosts, KEY)
    for index, drawn in enumerate(windows):
        window = 1000 + index * index
        ours.start(window)
        twin.start(window)
        rows, events = rows_of(drawn)
        ours.observe(rows, events)
        twin.observe(rows, events)
        audit(ours._table)
        assert ours.idle == (not twin.active)
        assert_equal(ours.close(one_way=one_way), twin.close(*KEPT, one_way=one_way))
        assert ours.idle
    counters = ours.counters()
    assert counters["hosts"] == ours.hosts == len(twin.hosts)
    assert {name: counters[name] for name in twin.totals} == dict(twin.totals)


@given(st.integers(2, 6), _packets, st.integers(0, 40))
@settings(max_examples=80, deadline=None)
def test_cuts_leave_no_trace(hosts, drawn, cut):
    whole, parts = extractor(hosts), extractor(hosts)
    rows, events = rows_of(drawn)
    whole.observe(rows, events)
    parts.observe(rows[:cut], events[:cut])
    parts.observe(rows[cut:], events[cut:])
    for name, ours, theirs in zip(whole._table._fields, whole._table, parts._table, strict=True):
        if name == "openings":  # of the group of packets at hand, and of no use after it
            continue
        assert ours.tobytes() == theirs.tobytes(), name
    assert whole.close().x.tobytes() == parts.close().x.tobytes()


@given(st.integers(2, 6), st.lists(packets(max_size=25), min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_with_the_meters_own_events(hosts, windows):
    meter = Meter(capacity=3, key=KEY)
    ours, twin = extractor(hosts, flows=3), NaiveHosts(hosts, KEY)
    for window, drawn in enumerate(windows):
        ours.start(window)
        twin.start(window)
        for seen in meter.observe(packet_rows(drawn), DATA):
            ours.observe(seen.packets, seen.events)
            twin.observe(seen.packets, seen.events)
        assert_equal(ours.close(), twin.close(*KEPT))


def feed(table, values, bits=NEW_FLOW, side=0, weight=1):
    """Observe one packet, all on one flow slot; one that is shed has none."""
    events = np.zeros(1, FLOW_EVENT)
    events[0] = (-1 if bits == SHED else 0, bits, side, weight)
    table.observe(packet_rows([values]), events)


def of(closed, number, feature):
    """Return a feature, in its unit, of host `number` of flow_packets.HOSTS."""
    index = closed.rows["lo"].tolist().index(V4_MAPPED | 0x0A00_0001 + number)
    return round(float(np.expm1(closed.x[index, COLUMN[feature]])), 3)


def test_both_ends_are_counted_in_a_table_of_two():
    table = extractor(2)
    for number in range(50):
        ends = {
            "src_lo": V4_MAPPED | 0x0B00_0001 + 2 * number,
            "dst_lo": V4_MAPPED | 0x0B00_0002 + 2 * number,
        }
        feed(table, packet(**ends, tcp_flags=SYN))
    closed = table.close()
    assert closed.rows["lo"].tolist() == [V4_MAPPED | 0x0B00_0063, V4_MAPPED | 0x0B00_0064]
    assert np.expm1(closed.x[:, COLUMN["unanswered_out"]]).round().tolist() == [1, 0]
    assert np.expm1(closed.x[:, COLUMN["sources_in"]]).round().tolist() == [0, 1]


def test_hosts_that_act_after_a_flood_of_invented_ones_still_get_their_row():
    table = extractor(8)
    for number in range(100):
        feed(table, packet(src_lo=V4_MAPPED | 0x1400_0001 + number, dst=1))
    feed(table, packet(src=0, dst=1))
    closed = table.close()
    assert of(closed, 0, "packets_out") == 1
    assert of(closed, 1, "packets_in") == 101  # it was active all the time, so it was never evicted
    assert len(closed.rows) == 8


def test_answers_to_invented_senders_do_not_make_them_known():
    table = extractor(64)
    for number in range(10):
        invented = V4_MAPPED | 0x1400_0001 + number
        feed(table, packet(src_lo=invented, dst=1, tcp_flags=SYN))
        answer = SYN | ACK if number % 2 else RST
        feed(table, packet(src=1, dst_lo=invented, dst_hi=0, tcp_flags=answer), FIRST_REPLY, 1)
    assert [len(order) for order in audit(table._table)] == [10, 1]
    rows = table.close().rows
    assert rows["teaches"].tolist() == [0, 1] + [0] * 9


@pytest.mark.parametrize(
    ("reply", "bits"),
    [
        ({"tcp_flags": ACK | PSH}, FIRST_REPLY),  # seen from the middle on
        ({"protocol": 17}, FIRST_REPLY),
    ],
)
def test_a_conversation_makes_both_ends_known(reply, bits):
    table = extractor(8)
    feed(table, packet(src=0, dst=1))
    feed(table, packet(src=1, dst=0, **reply), bits, 1)
    assert [len(order) for order in audit(table._table)] == [0, 2]
    assert table.close().rows["teaches"].tolist() == [1, 1]


@pytest.mark.parametrize(("connections", "logins"), [(1, 0), (2, 1), (5, 4)])
def test_whole_handshakes_make_the_initiator_known_and_coming_back_counts_as_logins(connections, logins):
    table = extractor(8)
    for _ in range(connections):
        feed(table, packet(dst_port=22, tcp_flags=SYN))
        feed(table, packet(src=1, dst=0, src_port=22, dst_port=4000, tcp_flags=SYN | ACK), FIRST_REPLY, 1)
        feed(table, packet(dst_port=22, tcp_flags=ACK), ESTABLISHED)
    closed = table.close()
    assert closed.rows["teaches"].tolist() == [1, 1]
    assert of(closed, 0, "logins_damped") == pytest.approx(logins)
    assert of(closed, 1, "half_open_in") == 0
    assert of(closed, 1, "logins_damped") == 0


def test_a_flood_from_impossible_sources_still_counts_at_its_target():
    table = extractor(8)
    for number in range(30):
        feed(table, packet(src_lo=V4_MAPPED | 0xF000_0001 + number, dst=1, tcp_flags=SYN))
    closed = table.close()
    assert len(closed.rows) == 1
    assert of(closed, 1, "packets_in") == of(closed, 1, "half_open_in") == 30


def test_an_arp_request_does_not_become_the_main_peer():
    table = extractor(8)
    for _ in range(5):
        feed(table, packet(src=0, dst=1), 0)
    arp = packet(src=0, dst_lo=V4_MAPPED | 0x0A00_0099, kind=2, arp_operation=1)
    events = np.zeros(1, FLOW_EVENT)
    events["flow"] = -1
    table.observe(packet_rows([arp]), events)
    row = table.close().rows[0]
    assert row["peer_out_lo"] == V4_MAPPED | 0x0A00_0002
    assert row["peer_out_share"] == 5 / 6


def test_a_peer_of_an_earlier_window_is_not_told_again():
    table = extractor(8)
    feed(table, packet(src=0, dst=1))
    table.close()
    table.start(1)
    feed(table, packet(src=0, dst=2, src_hi=0, dst_hi=0xFF02 << 48), 0)
    row = table.close().rows[0]
    assert (row["out_lo"], row["in_lo"], row["peer_in_lo"]) == (0, 0, 0)


def test_invented_hosts_do_not_wear_out_the_memory_of_known_ones():
    table = extractor(8)
    feed(table, packet(src=0, dst=1))
    feed(table, packet(src=1, dst=0, protocol=17), FIRST_REPLY, 1)
    feed(table, packet(src=0, dst=1))  # remembered among the known
    provisional, known = table._table.seen_state
    before = known.copy()
    for number in range(20):
        feed(table, packet(src_lo=V4_MAPPED | 0x1400_0001 + number, dst=1))
    assert known.tolist() == before.tolist()
    assert provisional[1] >= 40


def test_failures_fade_and_are_told_while_new_ones_come():
    table = extractor(8)
    told = []
    for window, opens in ((100, True), (130, False), (160, True), (10**9, True)):
        table.start(window)
        feed(table, packet(tcp_flags=SYN), NEW_FLOW if opens else 0)
        told.append(of(table.close(), 0, "failed_damped"))
    assert told == [1, 0, 1.5, 1]  # half is left after 600 s, that is 60 windows


def test_counters_of_a_long_flood_do_not_wrap():
    table = extractor(8)
    feed(table, packet(tcp_flags=SYN))
    rows = table._table.rows
    for name in ("flows_out", "flows_in", "syn_in", "packets_in", "dns_queries"):
        rows[name][:2] = 2**31 - 1
    feed(table, packet(tcp_flags=SYN))
    closed = table.close()
    assert of(closed, 1, "half_open_in") == of(closed, 1, "flows_in") == 2**31
    assert np.isfinite(closed.x).all()


def test_votes_stop_where_they_would_wrap():
    table = extractor(8)
    feed(table, packet(), 0)
    votes = ("peer_out_votes", "port_out_votes", "peer_in_votes", "port_in_votes")
    for name in votes:
        table._table.rows[name][:2] = MOST_VOTES
    feed(table, packet(), 0)
    assert {int(table._table.rows[name].max()) for name in votes} == {MOST_VOTES}
    feed(table, packet(dst_lo=V4_MAPPED | 9, dst_port=9), 0)
    assert table._table.rows["peer_out_votes"][0] == MOST_VOTES - 1
