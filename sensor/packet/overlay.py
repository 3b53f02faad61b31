"""Tunnels over UDP: VXLAN, Geneve, GTP-U, Teredo, CAPWAP; L2TP is in `l2tp`, MPLS in `label`.

A port is only a hint: clients choose theirs at random, so ordinary datagrams use
these ports too. Each header is therefore checked for what its RFC fixes, and one
that fails makes its datagram an ordinary one (`NOT_A_TUNNEL`).
"""

from __future__ import annotations

from sensor.kernel import Int, Row, kernel
from sensor.packet.batch import Bytes
from sensor.packet.columns import DecodeError, TunnelType
from sensor.packet.ethertype import ANY_IP, ETHERNET, ETHERTYPE_IPV6, FIRST_ETHERTYPE, OTHER, WLAN
from sensor.packet.label import chained
from sensor.packet.layer import NOT_A_TUNNEL, absent, is_tunnel, leads_to
from sensor.packet.wire import be16, be32, u8

PORT_L2TP = 1701
PORT_GTP_U = 2152
PORT_TEREDO = 3544
PORT_VXLAN = 4789
PORT_VXLAN_GPE = 4790
PORT_CAPWAP = 5247
PORT_GENEVE = 6081
PORT_MPLS = 6635
PORT_VXLAN_LINUX = 8472  # what Linux used before IANA assigned one, and Flannel still does

#: GTP-U extension headers of one packet; 5G uses one or two.
_MOST_EXTENSIONS = 4

_NONE = int(DecodeError.NONE)

_VXLAN = int(TunnelType.VXLAN)
_GENEVE = int(TunnelType.GENEVE)
_GTP_U = int(TunnelType.GTP_U)
_TEREDO = int(TunnelType.TEREDO)
_CAPWAP = int(TunnelType.CAPWAP)


@kernel
def is_tunnel_port(port: Int) -> bool:
    """Return whether a tunnel's header may stand in a datagram from or to `port`."""
    if port < PORT_L2TP or port > PORT_VXLAN_LINUX:  # most ports need one comparison
        return False
    return port in (
        PORT_L2TP,
        PORT_GTP_U,
        PORT_TEREDO,
        PORT_VXLAN,
        PORT_VXLAN_GPE,
        PORT_CAPWAP,
        PORT_GENEVE,
        PORT_MPLS,
        PORT_VXLAN_LINUX,
    )


@kernel
def vxlan(data: Bytes, layer: Row) -> Int:
    """Read a VXLAN header (RFC 7348, 5), group policy (draft-smith-vxlan-group-policy) included."""
    if layer.at + 8 > layer.end:
        return absent(layer, 8)
    first = be32(data, layer.at)
    grouped = first >> 24 == 0x88 and first & 0x00B7_0000 == 0
    if first != 0x0800_0000 and not grouped:
        return NOT_A_TUNNEL
    is_tunnel(layer, _VXLAN, be32(data, layer.at + 4) >> 8)
    leads_to(layer, 8, ETHERNET)
    return _NONE


@kernel
def vxlan_gpe(data: Bytes, layer: Row) -> Int:
    """Read a VXLAN-GPE header (draft-ietf-nvo3-vxlan-gpe, 3), which names what it carries."""
    if layer.at + 8 > layer.end:
        return absent(layer, 8)
    first = be32(data, layer.at)
    flags = first >> 24
    if flags & 0xF8 != 0x08 or first & 0x00FF_FF00 != 0:
        return NOT_A_TUNNEL
    is_tunnel(layer, _VXLAN, be32(data, layer.at + 4) >> 8)
    what = chained(first & 0xFF) if flags & 0x04 else ETHERNET
    leads_to(layer, 8, OTHER if flags & 0x01 else what)
    return _NONE


