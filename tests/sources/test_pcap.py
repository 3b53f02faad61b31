import struct
from pathlib import Path

import pytest
from craft_capture import (
    IXIA_MAGIC,
    MICROSECOND_MAGIC,
    MODIFIED_MAGIC,
    NANOSECOND_MAGIC,
    Captured,
    pcap_bytes,
    pcap_header,
    pcap_record,
)
from delivered import Delivered, delivered
from hypothesis import given, settings
from hypothesis import strategies as st
from naive.capture import read_capture

from sensor.errors import CaptureError
from sensor.sources.capture_file import CaptureFiles
from sensor.sources.pcap import MAX_CAPTURED_BYTES

FRAMES = [
    Captured(1_700_000_000_123_456_789, b"first frame"),
    Captured(1_700_000_000_123_456_790, b"", 60),
    Captured(2**32 * 10**9 - 1, bytes(range(256)), 1500),
]


def read(tmp_path: Path, data: bytes) -> CaptureFiles:
    path = tmp_path / "capture"
    path.write_bytes(data)
    return CaptureFiles(path)


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("magic", [MICROSECOND_MAGIC, NANOSECOND_MAGIC, MODIFIED_MAGIC, IXIA_MAGIC])
def test_every_variant_gives_the_frames_that_were_written(tmp_path, order, magic):
    unit = 1000 if magic in (MICROSECOND_MAGIC, MODIFIED_MAGIC) else 1
    source = read(tmp_path, pcap_bytes(FRAMES, order, magic=magic, link_type=113))
    assert delivered(source) == [
        Delivered(frame.time // unit * unit, frame.data, frame.on_wire, 113) for frame in FRAMES
    ]
    assert source.warnings == []
    assert source.counters()["link_type_113"] == 1


def test_link_type_is_the_low_half_of_its_field(tmp_path):
    data = pcap_header(link_type=0x2400_0001) + pcap_record(FRAMES[0])
    assert delivered(read(tmp_path, data))[0].link_type == 1


def test_a_fraction_of_a_second_or_more_is_added(tmp_path):
    record = struct.pack("<IIII", 10, 2_500_000, 1, 1) + b"x"
    assert delivered(read(tmp_path, pcap_header() + record))[0].time == 12_500_000_000


@pytest.mark.parametrize(
    ("version", "captured"),
    [((2, 2), b"abcd"), ((2, 3), b"abcd"), ((543, 0), b"abcd"), ((2, 4), b"abcdefgh")],
)
def test_old_versions_have_their_lengths_swapped(tmp_path, version, captured):
    record = struct.pack("<IIII", 1, 0, 8, 4) + captured
    (frame,) = delivered(read(tmp_path, pcap_header(version=version) + record))
    assert frame.data == captured
    assert frame.wirelen == 8


def test_the_wire_length_is_never_below_the_captured_one(tmp_path):
    source = read(tmp_path, pcap_bytes([Captured(0, b"12345", 3)]))
    assert delivered(source) == [Delivered(0, b"12345", 5)]
    assert source.counters()["wirelen_raised"] == 1


def test_the_longest_record_is_read_and_a_longer_one_is_damage(tmp_path):
    longest = Captured(1, bytes(MAX_CAPTURED_BYTES))
    longer = Captured(2, bytes(MAX_CAPTURED_BYTES + 1))
    data = pcap_bytes([longest, longer, longest])
    source = read(tmp_path, data)
    assert len(delivered(source)) == 1
    (damage,) = source.warnings
    assert damage.offset == 24 + 16 + MAX_CAPTURED_BYTES
    assert "captured bytes" in damage.reason


@settings(max_examples=150, deadline=None)
@given(
    frames=st.lists(
        st.builds(
            Captured,
            time=st.integers(0, 2**32 * 10**9 - 1),
            data=st.binary(max_size=40),
            wirelen=st.integers(0, 2**32 - 1),
            interface=st.just(0),
        ),
        max_size=12,
    ),
    order=st.sampled_from(["little", "big"]),
    magic=st.sampled_from([MICROSECOND_MAGIC, NANOSECOND_MAGIC, MODIFIED_MAGIC, IXIA_MAGIC]),
    version=st.sampled_from([(2, 4), (2, 3), (2, 2), (543, 0), (1, 0)]),
    changes=st.lists(st.tuples(st.integers(4, 600), st.integers(0, 255)), max_size=4),
)
def test_the_walk_equals_its_naive_twin_on_damaged_files(
    tmp_path_factory, frames, order, magic, version, changes
):
    records = b"".join(pcap_record(frame, order, magic=magic) for frame in frames)
    data = bytearray(pcap_header(order, magic=magic, version=version) + records)
    for at, value in changes:
        if at < len(data):
            data[at] = value
    expected = read_capture(bytes(data))
    source = read(tmp_path_factory.getbasetemp(), bytes(data))
    try:
        got = delivered(source)
    except CaptureError:
        got = []
    assert got == expected.frames
    assert bool(source.warnings) == expected.damaged
    assert source.counters()["packets"] == len(got)
    assert source.counters()["bytes"] == sum(len(frame.data) for frame in got)
