"""The decoded packet: one row a packet, filled in place by `packet.decode`.

Addresses are 128 bits in two words. An IPv4 address a.b.c.d is held as the
IPv4-mapped IPv6 address ::ffff:a.b.c.d (RFC 4291, 2.5.5.2), so that every
table has one kind of key; `ip_version` says which it was on the wire.
"""

from __future__ import annotations

import enum

import numpy as np
import numpy.typing as npt

from sensor.kernel import record_dtype

#: High word of every IPv4-mapped address is 0; the low word is this | IPv4.
V4_MAPPED = 0x0000_FFFF_0000_0000


class DecodeError(enum.IntEnum):
    """Why a frame was not decoded to the transport header. 0 is a whole decode.

    A row with an error keeps every field that was decoded before it.
    """

    NONE = 0
    UNKNOWN_LINK_TYPE = 1
    TRUNCATED_LINK = 2  # the link header does not fit in the captured bytes
    TRUNCATED_NETWORK = 3
    TRUNCATED_TRANSPORT = 4
    BAD_IP_VERSION = 5
    BAD_IP_HEADER_LENGTH = 6
    BAD_IP_TOTAL_LENGTH = 7  # shorter than its own header
    BAD_TRANSPORT_HEADER = 8  # TCP data offset < 5, UDP length < 8 ...
    TOO_MANY_LAYERS = 9  # tags, labels, tunnels or extension headers beyond the cap
    BAD_EXTENSION_HEADER = 10
    BAD_ARP = 11
    EMPTY_FRAME = 12
    TRUNCATED_TUNNEL = 13  # what is inside was not captured: the row is the packet around it
    BAD_TUNNEL = 14  # a header between link and IP contradicts itself
    PROTECTED_LINK = 15  # 802.11 data that is encrypted


class PacketKind(enum.IntEnum):
    """What the frame turned out to carry."""

    UNDECODED = 0  # see `error`
    OTHER = 1  # a whole frame of a protocol that has no flow (LLDP, STP ...)
    ARP = 2
    IP = 3
    DUPLICATE = 4  # a copy of a frame just seen, which the mirror made: see `duplicate`


class TunnelType(enum.IntEnum):
    """What carried the packet: the innermost tunnel or label, where there are several."""

    NONE = 0
    MPLS = 1
    PPPOE = 2
    GRE = 3
    ERSPAN = 4
    VXLAN = 5
    GENEVE = 6
    GTP_U = 7
    L2TP = 8
    IP_IN_IP = 9  # 4in4, 4in6, 6in6
    SIX_IN_FOUR = 10  # 6in4, 6to4, ISATAP
    TEREDO = 11
    ETHER_IP = 12
    PBB = 13  # 802.1ah MAC-in-MAC
    NSH = 14
    CAPWAP = 15


class FragmentFlag(enum.IntFlag):
    """What is odd about an IP fragment."""

    PORTS_KNOWN = 0x01  # a later fragment whose ports are its first one's
    OVERLAP = 0x02  # covers bytes that an earlier fragment of the datagram covered
    TINY = 0x04  # too small for what it is: a cut inside the transport header, or a short middle


class TcpFlag(enum.IntFlag):
    """TCP flag bits (RFC 9293, 3.1)."""

    FIN = 0x01
    SYN = 0x02
    RST = 0x04
    PSH = 0x08
    ACK = 0x10
    URG = 0x20
    ECE = 0x40
    CWR = 0x80


#: Row of `PacketColumns`.
PACKET = record_dtype(
    [
        ("time", np.int64),  # ns since the epoch, copied from the frame
        ("src_hi", np.uint64),  # source address, or sender protocol address for ARP
        ("src_lo", np.uint64),
        ("dst_hi", np.uint64),
        ("dst_lo", np.uint64),
        ("src_mac", np.uint64),  # of the innermost Ethernet header; 48 bits, big-endian value; 0 when none
        ("dst_mac", np.uint64),
        ("payload_offset", np.int64),  # of the transport payload in batch.data; -1 absent
        ("network_offset", np.int64),  # of the IP header in batch.data; -1 none
        ("outer_offset", np.int64),  # of the IP header of the innermost tunnel; -1 no IP tunnel
        ("wirelen", np.uint32),  # frame bytes on the wire
        ("caplen", np.uint32),  # frame bytes captured
        ("ip_bytes", np.uint32),  # IP header + payload, from the IP header
        ("payload_bytes", np.uint32),  # transport payload on the wire, from IP lengths
        ("payload_captured", np.uint32),  # of those, bytes present in batch.data
        ("tcp_seq", np.uint32),
        ("tcp_ack", np.uint32),
        ("fragment_id", np.uint32),  # IP identification; set for every IPv4 packet
        ("tunnel_id", np.uint32),  # label, VNI, TEID, key, session ...: what `tunnel` calls its id
        ("src_port", np.uint16),  # ICMP/ICMPv6: type in src_port, code in dst_port
        ("dst_port", np.uint16),
        ("tcp_window", np.uint16),
        ("ethertype", np.uint16),  # innermost; 0 when the link has none
        ("vlan", np.uint16),  # outermost VLAN id of the outermost link, 0 when untagged
        ("vlan_inner", np.uint16),  # second tag's id (QinQ), 0 when none
        ("fragment_offset", np.uint16),  # bytes
        ("arp_operation", np.uint16),
        ("vlan_tags", np.uint8),  # how many tags the outermost link carried
        ("kind", np.uint8),  # PacketKind
        ("error", np.uint8),  # DecodeError
        ("ip_version", np.uint8),  # 4, 6 or 0
        ("protocol", np.uint8),  # IANA protocol number of the transport
        ("ttl", np.uint8),
        ("tcp_flags", np.uint8),
        ("more_fragments", np.uint8),
        ("fragment_flags", np.uint8),  # FragmentFlag
        ("tunnel", np.uint8),  # TunnelType
        ("tunnel_layers", np.uint8),  # how many tunnels, one in another
    ]
)

Packets = npt.NDArray[np.void]


def packet_columns(capacity: int) -> Packets:
    """Return an empty `PACKET` array with room for `capacity` rows."""
    return np.zeros(capacity, PACKET)
