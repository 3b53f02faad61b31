"""Link headers: from a frame's first byte to the EtherType of what it carries.

In: the captured bytes ``data[at:end]`` and the LINKTYPE of the interface
(https://www.tcpdump.org/linktypes.html). Out: the triple (EtherType, offset of
the network header, `DecodeError`); MAC addresses, VLAN tags and the EtherType
go into the row.

Rules: an EtherType of 0 means "a whole frame of something else" (STP, LLDP
without SNAP, netlink); link types without an EtherType are given the one that
their protocol would have on Ethernet, and the row's stays 0. VLAN ids are those
of this, the outermost link: tags inside a tunnel are another network's.
"""

from __future__ import annotations

import numpy as np

from sensor.kernel import Int, Row, kernel, outlined
from sensor.packet.batch import Bytes
from sensor.packet.columns import DecodeError
from sensor.packet.ethertype import (
    ANY_IP,
    ETHERNET,
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    FIRST_ETHERTYPE,
    LLC,
    OTHER,
    PPP,
    is_spacer,
    is_tag,
    llc,
    ppp,
    tag_bytes,
    type_or_length,
)
from sensor.packet.serial import family_ethertype, line_header
from sensor.packet.wire import be16, be32, be48, signed, u8
from sensor.packet.wireless import capture_header, wlan

#: VLAN tags, the NIC's stripped one included. Real networks use two; a longer
#: chain is an attempt to cost time.
MAX_TAGS = 8

#: Tags with and without a VLAN, LLC, bridged Ethernet, in one link header.
MAX_WRAPPERS = 12

_NONE = int(DecodeError.NONE)
_TRUNCATED = int(DecodeError.TRUNCATED_LINK)
_UNKNOWN = int(DecodeError.UNKNOWN_LINK_TYPE)
_TOO_MANY = int(DecodeError.TOO_MANY_LAYERS)
_BAD_VERSION = int(DecodeError.BAD_IP_VERSION)


@kernel
def add_tag(tci: Int, row: Row) -> None:
    """Note one VLAN tag in the row; the first two ids are kept."""
    count = signed(row.vlan_tags)
    if count == 0:
        row.vlan = tci & 0x0FFF
    elif count == 1:
        row.vlan_inner = tci & 0x0FFF
    row.vlan_tags = count + 1


@kernel
def tag(data: Bytes, at: Int, end: Int, ethertype: Int, row: Row) -> tuple[Int, Int, Int]:
    """Read one tag (IEEE 802.1Q, 9.6), with a VLAN or without; return what follows it."""
    size = tag_bytes(ethertype)
    if is_tag(ethertype) and row.vlan_tags >= MAX_TAGS:
        return OTHER, at, _TOO_MANY
    if at + size > end:
        return OTHER, at, _TRUNCATED
    if is_tag(ethertype):
        add_tag(be16(data, at), row)
    return type_or_length(be16(data, at + size - 2)), at + size, _NONE


@kernel
def ethernet(data: Bytes, at: Int, end: Int, row: Row) -> tuple[Int, Int, Int]:
    """LINKTYPE 1: two MAC addresses and a type that may be a length."""
    if at + 14 > end:
        return OTHER, at, _TRUNCATED
    row.dst_mac = be48(data, at)
    row.src_mac = be48(data, at + 6)
    return type_or_length(be16(data, at + 12)), at + 14, _NONE


@kernel
def switch_tagged(data: Bytes, at: Int, end: Int, size: Int, row: Row) -> tuple[Int, Int, Int]:
    """LINKTYPE 281, 284 and 285: a switch chip's tag of `size` bytes behind the MAC addresses."""
    if at + 14 + size > end:
        return OTHER, at, _TRUNCATED
    row.dst_mac = be48(data, at)
    row.src_mac = be48(data, at + 6)
    return type_or_length(be16(data, at + 12 + size)), at + 14 + size, _NONE


@kernel
def linux_cooked(data: Bytes, at: Int, end: Int, version: Int, row: Row) -> tuple[Int, Int, Int]:
    """LINKTYPE 113 (version 1) and 276 (version 2): ``tcpdump -i any``.

    The protocol field is no EtherType for netlink (ARPHRD 824), radiotap (803)
    and frame relay (770); values below 0x0600 are Linux's own.
    """
    size = 16 if version == 1 else 20
    if at + size > end:
        return OTHER, at, _TRUNCATED
    if version == 1:
        hardware, length, address = be16(data, at + 2), be16(data, at + 4), at + 6
        ethertype = be16(data, at + 14)
    else:
        hardware, length, address = be16(data, at + 8), u8(data, at + 11), at + 12
        ethertype = be16(data, at)
    row.src_mac = be48(data, address) if length == 6 else np.uint64(0)
    foreign = hardware in (770, 803, 824)
    if foreign or (ethertype < FIRST_ETHERTYPE and ethertype != LLC):
        ethertype = OTHER
    return ethertype, at + size, _NONE


