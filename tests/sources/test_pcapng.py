import struct
from pathlib import Path

import pytest
from craft_capture import (
    CUSTOM,
    DECRYPTION_SECRETS,
    INTERFACE_STATISTICS,
    NAME_RESOLUTION,
    Captured,
    block,
    enhanced_packet,
    interface_description,
    option,
    packet_block,
    pcapng_bytes,
    section_header,
    simple_packet,
)
from delivered import Delivered, delivered
from hypothesis import given, settings
from hypothesis import strategies as st
from naive.capture import read_capture

from sensor.errors import CaptureError
from sensor.sources.capture_file import CaptureFiles
from sensor.sources.window import MAX_RECORD_BYTES

ORDERS = ["little", "big"]


def read(tmp_path: Path, *parts: bytes) -> CaptureFiles:
    path = tmp_path / "capture"
    path.write_bytes(b"".join(parts))
    return CaptureFiles(path)


@pytest.mark.parametrize("order", ORDERS)
def test_frames_come_out_as_they_were_written(tmp_path, order):
    frames = [
        Captured(1_700_000_000_123_456_789, b"first", interface=1),
        Captured(5, b"", 99),
        Captured(2**62 - 1, bytes(255), 1500),
    ]
    source = read(tmp_path, pcapng_bytes(frames, order, link_types=(1, 101)))
    assert delivered(source) == [
        Delivered(f.time, f.data, f.on_wire, (1, 101)[f.interface], f.interface) for f in frames
    ]
    assert source.warnings == []
    counters = source.counters()
    assert counters["sections"] == 1
    assert counters["interfaces"] == 2
    assert counters["link_type_101"] == 1


def test_sections_of_both_byte_orders_have_their_own_interfaces(tmp_path):
    parts = []
    for order, link_type in (("big", 113), ("little", 1), ("big", 101)):
        parts += [
            section_header(order),
            interface_description(order, link_type=link_type, resolution=9),
            enhanced_packet(7, b"abc", order),
        ]
    source = read(tmp_path, *parts)
    assert [frame.link_type for frame in delivered(source)] == [113, 1, 101]
    assert source.counters()["sections"] == 3


@pytest.mark.parametrize("order", ORDERS)
def test_the_obsolete_packet_block_is_read(tmp_path, order):
    parts = [section_header(order), interface_description(order), interface_description(order, link_type=9)]
    source = read(tmp_path, *parts, packet_block(3, b"abcde", order, interface=1))
    assert delivered(source) == [Delivered(3000, b"abcde", 5, 9, 1)]


def test_a_simple_packet_has_the_last_time_seen_and_the_snapshot_length(tmp_path):
    source = read(
        tmp_path,
        section_header(),
        interface_description(snaplen=4, resolution=9),
        simple_packet(b"ab"),
        enhanced_packet(77, b"abcd"),
        simple_packet(b"abcd", wirelen=1000),
    )
    assert delivered(source) == [
        Delivered(0, b"ab", 2),
        Delivered(77, b"abcd", 4),
        Delivered(77, b"abcd", 1000),
    ]
    assert source.counters()["frames_without_time"] == 2


def test_a_simple_packet_takes_the_time_of_the_file_before(tmp_path):
    (tmp_path / "a").write_bytes(pcapng_bytes([Captured(55, b"x")]))
    (tmp_path / "b").write_bytes(section_header() + interface_description() + simple_packet(b"y"))
    frames = delivered(CaptureFiles([tmp_path / "a", tmp_path / "b"]))
    assert [frame.time for frame in frames] == [55, 55]


def test_other_blocks_are_stepped_over_and_counted(tmp_path):
    kinds = [NAME_RESOLUTION, INTERFACE_STATISTICS, DECRYPTION_SECRETS, CUSTOM, 0x4000_0BAD, 0x1234_5678, 0]
    blocks = b"".join(block(kind, b"12345678") for kind in kinds)
    source = read(tmp_path, section_header(), interface_description(), blocks, enhanced_packet(1, b"x"))
    assert len(delivered(source)) == 1
    counters = source.counters()
    assert counters["blocks_skipped"] == 7
    assert counters["blocks_skipped_name_resolution"] == 1
    assert counters["blocks_skipped_statistics"] == 1
    assert counters["blocks_skipped_secrets"] == 1
    assert counters["blocks_skipped_custom"] == 2
    assert counters["blocks_skipped_other"] == 2


def test_options_behind_a_packet_are_no_part_of_it(tmp_path):
    packet = enhanced_packet(1, b"abc", options=option(1, b"a comment") + option(0, b""))
    assert delivered(read(tmp_path, section_header(), interface_description(), packet))[0].data == b"abc"


def test_a_packet_of_an_unknown_interface_is_dropped_and_counted(tmp_path):
    source = read(
        tmp_path,
        section_header(),
        simple_packet(b"too early"),
        interface_description(),
        enhanced_packet(1, b"a", interface=1),
        enhanced_packet(1, b"b"),
    )
    assert [frame.data for frame in delivered(source)] == [b"b"]
    assert source.counters()["frames_without_interface"] == 2
    assert source.warnings == []


