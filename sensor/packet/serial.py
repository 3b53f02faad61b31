"""Link headers of lines and of capture programs that are rarer than Ethernet.

In: ``data[at:end]`` and the LINKTYPE. Out: (what follows, where, `DecodeError`).
Each is small: PPP and Cisco HDLC, frame relay, ATM, SLIP, switch-chip tags,
netfilter's log, packet filters' logs. None of them holds IEEE MAC addresses.
"""

from __future__ import annotations

from sensor.kernel import Int, kernel
from sensor.packet.batch import Bytes
from sensor.packet.columns import DecodeError
from sensor.packet.ethertype import (
    ANY_IP,
    ETHERNET,
    ETHERTYPE_ARP,
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    ETHERTYPE_PPPOE,
    FIRST_ETHERTYPE,
    LLC,
    OTHER,
    PPP,
    llc,
    snap,
)
from sensor.packet.wire import be16, be32, le16, le32, u8

#: Attributes before the packet in a netfilter log message. Linux writes at most 20.
_MOST_ATTRIBUTES = 32

_NONE = int(DecodeError.NONE)
_TRUNCATED = int(DecodeError.TRUNCATED_LINK)
_UNKNOWN = int(DecodeError.UNKNOWN_LINK_TYPE)


@kernel
def family_ethertype(family: Int) -> Int:
    """Return the EtherType of an address family: 2 is IPv4 everywhere, IPv6 is 10, 24, 28 or 30."""
    if family == 2:
        return ETHERTYPE_IPV4
    if family in (10, 24, 28, 30):
        return ETHERTYPE_IPV6
    return OTHER


@kernel
def cisco_hdlc(data: Bytes, at: Int, end: Int) -> tuple[Int, Int, Int]:
    """LINKTYPE 104: address (0x0F, 0x8F), control, EtherType; PPP where the address is PPP's."""
    if at + 4 > end:
        return OTHER, at, _TRUNCATED
    if be16(data, at) == 0xFF03:
        return PPP, at, _NONE
    ethertype = be16(data, at + 2)
    return (ethertype if ethertype >= FIRST_ETHERTYPE else OTHER), at + 4, _NONE


@kernel
def frame_relay(data: Bytes, at: Int, end: Int) -> tuple[Int, Int, Int]:
    """LINKTYPE 107: Q.922 address, then NLPID (RFC 2427, 3) or Cisco's EtherType."""
    size = 0
    while size < 4:  # the address ends at the byte whose low bit is set
        if at + size >= end:
            return OTHER, at, _TRUNCATED
        size += 1
        if u8(data, at + size - 1) & 1:
            break
    at += size
    if at + 2 > end:
        return OTHER, at, _TRUNCATED
    if u8(data, at) != 0x03:
        ethertype = be16(data, at)
        return (ethertype if ethertype >= FIRST_ETHERTYPE else OTHER), at + 2, _NONE
    at += 1 if u8(data, at + 1) != 0 else 2  # a pad byte aligns what follows
    if at >= end:
        return OTHER, at, _TRUNCATED
    nlpid = u8(data, at)
    if nlpid == 0x80:
        return snap(data, at + 1, end)
    if nlpid == 0xCC:
        return ETHERTYPE_IPV4, at + 1, _NONE
    if nlpid == 0x8E:
        return ETHERTYPE_IPV6, at + 1, _NONE
    if nlpid == 0xCF:
        return PPP, at + 1, _NONE
    return OTHER, at + 1, _NONE


@kernel
def netfilter_log(data: Bytes, at: Int, end: Int) -> tuple[Int, Int, Int]:
    """LINKTYPE 239: family, version, group, then attributes; type 9 is the packet.

    Lengths are in the writer's byte order; as with all captures here, that is
    taken to be little-endian, unless the length would be none.
    """
    if at + 4 > end:
        return OTHER, at, _TRUNCATED
    what = family_ethertype(u8(data, at))
    at += 4
    for _ in range(_MOST_ATTRIBUTES):
        if at + 4 > end:
            return OTHER, at, _TRUNCATED
        size, kind = le16(data, at), le16(data, at + 2)
        if size < 4:
            return OTHER, at, _NONE
        if kind & 0x7FFF == 9:
            return what, at + 4, _NONE
        at += (size + 3) // 4 * 4
    return OTHER, at, _NONE


@kernel
def arcnet(data: Bytes, at: Int, end: Int, link_type: Int) -> tuple[Int, Int, Int]:
    """LINKTYPE 7 and 129: addresses, type; those of RFC 1201 have a split flag and a sequence number."""
    at += 2 if link_type == 7 else 4
    if at + 4 > end:
        return OTHER, at, _TRUNCATED
    kind = u8(data, at)
    if kind in (240, 241):  # RFC 1051
        return (ETHERTYPE_IPV4 if kind == 240 else ETHERTYPE_ARP), at + 1, _NONE
    if kind == 212:
        return ETHERTYPE_IPV4, at + 4, _NONE
    if kind == 213:
        return ETHERTYPE_ARP, at + 4, _NONE
    if kind == 196:
        return ETHERTYPE_IPV6, at + 4, _NONE
    return OTHER, at, _NONE


