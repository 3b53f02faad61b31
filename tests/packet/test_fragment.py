"""Fragments: ports from the first one, overlaps, tiny ones, and a table that stays as it is."""

import random

import craft
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.packet.columns import FragmentFlag, PacketKind
from sensor.packet.decode import Decoder
from sensor.packet.fragment import LEAST_MIDDLE, LIFETIME, MAX_SPANS, SETS, WAYS

KNOWN, OVERLAP, TINY = FragmentFlag.PORTS_KNOWN, FragmentFlag.OVERLAP, FragmentFlag.TINY
SIZE = 800
HEAD = craft.udp(bytes(SIZE - 8), 1234, 53, 3 * SIZE)


def part(offset, size=SIZE, *, more=True, identification=7, src=craft.SRC, proto=17, head=HEAD):
    """Return the bytes `offset` to `offset` + `size` of a datagram as an IPv4 fragment."""
    body = head[:size].ljust(size, b"x") if offset == 0 else bytes(size)
    packet = craft.ipv4(
        body, src, proto=proto, identification=identification, fragment_offset=offset, more_fragments=more
    )
    return craft.ethernet(packet)


def part6(offset, size=SIZE, *, more=True, identification=7):
    body = HEAD[:size].ljust(size, b"x") if offset == 0 else bytes(size)
    header = craft.fragment_header(offset, more=more, identification=identification)
    return craft.ethernet(craft.ipv6(body, proto=17, extensions=[(0, craft.option_header()), (44, header)]))


def rows_of(frames, times=None, decoder=None):
    return (decoder or Decoder(len(frames))).decode(craft.batch(frames, times))


@pytest.mark.parametrize("build", [part, part6])
def test_later_fragments_have_the_ports_of_their_first(build):
    decoder = Decoder(4)
    frames = [build(0), build(SIZE), build(2 * SIZE, 99, more=False)]
    rows = rows_of(frames, decoder=decoder)
    assert list(rows["fragment_flags"]) == [0, KNOWN, KNOWN]
    assert {(int(row.src_port), int(row.dst_port)) for row in rows} == {(1234, 53)}
    assert list(rows["fragment_offset"]) == [0, SIZE, 2 * SIZE]
    assert (rows["kind"] == PacketKind.IP).all()
    counters = decoder.counters()
    assert (counters["fragments"], counters["fragments_ports_known"]) == (3, 2)


@pytest.mark.parametrize("build", [part, part6])
def test_ports_are_never_invented(build):
    decoder = Decoder(4)
    frames = [build(SIZE), build(0), build(2 * SIZE, more=False), build(2 * SIZE, identification=8)]
    rows = rows_of(frames, decoder=decoder)
    assert [(int(row.src_port), int(row.fragment_flags)) for row in rows] == [
        (0, 0),
        (1234, 0),
        (1234, KNOWN),
        (0, 0),
    ]
    assert decoder.counters()["fragments_ports_unknown"] == 2


def test_a_whole_packet_is_no_fragment():
    decoder = Decoder(2)
    atomic = craft.ipv6(craft.udp(), proto=17, extensions=[(44, craft.fragment_header())])
    rows_of([craft.ethernet(craft.ipv4(craft.tcp())), craft.ethernet(atomic)], decoder=decoder)
    assert decoder.counters()["fragments"] == 0


@pytest.mark.parametrize(
    "other", [{"identification": 8}, {"src": "10.0.0.9"}, {"proto": 136}], ids=["id", "source", "protocol"]
)
def test_each_datagram_is_its_own(other):
    rows = rows_of([part(0), part(SIZE, **other)])
    assert list(rows["fragment_flags"]) == [0, 0]


def test_a_datagram_is_waited_for_as_long_as_a_receiver_waits():
    decoder = Decoder(3)
    times = [10**18, 10**18 + LIFETIME, 10**18 + LIFETIME + 1]
    rows = rows_of([part(0), part(SIZE), part(2 * SIZE)], times, decoder)
    assert list(rows["fragment_flags"]) == [0, KNOWN, 0]
    assert decoder.counters()["fragments_expired"] == 1


@pytest.mark.parametrize(
    ("ranges", "flags"),
    [
        ([(0, 800), (800, 800)], [0, 0]),
        ([(0, 800), (792, 800)], [0, OVERLAP]),
        ([(0, 800), (400, 400)], [0, OVERLAP]),
        ([(800, 800), (0, 800)], [0, 0]),
        ([(800, 800), (0, 808)], [0, OVERLAP]),
        ([(0, 800), (0, 800), (800, 800), (800, 800)], [0, 0, 0, 0]),  # a mirror's copies
        ([(0, 800), (1600, 800), (3200, 800), (2400, 800), (800, 800)], [0] * 5),
        ([(0, 800), (1600, 800), (3200, 800), (2400, 800), (1592, 400)], [0, 0, 0, 0, OVERLAP]),
    ],
)
def test_overlaps(ranges, flags):
    decoder = Decoder(8)
    rows = rows_of([part(*one) for one in ranges], decoder=decoder)
    assert list(rows["fragment_flags"] & OVERLAP) == flags
    assert decoder.counters()["fragments_overlap"] == sum(flag == OVERLAP for flag in flags)


