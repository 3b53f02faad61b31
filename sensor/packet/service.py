"""Services of offices and data centres: files, desktops, directories, databases.

In: one payload, of which `size` bytes were on the wire. Out: whether it is what
it may be. SMB, DCE/RPC and a remote desktop's client name themselves, on any
port; the others are asked for by port.
"""

from __future__ import annotations

from sensor.kernel import Int, Row, kernel, outlined
from sensor.packet.application import Application
from sensor.packet.batch import Bytes
from sensor.packet.claim import ClaimFlag
from sensor.packet.industrial import is_tpkt
from sensor.packet.little_endian import le16
from sensor.packet.text import copy_text, word
from sensor.packet.wire import be16, be32, signed, u8

#: Bytes of a remote desktop's cookie line that are looked at.
MAX_COOKIE = 128

_UNKNOWN = int(Application.UNKNOWN)
_SMB = int(Application.SMB)
_RDP = int(Application.RDP)
_KERBEROS = int(Application.KERBEROS)
_LDAP = int(Application.LDAP)
_SNMP = int(Application.SNMP)
_MYSQL = int(Application.MYSQL)
_POSTGRESQL = int(Application.POSTGRESQL)
_TDS = int(Application.TDS)

_QUERY = int(ClaimFlag.QUERY)
_TARGET_CUT = int(ClaimFlag.TARGET_CUT)

#: SMB 1, SMB 2 and 3, encrypted, compressed (MS-SMB2, 2.2.1, 2.2.41, 2.2.42).
_SMB_WORDS = tuple(word(first + b"SMB") for first in (b"\xff", b"\xfe", b"\xfd", b"\xfc"))
_COOKIE, _MSTS, _HASH = word(b"Cook"), word(b"msts"), word(b"hash")
#: Requests for TLS, for GSS encryption and to cancel; start of protocol 3.0 to 3.2.
_POSTGRESQL_ASKS = (80877103, 80877104, 80877102)
_POSTGRESQL_STARTS = (196608, 196609, 196610)
#: Kerberos messages by their ASN.1 tag (RFC 4120, 5.10): AS, TGS and AP exchanges, and errors.
_KERBEROS_TAGS = (0x6A, 0x6B, 0x6C, 0x6D, 0x6E, 0x6F, 0x7E)
_TDS_KINDS = (0x01, 0x02, 0x03, 0x04, 0x0E, 0x10, 0x11, 0x12)


@kernel
def is_smb(data: Bytes, at: Int, end: Int) -> bool:
    """Return whether it is SMB behind its four bytes of length (MS-SMB2, 2.1)."""
    return bool(at + 8 <= end and u8(data, at) == 0 and be32(data, at + 4) in _SMB_WORDS)


@kernel
def is_netbios_session(data: Bytes, at: Int, end: Int, size: Int) -> bool:
    """Return whether it opens a NetBIOS session (RFC 1002, 4.3): a request of two names, or its answer."""
    if at + 4 > end:
        return False
    kind, length = u8(data, at), be16(data, at + 2)
    if kind == 0x81:
        return length >= 68 and length + 4 == size
    return bool((kind == 0x82 and length == 0) or (kind == 0x83 and length == 1))


@kernel
def is_dcerpc(data: Bytes, at: Int, end: Int, size: Int) -> bool:
    """Return whether it is a whole fragment of DCE/RPC 5 over a connection (C706, 12.6.3.1)."""
    if at + 16 > end or u8(data, at) != 5 or u8(data, at + 1) > 1 or u8(data, at + 2) > 20:
        return False
    if be16(data, at + 6) != 0 or u8(data, at + 5) > 3 or u8(data, at + 4) not in (0x00, 0x10):
        return False
    length = le16(data, at + 8) if u8(data, at + 4) == 0x10 else be16(data, at + 8)
    return bool(16 <= length <= size)


@outlined
def rdp(data: Bytes, at: Int, end: Int, size: Int, port: Int, claim: Row) -> Int:
    """Read the connection request of a remote desktop, or its answer (MS-RDPBCGR, 2.2.1.1).

    On the service's own port (`port` 1) the transport header is enough, elsewhere
    a cookie has to follow; the user's name in it is kept. Returns `RDP` or 0.
    """
    if not is_tpkt(data, at, end, size) or u8(data, at + 5) & 0xF0 not in (0xE0, 0xD0):
        return _UNKNOWN
    begin = at + 11
    # "Cookie: mstshash=", of which three words are looked at.
    named = begin + 17 <= end and be32(data, begin) == _COOKIE
    if not named or be32(data, begin + 8) != _MSTS or be32(data, begin + 12) != _HASH:
        return _RDP if port == 1 else _UNKNOWN
    if claim.claim_flags & _QUERY == 0:
        for i in range(begin + 17, min(end, begin + MAX_COOKIE)):
            if u8(data, i) == 0x0D:
                claim.claim_flags |= _QUERY
                claim.filled = 1
                used, cut = copy_text(data, begin + 17, i, claim.target)
                claim.target_bytes = used
                claim.claim_flags |= _TARGET_CUT * cut
                break
    return _RDP


