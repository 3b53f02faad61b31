"""A sliding view of a capture's bytes, whatever they come from.

A walker reads `data[position:stop]`, moves `position` over what it has used
up, and asks for `more` when a record is not whole. `StreamedWindow` is behind
it: one buffer that is filled again and again.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from sensor.packet.batch import Bytes

#: The longest record a walker may ask for. A pcapng block is at most 16 MiB
#: here (libpcap refuses the same), a classic record far less. It bounds the
#: memory of a stream, whatever lengths the file claims.
MAX_RECORD_BYTES = 16 * 1024 * 1024


class Window(Protocol):
    """Bytes of one capture, in order.

    Attributes
    ----------
    data
        uint8, shape (bytes,), read-only. Replaced or overwritten by `more`.
    position
        Index into `data` of the first byte not used yet. The walker moves it.
    stop
        Index behind the last byte that is there.
    fault
        Why the input ended before its own end (a decompressor's complaint, a
        file that shrank). Empty while all is well.
    """

    data: Bytes
    position: int
    stop: int
    fault: str

    @property
    def offset(self) -> int:
        """Offset of `position` in the capture, after decompression."""
        ...

    @property
    def consumed(self) -> int:
        """Bytes taken from the file so far, before decompression."""
        ...

    def more(self, need: int) -> bool:
        """Get at least one byte more, with room for `need` bytes from `position` on.

        Parameters
        ----------
        need
            Length in bytes of the record at `position`, at most `MAX_RECORD_BYTES`.

        Returns
        -------
        bool
            False when the input has ended; `fault` says whether that was too early.
        """
        ...

    def close(self) -> None:
        """Close the input. Arrays that others still hold stay valid."""
        ...


def borrowed(array: Bytes) -> Bytes:
    """Return a view of `array` that cannot be written to.

    Every source hands out read-only bytes: nobody else may write to them, and a
    kernel is compiled for each kind of array it meets.
    """
    view = array.view(np.uint8)
    view.flags.writeable = False
    return view
