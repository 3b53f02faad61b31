"""Copies a mirror makes, and all that looks like them: retransmissions, probes, floods."""

import itertools
from pathlib import Path

import craft
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive.duplicate import Copies, identity

from sensor.errors import CaptureError
from sensor.packet.batch import PacketBatch
from sensor.packet.columns import PacketKind
from sensor.packet.decode import Decoder
from sensor.packet.duplicate import MAX_WINDOW_SECS, Duplicates
from sensor.packet.fingerprint import SAMPLING, comparable, fingerprint, in_sample
from sensor.sources.capture_file import CaptureFiles

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")

KEY = (1, 2)
WINDOW = 0.01
US = 1_000
MS = 1_000_000
SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


def read_only(array):
    view = array.view()
    view.flags.writeable = False
    return view


def decoded(frames, times, wirelens=None):
    packets = craft.batch(frames, times, wirelens=wirelens)
    rows = Decoder(max(1, len(frames))).decode(packets)
    return read_only(packets.data), read_only(packets.frames), rows


def marks(finder, frames, times, wirelens=None):
    """Return, frame by frame, whether `finder` takes it for a copy."""
    data, stamps, rows = decoded(frames, times, wirelens)
    count = finder.mark(data, stamps, rows)
    found = [bool(kind == PacketKind.DUPLICATE) for kind in rows["kind"]]
    assert sum(found) == count
    return found


def copies(frames, gaps, mode="on", **options):
    """Return what is a copy among `frames`, each `gaps` ns after the one before."""
    times = START + np.cumsum([0, *gaps])
    return marks(Duplicates(mode, WINDOW, KEY, **options), frames, times.tolist())


def ip(payload=b"GET / HTTP/1.1\r\n\r\n", identification=7, **options):
    return craft.ipv4(craft.tcp(payload, seq=100, ack=200), identification=identification, **options)


def test_the_second_of_two_equal_frames_is_a_copy():
    frame = craft.ethernet(ip())
    assert copies([frame, frame], [20 * US]) == [False, True]


@pytest.mark.parametrize("mode", ["off", "auto"])
def test_nothing_is_marked_while_off(mode):
    frame = craft.ethernet(ip())
    assert copies([frame, frame], [20 * US], mode) == [False, False]


@pytest.mark.parametrize(
    "other",
    [
        craft.ethernet(ip(), vlans=[30]),
        craft.ethernet(ip(), vlans=[20, 30]),
        craft.ethernet(ip(), src="02:00:00:00:00:09", dst="02:00:00:00:00:0a"),
        craft.ethernet(ip(), pad=True),
        craft.ethernet(ip()) + b"\1\2\3\4",  # a frame check sequence
    ],
)
def test_link_tags_and_padding_do_not_count(other):
    assert copies([craft.ethernet(ip(), vlans=[10]), other], [20 * US], routed=False) == [False, True]


def six(payload=b"x" * 40, **options):
    return craft.ipv6(craft.tcp(payload, seq=100), **options)


def remarked(packet, first, second):
    return bytes([first, second]) + packet[2:]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ip(ttl=64), ip(ttl=63)),
        (six(hop_limit=64), six(hop_limit=63)),
        (six(), remarked(six(), 0x6B, 0x80)),
    ],
)
def test_what_a_router_changes_counts_only_in_the_strict_mode(one, other):
    pair = [craft.ethernet(one), craft.ethernet(other)]
    assert copies(pair, [20 * US], routed=True) == [False, True]
    assert copies(pair, [20 * US], routed=False) == [False, False]


def test_ipv6_copies_are_found():
    pair = [craft.ethernet(six()), craft.ethernet(six(), vlans=[5])]
    assert copies(pair, [20 * US], routed=False) == [False, True]


