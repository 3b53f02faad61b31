"""Link headers: from a frame's first byte to the EtherType of what it carries.

In: the captured bytes ``data[at:end]`` and the LINKTYPE of the interface
(https://www.tcpdump.org/linktypes.html). Out: the triple (EtherType, offset of
the network header, `DecodeError`); MAC addresses, VLAN tags and the EtherType
go into the row.

Rules: an EtherType of 0 means "a whole frame of something else" (STP, LLDP
without SNAP, netlink); link types without an EtherType are given the one that
their protocol would have on Ethernet, and the row's stays 0.
"""

from __future__ import annotations

import numpy as np

from sensor.kernel import Int, Row, kernel
from sensor.packet.batch import Bytes
from sensor.packet.columns import DecodeError
from sensor.packet.wire import be16, be32, be48, signed, u8

ETHERTYPE_IPV4 = 0x0800
ETHERTYPE_ARP = 0x0806
ETHERTYPE_IPV6 = 0x86DD

#: VLAN tags, the NIC's stripped one included. Real networks use two; a longer
#: chain is an attempt to cost time.
MAX_TAGS = 8

_OTHER = 0  # nothing that this package decodes
_LLC = 4  # IEEE 802.2 follows; Linux's ETH_P_802_2, which cooked captures write
_FIRST_ETHERTYPE = 0x0600  # IEEE 802.3, 3.2.6: below it the field is a length

_NONE = int(DecodeError.NONE)
_TRUNCATED = int(DecodeError.TRUNCATED_LINK)
_UNKNOWN = int(DecodeError.UNKNOWN_LINK_TYPE)
_TOO_MANY = int(DecodeError.TOO_MANY_LAYERS)
_BAD_VERSION = int(DecodeError.BAD_IP_VERSION)


@kernel
def is_tag(ethertype: Int) -> bool:
    """Return whether a VLAN tag follows: 802.1Q, 802.1ad, and the two older QinQ values."""
    return ethertype in (0x8100, 0x88A8, 0x9100, 0x9200)


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
def vlan_tags(data: Bytes, at: Int, end: Int, ethertype: Int, row: Row) -> tuple[Int, Int, Int]:
    """Walk VLAN tags in any order (IEEE 802.1Q, 9.6); return what follows them."""
    while is_tag(ethertype):
        if row.vlan_tags >= MAX_TAGS:
            return _OTHER, at, _TOO_MANY
        if at + 4 > end:
            return _OTHER, at, _TRUNCATED
        add_tag(be16(data, at), row)
        ethertype = be16(data, at + 2)
        at += 4
        if ethertype < _FIRST_ETHERTYPE:
            ethertype = _LLC
    return ethertype, at, _NONE


@kernel
def llc(data: Bytes, at: Int, end: Int) -> tuple[Int, Int, Int]:
    """Read an IEEE 802.2 header; only SNAP with OUI 0 holds an EtherType (RFC 1042)."""
    if at + 3 > end:
        return _OTHER, at, _TRUNCATED
    if u8(data, at) != 0xAA or u8(data, at + 1) != 0xAA or u8(data, at + 2) != 0x03:
        return _OTHER, at + 3, _NONE
    if at + 8 > end:
        return _OTHER, at, _TRUNCATED
    ethertype = be16(data, at + 6)
    if be16(data, at + 3) != 0 or u8(data, at + 5) != 0 or ethertype < _FIRST_ETHERTYPE:
        return _OTHER, at + 8, _NONE
    return ethertype, at + 8, _NONE


@kernel
def ethernet(data: Bytes, at: Int, end: Int, row: Row) -> tuple[Int, Int, Int]:
    """LINKTYPE 1: two MAC addresses and a type that may be a length."""
    if at + 14 > end:
        return _OTHER, at, _TRUNCATED
    row.dst_mac = be48(data, at)
    row.src_mac = be48(data, at + 6)
    ethertype = be16(data, at + 12)
    if ethertype < _FIRST_ETHERTYPE:
        ethertype = _LLC
    return ethertype, at + 14, _NONE


