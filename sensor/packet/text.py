r"""Text out of packets: printable ASCII in a bounded field, whatever the sender wrote.

A byte outside 0x20 to 0x7E and the backslash become ``\xNN``: what was written
can be read back, and nothing in it can steer a terminal or a log parser. A
field that is full keeps what it has; a character is never cut in two.
"""

from __future__ import annotations

from sensor.kernel import Int, kernel, outlined
from sensor.packet.batch import Bytes
from sensor.packet.wire import signed, u8

_BACKSLASH = 0x5C
_X = 0x78
_SPACE = 0x20
_LAST_PRINTABLE = 0x7E


def word(text: bytes) -> int:
    """Return up to four bytes as the number that `wire.be16` or `wire.be32` reads there."""
    return int.from_bytes(text, "big")


@kernel
def hex_digit(value: Int) -> Int:
    """Return the ASCII code of a lower-case hexadecimal digit."""
    return 0x30 + value if value < 10 else 0x57 + value


@kernel
def is_digit(byte: Int) -> bool:
    """Return whether a byte is an ASCII digit."""
    return bool(0x30 <= byte <= 0x39)


@kernel
def is_upper(byte: Int) -> bool:
    """Return whether a byte is an ASCII capital letter."""
    return bool(0x41 <= byte <= 0x5A)


@kernel
def lower(byte: Int) -> Int:
    """Return an ASCII letter in lower case, any other byte as it is."""
    return byte + 0x20 if is_upper(byte) else byte


@kernel
def put_escaped(text: Bytes, at: Int, byte: Int) -> Int:
    """Write a byte as its escape; return where the next goes, or -1 when there is no room."""
    if at + 4 > text.shape[0]:
        return -1
    text[at] = _BACKSLASH
    text[at + 1] = _X
    text[at + 2] = hex_digit(byte >> 4)
    text[at + 3] = hex_digit(byte & 15)
    return at + 4


@kernel
def put(text: Bytes, at: Int, byte: Int) -> Int:
    """Write a byte, as its escape when need be; return where the next goes, or -1 without room."""
    if byte < _SPACE or byte > _LAST_PRINTABLE or byte == _BACKSLASH:
        return put_escaped(text, at, byte)
    if at >= text.shape[0]:
        return -1
    text[at] = byte
    return at + 1


@outlined
def copy_text(data: Bytes, start: Int, stop: Int, text: Bytes) -> tuple[Int, Int]:
    """Write the bytes ``data[start:stop]`` into a field, as far as it has room.

    Parameters
    ----------
    data
        uint8, shape (bytes,).
    start, stop
        The text; all of it is captured.
    text
        uint8, shape (room,): written.

    Returns
    -------
    used, cut
        Bytes written, and 1 when the text did not fit.
    """
    used = signed(0)
    for i in range(start, stop):
        after = put(text, used, u8(data, i))
        if after < 0:
            return used, 1
        used = after
    return used, 0


@outlined
def fold(text: Bytes, used: Int) -> None:
    """Write capital letters as small ones; escapes stay what they are."""
    for i in range(used):
        text[i] = lower(signed(text[i]))
