"""GRE (RFC 2784, RFC 2890), PPTP's version of it (RFC 2637), and ERSPAN and WCCP, which it carries."""

from __future__ import annotations

from sensor.kernel import Int, Row, kernel
from sensor.packet.batch import Bytes
from sensor.packet.columns import DecodeError, TunnelType
from sensor.packet.ethertype import (
    ANY_IP,
    ETHERNET,
    ETHERTYPE_IPV4,
    FIRST_ETHERTYPE,
    OTHER,
    PPP,
    type_or_length,
)
from sensor.packet.layer import is_tunnel, leads_to, missing
from sensor.packet.wire import be16, be32, u8

_NONE = int(DecodeError.NONE)
_BAD = int(DecodeError.BAD_TUNNEL)

_GRE = int(TunnelType.GRE)
_ERSPAN = int(TunnelType.ERSPAN)

_CHECKSUM, _ROUTING, _KEY, _SEQUENCE, _ACKNOWLEDGMENT = 0x8000, 0x4000, 0x2000, 0x1000, 0x0080

_PPP_PAYLOAD = 0x880B
_ERSPAN_II = 0x88BE
_ERSPAN_III = 0x22EB
_BRIDGED = 0x6558
_WCCP = 0x883E
_METADATA = 0x8909


@kernel
def gre(data: Bytes, layer: Row) -> Int:
    """Read a GRE header, and ERSPAN's behind it. The id is the key, or PPTP's call id."""
    if layer.at + 4 > layer.end:
        return missing(layer, 4)
    flags, protocol = be16(data, layer.at), be16(data, layer.at + 2)
    version = flags & 7
    if version > 1 or flags & _ROUTING:  # source routes were taken out of GRE (RFC 2784, 5.2)
        return _BAD
    if version == 1 and (protocol != _PPP_PAYLOAD or flags & _KEY == 0):
        return _BAD
    key_at = layer.at + 4 + 4 * (flags >> 15)
    size = 4 + 4 * (flags >> 15) + 4 * (flags >> 13 & 1) + 4 * (flags >> 12 & 1)
    if version == 1:
        size += 4 * (flags >> 7 & 1)
    if layer.at + size > layer.end:
        return missing(layer, size)
    is_tunnel(layer, _GRE, be32(data, key_at) if flags & _KEY else 0)
    if version == 1:
        layer.tunnel_id &= 0xFFFF  # the other half is the payload's length
        leads_to(layer, size, PPP if flags & _SEQUENCE else OTHER)
        return _NONE
    leads_to(layer, size, carried_by_gre(protocol))
    if protocol == _ERSPAN_II:
        return mirrored(data, layer, flags & _SEQUENCE != 0)
    if protocol == _ERSPAN_III:
        return mirrored_iii(data, layer)
    if protocol in (_WCCP, _METADATA):
        return redirected(data, layer) if protocol == _WCCP else described(data, layer)
    return _NONE


@kernel
def carried_by_gre(protocol: Int) -> Int:
    """Return the code of a GRE protocol type: an EtherType, but for two."""
    if protocol == _BRIDGED:
        return ETHERNET
    if protocol == _PPP_PAYLOAD:
        return PPP
    return protocol if protocol >= FIRST_ETHERTYPE else OTHER


@kernel
def mirrored(data: Bytes, layer: Row, numbered: bool) -> Int:  # noqa: FBT001  (kernel)
    """Read ERSPAN type I (no header at all, GRE without sequence number) or II (8 bytes)."""
    is_tunnel(layer, _ERSPAN, 0)
    if not numbered:
        leads_to(layer, 0, ETHERNET)
        return _NONE
    if layer.at + 8 > layer.end:
        return missing(layer, 8)
    if u8(data, layer.at) >> 4 != 1:
        return _BAD
    layer.tunnel_id = be16(data, layer.at + 2) & 0x03FF
    leads_to(layer, 8, ETHERNET)
    return _NONE


@kernel
def mirrored_iii(data: Bytes, layer: Row) -> Int:
    """Read ERSPAN type III: 12 bytes, and 8 more where its last bit says so."""
    is_tunnel(layer, _ERSPAN, 0)
    if layer.at + 12 > layer.end:
        return missing(layer, 12)
    if u8(data, layer.at) >> 4 != 2:
        return _BAD
    flags = be16(data, layer.at + 10)
    frame = flags >> 10 & 0x1F
    size = 12 + 8 * (flags & 1)
    if layer.at + size > layer.end:
        return missing(layer, size)
    layer.tunnel_id = be16(data, layer.at + 2) & 0x03FF
    what = OTHER
    if frame == 0:
        what = ETHERNET
    elif frame == 2:
        what = ANY_IP
    leads_to(layer, size, what)
    return _NONE


@kernel
def redirected(data: Bytes, layer: Row) -> Int:
    """Skip WCCP's redirect header (4 bytes), which its first version does not have."""
    if layer.at >= layer.end:
        return missing(layer, 1)
    size = 0 if u8(data, layer.at) >> 4 == 4 else 4
    if layer.at + size > layer.end:
        return missing(layer, size)
    leads_to(layer, size, ETHERTYPE_IPV4)
    return _NONE


@kernel
def described(data: Bytes, layer: Row) -> Int:
    """Skip Cisco's metadata (8 bytes), which inside GRE begins with the EtherType of what follows."""
    if layer.at + 8 > layer.end:
        return missing(layer, 8)
    leads_to(layer, 8, type_or_length(be16(data, layer.at)))
    return _NONE
