"""From an EtherType to the payload: the network header, its extensions, and the transport header."""

from __future__ import annotations

from sensor.kernel import Int, Row, kernel
from sensor.packet.batch import Bytes
from sensor.packet.columns import DecodeError, PacketKind
from sensor.packet.ethertype import ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6
from sensor.packet.network import arp, extensions, ipv4, ipv6, is_extension
from sensor.packet.transport import transport_header

_NONE = int(DecodeError.NONE)
_OTHER = int(PacketKind.OTHER)


@kernel
def network_header(
    data: Bytes, at: Int, end: Int, wire_end: Int, ethertype: Int, row: Row
) -> tuple[Int, Int]:
    """Decode what an EtherType announces, down to the payload.

    Parameters
    ----------
    data
        uint8, shape (bytes,).
    at, end
        The network header's first byte, and the one behind the last captured byte.
    wire_end
        Where the frame ended on the wire, as an offset in `data`.
    ethertype
        0 for nothing that this package decodes.
    row
        One `PACKET`, written.

    Returns
    -------
    (error, size)
        `DecodeError`, and for IP the bytes that would be a fragment's part of the datagram.
    """
    if ethertype == ETHERTYPE_IPV4:
        at, stop, error = ipv4(data, at, end, wire_end, row)
    elif ethertype == ETHERTYPE_IPV6:
        at, stop, error = ipv6(data, at, end, wire_end, row)
    elif ethertype == ETHERTYPE_ARP:
        return arp(data, at, end, wire_end, row), 0
    else:
        row.kind = _OTHER
        return _NONE, 0
    end = min(end, stop)
    part = at
    if error == _NONE and is_extension(row):
        at, part, error = extensions(data, at, end, stop, row)
    if error == _NONE:
        error = transport_header(data, at, end, stop, row)
    return error, stop - part