def test_interfaces_beyond_the_cap_are_counted_and_their_packets_dropped(tmp_path):
    source = read(
        tmp_path,
        section_header(),
        interface_description() * 1030,
        enhanced_packet(1, b"last", interface=1023),
        enhanced_packet(1, b"beyond", interface=1024),
    )
    assert [frame.data for frame in delivered(source)] == [b"last"]
    counters = source.counters()
    assert counters["interfaces"] == 1024
    assert counters["interfaces_ignored"] == 6
    assert counters["frames_without_interface"] == 1


def test_link_types_beyond_the_cap_are_counted_together(tmp_path):
    source = read(tmp_path, section_header(), *(interface_description(link_type=n) for n in range(70)))
    delivered(source)
    counters = source.counters()
    assert counters["link_type_63"] == 1
    assert "link_type_64" not in counters
    assert counters["link_type_other"] == 6


def test_an_impossible_time_is_clamped_and_counted(tmp_path):
    source = read(
        tmp_path,
        section_header(),
        interface_description(resolution=0),
        interface_description(offset_secs=-10),
        enhanced_packet(2**64 - 1, b"late"),
        enhanced_packet(0, b"early", interface=1),
    )
    assert [frame.time for frame in delivered(source)] == [2**62 - 1, 0]
    assert source.counters()["timestamps_clamped"] == 2


def words(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}I", *values)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (words(6, 8, 8), "impossible length"),
        (words(6, 34, 0, 0, 0, 0, 0, 0, 34), "impossible length"),
        (words(5, MAX_RECORD_BYTES + 4, 0), "impossible length"),
        (words(5, 12, 16), "lengths differ"),
        (words(6, 28, 0, 0, 0, 0, 28), "impossible length"),
        (words(3, 12, 12), "impossible length"),
        (words(6, 32, 0, 0, 0, 1, 1, 32), "captured bytes"),
        (words(3, 16, 4, 16), "captured bytes"),
        (words(1, 12, 12), "too short"),
        (words(1, 24, 1, 0, 0xFFFF_0009, 24), "longer than"),
        (section_header(major=2), "version 2"),
        (words(0x0A0D0D0A, 28, 0xDEADBEEF, 1, 0, 0, 28), "byte order"),
        (words(0x0A0D0D0A, 24, 0x1A2B3C4D, 1, 0, 24), "impossible length"),
        (words(0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, 0, 32), "lengths differ"),
    ],
)
def test_a_lying_block_ends_the_file_there(tmp_path, bad, reason):
    good = section_header() + interface_description() + enhanced_packet(1, b"good")
    source = read(tmp_path, good, bad, enhanced_packet(2, b"never"))
    assert [frame.data for frame in delivered(source)] == [b"good"]
    (damage,) = source.warnings
    assert damage.offset == len(good)
    assert reason in damage.reason


def test_a_file_with_a_bad_first_section_is_no_capture(tmp_path):
    with pytest.raises(CaptureError, match="version 3") as raised:
        delivered(read(tmp_path, section_header(major=3)))
    assert raised.value.exit_code == 65


_PACKETS = st.one_of(
    st.builds(
        lambda ticks, data, interface, wirelen: (
            lambda order: enhanced_packet(ticks, data, order, interface=interface, wirelen=wirelen)
        ),
        st.integers(0, 2**64 - 1),
        st.binary(max_size=20),
        st.integers(0, 3),
        st.integers(0, 2**32 - 1),
    ),
    st.builds(
        lambda ticks, data, interface: lambda order: packet_block(ticks, data, order, interface=interface),
        st.integers(0, 2**64 - 1),
        st.binary(max_size=20),
        st.integers(0, 3),
    ),
    st.builds(lambda data: lambda order: simple_packet(data, order), st.binary(max_size=20)),
    st.builds(
        lambda kind, body: lambda order: block(kind, body, order),
        st.integers(4, 5) | st.integers(7, 12) | st.integers(0x4000_0000, 2**32 - 1),
        st.binary(max_size=20),
    ),
    st.builds(
        lambda kind, snaplen, resolution, offset: (
            lambda order: interface_description(
                order, link_type=kind, snaplen=snaplen, resolution=resolution, offset_secs=offset
            )
        ),
        st.integers(0, 65535),
        st.sampled_from([0, 0, 5, 65535]),
        st.none() | st.integers(0, 255),
        st.none() | st.integers(-(2**40), 2**40),
    ),
)
_SECTIONS = st.lists(
    st.tuples(st.sampled_from(ORDERS), st.lists(_PACKETS, max_size=8)), min_size=1, max_size=3
)


@settings(max_examples=250, deadline=None)
@given(
    sections=_SECTIONS,
    changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=3),
    batch_frames=st.sampled_from([1, 2, 7, 1000]),
)
def test_the_walk_equals_its_naive_twin_on_damaged_files(tmp_path_factory, sections, changes, batch_frames):
    data = bytearray()
    for order, blocks in sections:
        data += section_header(order) + interface_description(order)
        data += b"".join(write(order) for write in blocks)
    for at, value in changes:
        if 4 <= at < len(data):
            data[at] = value
    expected = read_capture(bytes(data))
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(data)
    source = CaptureFiles(path, batch_frames)
    try:
        got = delivered(source)
    except CaptureError:
        got = []
    assert got == expected.frames
    assert bool(source.warnings) == expected.damaged
    assert source.counters()["packets"] == len(got)
    assert source.counters()["bytes"] == sum(len(frame.data) for frame in got)
