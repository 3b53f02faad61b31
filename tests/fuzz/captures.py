"""Capture files out of any bytes: read mapped, and read as a stream that comes in small pieces.

Both must find the same frames, the same damage and the same counts.
"""

from __future__ import annotations

import contextlib
import os
from unittest import mock

import sensor.sources.capture_file as reader
from sensor.errors import CaptureError
from sensor.sources import streamed
from sensor.sources.gzip_input import GZIP_MAGIC
from sensor.sources.streamed import StreamedWindow
from sensor.sources.zstd_frames import is_zstd

#: Small, so that records lie across the buffer's end and make it grow.
_BUFFER_BYTES = 48
#: Bytes of a record before its frame, in the format that has fewest.
_LEAST_HEADER = 12
_PIECES = (1, 7, 40, 3)
_BATCH_FRAMES = 5
#: A compressed file of a few bytes can hold a million records.
_MOST_BATCHES = 40
_FILE = os.memfd_create("capture")


class Pieces:
    """An `Input` that gives a few bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self.fault = ""
        self.consumed = 0
        self._data = data
        self._reads = 0

    def readinto(self, view: memoryview) -> int:
        size = _PIECES[self._reads % len(_PIECES)]
        piece = self._data[self.consumed : self.consumed + min(size, len(view))]
        view[: len(piece)] = piece
        self._reads += 1
        self.consumed += len(piece)
        return len(piece)

    def close(self) -> None:
        self._data = b""


def _read(path: str) -> tuple[list, list, dict[str, int]]:
    """Return frames, warnings and counters of one capture."""
    source = reader.CaptureFiles(path, batch_frames=_BATCH_FRAMES)
    frames = []
    with contextlib.suppress(CaptureError):  # no capture at all: the warnings say so
        for number, batch in enumerate(source):
            behind = 0
            for row in batch.frames:
                start, stop = int(row.offset), int(row.offset) + int(row.caplen)
                assert behind + _LEAST_HEADER <= start <= stop <= len(batch.data), (
                    f"a frame at {start}..{stop}"
                )
                behind = stop
                assert row.caplen <= row.wirelen
                frames.append((row.tolist()[1:], batch.data[start:stop].tobytes()))
            if number == _MOST_BATCHES:
                source.close()
    counters = {name: count for name, count in source.counters().items() if count}
    return frames, [(damage.offset, damage.reason) for damage in source.warnings], counters


def capture(data: bytes) -> object:
    """Read `data` as a capture file of any kind."""
    os.ftruncate(_FILE, 0)
    os.pwrite(_FILE, data, 0)
    with mock.patch.object(streamed, "BUFFER_BYTES", _BUFFER_BYTES):
        result = _read(f"/proc/self/fd/{_FILE}")
        if data and not data.startswith(GZIP_MAGIC) and not is_zstd(data[:4]):
            with mock.patch.object(reader, "open_window", return_value=StreamedWindow(Pieces(data))):
                assert _read("streamed") == result, "a stream gives other frames than a mapped file"
    return result
