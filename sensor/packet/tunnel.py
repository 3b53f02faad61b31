"""Which tunnel's header stands where, and the reader for each.

In: the bytes and the `LAYER` row that says where the walk stands. Out: the
row, moved behind one header, and the `DecodeError`. `inner` makes the walk.
"""

from __future__ import annotations

from sensor.kernel import Int, Row, kernel
from sensor.packet.batch import Bytes
from sensor.packet.columns import DecodeError, PacketKind, TunnelType
from sensor.packet.ethertype import (
    ANY_IP,
    ETHERNET,
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    ETHERTYPE_MPLS,
    ETHERTYPE_MPLS_MULTICAST,
    ETHERTYPE_NSH,
    ETHERTYPE_PBB,
    ETHERTYPE_PPPOE,
    LLC,
    OTHER,
    OVER_IP,
    OVER_UDP,
    PPP,
    WLAN,
    is_spacer,
    is_tag,
    llc,
    ppp,
    tag_bytes,
    type_or_length,
)
from sensor.packet.gre import gre
from sensor.packet.l2tp import l2tp_ip, l2tp_udp
from sensor.packet.label import mac_in_mac, mpls, pppoe, service_header
from sensor.packet.layer import MAX_INNER_TAGS, MAX_LAYERS, is_tunnel, leads_to, missing
from sensor.packet.overlay import (
    PORT_CAPWAP,
    PORT_GENEVE,
    PORT_GTP_U,
    PORT_L2TP,
    PORT_MPLS,
    PORT_TEREDO,
    PORT_VXLAN_GPE,
    capwap,
    geneve,
    gtp_u,
    is_tunnel_port,
    teredo,
    vxlan,
    vxlan_gpe,
)
from sensor.packet.wire import be16, signed, u8
from sensor.packet.wireless import PLAIN, SWAPPED, wlan

_NONE = int(DecodeError.NONE)
_TRUNCATED_LINK = int(DecodeError.TRUNCATED_LINK)
_TRUNCATED = int(DecodeError.TRUNCATED_TUNNEL)
_BAD_TUNNEL = int(DecodeError.BAD_TUNNEL)
_BAD_VERSION = int(DecodeError.BAD_IP_VERSION)
_TOO_MANY = int(DecodeError.TOO_MANY_LAYERS)
_KIND_IP = int(PacketKind.IP)

_IP_IN_IP = int(TunnelType.IP_IN_IP)
_SIX_IN_FOUR = int(TunnelType.SIX_IN_FOUR)
_ETHER_IP = int(TunnelType.ETHER_IP)

_TCP, _UDP = 6, 17
_IPV4, _IPV6, _GRE, _ETHERIP, _L2TP, _MPLS = 4, 41, 47, 97, 115, 137


@kernel
def carried_by(row: Row) -> Int:
    """Return the code of the tunnel that an IP packet's protocol or port announces; `OTHER` for none."""
    protocol = row.protocol
    if protocol == _TCP or row.fragment_offset != 0:
        return OTHER
    if protocol == _UDP:
        if is_tunnel_port(row.dst_port):
            return OVER_UDP + signed(row.dst_port)
        return OVER_UDP + signed(row.src_port) if is_tunnel_port(row.src_port) else OTHER
    if protocol in (_IPV4, _IPV6, _GRE, _ETHERIP, _L2TP, _MPLS):
        return OVER_IP + signed(protocol)
    return OTHER


@kernel
def is_label(ethertype: Int) -> bool:
    """Return whether a tunnel's header stands directly behind a link header."""
    return ethertype in (
        ETHERTYPE_MPLS,
        ETHERTYPE_MPLS_MULTICAST,
        ETHERTYPE_PPPOE,
        ETHERTYPE_PBB,
        ETHERTYPE_NSH,
    )


@kernel
def may_carry(ethertype: Int, row: Row) -> bool:
    """Return whether a decoded packet may carry another: one cheap test for each packet."""
    if row.protocol == _TCP:
        return False
    return carried_by(row) != OTHER if row.kind == _KIND_IP else is_label(ethertype)


@kernel
def etherip(data: Bytes, layer: Row) -> Int:
    """Read an EtherIP header (RFC 3378, 3)."""
    if layer.at + 2 > layer.end:
        return missing(layer, 2)
    if be16(data, layer.at) != 0x3000:
        return _BAD_TUNNEL
    is_tunnel(layer, _ETHER_IP, 0)
    leads_to(layer, 2, ETHERNET)
    return _NONE