@pytest.mark.parametrize(
    "other",
    [
        ip(identification=8),
        ip(payload=b"GET / HTTP/1.1\r\n\r\r"),
        ip(payload=b"GET / HTTP/1.1\r\n\r\n\0"),
        ip(src="10.0.0.3"),
        craft.ipv4(craft.tcp(b"GET / HTTP/1.1\r\n\r\n", seq=101, ack=200), identification=7),
        craft.ipv4(craft.tcp(b"GET / HTTP/1.1\r\n\r\n", seq=100, ack=201), identification=7),
        craft.ipv4(craft.tcp(b"GET / HTTP/1.1\r\n\r\n", seq=100, ack=200, window=1), identification=7),
    ],
)
def test_any_other_difference_counts(other):
    assert copies([craft.ethernet(ip()), craft.ethernet(other)], [20 * US]) == [False, False]


def test_a_difference_far_behind_is_seen_by_the_checksum():
    one, other = (ip(bytes(1000) + tail) for tail in (b"\1", b"\2"))
    assert copies([craft.ethernet(one), craft.ethernet(other)], [20 * US]) == [False, False]


def test_fragments_are_copies_of_themselves_alone():
    parts = [
        craft.ethernet(craft.ipv4(b"y" * 64, proto=17, fragment_offset=at, more_fragments=at < 128))
        for at in (64, 128)
    ]
    assert copies([parts[0], parts[1], parts[0], parts[1]], [US, US, US]) == [False, False, True, True]


@pytest.mark.parametrize("cut", [68, 96])
def test_cut_frames_are_compared_though_a_tag_leaves_less_of_one(cut):
    payload = b"z" * 500
    frames = [craft.ethernet(ip(payload)), craft.ethernet(ip(payload), vlans=[10])]
    other = craft.ethernet(ip(payload, identification=8))
    whole = [len(frame) for frame in [*frames, other]]
    cuts = [frame[:cut] for frame in [*frames, other]]
    times = [START, START + US, START + 2 * US]
    finder = Duplicates("on", WINDOW, KEY)
    assert marks(finder, cuts, times, whole) == [False, True, False]


def test_frames_cut_inside_their_headers_are_not_compared():
    frame = craft.ethernet(ip())
    finder = Duplicates("on", WINDOW, KEY)
    assert marks(finder, [frame[:50]] * 2, [START, START + US], [len(frame)] * 2) == [False, False]
    assert finder.counters()["duplicates_not_comparable"] == 2


def test_datagrams_that_may_be_others_are_not_compared():
    def datagram(identification, payload):
        body = craft.udp(payload)
        packet = craft.ipv4(body, proto=craft.UDP, identification=identification)
        return craft.ethernet(packet[:26] + b"\0\0" + packet[28:])  # no checksum

    payload = b"v" * 100
    assert copies([datagram(0, payload), datagram(0, payload)], [US]) == [False, False]
    assert copies([datagram(5, payload), datagram(5, payload)], [US]) == [False, True]


def test_a_packet_that_came_late_is_not_compared():
    frame, other = craft.ethernet(ip()), craft.ethernet(ip(identification=8))
    finder = Duplicates("on", WINDOW, KEY)
    hours = [START - 3600 * SECOND, START - 1800 * SECOND]  # both have the first one's time in their rows
    assert marks(finder, [other, frame, frame], [START, *hours]) == [False] * 3
    assert marks(finder, [frame, frame], [START, START - MS]) == [False, True]


def test_frames_without_ip_are_left_alone():
    frame = craft.ethernet(craft.arp(), ethertype=0x0806)
    broken = craft.ethernet(ip())[:20]
    assert copies([frame, frame, broken, broken, b"", b""], [US] * 5) == [False] * 6


def test_the_window_ends():
    frame = craft.ethernet(ip())
    assert copies([frame, frame], [10 * MS]) == [False, True]
    assert copies([frame, frame], [10 * MS + 1]) == [False, False]


def test_one_copy_is_taken_for_each_packet_let_through():
    frame = craft.ethernet(ip())
    assert copies([frame] * 4, [US] * 3) == [False, True, False, True]
    assert copies([frame] * 4, [US, 11 * MS, US]) == [False, True, False, True]


