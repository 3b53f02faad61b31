"""Protocols of single datagrams: time, leases, files, logins, calls, tunnels; and QUIC.

In: one UDP payload, of which `size` bytes were on the wire. Out: whether it is
what it may be. STUN, WireGuard, BitTorrent and QUIC name themselves, on any
port; the others are asked for by port.
"""

from __future__ import annotations

from sensor.kernel import Int, Row, kernel, outlined
from sensor.packet.application import Application
from sensor.packet.batch import Bytes
from sensor.packet.claim import ClaimFlag
from sensor.packet.text import copy_text, word
from sensor.packet.wire import be16, be32, signed, u8

#: Bytes of a TFTP request in which its two texts have to end.
MAX_TFTP = 512

_UNKNOWN = int(Application.UNKNOWN)
_NTP = int(Application.NTP)
_DHCP = int(Application.DHCP)
_DHCPV6 = int(Application.DHCPV6)
_RADIUS = int(Application.RADIUS)
_TFTP = int(Application.TFTP)

_QUERY = int(ClaimFlag.QUERY)
_TARGET_CUT = int(ClaimFlag.TARGET_CUT)

_STUN_COOKIE = 0x2112A442
_DHCP_COOKIE = 0x63825363
#: RADIUS codes (RFC 2865, 3; RFC 2866; RFC 5176).
_RADIUS_CODES = (1, 2, 3, 4, 5, 11, 12, 13, 40, 41, 42, 43, 44, 45)
_BT_PROTOCOL = word(b"\x13Bit"), word(b"Torr"), word(b"ent ")
#: How queries and answers of BitTorrent's table begin: a dictionary whose first key is a or r (BEP 5).
_BT_QUERY, _BT_ANSWER, _BT_ID = word(b"d1:a"), word(b"d1:r"), word(b"d2:i")
_QUIC_V1, _QUIC_V2 = 0x00000001, 0x6B3343CF
_LONGEST_ID = 20


@kernel
def is_stun(data: Bytes, at: Int, end: Int, size: Int) -> bool:
    """Return whether it is STUN (RFC 8489, 5): the cookie, and a length in words that is the payload's."""
    if at + 20 > end or u8(data, at) > 3 or be32(data, at + 4) != _STUN_COOKIE:
        return False
    length = be16(data, at + 2)
    return bool(length & 3 == 0 and length + 20 == size)


@kernel
def is_wireguard(data: Bytes, at: Int, end: Int, size: Int) -> bool:
    """Return whether it is a handshake of WireGuard (5.4 of its paper): type, three zeros, exact size."""
    if at + 4 > end:
        return False
    kind = be32(data, at)
    return bool((kind == 0x01000000 and size == 148) or (kind == 0x02000000 and size == 92))


@kernel
def is_bittorrent(data: Bytes, at: Int, end: Int) -> bool:
    """Return whether it is a peer's greeting (BEP 3), or a query or answer of the table (BEP 5)."""
    if at + 12 > end:
        return False
    begin, second, third = be32(data, at), be32(data, at + 4), be32(data, at + 8)
    if begin in (_BT_QUERY, _BT_ANSWER):
        return second == _BT_ID
    return bool(begin == _BT_PROTOCOL[0] and second == _BT_PROTOCOL[1] and third == _BT_PROTOCOL[2])


@kernel
def is_quic_version(version: Int) -> bool:
    """Return whether it is a version of QUIC: 1, 2, or a draft of version 1 (17 to 34)."""
    return bool(version in (_QUIC_V1, _QUIC_V2) or 0xFF000011 <= version <= 0xFF000022)


@kernel
def is_quic(data: Bytes, at: Int, end: Int, size: Int) -> bool:
    """Return whether it is a long header of QUIC (RFC 9000, 17.2; RFC 9369).

    Both connection ids have to fit; the second bit may be either (RFC 9287).
    What the packet carries is encrypted, and left so.
    """
    if at + 7 > end or u8(data, at) < 0x80 or not is_quic_version(be32(data, at + 1)):
        return False
    first = u8(data, at + 5)
    second_at = at + 6 + first
    if first > _LONGEST_ID or second_at >= end:
        return False
    second = u8(data, second_at)
    return bool(second <= _LONGEST_ID and second_at + 1 + second + 4 <= at + size)


