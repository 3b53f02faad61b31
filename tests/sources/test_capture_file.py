import gzip
import os
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import zstandard
from craft_capture import (
    MODIFIED_MAGIC,
    NANOSECOND_MAGIC,
    Captured,
    pcap_bytes,
    pcap_header,
    pcapng_bytes,
)
from delivered import Delivered, delivered
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.errors import CaptureError
from sensor.sources.capture_file import CaptureDamage, CaptureFiles
from sensor.sources.streamed import BUFFER_BYTES

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"

FRAMES = st.lists(
    st.builds(
        Captured,
        time=st.integers(0, 2**32 * 10**9 - 1),
        data=st.binary(max_size=60),
        wirelen=st.integers(60, 9000),
        interface=st.just(0),
    ),
    min_size=1,
    max_size=30,
)
SAMPLE = [Captured(10**9 * n, bytes([n % 251]) * (n % 90)) for n in range(1, 3000)]


def wanted(frames: list[Captured]) -> list[Delivered]:
    return [Delivered(f.time, f.data, f.on_wire) for f in frames]


def file(tmp_path: Path, data: bytes, name: str = "capture") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


def piped(data: bytes) -> tuple[list[Delivered], CaptureFiles]:
    """Read `data` through a named pipe's twin: /dev/fd of an anonymous one."""
    read_end, write_end = os.pipe()

    def write() -> None:
        with os.fdopen(write_end, "wb") as pipe:
            pipe.write(data)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        source = CaptureFiles(f"/dev/fd/{read_end}")
        return delivered(source), source
    finally:
        os.close(read_end)
        writer.join()


@settings(max_examples=40, deadline=None)
@given(frames=FRAMES, batch_frames=st.sampled_from([1, 3, 16_384]))
def test_every_packing_of_the_same_frames_gives_the_same_frames(tmp_path_factory, frames, batch_frames):
    folder = tmp_path_factory.getbasetemp()
    classic = pcap_bytes(frames, magic=NANOSECOND_MAGIC)
    packed = [
        classic,
        pcap_bytes(frames, "big", magic=NANOSECOND_MAGIC),
        pcapng_bytes(frames),
        pcapng_bytes(frames, "big"),
    ]
    packed += [gzip.compress(data, 1) for data in packed[::2]]
    packed += [zstandard.compress(data) for data in packed[:4:2]]
    for data in packed:
        source = CaptureFiles(file(folder, data), batch_frames)
        assert delivered(source) == wanted(frames)
        assert source.warnings == []
        assert source.progress() == (len(data), len(data))
    for data in (classic, gzip.compress(classic, 1), pcapng_bytes(frames)):
        got, source = piped(data)
        assert got == wanted(frames)
        assert source.warnings == []
        assert source.progress() == (len(data), 0)


def boundaries(frames: list[Captured], *, classic: bool) -> list[int]:
    """Return the offsets behind the header and behind each frame."""
    write = pcap_bytes if classic else pcapng_bytes
    return [len(write(frames[:count])) for count in range(len(frames) + 1)]


