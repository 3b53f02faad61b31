"""A file, a pipe or a decompressor as a window: one buffer, used again and again.

Plain files are read too and not mapped: a copy into a buffer that stays in the
processor's cache costs less than a page fault every 16 pages and a cache miss
for each record, whose place nothing can foretell; and a file that is cut while
it is read ends early instead of killing the process with SIGBUS.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from sensor.packet.batch import Bytes
from sensor.sources.window import MAX_RECORD_BYTES, borrowed

#: Room for 1,500 packets of average size, or 10,000 cut ones: half of a usual
#: second-level cache. A larger buffer is slower to walk, a smaller one makes
#: batches so small that what a batch costs counts.
BUFFER_BYTES = 1024 * 1024

#: A decompression bomb costs no memory here, only time: it is stopped when it
#: has given more than this many bytes for each byte read. Real captures of one
#: constant payload were measured at 166:1 (1,514-byte frames, gzip -9), 512:1
#: (9,014-byte frames, gzip -9) and 395:1 (1,514-byte frames, zstd); deflate of
#: nothing but zeros gives 1,030:1, zstd up to 30,000:1.
EXPANSION_LIMIT = 1000
#: The ratio says nothing about small files, and these are cheap to read.
EXPANSION_FREE_BYTES = 64 * 1024 * 1024


class Input(Protocol):
    """Bytes one after another, from a descriptor or a decompressor.

    Attributes
    ----------
    fault
        Why the bytes ended early; empty when they did not.
    """

    fault: str

    @property
    def consumed(self) -> int:
        """Bytes taken from the file so far, before decompression."""
        ...

    def readinto(self, view: memoryview) -> int:
        """Fill the front of `view`; return how many bytes, 0 at the end."""
        ...

    def close(self) -> None:
        """Close the descriptor."""
        ...


class StreamedWindow:
    """The part of a stream that is in the buffer.

    Memory is `BUFFER_BYTES`, or the longest record if that is more (at most
    `MAX_RECORD_BYTES`).

    Parameters
    ----------
    source
        Where the bytes come from. Closed with the window.
    """

    def __init__(self, source: Input) -> None:
        self._source = source
        self._base = 0  # offset in the stream of the buffer's first byte
        self.position = 0
        self.stop = 0
        self.fault = ""
        self._use(np.empty(BUFFER_BYTES, np.uint8))

    def _use(self, buffer: Bytes) -> None:
        self._buffer = buffer
        self._memory = buffer.data
        self.data = borrowed(buffer)

    @property
    def offset(self) -> int:
        """Offset of `position` in the decompressed stream."""
        return self._base + self.position

    @property
    def consumed(self) -> int:
        """Bytes taken from the file so far, before decompression."""
        return self._source.consumed

    def _make_room(self, need: int) -> None:
        """Move the unused tail to the front, of a larger buffer if `need` asks for it."""
        tail = self.stop - self.position
        if need > self._buffer.size:
            grown = np.empty(min(need, MAX_RECORD_BYTES), np.uint8)
            grown[:tail] = self._buffer[self.position : self.stop]
            self._use(grown)
        else:
            self._buffer[:tail] = self._buffer[self.position : self.stop]
        self._base += self.position
        self.position = 0
        self.stop = tail

    def more(self, need: int) -> bool:
        """Read what the source has ready, at least one byte; see `Window.more`."""
        if self.fault:
            return False
        if self.position or need > self._buffer.size:
            self._make_room(need)
        try:
            count = self._source.readinto(self._memory[self.stop :])
        except OSError as error:
            count = 0
            self.fault = f"cannot be read on: {error.strerror}"
        if count == 0:
            self.fault = self.fault or self._source.fault
            return False
        self.stop += count
        given = self._base + self.stop
        if given > EXPANSION_FREE_BYTES and given > EXPANSION_LIMIT * self.consumed:
            self.fault = f"expands more than {EXPANSION_LIMIT} times: taken for a decompression bomb"
        return True

    def close(self) -> None:
        """Close the source."""
        self._source.close()
