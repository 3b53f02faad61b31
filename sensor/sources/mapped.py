"""A regular file as a window: mapped, never copied."""

from __future__ import annotations

import mmap
import os

import numpy as np

from sensor.sources.window import borrowed

#: Pages behind the reading position are given back in steps of this size, so
#: that the resident size stays flat on a file larger than memory. A smaller
#: step costs more system calls, a larger one more memory.
RELEASE_BYTES = 32 * 1024 * 1024


class MappedWindow:
    """All bytes of a regular file.

    The file's length is read again before each batch: a page behind the end
    of a file that was truncated meanwhile would be a SIGBUS. (A truncation
    within one batch's processing, some milliseconds, cannot be seen in time.)

    Parameters
    ----------
    descriptor
        Open for reading, of a regular file that is not empty. Taken over.
    size
        Its length in bytes.

    Raises
    ------
    OSError
        The file system does not map files.
    """

    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor = descriptor
        self._map = mmap.mmap(descriptor, size, access=mmap.ACCESS_READ)
        self._map.madvise(mmap.MADV_SEQUENTIAL)
        self._released = 0
        self.data = borrowed(np.frombuffer(self._map, np.uint8))
        self.position = 0
        self.stop = size
        self.fault = ""

    @property
    def offset(self) -> int:
        """Offset of `position` in the file."""
        return self.position

    @property
    def consumed(self) -> int:
        """Bytes used so far."""
        return self.position

    def more(self, need: int) -> bool:  # noqa: ARG002  (the window's interface)
        """Return False: everything was there from the start."""
        return False

    def settle(self) -> None:
        """See whether the file shrank, and let the kernel drop pages that were read."""
        size = os.fstat(self._descriptor).st_size
        if size < self.stop:
            self.fault = "the file shrank while it was read"
            self.stop = size
            self.position = min(self.position, size)
            return
        behind = self.position - self._released
        if behind >= RELEASE_BYTES:
            length = behind - behind % mmap.PAGESIZE
            self._map.madvise(mmap.MADV_DONTNEED, self._released, length)
            self._released += length

    def close(self) -> None:
        """Close the file. The mapping goes with the last array that shows it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
