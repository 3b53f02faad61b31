"""Decompress gzip in bounded steps (RFC 1952), several members in a row included."""

from __future__ import annotations

import zlib

from sensor.sources.raw_input import RawInput

GZIP_MAGIC = b"\x1f\x8b"
#: zlib.decompressobj: a gzip header and the largest window.
_GZIP_WBITS = 31
#: Compressed bytes read at once. Small, because zlib copies what a member left over.
_READ_BYTES = 64 * 1024
#: Decompressed bytes made at once, whatever the compression ratio.
_GIVE_BYTES = 1024 * 1024


class GzipInput:
    """What a gzip file holds.

    Zero bytes behind the last member are padding (tapes, some cloud stores);
    anything else there is a fault.

    Parameters
    ----------
    raw
        The compressed bytes. Closed with this input.
    """

    def __init__(self, raw: RawInput) -> None:
        self._raw = raw
        self._member = zlib.decompressobj(_GZIP_WBITS)
        self._ahead = b""  # the first bytes of a member, read while looking for it
        self.fault = ""

    @property
    def consumed(self) -> int:
        """Compressed bytes read so far."""
        return self._raw.consumed

    def readinto(self, view: memoryview) -> int:
        """Fill the front of `view`; return how many bytes, 0 at the end or at a fault."""
        room = min(len(view), _GIVE_BYTES)
        try:
            while not self.fault:
                if self._member.eof and not self._next_member():
                    return 0
                pending = self._ahead or self._member.unconsumed_tail or self._raw.read(_READ_BYTES)
                self._ahead = b""
                piece = self._member.decompress(pending, room)
                if piece:
                    view[: len(piece)] = piece
                    return len(piece)
                if not pending and not self._member.eof:
                    self.fault = "the gzip data is cut"
        except zlib.error as error:
            self.fault = f"the gzip data is damaged: {error}"
        return 0

    def _next_member(self) -> bool:
        """Begin the member behind the one that ended; False when there is none."""
        rest = self._member.unused_data.lstrip(b"\0")
        while len(rest) < len(GZIP_MAGIC):
            chunk = self._raw.read(_READ_BYTES)
            if not chunk:
                break
            rest = (rest + chunk).lstrip(b"\0")
        if not rest:
            return False
        if not rest.startswith(GZIP_MAGIC):
            self.fault = "bytes behind the gzip data are not gzip"
            return False
        self._member = zlib.decompressobj(_GZIP_WBITS)
        self._ahead = rest
        return True

    def close(self) -> None:
        """Close the compressed file."""
        self._raw.close()