def test_a_flood_of_one_packet_is_seen():
    frame = craft.ethernet(craft.ipv4(craft.udp(b"flood" * 10), proto=craft.UDP, identification=0))
    found = copies([frame] * 1000, [50 * US] * 999)
    assert found == [False, True, False, True] + [False] * 996


def test_a_flood_that_pauses_is_looked_at_anew():
    frame = craft.ethernet(ip())
    assert copies([frame] * 8, [US] * 5 + [20 * MS, US])[-2:] == [False, True]


# What ends look like when they send again. Times are the shortest that are known.


def segments(version, *, identification=0):
    def build(payload=b"", **options):
        body = craft.tcp(payload, **options)
        if version == 6:
            return craft.ethernet(craft.ipv6(body))
        return craft.ethernet(craft.ipv4(body, identification=identification))

    return build


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("gap", [200 * MS, 300 * MS, SECOND, 3 * SECOND])
def test_retransmission_after_a_timeout(version, gap):
    build = segments(version)
    for again in (build(b"data" * 100), build(flags=craft.SYN), build(flags=craft.SYN | craft.ACK)):
        assert copies([again] * 4, [gap, 2 * gap, 4 * gap]) == [False] * 4


def test_fast_retransmission_on_a_fast_network():
    # 0.3 ms after the first: the identification has moved on, and the acknowledgement may have.
    first = craft.ethernet(ip(b"a" * 500, identification=10))
    rest = [craft.ethernet(ip(b"a" * 500, identification=11 + i)) for i in range(4)]
    assert copies([first, *rest], [100 * US] * 4) == [False] * 5


def test_fast_retransmission_without_identification_carries_another_timestamp():
    def segment(stamp):
        options = b"\1\1\x08\x0a" + stamp.to_bytes(4, "big") + b"\0\0\0\1"
        return craft.ethernet(craft.ipv6(craft.tcp(b"a" * 500, seq=100, options=options)))

    assert copies([segment(5), segment(6)], [MS]) == [False, False]


def test_duplicate_acknowledgements_tell_of_different_segments():
    def acknowledgement(right):
        edges = (1000).to_bytes(4, "big") + right.to_bytes(4, "big")
        return craft.ethernet(craft.ipv6(craft.tcp(ack=500, options=b"\1\1\x05\x0a" + edges)))

    frames = [acknowledgement(2000 + 1448 * i) for i in range(10)]
    assert copies(frames, [30 * US] * 9) == [False] * 10


def test_keep_alives():
    probe = segments(6)(b"\0", seq=99)
    assert copies([probe] * 5, [SECOND] * 4) == [False] * 5


def test_a_resolver_that_asks_again():
    query = craft.ethernet(craft.ipv6(craft.udp(b"\x12\x34" + b"q" * 30), proto=craft.UDP))
    assert copies([query] * 3, [333 * MS, SECOND]) == [False] * 3


def test_pings_of_a_flood_are_numbered():
    frames = [
        craft.ethernet(craft.ipv4(craft.icmp(rest=b"\0\1" + i.to_bytes(2, "big")), proto=1))
        for i in range(50)
    ]
    assert copies(frames, [20 * US] * 49) == [False] * 50


# The automatic mode.


def mirrored(flows, first=0, gap=100 * US, count=2000):
    """Return frames and times of `count` packets of `flows` flows, each shown twice."""
    frames, times = [], []
    for number in range(first, first + count):
        body = craft.tcp(number.to_bytes(4, "big"), src_port=10_000 + number % flows, seq=number)
        frame = craft.ethernet(craft.ipv4(body, identification=number & 0xFFFF))
        frames += [frame, frame]
        times += [START + number * gap, START + number * gap + 10 * US]
    return frames, times


def after(finder, seconds):
    """Return whether `finder` is on once packet time has moved on."""
    marks(finder, [craft.ethernet(craft.arp(), ethertype=0x0806)], [START + int(seconds * SECOND)])
    return finder.suppressing


