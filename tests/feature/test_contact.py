"""Signals of overload: flows that stand for several, and packets that got no flow."""

import numpy as np
import pytest
from flow_packets import packet, packet_rows
from host_audit import audit
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.feature.extractor import Extractor
from sensor.feature.schema import HOST_FEATURES, names
from sensor.flow.record import FLOW_EVENT, FlowEvent
from sensor.packet.columns import V4_MAPPED, FragmentFlag, PacketKind
from sensor.settings import FeatureSettings

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")
COLUMN = {name: column for column, name in enumerate(names(HOST_FEATURES))}
NEW_FLOW, FIRST_REPLY = FlowEvent.NEW_FLOW, FlowEvent.FIRST_REPLY
ESTABLISHED, REFUSED, SHED = FlowEvent.ESTABLISHED, FlowEvent.REFUSED, FlowEvent.SHED
SYN, RST, ACK = 2, 4, 16
SERVER = V4_MAPPED | 0x0A00_0002


def extractor(hosts=64):
    made = Extractor(FeatureSettings(hosts=hosts), 4, (11, 12))
    made.start(1)
    return made


def feed(table, values, bits, side=0, weight=1, flow=0):
    """Observe one packet; one that is shed has no flow."""
    events = np.zeros(1, FLOW_EVENT)
    events[0] = (-1 if bits == SHED else flow, bits, side, weight)
    table.observe(packet_rows([values]), events)


def of(closed, lo, feature):
    """Return a feature, in its unit, of the host with the low word `lo`."""
    at = closed.rows["lo"].tolist().index(lo)
    return round(float(np.expm1(closed.x[at, COLUMN[feature]])), 3)


def connect(table, weight, **fields):
    """Complete one TCP connection, of which 1 in `weight` is metered."""
    back = {"src_port": fields.get("dst_port", 80), "dst_port": 4000}
    feed(table, packet(tcp_flags=SYN, **fields), NEW_FLOW, weight=weight)
    feed(table, packet(src=1, dst=0, tcp_flags=SYN | ACK, **back), FIRST_REPLY, 1)
    feed(table, packet(tcp_flags=ACK, **fields), ESTABLISHED)


@pytest.mark.parametrize("weight", [0, 1, 9, 65_535])
def test_a_flow_counts_as_many_times_as_it_stands_for(weight):
    table = extractor()
    counted = max(weight, 1)
    feed(table, packet(tcp_flags=SYN), NEW_FLOW, weight=weight)
    feed(table, packet(src=1, dst=0, tcp_flags=RST), FIRST_REPLY | REFUSED, 1)
    feed(table, packet(src=0, dst=1, protocol=17), NEW_FLOW, weight=weight, flow=1)
    closed = table.close()
    row = closed.rows[0]
    assert row["flows_out"] == closed.rows[1]["flows_in"] == 2 * counted
    mine = row["lo"]
    told = ("unanswered_out", "refused_out", "peers_out", "services_out", "packets_out")
    assert [of(closed, mine, name) for name in told] == [counted, counted, 1, 2, 2]
    told = ("flows_in", "unanswered_in", "sources_in", "half_open_in")
    assert [of(closed, SERVER, name) for name in told] == [2 * counted, counted, 1, 1]


def test_a_slot_that_is_used_again_has_its_new_flows_weight():
    table = extractor()
    for weight in (50, 2):
        connect(table, weight)
    closed = table.close()
    assert closed.rows["flows_in"].max() == 52
    assert of(closed, SERVER, "unanswered_in") == 0
    assert of(closed, SERVER, "half_open_in") == 0  # two SYNs, and surely more completed


