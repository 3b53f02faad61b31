"""Where the frames of zstd data end (RFC 8878, section 3.1).

The decompressor does not say whether its input stopped inside a frame: a cut
file would look whole. This walk over the lengths in the headers knows.
"""

from __future__ import annotations

from collections.abc import Callable

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
#: Skippable frames have sixteen magic numbers (RFC 8878, section 3.1.2); some
#: parallel compressors begin a file with one.
_SKIPPABLE_MAGICS = range(0x184D2A50, 0x184D2A60)
#: Bytes of the dictionary id and of the content size, by their two-bit flags.
_DICTIONARY_ID_BYTES = (0, 1, 2, 4)
_CONTENT_SIZE_BYTES = (0, 2, 4, 8)
_RLE_BLOCK = 1


def is_zstd(head: bytes) -> bool:
    """Return whether `head`, the first four bytes of a file, begin a zstd or skippable frame."""
    return head == ZSTD_MAGIC or int.from_bytes(head, "little") in _SKIPPABLE_MAGICS


class ZstdFrames:
    """Follow the frame and block headers of a stream that is fed piece by piece.

    Damage is the decompressor's business: here bytes that are no frame only
    leave the walk inside a frame.
    """

    def __init__(self) -> None:
        self._skip = 0  # bytes of content until the next header
        self._head = bytearray()
        self._want = 4  # bytes of that header
        self._step: Callable[[int], None] = self._magic
        self._trailer = 0  # bytes of checksum behind the frame's last block

    @property
    def whole(self) -> bool:
        """Whether the bytes so far end where a frame ends."""
        return not self._skip and not self._head and self._step == self._magic

    def feed(self, piece: bytes) -> None:
        """Take the next bytes of the stream."""
        at = 0
        while at < len(piece):
            step = min(self._skip, len(piece) - at)
            self._skip -= step
            at += step
            taken = piece[at : at + self._want - len(self._head)] if not self._skip else b""
            self._head += taken
            at += len(taken)
            if len(self._head) == self._want:
                value = int.from_bytes(self._head, "little")
                self._head.clear()
                self._step(value)

    def _expect(self, want: int, step: Callable[[int], None]) -> None:
        self._want = want
        self._step = step

    def _magic(self, value: int) -> None:
        if value in _SKIPPABLE_MAGICS:
            self._expect(4, self._skippable)
        else:
            self._expect(1, self._descriptor)

    def _skippable(self, size: int) -> None:
        self._skip = size
        self._expect(4, self._magic)

    def _descriptor(self, value: int) -> None:
        single_segment = bool(value & 0x20)
        content_size = _CONTENT_SIZE_BYTES[value >> 6] or int(single_segment)
        window = 0 if single_segment else 1
        self._skip = window + _DICTIONARY_ID_BYTES[value & 3] + content_size
        self._trailer = 4 if value & 0x04 else 0
        self._expect(3, self._block)

    def _block(self, value: int) -> None:
        size = value >> 3
        self._skip = 1 if (value >> 1) & 3 == _RLE_BLOCK else size
        if value & 1:  # the last block of the frame
            self._skip += self._trailer
            self._expect(4, self._magic)