@kernel
def is_ntp(data: Bytes, at: Int, size: Int) -> bool:
    """Return whether it is NTP of version 1 to 4 (RFC 5905, 7.3; RFC 9327 for control messages)."""
    first = u8(data, at)
    version, mode = first >> 3 & 7, first & 7
    return bool(1 <= version <= 4 and mode >= 1 and size >= (48 if mode < 6 else 8))


@kernel
def is_dhcp(data: Bytes, at: Int, end: Int) -> bool:
    """Return whether it is DHCP, or BOOTP with its cookie (RFC 2131, 2)."""
    if at + 240 > end or u8(data, at) not in (1, 2):
        return False
    return u8(data, at + 2) <= 16 and be32(data, at + 236) == _DHCP_COOKIE


@kernel
def is_dhcpv6(data: Bytes, at: Int, end: Int, size: Int) -> bool:
    """Return whether it is DHCPv6 (RFC 8415, 8): a known kind, and a first option that fits."""
    kind = u8(data, at)
    option = at + (34 if kind in (12, 13) else 4)
    if not 1 <= kind <= 13 or option + 4 > end:
        return False
    return bool(be16(data, option) != 0 and option + 4 + be16(data, option + 2) <= at + size)


@kernel
def is_radius(data: Bytes, at: Int, end: Int, size: Int) -> bool:
    """Return whether it is RADIUS (RFC 2865, 3): a known code, and the datagram's length."""
    return at + 20 <= end and u8(data, at) in _RADIUS_CODES and be16(data, at + 2) == size


@kernel
def is_openvpn(data: Bytes, at: Int, end: Int, size: Int, stream: Int) -> bool:
    """Return whether it is OpenVPN's first packet, a hard reset of version 2, with key 0; or its answer."""
    begin = at + 2 * stream
    if begin + 9 > end or u8(data, begin) not in (0x38, 0x40, 0x50):
        return False
    return bool(size - 2 * stream >= 14 and (stream == 0 or be16(data, at) + 2 <= size))


@kernel
def text_end(data: Bytes, at: Int, end: Int) -> Int:
    """Return where the zero behind the text at `at` is, or -1; control characters are no text."""
    for i in range(at, min(end, at + MAX_TFTP)):
        byte = u8(data, i)
        if byte == 0:
            return signed(i)
        if byte < 0x20:
            return signed(-1)
    return signed(-1)


@outlined
def tftp(data: Bytes, at: Int, end: Int, claim: Row) -> Int:
    """Read a request to read or write a file (RFC 1350, 5); return `TFTP` or 0."""
    if at + 6 > end or be16(data, at) not in (1, 2):
        return _UNKNOWN
    stop = text_end(data, at + 2, end)
    # Its mode is netascii, octet or mail.
    if stop <= at + 2 or stop + 2 > end or u8(data, stop + 1) | 0x20 not in (0x6E, 0x6F, 0x6D):
        return _UNKNOWN
    if claim.claim_flags & _QUERY == 0:
        claim.claim_flags |= _QUERY
        claim.filled = 1
        used, cut = copy_text(data, at + 2, stop, claim.target)
        claim.target_bytes = used
        claim.claim_flags |= _TARGET_CUT * cut
    return _TFTP


@outlined
def carries(data: Bytes, at: Int, end: Int, size: Int, application: Int) -> bool:
    """Return whether a datagram is of the protocol that its port stands for."""
    if application == _NTP:
        return is_ntp(data, at, size)
    if application == _DHCP:
        return is_dhcp(data, at, end)
    if application == _DHCPV6:
        return is_dhcpv6(data, at, end, size)
    return bool(application == _RADIUS and is_radius(data, at, end, size))