def test_a_sampled_sweep_is_no_repetition_and_sampled_guessing_is():
    sweep, guessing = extractor(), extractor()
    for table in (sweep, guessing):  # known hosts; others are counted apart
        connect(table, 1, dst_port=443)
    for number in range(10):
        connect(sweep, 100, dst_lo=SERVER + number, dst_port=22)
        connect(guessing, 100, dst_port=22)
    mine = packet()["src_lo"]
    closed = sweep.close()
    assert of(closed, mine, "repeats_out") == 1
    assert of(closed, mine, "logins_damped") == 0
    closed = guessing.close()
    assert of(closed, mine, "repeats_out") == 901
    assert of(closed, mine, "logins_damped") == 900


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9), st.booleans()), min_size=1, max_size=60))
@settings(max_examples=40, deadline=None)
def test_what_packets_show_is_the_same_whether_they_get_a_flow_or_not(contacts):
    metered, shed = extractor(), extractor()
    for host, port, begins in contacts:
        values = packet(dst_lo=SERVER + host, dst_port=1 + port, tcp_flags=SYN)
        feed(metered, values, NEW_FLOW)
        feed(shed, values, NEW_FLOW if begins else SHED)
    audit(shed._table)
    whole, part = metered.close(), shed.close()
    exact = "peers_out services_out new_peers new_services sources_in packets_out packets_in half_open_in"
    columns = [COLUMN[name] for name in exact.split()]
    assert whole.x[:, columns].tolist() == part.x[:, columns].tolist()
    fields = ["lo", "peer_out_lo", "port_out", "out_lo", "out_dst_port", "in_src_port", "in_protocol"]
    assert whole.rows[fields].tolist() == part.rows[fields].tolist()
    assert part.rows["flows_out"].sum() == sum(begins for _, _, begins in contacts)


def test_a_shed_syn_ack_tells_of_its_receivers_contact():
    table = extractor()
    feed(table, packet(src=1, dst=0, src_port=443, dst_port=4000, tcp_flags=SYN | ACK), SHED)
    closed = table.close()
    mine = packet()["src_lo"]
    told = [of(closed, lo, "services_out") for lo in (mine, SERVER)]
    assert told == [1, 0]
    row = closed.rows[closed.rows["lo"].tolist().index(mine)]
    assert (row["out_lo"], row["out_src_port"], row["out_dst_port"]) == (SERVER, 4000, 443)
    assert row["port_in"] == 443


def test_a_shed_packet_to_a_group_counts_at_its_sender():
    table = extractor()
    feed(table, packet(dst_hi=0xFF02 << 48, dst_lo=1, protocol=17), SHED)
    closed = table.close()
    assert closed.rows["packets_out"].tolist() == [1]
    assert of(closed, packet()["src_lo"], "peers_out") == 0


def test_copies_count_nowhere():
    table = extractor()
    events = np.zeros(3, FLOW_EVENT)
    events["flow"] = -1
    kinds = (PacketKind.DUPLICATE, PacketKind.OTHER, PacketKind.UNDECODED)
    rows = packet_rows([packet(kind=int(kind), fragment_flags=6, arp_operation=1) for kind in kinds])
    table.observe(rows, events)
    assert table.idle
    assert table.hosts == 0


@pytest.mark.parametrize(
    ("flags", "odd"),
    [
        (0, 0),
        (FragmentFlag.PORTS_KNOWN, 0),
        (FragmentFlag.OVERLAP, 3),
        (FragmentFlag.TINY, 3),
        (FragmentFlag.OVERLAP | FragmentFlag.TINY | FragmentFlag.PORTS_KNOWN, 3),
    ],
)
def test_odd_fragments_count_at_their_sender(flags, odd):
    table = extractor()
    for bits in (NEW_FLOW, FlowEvent(0), SHED):
        feed(table, packet(fragment_flags=int(flags)), bits)
    closed = table.close()
    assert of(closed, packet()["src_lo"], "odd_fragments") == odd
    assert of(closed, SERVER, "odd_fragments") == 0


def test_the_sketches_of_a_window_do_not_see_the_one_before():
    table = extractor()
    for number in range(20):
        feed(table, packet(dst_lo=SERVER + number), SHED)
    table.close()
    table.start(2)
    feed(table, packet(), SHED)
    feed(table, packet(), SHED)
    closed = table.close()
    assert of(closed, packet()["src_lo"], "peers_out") == of(closed, SERVER, "sources_in") == 1


def test_repeats_are_never_more_than_the_hosts_own_flows():
    table = extractor()
    table._table.repeats["count"] = 1000  # as if a flood had filled the sketch
    table._table.repeats["window"] = 1
    feed(table, packet(), NEW_FLOW)
    feed(table, packet(), NEW_FLOW)
    assert of(table.close(), packet()["src_lo"], "repeats_out") == 2
