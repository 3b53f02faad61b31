"""The kernels against their plain twin: drawn frames, damaged frames, every cut of known frames."""

import craft
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import decode as naive

from sensor.packet.columns import DecodeError, FragmentFlag
from sensor.packet.decode import Decoder

DECODER = Decoder(128)  # reused, so that a row left over from an earlier batch would show
#: What depends on the frames before: the clock, and a datagram's other fragments.
FOLLOWED = {"time", "fragment_flags"}
LINK_TYPES = [1, 1, 1, 113, 276, 101, 12, 14, 228, 229, 0, 108, 147]

texts = st.binary(max_size=24)
port = st.integers(0, 65535)
v4 = st.builds(lambda n: ".".join(map(str, n.to_bytes(4, "big"))), st.integers(0, 2**32 - 1))
v6 = st.builds(lambda n: f"{n >> 112:x}::{n & 0xFFFF:x}", st.integers(0, 2**128 - 1))

segments = st.one_of(
    st.tuples(
        st.just(craft.TCP),
        st.builds(
            lambda body, src, dst, flags, options, head: craft.tcp(
                body, src, dst, flags, seq=src * dst, ack=dst, window=src, options=options, header_words=head
            ),
            texts,
            port,
            port,
            st.integers(0, 255),
            st.binary(max_size=40),
            st.sampled_from([None, None, None, 0, 4, 5, 9, 15]),
        ),
    ),
    st.tuples(
        st.sampled_from([craft.UDP, craft.UDP_LITE]),
        st.builds(craft.udp, texts, port, port, st.sampled_from([None, None, 0, 7, 8, 999])),
    ),
    st.tuples(st.just(craft.ICMP), st.builds(craft.icmp, texts, st.integers(0, 255), st.integers(0, 255))),
    st.tuples(st.just(craft.ICMPV6), st.builds(craft.icmpv6, texts, st.integers(0, 255))),
    st.tuples(st.just(craft.SCTP), st.builds(craft.sctp, texts, port, port)),
    st.tuples(st.just(craft.DCCP), st.builds(craft.dccp, texts, port, port)),
    st.tuples(st.integers(0, 255), texts),
)

extensions = st.one_of(
    st.tuples(st.sampled_from([0, 43, 60, 135, 139, 140]), st.builds(craft.option_header, texts)),
    st.tuples(
        st.just(44),
        st.builds(
            lambda offset, more, number: craft.fragment_header(offset * 8, more=more, identification=number),
            st.sampled_from([0, 0, 0, 1, 8191]),
            st.booleans(),
            st.integers(0, 2**32 - 1),
        ),
    ),
    st.tuples(st.just(51), st.builds(craft.auth_header, st.sampled_from([12, 24, 28]))),
)


@st.composite
def ipv4s(draw):
    proto, body = draw(segments)
    if draw(st.integers(0, 9)) == 0:
        proto, body = 51, bytes([proto]) + craft.auth_header()[1:] + body
    return craft.ipv4(
        body,
        draw(v4),
        draw(v4),
        proto,
        ttl=draw(st.integers(0, 255)),
        identification=draw(port),
        fragment_offset=draw(st.sampled_from([0, 0, 0, 8, 65528])),
        more_fragments=draw(st.booleans()),
        options=draw(st.sampled_from([b"", b"", b"\x01" * 4, bytes(40)])),
        total_length=draw(st.sampled_from([None, None, None, 0, 10, 20, 30, 9000])),
        header_words=draw(st.sampled_from([None] * 7 + [0, 4, 15])),
        version=draw(st.sampled_from([4] * 9 + [6])),
    )


@st.composite
def ipv6s(draw):
    proto, body = draw(segments)
    return craft.ipv6(
        body,
        draw(v6),
        draw(v6),
        proto,
        hop_limit=draw(st.integers(0, 255)),
        extensions=draw(st.lists(extensions, max_size=10)),
        payload_length=draw(st.sampled_from([None, None, None, 0, 4, 9000])),
        version=draw(st.sampled_from([6] * 9 + [4])),
    )