def test_an_identification_that_comes_again_begins_another_datagram():
    """What follows a complete datagram is reassembled by itself at the receiver, too."""
    other = craft.udp(bytes(SIZE - 8), 4321, 53, 3 * SIZE)
    train = [part(0), part(SIZE, 200, more=False)]
    rows = rows_of([*train, part(SIZE, 200, more=False), part(0, head=other), part(SIZE), part(0)])
    assert list(rows["fragment_flags"]) == [0, KNOWN, KNOWN, 0, KNOWN, OVERLAP]
    assert list(rows["src_port"]) == [1234, 1234, 1234, 4321, 4321, 1234]


def test_more_gaps_than_are_tracked_are_counted_and_make_no_overlap():
    decoder = Decoder(16)
    frames = [part(1600 * i) for i in range(MAX_SPANS + 3)]
    rows = rows_of([*frames, part(1600 * (MAX_SPANS + 1) + 8)], decoder=decoder)
    assert not (rows["fragment_flags"] & OVERLAP).any()
    assert decoder.counters()["fragments_untracked"] == 4


@pytest.mark.parametrize(
    ("frame", "tiny"),
    [
        (part(0), False),
        (part(0, LEAST_MIDDLE), False),
        (part(0, LEAST_MIDDLE - 8), True),
        (part(SIZE, LEAST_MIDDLE - 8), True),
        (part(SIZE, 8, more=False), False),  # the last one is as short as it comes
        (part(8, SIZE, proto=6), True),  # RFC 3128: reaches into the TCP header
        (part(8, SIZE, proto=17), False),
        (part(0, 8, proto=6, head=craft.tcp()), True),
        (part6(0, 0), True),
        (part6(SIZE), False),
    ],
)
def test_tiny_fragments(frame, tiny):
    decoder = Decoder(1)
    assert bool(rows_of([frame], decoder=decoder)[0].fragment_flags & TINY) == tiny
    assert decoder.counters()["fragments_tiny"] == tiny


def test_a_first_fragment_that_cuts_the_tcp_header_still_tells_its_ports():
    rows = rows_of([part(0, 8, proto=6, head=craft.tcp(src_port=99)), part(8, 400, proto=6)])
    assert list(rows["src_port"]) == [99, 99]


def test_fragments_of_a_tunnel_and_in_a_tunnel():
    inner = craft.ipv4(HEAD, "192.168.0.1", proto=17, identification=1, more_fragments=True)
    later = craft.ipv4(bytes(SIZE), "192.168.0.1", proto=17, identification=1, fragment_offset=SIZE)
    rows = rows_of([craft.ethernet(craft.ipv4(one, proto=4)) for one in (inner, later)])
    assert list(rows["src_port"]) == [1234, 1234]
    assert list(rows["tunnel_layers"]) == [1, 1]
    datagram = craft.udp(b"\x08" + bytes(7) + craft.ethernet(craft.ipv4(craft.tcp(bytes(402)))), 5, 4789)
    assert len(datagram) % 8 == 0
    first = craft.ipv4(datagram, proto=17, more_fragments=True)
    later = craft.ipv4(bytes(50), proto=17, fragment_offset=len(datagram))
    rows = rows_of([craft.ethernet(first), craft.ethernet(later)])
    assert list(rows["dst_port"]) == [80, 4789]
    assert list(rows["fragment_flags"]) == [0, KNOWN]


def random_fragments(chance, count):
    frames = []
    for _ in range(count):
        offset = chance.choice([0, SIZE, 2 * SIZE, 8])
        frames.append(part(offset, more=offset < 2 * SIZE, identification=chance.randrange(4)))
    return frames


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 12))
def test_batch_cuts_cannot_be_seen(seed, cut):
    frames = random_fragments(random.Random(seed), 12)
    times = [10**18 + 7 * 10**9 * i for i in range(12)]
    whole, parts = Decoder(12, key=(1, 2)), Decoder(12, key=(1, 2))
    expected = rows_of(frames, times, whole)["fragment_flags"].tolist()
    found = []
    for piece in (slice(cut), slice(cut, None)):
        if frames[piece]:
            found += rows_of(frames[piece], times[piece], parts)["fragment_flags"].tolist()
    assert found == expected
    assert whole.counters() == parts.counters()


def flood(decoder, count, size):
    """Decode `count` fragments of as many datagrams."""
    frame = part(SIZE)
    packets = craft.batch([frame] * size, [10**18] * size)
    data = packets.data.reshape(size, len(frame))
    for begin in range(0, count, size):
        numbers = np.arange(begin, begin + size, dtype=">u4")
        data[:, 26:30] = numbers.view(np.uint8).reshape(size, 4)  # the source address
        decoder.decode(packets)


def test_a_flood_of_fragments_replaces_the_oldest_and_nothing_grows():
    decoder = Decoder(64, key=(3, 4))
    count = 3 * SETS * WAYS
    flood(decoder, count, 64)
    counters = decoder.counters()
    table = decoder._state.tunnels.fragments
    used = int(table.datagrams["used"].sum())
    assert counters["fragments"] == counters["fragments_ports_unknown"] == count
    assert counters["fragments_replaced"] == count - used
    assert used > 0.9 * SETS * WAYS
    assert len(table.datagrams) == SETS * WAYS
    rows = rows_of([part(0), part(SIZE)], [10**18] * 2, decoder)
    assert rows[1].fragment_flags == KNOWN


def test_the_key_decides_who_is_replaced():
    def forgotten(key):
        decoder = Decoder(64, key=key)
        flood(decoder, SETS * WAYS, 64)
        return sorted(decoder._state.tunnels.fragments.datagrams["src_lo"].tolist())

    assert forgotten((1, 2)) == forgotten((1, 2))
    assert forgotten((1, 2)) != forgotten((1, 3))