@kernel
def linux_cooked(data: Bytes, at: Int, end: Int, version: Int, row: Row) -> tuple[Int, Int, Int]:
    """LINKTYPE 113 (version 1) and 276 (version 2): ``tcpdump -i any``.

    The protocol field is no EtherType for netlink (ARPHRD 824), radiotap (803)
    and frame relay (770); values below 0x0600 are Linux's own.
    """
    size = 16 if version == 1 else 20
    if at + size > end:
        return _OTHER, at, _TRUNCATED
    if version == 1:
        hardware, length, address = be16(data, at + 2), be16(data, at + 4), at + 6
        ethertype = be16(data, at + 14)
    else:
        hardware, length, address = be16(data, at + 8), u8(data, at + 11), at + 12
        ethertype = be16(data, at)
    row.src_mac = be48(data, address) if length == 6 else np.uint64(0)
    foreign = hardware in (770, 803, 824)
    if foreign or (ethertype < _FIRST_ETHERTYPE and ethertype != _LLC):
        ethertype = _OTHER
    return ethertype, at + size, _NONE


@kernel
def loopback(data: Bytes, at: Int, end: Int) -> tuple[Int, Int, Int]:
    """LINKTYPE 0 and 108: an address family in either byte order.

    2 is IPv4 everywhere; IPv6 is 10 on Linux, 24 on NetBSD and OpenBSD, 28 on
    FreeBSD, 30 on macOS.
    """
    if at + 4 > end:
        return _OTHER, at, _TRUNCATED
    family = be32(data, at)
    if family > 0xFFFF:  # written by a little-endian host
        family = family >> 24 | (family >> 8 & 0xFF00) | (family & 0xFFFF) << 16
    if family == 2:
        return ETHERTYPE_IPV4, at + 4, _NONE
    if family in (10, 24, 28, 30):
        return ETHERTYPE_IPV6, at + 4, _NONE
    return _OTHER, at + 4, _NONE


@kernel
def raw_ip(data: Bytes, at: Int, end: Int) -> tuple[Int, Int, Int]:
    """LINKTYPE 101, and 12 and 14 as older files have it: the IP version is the first nibble."""
    if at >= end:
        return _OTHER, at, _TRUNCATED
    version = u8(data, at) >> 4
    if version == 4:
        return ETHERTYPE_IPV4, at, _NONE
    if version == 6:
        return ETHERTYPE_IPV6, at, _NONE
    return _OTHER, at, _BAD_VERSION


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
    elif link_type == 113:
        ethertype, at, error = linux_cooked(data, at, end, 1, row)
    elif link_type == 276:
        ethertype, at, error = linux_cooked(data, at, end, 2, row)
    elif link_type in (12, 14, 101):
        return raw_ip(data, at, end)
    elif link_type == 228:
        return ETHERTYPE_IPV4, at, _NONE
    elif link_type == 229:
        return ETHERTYPE_IPV6, at, _NONE
    elif link_type in (0, 108):
        return loopback(data, at, end)
    else:
        return _OTHER, at, _UNKNOWN
    row.ethertype = ethertype
    return ethertype, at, error


@kernel
def is_wrapped(ethertype: Int) -> bool:
    """Return whether `unwrap` has something to do."""
    return ethertype == _LLC or is_tag(ethertype)


@kernel
def unwrap(data: Bytes, at: Int, end: Int, ethertype: Int, row: Row) -> tuple[Int, Int, Int]:
    """Resolve VLAN tags and SNAP, in either order, down to the innermost EtherType.

    Apart from `link_header`, so that an untagged frame pays nothing for it.
    Parameters and result are those of `link_header`.
    """
    row.ethertype = 0
    ethertype, at, error = vlan_tags(data, at, end, ethertype, row)
    if ethertype == _LLC:
        ethertype, at, error = llc(data, at, end)
    if error == _NONE:
        ethertype, at, error = vlan_tags(data, at, end, ethertype, row)
    if ethertype < _FIRST_ETHERTYPE:
        ethertype = _OTHER
    row.ethertype = ethertype
    return ethertype, at, error
