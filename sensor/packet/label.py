"""What stands between Ethernet and IP: MPLS labels, PPPoE, MAC-in-MAC, service chains.

Labels do not say what they carry: it is taken for IP where a whole IP header
stands there, and for an Ethernet frame (a pseudowire, RFC 4448) where a control
word or a frame with a known EtherType does.
"""

from __future__ import annotations

from sensor.kernel import Int, Row, kernel
from sensor.packet.batch import Bytes
from sensor.packet.columns import DecodeError, TunnelType
from sensor.packet.ethertype import (
    ETHERNET,
    ETHERTYPE_ARP,
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    ETHERTYPE_MPLS,
    ETHERTYPE_NSH,
    ETHERTYPE_PBB,
    ETHERTYPE_PPPOE,
    OTHER,
    PPP,
    is_tag,
)
from sensor.packet.layer import MAX_LABELS, is_tunnel, leads_to, limit, missing
from sensor.packet.network import ip_error
from sensor.packet.wire import be16, be32, u8

_NONE = int(DecodeError.NONE)
_BAD = int(DecodeError.BAD_TUNNEL)
_TRUNCATED = int(DecodeError.TRUNCATED_TUNNEL)
_TRUNCATED_NETWORK = int(DecodeError.TRUNCATED_NETWORK)
_TOO_MANY = int(DecodeError.TOO_MANY_LAYERS)

_MPLS = int(TunnelType.MPLS)
_PPPOE = int(TunnelType.PPPOE)
_PBB = int(TunnelType.PBB)
_NSH = int(TunnelType.NSH)


@kernel
def is_ethernet(data: Bytes, at: Int, end: Int) -> bool:
    """Return whether an Ethernet header with a type that leads to IP or ARP stands at `at`."""
    if at + 15 > end:
        return False
    kind, version = be16(data, at + 12), u8(data, at + 14) >> 4
    if kind == ETHERTYPE_IPV4:
        return version == 4
    if kind == ETHERTYPE_IPV6:
        return version == 6
    if kind in (ETHERTYPE_ARP, ETHERTYPE_MPLS, ETHERTYPE_PPPOE, ETHERTYPE_PBB):
        return True
    return is_tag(kind)


@kernel
def mpls(data: Bytes, layer: Row) -> Int:
    """Read a label stack (RFC 3032, 2.1), and a control word if there is one. The id is the bottom label."""
    bottom = 0
    while bottom == 0:
        if layer.labels >= MAX_LABELS:
            return _TOO_MANY
        if layer.at + 4 > layer.end:
            return missing(layer, 4)
        entry = be32(data, layer.at)
        bottom = entry >> 8 & 1
        layer.labels += 1
        layer.at += 4
        is_tunnel(layer, _MPLS, entry >> 12)
    return under_labels(data, layer)


@kernel
def under_labels(data: Bytes, layer: Row) -> Int:
    """Find out what a label stack carries (RFC 4928, 3: the first nibble; RFC 4385, 3: control words)."""
    at, end = layer.at, layer.end
    if at >= end:
        return missing(layer, 1)
    nibble = u8(data, at) >> 4
    if nibble in (4, 6):
        what = ETHERTYPE_IPV4 if nibble == 4 else ETHERTYPE_IPV6
        error = ip_error(data, at, end, what)
        if error == _NONE:
            layer.what = what
            return _NONE
        if error == _TRUNCATED_NETWORK and at + 20 <= layer.wire_end:
            return _TRUNCATED
    if nibble == 0 and is_ethernet(data, at + 4, end):
        leads_to(layer, 4, ETHERNET)
        return _NONE
    if is_ethernet(data, at, end):
        layer.what = ETHERNET
        return _NONE
    layer.what = OTHER  # a channel for operations (RFC 4385, 5), or something without a mark
    return _TRUNCATED if at + 19 > end and end < layer.wire_end else _NONE


@kernel
def pppoe(data: Bytes, layer: Row) -> Int:
    """Read a PPPoE session header (RFC 2516, 4)."""
    at = layer.at
    if at + 6 > layer.end:
        return missing(layer, 6)
    if u8(data, at) != 0x11:
        return _BAD
    is_tunnel(layer, _PPPOE, be16(data, at + 2))
    code, length = u8(data, at + 1), be16(data, at + 4)
    leads_to(layer, 6, PPP if code == 0 else OTHER)
    limit(layer, layer.at + length)
    return _NONE


@kernel
def mac_in_mac(data: Bytes, layer: Row) -> Int:
    """Read an 802.1ah service tag (IEEE 802.1Q, 9.7); the customer's frame follows. The id is the I-SID."""
    if layer.at + 4 > layer.end:
        return missing(layer, 4)
    is_tunnel(layer, _PBB, be32(data, layer.at) & 0xFF_FFFF)
    leads_to(layer, 4, ETHERNET)
    return _NONE


@kernel
def service_header(data: Bytes, layer: Row) -> Int:
    """Read a network service header (RFC 8300, 2). The id is the service path's."""
    at = layer.at
    if at + 8 > layer.end:
        return missing(layer, 8)
    size = (be16(data, at) & 0x3F) * 4
    if u8(data, at) >> 6 != 0 or size < 8:
        return _BAD
    if at + size > layer.end:
        return missing(layer, size)
    is_tunnel(layer, _NSH, be32(data, at + 4) >> 8)
    leads_to(layer, size, chained(u8(data, at + 3)))
    return _NONE


@kernel
def chained(protocol: Int) -> Int:
    """Return the code of a next protocol of NSH and VXLAN-GPE (IANA: one list for 1 to 5)."""
    if protocol == 1:
        return ETHERTYPE_IPV4
    if protocol == 2:
        return ETHERTYPE_IPV6
    if protocol == 3:
        return ETHERNET
    if protocol == 4:
        return ETHERTYPE_NSH
    if protocol == 5:
        return ETHERTYPE_MPLS
    return OTHER