def test_auto_begins_with_the_next_interval_and_ends_when_copies_do():
    finder = Duplicates("auto", WINDOW, KEY)
    frames, times = mirrored(200)
    assert not any(marks(finder, frames, times))
    assert after(finder, 10)
    assert finder.share == pytest.approx(0.5)
    frames, times = mirrored(200, first=100_000)
    assert marks(finder, frames, times) == [False, True] * 2000
    assert after(finder, 20)
    frames, times = mirrored(200, first=200_000)
    assert not any(marks(finder, frames[::2], times[::2]))
    assert not after(finder, 30)
    assert finder.counters()["duplicates_switches"] == 2
    assert finder.counters()["duplicates"] == 2000


def test_auto_is_not_begun_by_few_flows():
    finder = Duplicates("auto", WINDOW, KEY)
    marks(finder, *mirrored(2))
    assert not after(finder, 10)
    assert finder.share == pytest.approx(0.5)


def test_auto_is_not_begun_by_a_few_packets_but_remembers_them():
    finder = Duplicates("auto", WINDOW, KEY)
    for part in range(5):
        assert not finder.suppressing
        marks(finder, *mirrored(200, first=part * 100_000, count=200))  # 10 s apart, about 25 in the sample
        after(finder, 10 * (part + 1))
        if finder.suppressing:
            break
    assert 2 <= part <= 4


def flood(sources, packets, gap):
    frames = [
        craft.ethernet(
            craft.ipv4(craft.udp(b"flood" * 10), src=f"10.1.{i >> 8}.{i & 255}", proto=17, identification=0)
        )
        for i in range(sources)
    ]
    return [frames[i % sources] for i in range(packets)], [START + gap * i for i in range(packets)]


@pytest.mark.parametrize("sources", [1, 50])
def test_auto_is_not_begun_by_a_flood_of_one_packet_from_each_source(sources):
    finder = Duplicates("auto", WINDOW, KEY)
    assert not any(marks(finder, *flood(sources, 6_000, 50 * US)))
    assert not after(finder, 10)
    assert finder.share == 0.0


def test_auto_is_not_ended_by_a_flood():
    finder = Duplicates("auto", WINDOW, KEY)
    marks(finder, *mirrored(200))
    assert after(finder, 10)
    frames, times = mirrored(200, first=100_000)
    extra, moments = flood(5, 6_000, 50 * US)
    order = np.argsort([*times, *[moment + 10 * SECOND for moment in moments]], kind="stable")
    both, when = frames + extra, [*times, *[moment + 10 * SECOND for moment in moments]]
    marks(finder, [both[i] for i in order], [when[i] for i in order])
    assert after(finder, 20)


def test_auto_stays_off_on_ordinary_traffic():
    finder = Duplicates("auto", WINDOW, KEY)
    frames, times = mirrored(200, count=3000)
    assert not any(marks(finder, frames[::2], times[::2]))
    assert not after(finder, 10)
    assert finder.counters()["duplicates_sampled"] == pytest.approx(3000 / SAMPLING, rel=0.3)


def test_the_table_keeps_the_younger_and_counts_what_it_drops():
    finder = Duplicates("on", MAX_WINDOW_SECS, KEY)
    frames, times = mirrored(1000, gap=US, count=30_000)
    marks(finder, frames[::2], times[::2])
    counters = finder.counters()
    assert 0 < counters["duplicates_displaced"] < 30_000
    assert counters["duplicates"] == 0


@pytest.mark.parametrize("bad", [("sometimes", WINDOW), ("on", 0.0), ("on", 0.2), ("auto", float("nan"))])
def test_settings_that_make_no_sense(bad):
    with pytest.raises(ValueError, match="must be"):
        Duplicates(*bad, KEY)


# Properties.

packet = st.tuples(
    st.sampled_from([4, 6]), st.integers(0, 3), st.integers(0, 1), st.sampled_from([0, 3, 40, 300])
)
step = st.tuples(
    packet,
    st.sampled_from([0, US, 4 * MS, 10 * MS, 10 * MS + 1, 3 * SECOND]),
    st.sampled_from([(), (10,), (10, 20)]),
    st.sampled_from([40, 50, 60, 74, 96, 2000]),
    st.sampled_from([64, 63]),
)


