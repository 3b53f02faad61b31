"""Transport headers: ports, TCP fields, and where the payload is.

In: the captured bytes ``data[at:end]`` of the IP payload and `wire_end`, where
the IP packet ended on the wire. Out: the `DecodeError`; fields go into the row.

Rules: a header that does not fit in its IP packet is bad; one that merely does
not fit in the captured bytes is truncated, and keeps the fields that are there;
`payload_offset` is -1 when no payload byte was captured.
"""

from __future__ import annotations

from sensor.kernel import Int, Row, kernel
from sensor.packet.batch import Bytes
from sensor.packet.columns import DecodeError
from sensor.packet.wire import be16, be32, signed, u8

_NONE = int(DecodeError.NONE)
_TRUNCATED = int(DecodeError.TRUNCATED_TRANSPORT)
_BAD = int(DecodeError.BAD_TRANSPORT_HEADER)

_ICMP = 1
_TCP = 6
_UDP = 17
_DCCP = 33
_ICMPV6 = 58
_SCTP = 132
_UDP_LITE = 136


@kernel
def cut(at: Int, need: Int, wire_end: Int) -> Int:
    """Return why `need` bytes at `at` are not there: never sent, or not captured."""
    return _BAD if at + need > wire_end else _TRUNCATED


@kernel
def payload(at: Int, end: Int, wire_end: Int, row: Row) -> Int:
    """Note the payload that starts at `at`; return the error when it starts beyond the packet."""
    if at > wire_end:
        return _BAD
    row.payload_bytes = wire_end - at
    if at > end:
        return _TRUNCATED
    if at < end:
        row.payload_offset = at
        row.payload_captured = end - at
    return _NONE


@kernel
def ports(data: Bytes, at: Int, row: Row) -> None:
    """Read the two ports with which most transport headers begin."""
    row.src_port = be16(data, at)
    row.dst_port = be16(data, at + 2)


@kernel
def tcp_part(data: Bytes, at: Int, end: Int, row: Row) -> None:
    """Read what is there of a TCP header that was cut off behind its ports."""
    if at + 8 <= end:
        row.tcp_seq = be32(data, at + 4)
    if at + 12 <= end:
        row.tcp_ack = be32(data, at + 8)
    if at + 14 <= end:
        row.tcp_flags = u8(data, at + 13)
    if at + 16 <= end:
        row.tcp_window = be16(data, at + 14)


@kernel
def tcp(data: Bytes, at: Int, end: Int, wire_end: Int, row: Row) -> Int:
    """Read a TCP header (RFC 9293, 3.1)."""
    if at + 4 > end:
        return cut(at, 20, wire_end)
    ports(data, at, row)
    if at + 20 > end:
        tcp_part(data, at, end, row)
        return cut(at, 20, wire_end)
    row.tcp_seq = be32(data, at + 4)
    row.tcp_ack = be32(data, at + 8)
    row.tcp_flags = u8(data, at + 13)
    row.tcp_window = be16(data, at + 14)
    header = (u8(data, at + 12) >> 4) * 4
    if header < 20:
        return _BAD
    return payload(at + header, end, wire_end, row)


@kernel
def udp(data: Bytes, at: Int, end: Int, wire_end: Int, row: Row) -> Int:
    """Read a UDP header (RFC 768); length 0 is allowed in IPv6 jumbograms (RFC 2675, 4)."""
    if at + 4 > end:
        return cut(at, 8, wire_end)
    ports(data, at, row)
    if at + 8 > end:
        return cut(at, 8, wire_end)
    length = be16(data, at + 4)
    if length < 8 and not (length == 0 and row.ip_version == 6):
        return _BAD
    return payload(at + 8, end, wire_end, row)


@kernel
def icmp(data: Bytes, at: Int, end: Int, wire_end: Int, row: Row) -> Int:
    """Read an ICMP (RFC 792) or ICMPv6 (RFC 4443) header: type and code in place of ports."""
    if at + 2 > end:
        return cut(at, 8, wire_end)
    row.src_port = u8(data, at)
    row.dst_port = u8(data, at + 1)
    if at + 8 > end:
        return cut(at, 8, wire_end)
    return payload(at + 8, end, wire_end, row)


@kernel
def ported(data: Bytes, at: Int, end: Int, wire_end: Int, row: Row) -> Int:
    """Read the header of SCTP (RFC 9260, 3.1), UDP-Lite (RFC 3828) or DCCP (RFC 4340, 5.1)."""
    protocol = row.protocol
    need = signed(8 if protocol == _UDP_LITE else 12)
    if at + 4 > end:
        return cut(at, need, wire_end)
    ports(data, at, row)
    if at + need > end:
        return cut(at, need, wire_end)
    words = u8(data, at + 4)  # DCCP's data offset
    header = words * 4 if protocol == _DCCP else need
    if header < need:
        return _BAD
    return payload(at + header, end, wire_end, row)


@kernel
def transport_header(data: Bytes, at: Int, end: Int, wire_end: Int, row: Row) -> Int:
    """Decode the transport layer of one IP packet.

    Parameters
    ----------
    data
        uint8, shape (bytes,).
    at, end
        The IP payload's first byte, and the one behind its last captured byte.
    wire_end
        Where the IP packet ended on the wire, as an offset in `data`.
    row
        One `PACKET` whose `protocol` and fragment fields are known.

    Returns
    -------
    error
        `DecodeError`. A protocol without ports, or a fragment that is not the
        first, has its whole IP payload as payload.
    """
    protocol = row.protocol
    if row.fragment_offset != 0:
        return payload(at, end, wire_end, row)
    if protocol == _TCP:
        return tcp(data, at, end, wire_end, row)
    if protocol == _UDP:
        return udp(data, at, end, wire_end, row)
    if protocol in (_ICMP, _ICMPV6):
        return icmp(data, at, end, wire_end, row)
    if protocol in (_SCTP, _UDP_LITE, _DCCP):
        return ported(data, at, end, wire_end, row)
    return payload(at, end, wire_end, row)
