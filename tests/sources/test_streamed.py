import fcntl
import gzip
import os
import tracemalloc
import zlib
from pathlib import Path

import pytest
import zstandard
from craft_capture import Captured, block, enhanced_packet, interface_description, pcap_bytes, section_header
from delivered import delivered

from sensor.errors import CaptureError
from sensor.sources.capture_file import CaptureFiles
from sensor.sources.gzip_input import GzipInput
from sensor.sources.opening import open_window
from sensor.sources.raw_input import RawInput
from sensor.sources.streamed import BUFFER_BYTES, EXPANSION_FREE_BYTES, EXPANSION_LIMIT, StreamedWindow
from sensor.sources.window import MAX_RECORD_BYTES


def file(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "capture"
    path.write_bytes(data)
    return path


def raw_input(tmp_path: Path, data: bytes) -> RawInput:
    return RawInput(os.open(file(tmp_path, data), os.O_RDONLY))


def test_the_unused_tail_is_kept_when_the_window_moves(tmp_path):
    data = os.urandom(3 * BUFFER_BYTES)
    window = StreamedWindow(raw_input(tmp_path, data))
    seen = b""
    step = 1_000_003
    while True:
        while window.stop - window.position >= step:
            assert window.offset == len(seen)
            seen += window.data[window.position : window.position + step].tobytes()
            window.position += step
        if not window.more(step):
            break
    seen += window.data[window.position : window.stop].tobytes()
    assert seen == data
    assert window.data.size == BUFFER_BYTES
    window.close()
    window.close()


def test_the_buffer_grows_to_the_record_and_not_further(tmp_path):
    window = StreamedWindow(raw_input(tmp_path, bytes(100) + bytes(range(200))))
    assert window.more(1)
    window.position = 100
    window.more(MAX_RECORD_BYTES)
    assert window.data.size == MAX_RECORD_BYTES
    assert window.data[:200].tobytes() == bytes(range(200))
    assert window.offset == 100
    window.close()


def test_a_claimed_length_costs_one_record_of_memory_at_most(tmp_path):
    largest = bytearray(block(5, bytes(MAX_RECORD_BYTES - 12)))
    data = gzip.compress(section_header() + interface_description() + bytes(largest[:100]))
    source = CaptureFiles(file(tmp_path, data))
    tracemalloc.start()
    assert delivered(source) == []
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MAX_RECORD_BYTES + BUFFER_BYTES + 2_000_000
    assert source.warnings[0].reason == "cut inside a record"


def blocks_of_zeros(pack: str, count: int) -> bytes:
    """Return a compressed capture of `count` blocks of 8 MiB of zeros, and a packet."""
    packer = (
        zlib.compressobj(9, zlib.DEFLATED, 31) if pack == "gzip" else zstandard.ZstdCompressor().compressobj()
    )
    zeros = block(5, bytes(2**23 - 12))
    parts = [section_header() + interface_description(), *[zeros] * count, enhanced_packet(1, b"end")]
    return b"".join([packer.compress(part) for part in parts] + [packer.flush()])


@pytest.mark.parametrize("pack", ["gzip", "zstd"])
def test_a_decompression_bomb_is_stopped_and_costs_no_memory(tmp_path, pack):
    data = blocks_of_zeros(pack, 20)
    assert EXPANSION_LIMIT * len(data) < 20 * 2**23
    source = CaptureFiles(file(tmp_path, data))
    tracemalloc.start()
    assert delivered(source) == []
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    (damage,) = source.warnings
    assert "bomb" in damage.reason
    assert EXPANSION_FREE_BYTES - 2**23 <= damage.offset < EXPANSION_FREE_BYTES + 2**23
    assert peak < 2**23 + BUFFER_BYTES + 4_000_000


@pytest.mark.parametrize("pack", ["gzip", "zstd"])
def test_a_small_file_may_expand_as_it_likes(tmp_path, pack):
    source = CaptureFiles(file(tmp_path, blocks_of_zeros(pack, 6)))
    assert len(delivered(source)) == 1
    assert source.warnings == []


def test_gzip_members_in_a_row_are_one_stream(tmp_path):
    data = pcap_bytes([Captured(n * 1000, bytes(n)) for n in range(100)])
    members = b"".join(gzip.compress(data[at : at + 97]) for at in range(0, len(data), 97))
    source = CaptureFiles(file(tmp_path, members + gzip.compress(b"") * 3 + bytes(70_000)))
    assert len(delivered(source)) == 100
    assert source.warnings == []


def test_bytes_behind_gzip_that_are_not_gzip_are_named(tmp_path):
    packed = gzip.compress(pcap_bytes([Captured(1000, b"x")]))
    for rest in (b"\x1f", b"rest", bytes(5) + b"\x1f\x8c"):
        source = CaptureFiles(file(tmp_path, packed + rest))
        assert len(delivered(source)) == 1
        assert "behind the gzip data" in source.warnings[0].reason


def test_a_gzip_member_cut_between_two_members_is_whole(tmp_path):
    packed = gzip.compress(pcap_bytes([Captured(1000, b"x")]))
    source = CaptureFiles(file(tmp_path, packed + packed[:7]))
    assert len(delivered(source)) == 1
    assert source.warnings[0].reason == "the gzip data is cut"


def test_a_wrong_gzip_checksum_is_named(tmp_path):
    packed = bytearray(gzip.compress(pcap_bytes([Captured(1000, b"x" * 50)])))
    packed[-6] ^= 1
    source = CaptureFiles(file(tmp_path, bytes(packed)))
    with pytest.raises(CaptureError, match="gzip data is damaged"):
        delivered(source)


def test_input_that_failed_stays_at_its_end(tmp_path):
    source = GzipInput(raw_input(tmp_path, b"\x1f\x8b\x08nothing"))
    room = memoryview(bytearray(10))
    assert source.readinto(room) == 0
    assert "damaged" in source.fault or "cut" in source.fault
    assert source.readinto(room) == 0
    source.close()


def test_peeked_bytes_are_still_read(tmp_path):
    raw = raw_input(tmp_path, b"abcdefgh")
    assert raw.peek(4) == b"abcd"
    assert raw.peek(2) == b"ab"
    assert raw.read(3) == b"abc"
    room = bytearray(10)
    assert raw.readinto(memoryview(room)) == 1
    assert raw.readinto(memoryview(room)) == 4
    assert bytes(room[:4]) == b"efgh"
    assert raw.peek(4) == b""
    assert raw.consumed == 8
    raw.close()


def test_a_read_error_is_a_fault_and_no_exception(tmp_path):
    raw = RawInput(os.open(tmp_path, os.O_RDONLY))
    window = StreamedWindow(raw)
    assert not window.more(1)
    assert "directory" in window.fault
    assert not window.more(1)
    window.close()


def test_a_pipe_is_asked_to_hold_more():
    reader, writer = os.pipe()
    saved = os.dup(0)
    try:
        os.dup2(reader, 0)
        before = fcntl.fcntl(reader, fcntl.F_GETPIPE_SZ)
        os.write(writer, b"abcd")
        window = open_window("-")
        assert fcntl.fcntl(reader, fcntl.F_GETPIPE_SZ) > before
        assert window.more(4)
        assert window.data[:4].tobytes() == b"abcd"
    finally:
        os.dup2(saved, 0)
        for descriptor in (saved, reader, writer):
            os.close(descriptor)


@pytest.mark.parametrize("read", ["readinto", "read"])
def test_a_file_of_known_size_is_read_to_that_size(tmp_path, read):
    path = file(tmp_path, bytes(range(100)))
    raw = RawInput(os.open(path, os.O_RDONLY), size=60)
    assert raw.peek(4) == bytes(range(4))
    seen = b""
    view = memoryview(bytearray(40))
    while True:
        piece = raw.read(40) if read == "read" else view[: raw.readinto(view)].tobytes()
        if not piece:
            break
        seen += piece
    assert seen == bytes(range(60))
    assert raw.fault == ""
    raw.close()