def build(kind):
    version, number, protocol, size = kind
    body = craft.udp(b"u" * size) if protocol else craft.tcp(b"t" * size, seq=number)
    proto = craft.UDP if protocol else craft.TCP
    if version == 4:
        return lambda ttl: craft.ipv4(body, proto=proto, identification=number, ttl=ttl)
    return lambda ttl: craft.ipv6(body, dst=f"2001:db8::{number + 2}", proto=proto, hop_limit=ttl)


def trace(steps):
    """Return frames, times, lengths and what was captured of each IP packet."""
    frames, times, wirelens, packets = [], [], [], []
    time = START
    for kind, gap, vlans, cut, ttl in steps:
        time += gap
        whole = build(kind)(ttl)
        frame = craft.ethernet(whole, vlans=vlans)
        head = len(frame) - len(whole)
        frames.append(frame[:cut])
        wirelens.append(len(frame))
        times.append(time)
        packets.append((frame[:cut][head:], len(whole)))
    return frames, times, wirelens, packets


@settings(max_examples=300, deadline=None)
@given(st.lists(step, min_size=1, max_size=40), st.booleans())
def test_marks_equal_those_of_the_plain_twin(steps, routed):
    frames, times, wirelens, packets = trace(steps)
    data, stamps, rows = decoded(frames, times, wirelens)
    good = (rows["kind"] == PacketKind.IP) & (rows["error"] == 0)
    Duplicates("on", WINDOW, KEY, routed=routed).mark(data, stamps, rows)
    twin = Copies("on", round(WINDOW * SECOND))
    expected = [
        twin.is_copy(identity(*packets[i], routed=routed) if good[i] else None, times[i])
        for i in range(len(frames))
    ]
    assert (rows["kind"] == PacketKind.DUPLICATE).tolist() == expected


def long_trace(seed, count):
    """Return frames and times over some intervals: a mirror that doubles for a while, and a flood."""
    rng = np.random.default_rng(seed)
    frames, times = [], []
    flows = rng.integers(1, 40)
    doubled = rng.random(8) < 0.7
    time = START
    for number in range(count):
        time += int(rng.exponential(20 * SECOND / count))
        port = 10_000 + number % flows
        if rng.random() < 0.2:
            body = craft.udp(b"flood", src_port=port)
            frame = craft.ethernet(craft.ipv4(body, proto=17, identification=0))
            shown = int(rng.integers(1, 9))
        else:
            body = craft.tcp(src_port=port, seq=number)
            frame = craft.ethernet(craft.ipv4(body, identification=number))
            shown = 1 + int(doubled[(time - START) // (10 * SECOND) % 8])
        for _ in range(shown):
            frames.append(frame)
            times.append(time)
            time += int(rng.choice([0, 20 * US, 5 * MS, 12 * MS], p=[0.1, 0.5, 0.3, 0.1]))
    return frames, times


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.floats(0, 1), max_size=6))
def test_cuts_between_batches_cannot_be_seen(seed, cuts):
    data, stamps, rows = decoded(*long_trace(seed, 3000))
    whole, parts = rows.copy(), rows.copy()
    one, other = Duplicates("auto", WINDOW, KEY), Duplicates("auto", WINDOW, KEY)
    count = one.mark(data, stamps, whole)
    places = sorted({0, len(rows), *(round(cut * len(rows)) for cut in cuts)})
    found = sum(other.mark(data, stamps[a:b], parts[a:b]) for a, b in itertools.pairwise(places))
    assert found == count
    assert (whole["kind"] == parts["kind"]).all()
    assert one.counters() == other.counters()


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32))
def test_auto_equals_the_plain_twin(seed):
    data, stamps, rows = decoded(*long_trace(seed, 3000))
    finder = Duplicates("auto", WINDOW, KEY)
    state = finder._state
    samples = {}
    twin = Copies("auto", round(WINDOW * SECOND), samples.get)
    expected = []
    for row in rows:
        given_to = (data, row, comparable(data, row), state.keys, state.masks)
        found, sampled = int(fingerprint(*given_to)), in_sample(*given_to)
        assert samples.setdefault(found, sampled) == sampled
        ends = int(row["src_lo"]) + int(row["dst_lo"])
        ports = int(row["src_port"]) + int(row["dst_port"])
        mixed = (ends ^ ports << 40) * (int(state.keys[0]) | 1) % 2**64
        expected.append(twin.is_copy(found, int(row["time"]), mixed >> 58))
    finder.mark(data, stamps, rows)
    assert (rows["kind"] == PacketKind.DUPLICATE).tolist() == expected
    assert finder.suppressing == twin.on


