"""The bytes of a descriptor as they are, with a look ahead for the magic number."""

from __future__ import annotations

import os


class RawInput:
    """Unbuffered reads: a pipe gives at once what is in it.

    Parameters
    ----------
    descriptor
        Open for reading.
    owned
        Whether `close` closes it (standard input is left open).
    size
        Bytes there are, where that is known: what a file gains meanwhile is not
        read, and one that ends before has a `fault`. 0 where it is not.
    """

    def __init__(self, descriptor: int, *, owned: bool = True, size: int = 0) -> None:
        self._descriptor = descriptor
        self._owned = owned
        self._size = size
        self._ahead = b""
        self._consumed = 0
        self.fault = ""

    @property
    def consumed(self) -> int:
        """Bytes read from the descriptor and handed on."""
        return self._consumed

    def peek(self, count: int) -> bytes:
        """Return the next `count` bytes, fewer at the end, and leave them to be read.

        Raises
        ------
        OSError
            The descriptor cannot be read (a directory, an I/O error).
        """
        while len(self._ahead) < count:
            chunk = os.read(self._descriptor, count - len(self._ahead))
            if not chunk:
                break
            self._ahead += chunk
        return self._ahead[:count]

    def readinto(self, view: memoryview) -> int:
        """Fill the front of `view` with one read; return how many bytes, 0 at the end."""
        if self._ahead:
            count = min(len(view), len(self._ahead))
            view[:count] = self._ahead[:count]
            self._ahead = self._ahead[count:]
        else:
            count = os.readv(self._descriptor, [view[: self._left(len(view))]])
            self._note_end(count)
        self._consumed += count
        return count

    def _left(self, count: int) -> int:
        """Return how many of `count` bytes may be read."""
        return min(count, self._size - self._consumed) if self._size else count

    def _note_end(self, count: int) -> None:
        if count == 0 and self._consumed < self._size:
            self.fault = "the file shrank while it was read"

    def read(self, count: int) -> bytes:
        """Return up to `count` bytes, at least one unless the end is reached."""
        if self._ahead:
            chunk, self._ahead = self._ahead[:count], self._ahead[count:]
        else:
            chunk = os.read(self._descriptor, self._left(count))
            self._note_end(len(chunk))
        self._consumed += len(chunk)
        return chunk

    def close(self) -> None:
        """Close the descriptor if it is ours; safe to call twice."""
        if self._owned and self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1