tags = st.lists(
    st.one_of(st.integers(0, 4095), st.tuples(st.sampled_from([0x88A8, 0x9100, 0x9200]), port)),
    max_size=3,
) | st.lists(st.integers(1, 4095), max_size=10)


@st.composite
def frames(draw):
    """Draw (frame, link type, wire length), some of them damaged."""
    packet, ethertype = draw(
        st.one_of(
            st.tuples(ipv4s(), st.just(0x0800)),
            st.tuples(ipv6s(), st.just(0x86DD)),
            st.tuples(st.builds(craft.arp, st.integers(0, 65535), v4, v4), st.just(0x0806)),
            st.tuples(texts, port),
        )
    )
    link_type = draw(st.sampled_from(LINK_TYPES))
    vlans = draw(tags)
    if link_type == 1 and draw(st.integers(0, 5)) == 0:
        frame = craft.ieee8023(
            craft.snap(packet, ethertype, draw(st.sampled_from([0, 0, 0x0C]))), vlans=vlans
        )
    elif link_type == 1:
        frame = craft.ethernet(packet, ethertype=ethertype, vlans=vlans, pad=draw(st.booleans()))
    elif link_type == 113:
        frame = craft.linux_cooked(packet, ethertype=ethertype, vlans=vlans)
    elif link_type == 276:
        frame = craft.linux_cooked2(packet, ethertype=ethertype)
    elif link_type in (0, 108):
        family = draw(st.sampled_from([2, 2, 10, 24, 28, 30, 7]))
        frame = craft.bsd_null(packet, family, draw(st.sampled_from("<>")))
    else:
        frame = packet
    wire = len(frame) + draw(st.sampled_from([0, 0, 0, -3, 4, 1000]))
    frame = bytearray(frame)
    for _ in range(draw(st.sampled_from([0, 0, 1, 3]))):
        if frame:
            frame[draw(st.integers(0, len(frame) - 1))] = draw(st.integers(0, 255))
    cut = draw(st.sampled_from([None, None, None, 0.9, 0.7, 0.4, 0.1]))
    if cut is not None:
        frame = frame[: int(len(frame) * cut)]
    return bytes(frame), link_type, max(0, wire)


def twin_rows(drawn, stripped):
    return [naive.decode(*frame, stripped=tag) for frame, tag in zip(drawn, stripped, strict=True)]


def kernel_rows(drawn, stripped):
    packets = craft.batch(
        [d[0] for d in drawn], link_type=[d[1] for d in drawn], wirelens=[d[2] for d in drawn]
    )
    packets.frames["vlan_tci"] = [tag or 0 for tag in stripped]
    packets.frames["vlan_tpid"] = [0 if tag is None else 0x8100 for tag in stripped]
    rows = DECODER.decode(packets)
    result = []
    for row, start in zip(rows, packets.frames["offset"], strict=True):
        fields = {name: int(row[name]) for name in rows.dtype.names if name not in FOLLOWED}
        if row.fragment_flags & FragmentFlag.PORTS_KNOWN:
            fields["src_port"] = fields["dst_port"] = 0
        for name in ("payload_offset", "outer_offset", "network_offset"):
            if fields[name] >= 0:
                fields[name] -= int(start)
        result.append(fields)
    return result


@settings(max_examples=600, deadline=None)
@given(st.lists(frames(), min_size=1, max_size=5), st.lists(st.none() | port, min_size=5, max_size=5))
def test_rows_equal_those_of_the_plain_twin(drawn, stripped):
    stripped = stripped[: len(drawn)]
    assert kernel_rows(drawn, stripped) == twin_rows(drawn, stripped)


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=120), st.sampled_from(LINK_TYPES), st.integers(0, 200))
def test_rows_of_random_bytes_equal_those_of_the_plain_twin(data, link_type, wire):
    drawn = [(data, link_type, wire)]
    assert kernel_rows(drawn, [None]) == twin_rows(drawn, [None])