@kernel
def geneve(data: Bytes, layer: Row) -> Int:
    """Read a Geneve header and skip its options (RFC 8926, 3.4)."""
    at = layer.at
    if at + 8 > layer.end:
        return absent(layer, 8)
    protocol = be16(data, at + 2)
    if u8(data, at) >> 6 != 0 or u8(data, at + 1) & 0x3F != 0 or u8(data, at + 7) != 0:
        return NOT_A_TUNNEL
    if protocol < FIRST_ETHERTYPE:
        return NOT_A_TUNNEL
    size = 8 + 4 * (u8(data, at) & 0x3F)
    if at + size > layer.end:
        return absent(layer, size)
    is_tunnel(layer, _GENEVE, be32(data, at + 4) >> 8)
    leads_to(layer, size, ETHERNET if protocol == 0x6558 else protocol)
    return _NONE


@kernel
def gtp_u(data: Bytes, layer: Row) -> Int:
    """Read a GTP-U header (3GPP TS 29.281, 5.1); only a G-PDU carries a packet. The id is its TEID."""
    at = layer.at
    if at + 8 > layer.end:
        return absent(layer, 8)
    flags, room = u8(data, at), layer.wire_end - at - 8
    if flags & 0xF8 != 0x30 or u8(data, at + 1) != 255:
        return NOT_A_TUNNEL
    if be16(data, at + 2) > room and layer.partial == 0:
        return NOT_A_TUNNEL
    is_tunnel(layer, _GTP_U, be32(data, at + 4))
    size = 8
    if flags & 0x07:
        size = 12
        if at + 12 > layer.end:
            return absent(layer, 12)
        following = u8(data, at + 11) if flags & 0x04 else 0
        for _ in range(_MOST_EXTENSIONS):
            if following == 0:
                break
            if at + size >= layer.end:
                return absent(layer, size + 1)
            length = 4 * u8(data, at + size)
            if length == 0:
                return NOT_A_TUNNEL
            size += length
            if at + size > layer.end:
                return absent(layer, size)
            following = u8(data, at + size - 1)
        if following != 0:
            return NOT_A_TUNNEL
    leads_to(layer, size, ANY_IP)
    return _NONE


@kernel
def teredo(data: Bytes, layer: Row) -> Int:
    """Skip Teredo's authentication and origin headers (RFC 4380, 5.1.1); IPv6 has to fill the rest."""
    at, end = layer.at, layer.end
    if at + 2 > end:
        return absent(layer, 2)
    if be16(data, at) == 0x0001:
        if at + 4 > end:
            return absent(layer, 4)
        at += 13 + u8(data, at + 2) + u8(data, at + 3)
        if at + 2 > end:
            return absent(layer, at + 2 - layer.at)
    if be16(data, at) == 0x0000:
        at += 8
    size = at - layer.at
    if at + 40 > end:
        return absent(layer, size + 40)
    room = layer.wire_end - at - 40
    if u8(data, at) >> 4 != 6 or (be16(data, at + 4) > room and layer.partial == 0):
        return NOT_A_TUNNEL
    is_tunnel(layer, _TEREDO, 0)
    leads_to(layer, size, ETHERTYPE_IPV6)
    return _NONE


@kernel
def capwap(data: Bytes, layer: Row) -> Int:
    """Read a CAPWAP data header (RFC 5415, 4.3) that is not encrypted. The id is the radio's."""
    if layer.at + 8 > layer.end:
        return absent(layer, 8)
    first = be32(data, layer.at)
    size = 4 * (first >> 19 & 0x1F)
    offset = be16(data, layer.at + 6) >> 3
    if first >> 24 != 0 or first & 0x07 != 0 or size < 8:
        return NOT_A_TUNNEL
    if layer.at + size > layer.end:
        return absent(layer, size)
    is_tunnel(layer, _CAPWAP, first >> 14 & 0x1F)
    what = ETHERNET
    if first & 0x0100:  # the radio's own frames
        what = WLAN if first >> 9 & 0x1F == 1 else OTHER
    if first & 0x08 or offset != 0:  # a keep-alive, or a later fragment
        what = OTHER
    leads_to(layer, size, what)
    return _NONE