@settings(max_examples=120, deadline=None)
@given(
    frames=FRAMES,
    classic=st.booleans(),
    packing=st.sampled_from(["plain", "gzip", "zstd", "pipe"]),
    part=st.floats(0, 1),
)
def test_a_cut_file_gives_all_that_is_whole_and_one_warning(tmp_path_factory, frames, classic, packing, part):
    frames = [frame._replace(time=frame.time // 1000 * 1000) for frame in frames]
    data = pcap_bytes(frames) if classic else pcapng_bytes(frames)
    cut = round(part * len(data))
    ends = boundaries(frames, classic=classic)
    whole = sum(end <= cut for end in ends[1:])
    at_boundary = cut in ends or (not classic and cut == 28)
    if packing == "pipe":
        if cut < ends[0]:
            return
        got, source = piped(data[:cut])
    else:
        pack = {"plain": bytes, "gzip": gzip.compress, "zstd": zstandard.compress}[packing]
        source = CaptureFiles(file(tmp_path_factory.getbasetemp(), pack(data[:cut])))
        try:
            got = delivered(source)
        except CaptureError as error:
            assert cut < (24 if classic else 28)
            assert "capture" in str(error)  # noqa: PT017
            got = []
            at_boundary = False
    assert got == wanted(frames[:whole])
    assert len(source.warnings) == (0 if at_boundary else 1)
    assert source.counters()["files_damaged"] == len(source.warnings)


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_cut_compressed_file_gives_what_could_be_decompressed(tmp_path, pack):
    frames = [Captured(n * 1000, os.urandom(100)) for n in range(20_000)]
    packed = pack(pcap_bytes(frames))
    path = file(tmp_path, packed[: len(packed) // 2])
    source = CaptureFiles(path)
    got = delivered(source)
    assert 5000 < len(got) < 10_001
    assert got == wanted(frames[: len(got)])
    (damage,) = source.warnings
    assert "data is cut" in damage.reason
    assert damage.offset == 24 + len(got) * 116


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_compressed_file_without_its_last_byte_is_said_to_be_cut(tmp_path, pack):
    packed = (
        pack(pcap_bytes(SAMPLE))
        if pack is gzip.compress
        else zstandard.ZstdCompressor(write_checksum=True).compress(pcap_bytes(SAMPLE))
    )
    source = CaptureFiles(file(tmp_path, packed[:-1]))
    assert delivered(source) == wanted(SAMPLE)
    (damage,) = source.warnings
    assert "data is cut" in damage.reason


@settings(max_examples=150, deadline=None)
@given(
    head=st.sampled_from(
        [
            b"",
            pcap_header(),
            pcap_header("big", magic=MODIFIED_MAGIC),
            pcapng_bytes([]),
            b"\x1f\x8b\x08\0",
            gzip.compress(b"x")[:10],
            zstandard.compress(b"x" * 99)[:6],
            b"\x50\x2a\x4d\x18",
            b"\xff\xd8\xff",
        ]
    ),
    rest=st.binary(max_size=300),
)
def test_random_bytes_raise_nothing_but_a_capture_error(tmp_path_factory, head, rest):
    source = CaptureFiles(file(tmp_path_factory.getbasetemp(), head + rest))
    try:
        delivered(source)
    except CaptureError as error:
        assert error.exit_code == 65  # noqa: PT017  (whether it raises is open)
    assert len(source.warnings) <= 1


@settings(max_examples=60, deadline=None)
@given(
    pack=st.sampled_from([gzip.compress, zstandard.compress]),
    changes=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=3),
)
def test_damaged_compression_raises_nothing_but_a_capture_error(tmp_path_factory, pack, changes):
    packed = bytearray(pack(pcap_bytes(SAMPLE[:300])))
    for part, value in changes:
        packed[int(part * len(packed))] = value
    source = CaptureFiles(file(tmp_path_factory.getbasetemp(), bytes(packed)))
    try:
        delivered(source)
    except CaptureError as error:
        assert error.exit_code == 65  # noqa: PT017  (whether it raises is open)
    assert len(source.warnings) <= 1


def test_files_are_read_in_order_and_damage_in_one_does_not_stop_the_next(tmp_path):
    whole = pcap_bytes(SAMPLE)
    paths = [
        file(tmp_path, whole, "a"),
        tmp_path / "missing",
        file(tmp_path, whole[:-1], "b"),
        file(tmp_path, b"no capture at all", "c"),
        tmp_path,
        file(tmp_path, b"", "d"),
        file(tmp_path, gzip.compress(pcapng_bytes(SAMPLE)), "e"),
    ]
    source = CaptureFiles(paths)
    assert source.name == f"{paths[0]} and 6 more"
    assert delivered(source) == wanted(SAMPLE) + wanted(SAMPLE[:-1]) + wanted(SAMPLE)
    assert [(Path(d.path), d.reason) for d in source.warnings] == [
        (paths[1], "No such file or directory"),
        (paths[2], "cut inside a record"),
        (paths[3], "no capture file"),
        (paths[4], "Is a directory"),
        (paths[5], "the file is empty"),
    ]
    counters = source.counters()
    assert counters["files"] == 7
    assert counters["files_damaged"] == 5
    assert counters["packets"] == 3 * len(SAMPLE) - 1
    done, total = source.progress()
    assert done == total == sum(p.stat().st_size for p in paths if p.is_file())


def test_nothing_readable_is_an_error_that_names_each_file(tmp_path):
    paths = [file(tmp_path, b"nothing"), tmp_path / "missing"]
    with pytest.raises(CaptureError) as raised:
        delivered(CaptureFiles(paths))
    assert raised.value.exit_code == 65
    assert f"{paths[0]}: no capture file" in str(raised.value)
    assert f"{paths[1]}: No such file" in str(raised.value)


def test_a_file_that_may_not_be_read_is_named(tmp_path):
    path = file(tmp_path, pcap_bytes(SAMPLE))
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read every file")
    with pytest.raises(CaptureError, match="Permission denied"):
        delivered(CaptureFiles(path))


def test_damage_is_one_line():
    assert str(CaptureDamage("a.pcap", 7, "cut inside a record")) == "a.pcap: offset 7: cut inside a record"


@pytest.mark.parametrize("data", [pcap_bytes([]), pcapng_bytes([]), pcapng_bytes([], link_types=())])
def test_a_capture_without_packets_is_a_capture(tmp_path, data):
    source = CaptureFiles(file(tmp_path, data))
    assert delivered(source) == []
    assert source.warnings == []


def test_magic_decides_and_not_the_name(tmp_path):
    assert delivered(CaptureFiles(file(tmp_path, pcap_bytes(SAMPLE), "capture.gz"))) == wanted(SAMPLE)


def test_compressed_twice_is_no_capture(tmp_path):
    packed = gzip.compress(gzip.compress(pcap_bytes(SAMPLE)))
    with pytest.raises(CaptureError, match="no capture file"):
        delivered(CaptureFiles(file(tmp_path, packed)))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_standard_input_is_read(pack):
    program = (
        "from sensor.sources.capture_file import CaptureFiles\n"
        "source = CaptureFiles('-')\n"
        "print(source.name, sum(batch.frames.size for batch in source), source.warnings)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], input=pack(pcap_bytes(SAMPLE)), capture_output=True, check=True
    )
    assert result.stdout.decode().split() == ["stdin", str(len(SAMPLE)), "[]"]


def test_a_pipe_gives_what_is_in_it_before_it_ends():
    read_end, write_end = os.pipe()
    try:
        os.write(write_end, pcap_bytes(SAMPLE[:2]) + b"the next record is not whole"[:10])
        batches = iter(CaptureFiles(f"/dev/fd/{read_end}"))
        assert next(batches).frames.size == 2
    finally:
        os.close(read_end)
        os.close(write_end)


def test_a_batch_has_no_more_frames_than_asked(tmp_path):
    sizes = [b.frames.size for b in CaptureFiles(file(tmp_path, pcap_bytes(SAMPLE)), batch_frames=1000)]
    assert sizes == [1000, 1000, 999]


def test_bytes_cannot_be_written_to(tmp_path):
    for data in (pcap_bytes(SAMPLE), gzip.compress(pcap_bytes(SAMPLE))):
        for batch in CaptureFiles(file(tmp_path, data)):
            assert not batch.data.flags.writeable
            assert batch.data.dtype == np.uint8


def test_close_ends_the_iteration_and_is_safe_twice(tmp_path):
    paths = [file(tmp_path, pcap_bytes(SAMPLE), name) for name in "ab"]
    source = CaptureFiles(paths, batch_frames=100)
    batches = iter(source)
    batch = next(batches)
    source.close()
    source.close()
    assert batch.data[batch.frames["offset"][0]] == SAMPLE[0].data[0]  # still there
    assert list(batches) == []


def test_a_file_that_shrinks_while_it_is_read_is_cut(tmp_path):
    frames = [Captured(n * 1000, os.urandom(9000)) for n in range(400)]
    path = file(tmp_path, pcap_bytes(frames))
    source = CaptureFiles(path, batch_frames=10)
    batches = iter(source)
    count = next(batches).frames.size
    os.truncate(path, 2000)
    count += sum(batch.frames.size for batch in batches)
    assert 10 <= count <= BUFFER_BYTES // 9000  # what had been read by then
    (damage,) = source.warnings
    assert "shrank" in damage.reason


def test_a_file_that_grows_is_read_to_the_end_it_had(tmp_path):
    frames = [Captured(n * 1000, os.urandom(9000)) for n in range(400)]
    path = file(tmp_path, pcap_bytes(frames))
    source = CaptureFiles(path, batch_frames=10)
    batches = iter(source)
    count = next(batches).frames.size
    with path.open("ab") as grown:
        grown.write(pcap_bytes(SAMPLE)[24:])
    assert count + sum(batch.frames.size for batch in batches) == len(frames)
    assert source.warnings == []


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_records_across_the_end_of_the_buffer_are_whole(tmp_path, pack):
    frames = [Captured(n * 1000, os.urandom(9000 + n)) for n in range(1000)]
    data = pcap_bytes(frames)
    assert len(data) > 2 * BUFFER_BYTES
    got, source = (
        piped(data)
        if pack is bytes
        else (delivered(source := CaptureFiles(file(tmp_path, pack(data)))), source)
    )
    assert got == wanted(frames)
    assert source.warnings == []


@pytest.mark.parametrize("arguments", [([],), ("a", 0)])
def test_arguments_that_make_no_sense_are_refused(arguments):
    with pytest.raises(ValueError, match=r"capture file|batch_frames"):
        CaptureFiles(*arguments)


def captures() -> list[str]:
    manifest = DATA / "MANIFEST.tsv"
    if not manifest.exists():
        return []
    return [line.split("\t")[0] for line in manifest.read_text().splitlines()[1:]]


@pytest.mark.data
def test_every_real_capture_opens():
    paths = captures()
    if not paths:
        pytest.skip("the folder of real captures is not here")
    unreadable = []
    for path in paths:
        source = CaptureFiles(DATA / path)
        try:
            for batch in source:
                frames = batch.frames
                ends = frames["offset"] + frames["caplen"]
                assert frames["offset"].min() >= 0
                assert ends.max() <= batch.data.size
                assert (frames["wirelen"] >= frames["caplen"]).all()
                assert all(end <= start for end, start in pairwise_of(ends, frames["offset"]))
        except CaptureError:
            unreadable.append(path)
    # One capture is not one: its first block states two different lengths.
    assert [Path(path).name for path in unreadable] == ["shb-option-too-long.pcapng"]


def pairwise_of(ends: np.ndarray, starts: np.ndarray) -> list[tuple[int, int]]:
    return [(int(a), int(b)) for (a, _), (_, b) in pairwise(zip(ends, starts, strict=True))]


@pytest.mark.data
def test_packet_counts_equal_those_of_capinfos():
    paths = captures()[::25]
    if not paths:
        pytest.skip("the folder of real captures is not here")
    try:
        result = subprocess.run(
            ["capinfos", "-T", "-M", "-r", "-c", *(str(DATA / path) for path in paths)],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("capinfos is not installed")
    compared = 0
    for line in result.stdout.splitlines():
        path, count = line.split("\t")
        source = CaptureFiles(path)
        assert sum(batch.frames.size for batch in source) == int(count), path
        compared += 1
    assert compared > len(paths) * 0.9