def test_fingerprints_follow_the_key():
    data, _, rows = decoded([craft.ethernet(ip())], [START])
    values = {
        int(fingerprint(data, rows[0], comparable(data, rows[0]), state.keys, state.masks))
        for state in (Duplicates("on", WINDOW, (1, seed))._state for seed in range(8))
    }
    assert len(values) == 8


def test_an_empty_batch_changes_nothing():
    finder = Duplicates("auto", WINDOW, KEY)
    empty = PacketBatch(np.empty(0, np.uint8), np.empty(0, craft.FRAME), START)
    assert finder.mark(read_only(empty.data), read_only(empty.frames), Decoder(1).decode(empty)) == 0


DATA = Path(__file__).resolve().parents[2] / "../shared/data"
NOT_CAPTURES = {".tsv", ".md", ".py", ".json", ".txt", ".csv"}


def real_captures():
    return sorted(
        path
        for path in DATA.rglob("*")
        if path.is_file() and path.suffix not in NOT_CAPTURES and "labels" not in path.parts
    )


def captured_bytes(data, row):
    """Return what was captured of the IP packet of a row without error, what routers change blanked."""
    at = int(row["network_offset"])
    size = int(row["ip_bytes"]) - int(row["payload_bytes"]) + int(row["payload_captured"])
    packet = bytearray(data[at : at + size])
    if packet[0] >> 4 == 4:
        packet[1] = packet[8] = packet[10] = packet[11] = 0
    else:
        packet[0] &= 0xF0
        packet[1] &= 0x0F
        packet[7] = 0
    return bytes(packet)


def unequal_marks(path):
    """Return how many copies are marked in a capture, and the places of those that equal no packet before."""
    finder, decoder = Duplicates("on", WINDOW, KEY), Decoder(1 << 14)
    marked, wrong, place, recent = 0, [], 0, []
    for batch in CaptureFiles([path], batch_frames=1 << 14):
        rows = decoder.decode(batch)
        marked += finder.mark(read_only(batch.data), read_only(batch.frames), rows)
        whole = ((rows["kind"] == PacketKind.IP) | (rows["kind"] == PacketKind.DUPLICATE)) & (
            rows["error"] == 0
        )
        for i in np.flatnonzero(whole):
            row = rows[i]
            packet, time = captured_bytes(batch.data, row), int(row["time"])
            recent = [(other, then) for other, then in recent if time - then <= WINDOW * SECOND]
            if row["kind"] == PacketKind.DUPLICATE:
                length = int(row["ip_bytes"])
                same = (
                    n == length and (other.startswith(packet) or packet.startswith(other))
                    for (other, n), _ in recent
                )
                if not any(same):
                    wrong.append(place + int(i))
            if int(batch.frames["time"][i]) >= time - WINDOW * SECOND:  # what came later is not looked at
                recent.append(((packet, int(row["ip_bytes"])), time))
        place += len(rows)
    return marked, wrong


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="the folder of real captures is not here")
def test_in_real_captures_only_equal_packets_are_copies():
    total = 0
    for path in real_captures():
        if path.stat().st_size > 3_000_000:
            continue  # the plain comparison takes its time
        try:
            marked, wrong = unequal_marks(path)
        except CaptureError:
            continue
        assert not wrong, path
        total += marked
    assert total > 0
