"""What comes next: EtherTypes, codes for what has none, and the tags and LLC headers between them.

A header says what follows it in many ways (EtherType, PPP protocol, NLPID, IP
protocol, UDP port); all are turned into one number. Below 0x10000 it is the
EtherType; above it stand the codes of this module, which no header can hold,
so that a frame cannot name them.
"""

from __future__ import annotations

from sensor.kernel import Int, kernel
from sensor.packet.batch import Bytes
from sensor.packet.columns import DecodeError
from sensor.packet.wire import be16, u8

ETHERTYPE_IPV4 = 0x0800
ETHERTYPE_ARP = 0x0806
ETHERTYPE_IPV6 = 0x86DD
ETHERTYPE_MPLS = 0x8847
ETHERTYPE_MPLS_MULTICAST = 0x8848
ETHERTYPE_PPPOE = 0x8864
ETHERTYPE_PBB = 0x88E7  # IEEE 802.1ah, the service tag
ETHERTYPE_NSH = 0x894F

OTHER = 0  # nothing that this package decodes
LLC = 4  # IEEE 802.2 follows; Linux's ETH_P_802_2, which cooked captures write
FIRST_ETHERTYPE = 0x0600  # IEEE 802.3, 3.2.6: below it the field is a length

ETHERNET = 0x1_0000  # a whole Ethernet frame
PPP = 0x1_0001  # a PPP frame, with or without address and control
ANY_IP = 0x1_0002  # IP of the version that its first nibble gives
WLAN = 0x1_0003  # an IEEE 802.11 frame
OVER_IP = 0x2_0000  # plus an IP protocol number that carries a tunnel
OVER_UDP = 0x3_0000  # plus a UDP port that carries a tunnel

_NONE = int(DecodeError.NONE)
_TRUNCATED = int(DecodeError.TRUNCATED_LINK)


@kernel
def is_tag(ethertype: Int) -> bool:
    """Return whether a VLAN tag follows: 802.1Q, 802.1ad, and the two older QinQ values."""
    return ethertype in (0x8100, 0x88A8, 0x9100, 0x9200)


@kernel
def is_spacer(ethertype: Int) -> bool:
    """Return whether a tag without a VLAN follows: Cisco MetaData, VN-Tag, 802.1BR E-Tag."""
    return ethertype in (0x8909, 0x8926, 0x893F)


@kernel
def tag_bytes(ethertype: Int) -> Int:
    """Return the bytes of a tag, behind its own EtherType and with the next one."""
    if is_tag(ethertype):
        return 4
    return 6 if ethertype == 0x8926 else 8


@kernel
def type_or_length(value: Int) -> Int:
    """Return the EtherType of an Ethernet type field; a length means that LLC follows."""
    return LLC if value < FIRST_ETHERTYPE else value


@kernel
def ppp_ethertype(protocol: Int) -> Int:
    """Return the EtherType of a PPP protocol (IANA: PPP DLL protocol numbers); 0 for control and others."""
    if protocol == 0x0021:
        return ETHERTYPE_IPV4
    if protocol == 0x0057:
        return ETHERTYPE_IPV6
    if protocol == 0x0281:
        return ETHERTYPE_MPLS
    if protocol == 0x0283:
        return ETHERTYPE_MPLS_MULTICAST
    return OTHER


@kernel
def llc(data: Bytes, at: Int, end: Int) -> tuple[Int, Int, Int]:
    """Read an IEEE 802.2 header; only SNAP with OUI 0 holds an EtherType (RFC 1042).

    OUI 00-80-C2 bridges whole frames over other links (RFC 2427, 4.2): PID 7
    is Ethernet without its checksum, PID 1 with it.
    """
    if at + 3 > end:
        return OTHER, at, _TRUNCATED
    if u8(data, at) != 0xAA or u8(data, at + 1) != 0xAA or u8(data, at + 2) != 0x03:
        return OTHER, at + 3, _NONE
    return snap(data, at + 3, end)


@kernel
def snap(data: Bytes, at: Int, end: Int) -> tuple[Int, Int, Int]:
    """Read what follows LLC's or NLPID's announcement of SNAP: an OUI and a type."""
    if at + 5 > end:
        return OTHER, at, _TRUNCATED
    oui, ethertype = be16(data, at) << 8 | u8(data, at + 2), be16(data, at + 3)
    if oui == 0x0080C2 and ethertype in (1, 7):
        return ETHERNET, at + 5, _NONE
    if oui != 0 or ethertype < FIRST_ETHERTYPE:
        return OTHER, at + 5, _NONE
    return ethertype, at + 5, _NONE


@kernel
def ppp(data: Bytes, at: Int, end: Int) -> tuple[Int, Int, Int]:
    """Read a PPP header (RFC 1661, 2; RFC 1662, 3.1); address, control and half the protocol are optional."""
    if at + 2 <= end and be16(data, at) == 0xFF03:
        at += 2
    if at >= end or (at + 1 == end and u8(data, at) == 0xFF):  # the address: no protocol is 0xFF
        return OTHER, at, _TRUNCATED
    if u8(data, at) & 1:  # compressed: the low bit marks the last byte
        return ppp_ethertype(u8(data, at)), at + 1, _NONE
    if at + 2 > end:
        return OTHER, at, _TRUNCATED
    return ppp_ethertype(be16(data, at)), at + 2, _NONE
