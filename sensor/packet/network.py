"""Network headers: ARP, IPv4, IPv6 with its extension headers.

In: the captured bytes ``data[at:end]`` and `wire_end`, the offset where the
frame ended on the wire (captured or not). Out: for IP the triple (offset of
the transport header, offset where the IP packet ended on the wire,
`DecodeError`); everything else goes into the row.

Rules: lengths come from the IP header and are bounded by the frame, so that
Ethernet padding is not counted; the row becomes `PacketKind.IP` as soon as its
addresses are known, so a later error still leaves a packet that can be
counted; `protocol` is the last header's, or 0 when the chain is cut off.
"""

from __future__ import annotations

import numpy as np

from sensor.kernel import Int, Row, kernel
from sensor.packet.batch import Bytes
from sensor.packet.columns import V4_MAPPED, DecodeError, PacketKind
from sensor.packet.wire import be16, be32, be64, signed, u8

#: Extension headers of one packet. RFC 8200 (4.1) knows seven in a sensible order.
MAX_EXTENSIONS = 8

_HOP_BY_HOP = 0
_FRAGMENT = 44
_AUTHENTICATION = 51
_NO_NEXT_HEADER = 59

_ARP = int(PacketKind.ARP)
_IP = int(PacketKind.IP)

_NONE = int(DecodeError.NONE)
_TRUNCATED = int(DecodeError.TRUNCATED_NETWORK)
_BAD_VERSION = int(DecodeError.BAD_IP_VERSION)
_BAD_HEADER = int(DecodeError.BAD_IP_HEADER_LENGTH)
_BAD_TOTAL = int(DecodeError.BAD_IP_TOTAL_LENGTH)
_BAD_EXTENSION = int(DecodeError.BAD_EXTENSION_HEADER)
_BAD_ARP = int(DecodeError.BAD_ARP)
_TOO_MANY = int(DecodeError.TOO_MANY_LAYERS)


@kernel
def mapped(address: Int) -> np.uint64:
    """Return the low word of the IPv4-mapped address (RFC 4291, 2.5.5.2)."""
    return np.uint64(V4_MAPPED | address)


@kernel
def ip_error(data: Bytes, at: Int, end: Int, ethertype: Int) -> Int:
    """Return why no whole IPv4 or IPv6 header stands at `at`; `NONE` where one does.

    What this lets through, `ipv4` and `ipv6` read without error, IPv4 options included.
    """
    if at + (20 if ethertype == 0x0800 else 40) > end:
        return _TRUNCATED
    first = u8(data, at)
    if first >> 4 != (4 if ethertype == 0x0800 else 6):
        return _BAD_VERSION
    if ethertype != 0x0800:
        return _NONE
    header, length = (first & 0x0F) * 4, be16(data, at + 2)
    if header < 20:
        return _BAD_HEADER
    if length != 0 and length < header:
        return _BAD_TOTAL
    return _TRUNCATED if at + header > end else _NONE


@kernel
def is_arp(data: Bytes, at: Int, end: Int) -> bool:
    """Return whether a whole ARP packet for IPv4 over Ethernet stands at `at`."""
    return at + 28 <= end and be32(data, at) == 0x0001_0800 and be16(data, at + 4) == 0x0604


@kernel
def forget(row: Row) -> None:
    """Clear what the network and transport headers wrote: an inner packet's follow."""
    row.src_hi = row.src_lo = row.dst_hi = row.dst_lo = np.uint64(0)
    row.payload_offset = -1
    row.ip_bytes = row.payload_bytes = row.payload_captured = 0
    row.tcp_seq = row.tcp_ack = row.fragment_id = 0
    row.src_port = row.dst_port = row.tcp_window = row.fragment_offset = row.arp_operation = 0
    row.ip_version = row.protocol = row.ttl = row.tcp_flags = 0
    row.more_fragments = row.fragment_flags = 0


@kernel
def arp(data: Bytes, at: Int, end: Int, wire_end: Int, row: Row) -> Int:
    """Read an ARP packet (RFC 826); addresses are kept for IPv4 alone. Return the error."""
    if at + 8 > end:
        return _BAD_ARP if at + 8 > wire_end else _TRUNCATED
    hardware, length = u8(data, at + 4), u8(data, at + 5)
    row.kind = _ARP
    row.arp_operation = be16(data, at + 6)
    if be16(data, at + 2) != 0x0800:
        return _NONE
    need = 8 + 2 * hardware + 8
    if length != 4 or at + need > wire_end:
        return _BAD_ARP
    if at + need > end:
        return _TRUNCATED
    row.src_lo = mapped(be32(data, at + 8 + hardware))
    row.dst_lo = mapped(be32(data, at + 12 + 2 * hardware))
    return _NONE