@kernel
def log_header(data: Bytes, at: Int, end: Int, link_type: Int) -> tuple[Int, Int, Int]:
    """LINKTYPE 109 (OpenBSD's enc) and 117 (its pflog): a family, then IP."""
    if link_type == 109:
        if at + 12 > end:
            return OTHER, at, _TRUNCATED
        return family_ethertype(u8(data, at) | u8(data, at + 3)), at + 12, _NONE
    if at + 2 > end:
        return OTHER, at, _TRUNCATED
    size = (u8(data, at) + 3) // 4 * 4
    if at + size > end:
        return OTHER, at, _TRUNCATED
    return family_ethertype(u8(data, at + 1)), at + size, _NONE


@kernel
def pktap(data: Bytes, at: Int, end: Int) -> tuple[Int, Int, Int]:
    """LINKTYPE 258: macOS' header names its own length and the link type of what follows."""
    if at + 12 > end:
        return OTHER, at, _TRUNCATED
    size, inner = le32(data, at), le32(data, at + 8)
    if at + size > end:
        return OTHER, at, _TRUNCATED
    if inner == 1:
        return ETHERNET, at + size, _NONE
    if inner in (12, 14, 101):
        return ANY_IP, at + size, _NONE
    if inner == 0 and at + size < end:
        return family_ethertype(u8(data, at + size)), at + size + 4, _NONE
    return OTHER, at, _NONE


@kernel
def atm(data: Bytes, at: Int, end: Int, link_type: Int) -> tuple[Int, Int, Int]:
    """LINKTYPE 100 and 106 (RFC 2684: LLC) and 123 (SunATM: 4 bytes, whose low nibble says what follows)."""
    if link_type != 123:
        return llc(data, at, end)
    if at + 4 > end:
        return OTHER, at, _TRUNCATED
    kind = u8(data, at) & 0x0F
    if kind == 2:
        return LLC, at + 4, _NONE
    if kind == 1:  # LAN emulation: an LE client's id, then Ethernet
        return ETHERNET, at + 6, _NONE
    return OTHER, at + 4, _NONE


@kernel
def fixed(data: Bytes, at: Int, end: Int, link_type: Int) -> tuple[Int, Int, Int]:
    """Headers of one size: see the branches."""
    if link_type == 8:  # SLIP as BSD captures it
        return (ANY_IP if at + 16 <= end else OTHER), at + 16, (_NONE if at + 16 <= end else _TRUNCATED)
    if link_type == 282:  # Broadcom's switch tag before the frame
        return ETHERNET, at + 4, _NONE
    if link_type == 204:  # PPP behind a direction byte
        return PPP, at + 1, _NONE
    if link_type == 166:  # pppd: a direction byte and a control byte in place of PPP's address
        return PPP, at + 2, _NONE
    if link_type == 138:  # IP over IEEE 1394: two 64-bit addresses and an EtherType
        if at + 18 > end:
            return OTHER, at, _TRUNCATED
        return be16(data, at + 16), at + 18, _NONE
    if link_type == 226:  # Solaris ipnet: 24 bytes, the second is the family
        if at + 24 > end:
            return OTHER, at, _TRUNCATED
        family = u8(data, at + 1)
        return (ETHERTYPE_IPV6 if family == 26 else family_ethertype(family)), at + 24, _NONE
    return OTHER, at, _UNKNOWN


@kernel
def line_header(data: Bytes, at: Int, end: Int, link_type: Int) -> tuple[Int, Int, Int]:
    """Decode the link header of any type of this module; `UNKNOWN_LINK_TYPE` where it is of none."""
    if link_type in (9, 50):
        if at + 4 <= end and be32(data, at) & 0xFFFF_FF00 == 0x0F00_0800:  # some write Cisco HDLC so
            return cisco_hdlc(data, at, end)
        return PPP, at, _NONE
    if link_type == 51:
        return ETHERTYPE_PPPOE, at, _NONE
    if link_type == 104:
        return cisco_hdlc(data, at, end)
    if link_type == 107:
        return frame_relay(data, at, end)
    if link_type == 239:
        return netfilter_log(data, at, end)
    if link_type in (7, 129):
        return arcnet(data, at, end, link_type)
    if link_type in (109, 117):
        return log_header(data, at, end, link_type)
    if link_type in (100, 106, 123):
        return atm(data, at, end, link_type)
    if link_type == 258:
        return pktap(data, at, end)
    return fixed(data, at, end, link_type)
