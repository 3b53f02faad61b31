"""Decompress zstd in bounded steps (RFC 8878), several frames in a row included."""

from __future__ import annotations

from typing import IO, cast

import zstandard

from sensor.sources.raw_input import RawInput
from sensor.sources.zstd_frames import ZstdFrames

#: The largest window a file may ask for: what the zstd command accepts without
#: being told. Only files made with `--long` or `--ultra` need more than 8 MiB,
#: and the memory is touched only as far as real output fills it.
WINDOW_BYTES = 128 * 1024 * 1024
_READ_BYTES = 64 * 1024


class _Compressed:
    """The decompressor's own input: it reads here, and the frames are followed on the way.

    Apart from `ZstdInput`, because the decompressor keeps its input alive and
    the garbage collector cannot see through it.
    """

    def __init__(self, raw: RawInput) -> None:
        self.raw = raw
        self.frames = ZstdFrames()

    def read(self, count: int) -> bytes:
        piece = self.raw.read(count)
        self.frames.feed(piece)
        return piece


class ZstdInput:
    """What a zstd file holds.

    Parameters
    ----------
    raw
        The compressed bytes. Closed with this input.
    """

    def __init__(self, raw: RawInput) -> None:
        self._compressed = _Compressed(raw)
        decompressor = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES)
        self._reader = decompressor.stream_reader(
            cast("IO[bytes]", self._compressed), read_size=_READ_BYTES, read_across_frames=True, closefd=False
        )
        self.fault = ""

    @property
    def consumed(self) -> int:
        """Compressed bytes read so far."""
        return self._compressed.raw.consumed

    def readinto(self, view: memoryview) -> int:
        """Fill the front of `view`; return how many bytes, 0 at the end or at a fault."""
        if self.fault:
            return 0
        try:
            count = self._reader.readinto1(view)
        except zstandard.ZstdError as error:
            self.fault = f"the zstd data is damaged: {error}"
            return 0
        if count == 0 and not self._compressed.frames.whole:
            self.fault = "the zstd data is cut"
        return count

    def close(self) -> None:
        """Close the compressed file."""
        self._compressed.raw.close()