@kernel
def ber_end(data: Bytes, at: Int, end: Int) -> tuple[Int, Int]:
    """Return (where the contents of a BER element begin, where they end); both -1 if that is not here."""
    if at + 2 > end:
        return signed(-1), signed(-1)
    length = u8(data, at + 1)
    if length < 0x80:
        return signed(at + 2), at + 2 + length
    if length == 0x81 and at + 3 <= end:
        return signed(at + 3), at + 3 + u8(data, at + 2)
    if length == 0x82 and at + 4 <= end:
        return signed(at + 4), at + 4 + be16(data, at + 2)
    if length == 0x84 and at + 6 <= end and be32(data, at + 2) < 1 << 24:
        return signed(at + 6), at + 6 + be32(data, at + 2)
    return signed(-1), signed(-1)


@kernel
def is_kerberos(data: Bytes, at: Int, end: Int, size: Int, stream: Int) -> bool:
    """Return whether it is a Kerberos message (RFC 4120, 7.2): over TCP its length stands before it."""
    begin = at + 4 * stream
    inside, after = ber_end(data, begin, end)
    if inside < 0 or u8(data, begin) not in _KERBEROS_TAGS:
        return False
    if stream == 1:
        return bool(be32(data, at) == after - begin)
    return bool(after - at == size)


@kernel
def is_ldap(data: Bytes, at: Int, end: Int) -> bool:
    """Return whether it is an LDAP message (RFC 4511, 4.1.1): a number, then an operation that fits."""
    inside, after = ber_end(data, at, end)
    if inside < 0 or inside + 7 > end or u8(data, at) != 0x30 or u8(data, inside) != 0x02:
        return False
    number = u8(data, inside + 1)
    operation = inside + 2 + number
    if not 1 <= number <= 4 or operation + 2 > min(end, after):
        return False
    tag = u8(data, operation)
    return bool(tag & 0xC0 == 0x40 and tag & 0x1F <= 25)


@kernel
def is_snmp(data: Bytes, at: Int, end: Int, size: Int) -> bool:
    """Return whether it is SNMP of version 1, 2c or 3 (RFC 3416, RFC 3412): the whole datagram."""
    inside, after = ber_end(data, at, end)
    if inside < 0 or inside + 4 > end or u8(data, at) != 0x30 or after - at != size:
        return False
    version = u8(data, inside + 2)
    third = u8(data, inside + 3)
    known = (version in (0, 1) and third == 0x04) or (version == 3 and third == 0x30)
    return bool(be16(data, inside) == 0x0201 and known)


@kernel
def is_mysql(data: Bytes, at: Int, end: Int, size: Int) -> bool:
    """Return whether it is the server's greeting (version 10, or an error) or the client's answer."""
    if at + 6 > end:
        return False
    length = le16(data, at) | u8(data, at + 2) << 16
    number, first = u8(data, at + 3), u8(data, at + 4)
    if number == 0:
        return bool(length + 4 <= size and ((first == 10 and u8(data, at + 5) >= 0x30) or first == 0xFF))
    return bool(number == 1 and length >= 32 and length + 4 == size)


@kernel
def is_postgresql(data: Bytes, at: Int, end: Int, size: Int) -> bool:
    """Return whether it begins a PostgreSQL session (protocol 3, 55.7), from either side."""
    first = u8(data, at)
    if size == 1:
        return first in (0x53, 0x4E)  # S, N: the answer to a request for TLS
    if at + 8 > end:
        return False
    if first == 0:
        code = be32(data, at + 4)
        return be32(data, at) == size and (code in _POSTGRESQL_ASKS or code in _POSTGRESQL_STARTS)
    return bool(first in (0x52, 0x45) and be32(data, at + 1) + 1 <= size)  # R, E


@kernel
def is_tds(data: Bytes, at: Int, end: Int, size: Int) -> bool:
    """Return whether it is a packet of TDS (MS-TDS, 2.2.3.1): window 0, and a length that fits."""
    if at + 8 > end or u8(data, at) not in _TDS_KINDS or u8(data, at + 1) > 0x1F:
        return False
    return bool(8 <= be16(data, at + 2) <= size and u8(data, at + 7) == 0)


@outlined
def serves(data: Bytes, at: Int, end: Int, size: Int, application: Int) -> bool:
    """Return whether a payload is of the service that its port stands for."""
    if application == _SMB:
        return is_netbios_session(data, at, end, size)
    if application == _LDAP:
        return is_ldap(data, at, end)
    if application == _SNMP:
        return is_snmp(data, at, end, size)
    if application == _MYSQL:
        return is_mysql(data, at, end, size)
    if application == _POSTGRESQL:
        return is_postgresql(data, at, end, size)
    return bool(application == _TDS and is_tds(data, at, end, size))
