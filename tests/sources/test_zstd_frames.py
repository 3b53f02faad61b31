import random
import struct

import pytest
import zstandard
from craft_capture import Captured, pcap_bytes
from delivered import delivered
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.sources.capture_file import CaptureFiles
from sensor.sources.zstd_frames import ZstdFrames, is_zstd

NOISE = random.Random(5).randbytes(300_000)  # does not compress: raw blocks


def skippable(size: int) -> bytes:
    return struct.pack("<II", 0x184D2A53, size) + bytes(size)


def frame(data: bytes, *, checksum: bool, size: bool) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=checksum, write_content_size=size).compress(data)


FRAMES = st.one_of(
    st.integers(0, 20).map(skippable),
    st.builds(
        frame,
        st.sampled_from([b"", b"a", b"a" * 300, bytes(200_000), NOISE[:1000], NOISE]),
        checksum=st.booleans(),
        size=st.booleans(),
    ),
)


@settings(max_examples=60, deadline=None)
@given(frames=st.lists(FRAMES, min_size=1, max_size=4), piece=st.sampled_from([1, 3, 1000, 10**6]))
def test_frames_end_where_they_were_written_to_end(frames, piece):
    walk = ZstdFrames()
    assert walk.whole
    for written in frames:
        if piece == 1 and len(written) > 5000:
            continue
        for at in range(0, len(written), piece):
            part = written[at : at + piece]
            walk.feed(part)
            assert walk.whole == (at + len(part) == len(written))


def test_bytes_that_are_no_frame_do_not_end_one():
    walk = ZstdFrames()
    walk.feed(b"no frame")
    assert not walk.whole


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"\x28\xb5\x2f\xfd", True),
        (b"\x50\x2a\x4d\x18", True),
        (b"\x5f\x2a\x4d\x18", True),
        (b"\x60\x2a\x4d\x18", False),
        (b"\x1f\x8b\x08\x00", False),
        (b"", False),
    ],
)
def test_magic(head, expected):
    assert is_zstd(head) == expected


def test_several_frames_and_skippable_ones_are_one_stream(tmp_path):
    data = pcap_bytes([Captured(n * 1000, NOISE[: n * 10]) for n in range(200)])
    packed = skippable(9) + zstandard.compress(data[:1001]) + skippable(0) + zstandard.compress(data[1001:])
    (tmp_path / "capture").write_bytes(packed)
    source = CaptureFiles(tmp_path / "capture")
    assert len(delivered(source)) == 200
    assert source.warnings == []


def test_a_window_larger_than_allowed_is_refused(tmp_path):
    parameters = zstandard.ZstdCompressionParameters(window_log=30, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    data = packer.compress(pcap_bytes([Captured(1000, b"x")])) + packer.flush()
    (tmp_path / "capture").write_bytes(pcap_bytes([]))
    (tmp_path / "wide").write_bytes(data)
    source = CaptureFiles([tmp_path / "capture", tmp_path / "wide"])
    assert delivered(source) == []
    assert "zstd data is damaged" in source.warnings[0].reason