WHOLE_FRAMES = [
    (craft.ethernet(craft.ipv4(craft.tcp(b"ab", options=bytes(4)), options=bytes(4)), vlans=[1, 2]), 1),
    (
        craft.ethernet(
            craft.ipv6(craft.udp(b"ab"), proto=craft.UDP, extensions=[(0, craft.option_header())])
        ),
        1,
    ),
    (craft.ethernet(craft.arp(), ethertype=0x0806), 1),
    (craft.ieee8023(craft.snap(craft.ipv4(craft.icmp(b"ab"), proto=craft.ICMP))), 1),
    (craft.linux_cooked(craft.ipv4(craft.sctp(b"ab"), proto=craft.SCTP)), 113),
    (craft.linux_cooked2(craft.ipv4(craft.dccp(b"ab"), proto=craft.DCCP)), 276),
    (
        craft.bsd_null(
            craft.ipv6(craft.icmpv6(), proto=craft.ICMPV6, extensions=[(51, craft.auth_header())])
        ),
        0,
    ),
    (craft.ipv4(craft.udp(b"ab"), proto=craft.UDP_LITE, fragment_offset=0, more_fragments=True), 101),
    (craft.ipv6(bytes(9), proto=47, extensions=[(44, craft.fragment_header(8))]), 229),
]


@pytest.mark.parametrize(("frame", "link_type"), WHOLE_FRAMES)
def test_every_cut_of_a_frame_on_the_wire_and_in_the_capture_equals_the_plain_twin(frame, link_type):
    for wire in range(len(frame) + 1):
        drawn = [(frame[:size], link_type, wire) for size in range(wire + 1)]
        assert kernel_rows(drawn, [None] * len(drawn)) == twin_rows(drawn, [None] * len(drawn))


#: Fields whose value in a cut frame is that of the whole one, or absent.
ABSENT = {"payload_offset": -1, "outer_offset": -1, "network_offset": -1}
#: Fields that count what was read so far; a second fragment header overrides the first.
MEASURED = {"caplen", "error", "payload_captured", "vlan_tags", "fragment_id", "more_fragments"}


@settings(max_examples=80, deadline=None)
@given(frames())
def test_a_field_of_a_cut_frame_is_that_of_the_whole_frame_or_absent(drawn):
    frame, link_type, wire = drawn
    wire = max(wire, len(frame))
    cuts = [(frame[:size], link_type, wire) for size in range(len(frame) + 1)]
    *rows, whole = kernel_rows(cuts, [None] * len(cuts))
    for row in rows:
        for name in row.keys() - MEASURED:
            assert row[name] in (whole[name], ABSENT.get(name, 0)), name
        assert row["payload_captured"] <= whole["payload_captured"]
        assert row["vlan_tags"] <= whole["vlan_tags"]
        assert row["error"] != DecodeError.NONE or whole["error"] == DecodeError.NONE


@settings(max_examples=50, deadline=None)
@given(
    st.lists(frames(), max_size=8),
    st.lists(st.integers(0, 10**13), min_size=8, max_size=8),
    st.integers(0, 8),
)
def test_batch_cuts_cannot_be_seen(drawn, times, cut):
    def batch(part, moments):
        return craft.batch([d[0] for d in part], moments, [d[1] for d in part], [d[2] for d in part])

    times = times[: len(drawn)]
    whole, halves = Decoder(8), Decoder(8)
    expected = whole.decode(batch(drawn, times)).copy()
    parts = [halves.decode(batch(drawn[s], times[s])).copy() for s in (slice(cut), slice(cut, None))]
    rows = np.concatenate(parts)
    starts = np.concatenate(
        [batch(drawn[s], times[s]).frames["offset"] for s in (slice(cut), slice(cut, None))]
    )
    for packets, offsets in ((expected, batch(drawn, times).frames["offset"]), (rows, starts)):
        for name in ("payload_offset", "outer_offset", "network_offset"):
            packets[name] -= np.where(packets[name] >= 0, offsets, 0)
    assert expected.tolist() == rows.tolist()
    assert whole.counters() == halves.counters()
    assert whole.unknown_link_types() == halves.unknown_link_types()
