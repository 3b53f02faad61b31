"""TLS and DTLS records: a payload that begins with one is known by it, on any port.

In: one segment or datagram. Out: the `Application`, and where the hello is, for
`packet.hello` to read.

Rules: a record is known by its type, version and length. A hello is read as far
as this segment and its first record hold it. Drafts of TLS 1.3, whose hellos were
built otherwise, are not read.
"""

from __future__ import annotations

from sensor.kernel import Int, Row, kernel, outlined
from sensor.packet.application import Application
from sensor.packet.batch import Bytes
from sensor.packet.wire import be16, be32, signed, u8

#: The largest record: 2^14 bytes, and what encryption may add (RFC 5246, 6.2.3).
MAX_RECORD = 18432

_UNKNOWN = int(Application.UNKNOWN)
_TLS = int(Application.TLS)
_DTLS = int(Application.DTLS)

_HANDSHAKE = 22
_CLIENT_HELLO, _SERVER_HELLO = 1, 2


@kernel
def note_hello(data: Bytes, message: Int, at: Int, stop: Int, scratch: Row) -> None:
    """Note that the handshake message whose type is at `message` has its body at `at`, here up to `stop`."""
    kind, whole = u8(data, message), at + (be32(data, message) & 0xFFFFFF)
    if kind in (_CLIENT_HELLO, _SERVER_HELLO):
        scratch.client = 1 if kind == _CLIENT_HELLO else 0
        scratch.hello_at = at
        scratch.hello_stop = min(whole, stop)
        scratch.hello_end = whole


@outlined
def tls(data: Bytes, at: Int, end: Int, scratch: Row) -> Int:
    """Look at a TCP segment that may begin with a TLS record (RFC 8446, 5.1).

    Parameters
    ----------
    data
        uint8, shape (bytes,).
    at, end
        The payload, as far as it was captured.
    scratch
        `CLAIM_SCRATCH` row: told whose hello it is, and where; -1 for none.

    Returns
    -------
    application
        `TLS`, or `UNKNOWN` when this is no record of SSL 3.0 to TLS 1.3.
    """
    scratch.client = -1
    if at + 5 > end:
        return _UNKNOWN
    kind, size = u8(data, at), be16(data, at + 3)
    if not (20 <= kind <= 23 and 0x0300 <= be16(data, at + 1) <= 0x0304 and 0 < size <= MAX_RECORD):
        return _UNKNOWN
    if kind == _HANDSHAKE and at + 10 <= end and size > 4 and u8(data, at + 9) == 3:
        note_hello(data, at + 5, at + 9, min(at + 5 + size, end), scratch)
    return _TLS


@outlined
def dtls(data: Bytes, at: Int, end: Int, wire_end: Int, scratch: Row) -> Int:
    """Look at a datagram that may begin with a DTLS record (RFC 6347, 4.1; RFC 9147, 4).

    The arguments are those of `tls`; the record has to end by `wire_end`, where
    the datagram ended on the wire. A hello in fragments is read as far as its
    first one goes. Returns `DTLS` or `UNKNOWN`.
    """
    scratch.client = -1
    if at + 13 > end:
        return _UNKNOWN
    kind, version, size = u8(data, at), be16(data, at + 1), be16(data, at + 11)
    if not (20 <= kind <= 23 and version in (0xFEFF, 0xFEFD, 0xFEFC)):
        return _UNKNOWN
    if size == 0 or at + 13 + size > wire_end:
        return _UNKNOWN
    begins = kind == _HANDSHAKE and at + 26 <= end and size > 12 and be16(data, at + 3) == 0
    if begins and be32(data, at + 18) & 0xFFFFFF == 0 and u8(data, at + 25) == 0xFE:
        piece = at + 25 + (be32(data, at + 21) & 0xFFFFFF)
        note_hello(data, at + 13, signed(at + 25), min(piece, at + 13 + size, end), scratch)
    return _DTLS
