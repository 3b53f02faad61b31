"""L2TP: version 2 carries PPP (RFC 2661), version 3 whatever its control connection agreed on (RFC 3931).

Version 3's data header does not say how long the cookie is, whether a sublayer
follows, nor what it carries. The first place behind 0, 4, 8 or 12 bytes where an
Ethernet, HDLC or PPP header leads to an IP header is taken.
"""

from __future__ import annotations

from sensor.kernel import Int, Row, kernel
from sensor.packet.batch import Bytes
from sensor.packet.columns import DecodeError, TunnelType
from sensor.packet.ethertype import ETHERNET, ETHERTYPE_IPV4, ETHERTYPE_IPV6, OTHER, PPP
from sensor.packet.label import is_ethernet
from sensor.packet.layer import NOT_A_TUNNEL, absent, is_tunnel, leads_to, missing
from sensor.packet.wire import be16, be32, u8

_NONE = int(DecodeError.NONE)
_TRUNCATED = int(DecodeError.TRUNCATED_TUNNEL)
_L2TP = int(TunnelType.L2TP)

_CONTROL, _LENGTH, _SEQUENCE, _OFFSET = 0x8000, 0x4000, 0x0800, 0x0200
#: A cookie of 8 bytes and a sublayer of 4.
_MOST_BEFORE = 12


@kernel
def l2tp_udp(data: Bytes, layer: Row) -> Int:
    """Read a data header of version 2 or 3 over UDP. The id is the session's; control is no tunnel."""
    if layer.at + 6 > layer.end:
        return absent(layer, 6)
    flags = be16(data, layer.at)
    if flags & _CONTROL:
        return NOT_A_TUNNEL
    if flags == 3 and be16(data, layer.at + 2) == 0:
        if layer.at + 8 > layer.end:
            return absent(layer, 8)
        is_tunnel(layer, _L2TP, be32(data, layer.at + 4))
        layer.at += 8
        return session_payload(data, layer)
    if flags & 0x34FF != 0x0002:  # version 2, reserved bits 0
        return NOT_A_TUNNEL
    return version_2(data, layer, flags)


@kernel
def version_2(data: Bytes, layer: Row, flags: Int) -> Int:
    """Read the rest of a version 2 header (RFC 2661, 3.1), whose fields are optional."""
    at = layer.at + 2
    if flags & _LENGTH:
        if be16(data, at) > layer.wire_end - layer.at and layer.partial == 0:
            return NOT_A_TUNNEL
        at += 2
    size = at + 4 - layer.at
    if layer.at + size > layer.end:
        return absent(layer, size)
    is_tunnel(layer, _L2TP, be16(data, at + 2))
    if flags & _SEQUENCE:
        size += 4
    if flags & _OFFSET:
        size += 2
        if layer.at + size > layer.end:
            return absent(layer, size)
        size += be16(data, layer.at + size - 2)
    if layer.at + size >= layer.end:
        return absent(layer, size + 1)
    leads_to(layer, size, PPP)
    return _NONE


@kernel
def l2tp_ip(data: Bytes, layer: Row) -> Int:
    """Read a version 3 header over IP (RFC 3931, 4.1.1); session 0 is control."""
    if layer.at + 4 > layer.end:
        return missing(layer, 4)
    session = be32(data, layer.at)
    is_tunnel(layer, _L2TP, session)
    layer.at += 4
    if session == 0:
        layer.what = OTHER
        return _NONE
    return session_payload(data, layer)


@kernel
def session_payload(data: Bytes, layer: Row) -> Int:
    """Find what a version 3 session carries, behind a cookie and a sublayer of unknown length."""
    for skip in range(0, _MOST_BEFORE + 1, 4):
        what, size = framed(data, layer.at + skip, layer.end)
        if what != OTHER:
            leads_to(layer, skip + size, what)
            return _NONE
    layer.what = OTHER
    return _TRUNCATED if layer.end < layer.wire_end and layer.at + _MOST_BEFORE + 15 > layer.end else _NONE


@kernel
def framed(data: Bytes, at: Int, end: Int) -> tuple[Int, Int]:
    """Return what a layer 2 header at `at` announces and the bytes to skip; `OTHER` when there is none."""
    if is_ethernet(data, at, end):
        return ETHERNET, 0
    if at + 5 > end:
        return OTHER, 0
    head, kind, version = be16(data, at), be16(data, at + 2), u8(data, at + 4) >> 4
    if head in (0x0F00, 0x8F00) and kind == ETHERTYPE_IPV4 and version == 4:
        return ETHERTYPE_IPV4, 4
    if head in (0x0F00, 0x8F00) and kind == ETHERTYPE_IPV6 and version == 6:
        return ETHERTYPE_IPV6, 4
    if head == 0xFF03 and ((kind == 0x0021 and version == 4) or (kind == 0x0057 and version == 6)):
        return PPP, 0
    return OTHER, 0