@kernel
def ipv4(data: Bytes, at: Int, end: Int, wire_end: Int, row: Row) -> tuple[Int, Int, Int]:
    """Read an IPv4 header (RFC 791, 3.1).

    A total length of 0 is a segment that the NIC was to cut (TSO): the frame's
    length stands for it. The checksum is not verified, for the same reason.
    """
    if at + 20 > end:
        return at, at, _TRUNCATED
    first = u8(data, at)
    header = (first & 0x0F) * 4
    length = be16(data, at + 2)
    if first >> 4 != 4:
        return at, at, _BAD_VERSION
    if header < 20:
        return at, at, _BAD_HEADER
    if length != 0 and length < header:
        return at, at, _BAD_TOTAL
    if length == 0 or length > wire_end - at:
        length = wire_end - at
    fragment = be16(data, at + 6)
    row.kind = _IP
    row.ip_version = 4
    row.ip_bytes = length
    row.ttl = u8(data, at + 8)
    row.fragment_id = be16(data, at + 4)
    row.fragment_offset = (fragment & 0x1FFF) * 8
    row.more_fragments = fragment >> 13 & 1
    row.src_lo = mapped(be32(data, at + 12))
    row.dst_lo = mapped(be32(data, at + 16))
    stop = at + length
    if at + header > end:
        return at, stop, _TRUNCATED
    row.protocol = u8(data, at + 9)
    return at + header, stop, _NONE


@kernel
def ipv6(data: Bytes, at: Int, end: Int, wire_end: Int, row: Row) -> tuple[Int, Int, Int]:
    """Read an IPv6 header (RFC 8200, 3); `protocol` is the first next header.

    A payload length of 0 with something behind the header is a jumbogram (RFC
    2675) or a segment that the NIC was to cut: the frame's length stands for it.
    """
    if at + 40 > end:
        return at, at, _TRUNCATED
    if u8(data, at) >> 4 != 6:
        return at, at, _BAD_VERSION
    length = be16(data, at + 4)
    protocol = u8(data, at + 6)
    room = wire_end - at - 40
    if length > room or (length == 0 and protocol != _NO_NEXT_HEADER):
        length = room
    row.kind = _IP
    row.ip_version = 6
    row.ip_bytes = 40 + length
    row.ttl = u8(data, at + 7)
    row.src_hi = be64(data, at + 8)
    row.src_lo = be64(data, at + 16)
    row.dst_hi = be64(data, at + 24)
    row.dst_lo = be64(data, at + 32)
    row.protocol = protocol
    return at + 40, at + 40 + length, _NONE


@kernel
def cut(stop: Int, wire_end: Int) -> Int:
    """Return why an extension header up to `stop` is not there: never sent, or not captured."""
    return _BAD_EXTENSION if stop > wire_end else _TRUNCATED


@kernel
def is_extension(row: Row) -> bool:
    """Return whether `protocol` is a header that another follows (IANA: IPv6 extension header types).

    IPv4 knows only the authentication header. ESP (50) is not one: what follows
    it is encrypted.
    """
    if row.fragment_offset != 0:
        return False
    protocol = row.protocol
    if row.ip_version == 4:
        return bool(protocol == _AUTHENTICATION)
    return protocol in (_HOP_BY_HOP, 43, _FRAGMENT, _AUTHENTICATION, 60, 135, 139, 140)


@kernel
def extensions(data: Bytes, at: Int, end: Int, wire_end: Int, row: Row) -> tuple[Int, Int, Int]:
    """Walk extension headers (RFC 8200, 4; RFC 4302, 2.2).

    The chain ends at a fragment that is not the first: what follows is the
    middle of something. `protocol` becomes the last next header, and 0 when the
    chain is cut off.

    Returns
    -------
    (at, part, error)
        Offset behind the headers, and behind the last fragment header (`at` as given without one).
    """
    count = 0
    error = _NONE
    part = at
    while error == _NONE and is_extension(row):
        protocol = row.protocol
        size = signed(8)
        if count == MAX_EXTENSIONS:
            error = _TOO_MANY
        elif at + 8 > end:
            error = cut(at + 8, wire_end)
        elif protocol == _FRAGMENT:
            offset = be16(data, at + 2)
            row.fragment_offset = offset & 0xFFF8
            row.more_fragments = offset & 1
            row.fragment_id = be32(data, at + 4)
            part = at + 8
        elif protocol == _AUTHENTICATION:
            size = (u8(data, at + 1) + 2) * 4
        else:
            size = (u8(data, at + 1) + 1) * 8
        if error == _NONE and at + size > end:
            error = cut(at + size, wire_end)
        if error == _NONE:
            row.protocol = u8(data, at)
            at += size
            count += 1
    if error != _NONE:
        row.protocol = 0
    return at, part, error