@kernel
def loopback(data: Bytes, at: Int, end: Int) -> tuple[Int, Int, Int]:
    """LINKTYPE 0 and 108: an address family in either byte order."""
    if at + 4 > end:
        return OTHER, at, _TRUNCATED
    family = be32(data, at)
    if family > 0xFFFF:  # written by a little-endian host
        family = family >> 24 | (family >> 8 & 0xFF00) | (family & 0xFFFF) << 16
    return family_ethertype(family), at + 4, _NONE


@kernel
def raw_ip(data: Bytes, at: Int, end: Int) -> tuple[Int, Int, Int]:
    """LINKTYPE 101, and 12 and 14 as older files have it: the IP version is the first nibble."""
    if at >= end:
        return OTHER, at, _TRUNCATED
    version = u8(data, at) >> 4
    if version == 4:
        return ETHERTYPE_IPV4, at, _NONE
    if version == 6:
        return ETHERTYPE_IPV6, at, _NONE
    return OTHER, at, _BAD_VERSION


@kernel
def wireless(data: Bytes, at: Int, end: Int, link_type: Int, row: Row) -> tuple[Int, Int, Int]:
    """LINKTYPE 105, and 119, 127, 163 and 192, which put a capture program's header before it."""
    what, at, error, form = capture_header(data, at, end, link_type)
    if error != _NONE or what in (OTHER, ETHERNET):
        return what, at, error
    what, at, error, dst, src = wlan(data, at, end, form)
    if dst >= 0:
        row.dst_mac = be48(data, dst)
        row.src_mac = be48(data, src)
    return what, at, error


@outlined
def rare_link(data: Bytes, at: Int, end: Int, link_type: Int, row: Row) -> tuple[Int, Int, Int]:
    """Decode the link layers that are not Ethernet; parameters and result are those of `link_header`."""
    named = True
    if link_type == 113:
        ethertype, at, error = linux_cooked(data, at, end, 1, row)
    elif link_type == 276:
        ethertype, at, error = linux_cooked(data, at, end, 2, row)
    elif link_type in (105, 119, 127, 163, 192):
        ethertype, at, error = wireless(data, at, end, link_type, row)
    elif link_type in (281, 284):
        ethertype, at, error = switch_tagged(data, at, end, 4, row)
    elif link_type == 285:
        ethertype, at, error = switch_tagged(data, at, end, 8, row)
    elif link_type in (12, 14, 101):
        ethertype, at, error = raw_ip(data, at, end)
        named = False
    elif link_type == 228:
        ethertype, error, named = ETHERTYPE_IPV4, _NONE, False
    elif link_type == 229:
        ethertype, error, named = ETHERTYPE_IPV6, _NONE, False
    elif link_type in (0, 108):
        ethertype, at, error = loopback(data, at, end)
        named = False
    else:
        ethertype, at, error = line_header(data, at, end, link_type)
        named = link_type in (100, 104, 106, 107, 123, 138)
    if named and error == _NONE and ethertype < ETHERNET:
        row.ethertype = ethertype
    return ethertype, at, error


@kernel
def link_header(data: Bytes, at: Int, end: Int, link_type: Int, row: Row) -> tuple[Int, Int, Int]:
    """Decode the link layer of one frame.

    Parameters
    ----------
    data
        uint8, shape (bytes,).
    at, end
        The frame's first byte, and the one behind its last captured byte.
    link_type
        LINKTYPE_* number.
    row
        One `PACKET`; MAC addresses, tags and EtherType are written. A tag that
        the NIC stripped has been added before.

    Returns
    -------
    (ethertype, at, error)
        What follows, where, and the `DecodeError` if the header was cut off or unknown.
    """
    if link_type == 1:
        ethertype, at, error = ethernet(data, at, end, row)
        row.ethertype = ethertype
        return ethertype, at, error
    return rare_link(data, at, end, link_type, row)


@kernel
def is_wrapped(ethertype: Int) -> bool:
    """Return whether `unwrap` has something to do."""
    return ethertype == LLC or ethertype >= ETHERNET or is_tag(ethertype) or is_spacer(ethertype)


@outlined
def unwrap(data: Bytes, at: Int, end: Int, ethertype: Int, row: Row) -> tuple[Int, Int, Int]:
    """Resolve tags, SNAP, PPP and bridged Ethernet, in any order, down to the innermost EtherType.

    Apart from `link_header`, so that an untagged frame pays nothing for it.
    Parameters and result are those of `link_header`.
    """
    row.ethertype = 0
    error, count, known = _NONE, 0, False
    while error == _NONE and is_wrapped(ethertype):
        if count == MAX_WRAPPERS:
            return OTHER, at, _TOO_MANY
        count += 1
        if ethertype == LLC:
            if known:
                break
            known = True
            ethertype, at, error = llc(data, at, end)
        elif ethertype == ETHERNET:
            ethertype, at, error = ethernet(data, at, end, row)
        elif ethertype == PPP:
            return ppp(data, at, end)
        elif ethertype == ANY_IP:
            return raw_ip(data, at, end)
        else:
            ethertype, at, error = tag(data, at, end, ethertype, row)
    if ethertype < FIRST_ETHERTYPE:
        ethertype = OTHER
    row.ethertype = ethertype
    return ethertype, at, error