@kernel
def over_ip(data: Bytes, layer: Row, protocol: Int) -> Int:
    """Read the header of a tunnel that has an IP protocol number."""
    if protocol == _GRE:
        return gre(data, layer)
    if protocol == _ETHERIP:
        return etherip(data, layer)
    if protocol == _L2TP:
        return l2tp_ip(data, layer)
    if protocol == _MPLS:
        return mpls(data, layer)
    layer.what = ETHERTYPE_IPV4 if protocol == _IPV4 else ETHERTYPE_IPV6
    six_in_four = protocol == _IPV6 and layer.ip >= 0 and u8(data, layer.ip) >> 4 == 4
    is_tunnel(layer, _SIX_IN_FOUR if six_in_four else _IP_IN_IP, 0)
    return _NONE


@kernel
def over_udp(data: Bytes, layer: Row, port: Int) -> Int:
    """Read the header of a tunnel that has a UDP port."""
    if port == PORT_GTP_U:
        return gtp_u(data, layer)
    if port == PORT_GENEVE:
        return geneve(data, layer)
    if port == PORT_L2TP:
        return l2tp_udp(data, layer)
    if port == PORT_TEREDO:
        return teredo(data, layer)
    if port == PORT_MPLS:
        return mpls(data, layer)
    if port == PORT_CAPWAP:
        return capwap(data, layer)
    return vxlan_gpe(data, layer) if port == PORT_VXLAN_GPE else vxlan(data, layer)


@kernel
def tunnel_header(data: Bytes, layer: Row) -> Int:
    """Read one tunnel's header, whichever `what` says; `NONE` without effect where it says none."""
    what = layer.what
    if what < OVER_IP and not is_label(what):
        layer.what = OTHER
        return _NONE
    if layer.layers >= MAX_LAYERS:
        return _TOO_MANY
    layer.layers += 1
    if what >= OVER_UDP:
        return over_udp(data, layer, what - OVER_UDP)
    if what >= OVER_IP:
        return over_ip(data, layer, what - OVER_IP)
    if what == ETHERTYPE_PPPOE:
        return pppoe(data, layer)
    if what == ETHERTYPE_PBB:
        return mac_in_mac(data, layer)
    if what == ETHERTYPE_NSH:
        return service_header(data, layer)
    return mpls(data, layer)


@kernel
def is_link(what: Int) -> bool:
    """Return whether `link_in_tunnel` reads what follows."""
    return (ETHERNET <= what < OVER_IP) or what == LLC or is_tag(what) or is_spacer(what)


@kernel
def link_in_tunnel(data: Bytes, layer: Row) -> Int:
    """Read one header between a tunnel's and the packet's: Ethernet, a tag, LLC, PPP, 802.11."""
    at, end, what, error = layer.at, layer.end, layer.what, _NONE
    if what == ETHERNET:
        if at + 14 > end:
            return missing(layer, 14)
        layer.dst_mac, layer.src_mac = at, at + 6
        leads_to(layer, 14, type_or_length(be16(data, at + 12)))
        return _NONE
    if what == LLC:
        if layer.tags >= MAX_INNER_TAGS:
            return _TOO_MANY
        layer.tags += 1
        layer.what, layer.at, error = llc(data, at, end)
    elif what == PPP:
        layer.what, layer.at, error = ppp(data, at, end)
    elif what == WLAN:
        swapped = at + 2 <= end and u8(data, at) & 0x0F != 8 and u8(data, at + 1) & 0x0F == 8
        layer.what, layer.at, error, dst, src = wlan(data, at, end, SWAPPED if swapped else PLAIN)
        if dst >= 0:
            layer.dst_mac, layer.src_mac = dst, src
    elif what == ANY_IP:
        if at >= end:
            return missing(layer, 1)
        version = u8(data, at) >> 4
        layer.what = ETHERTYPE_IPV4 if version == 4 else ETHERTYPE_IPV6
        return _NONE if version in (4, 6) else _BAD_VERSION
    else:
        size = tag_bytes(what)
        if layer.tags >= MAX_INNER_TAGS:
            return _TOO_MANY
        if at + size > end:
            return missing(layer, size)
        layer.tags += 1
        leads_to(layer, size, type_or_length(be16(data, at + size - 2)))
    return _TRUNCATED if error == _TRUNCATED_LINK else error
