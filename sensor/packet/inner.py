"""The walk inwards: from a packet that carries another, tunnel by tunnel, to the innermost IP packet.

In: a decoded row and the place of what may be a tunnel's header. Out: the row
of the innermost IP (or ARP) packet; `tunnel`, `tunnel_id`, `tunnel_layers` and
`outer_offset` say what carried it.

Rules: a packet replaces the one around it only when its whole IP header is
there, so whatever is garbage inside leaves the row of the packet that carries
it, and a counter says why. What was merely not captured leaves it too, with
`DecodeError.TRUNCATED_TUNNEL`. A walk takes at most `MAX_LAYERS` tunnels,
`MAX_LABELS` labels and `MAX_INNER_TAGS` tags and LLC headers, whatever the
frame holds; beyond them it ends with `DecodeError.TOO_MANY_LAYERS`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sensor.kernel import Int, Row, kernel, outlined
from sensor.packet.batch import Bytes
from sensor.packet.columns import V4_MAPPED, DecodeError, PacketKind, Packets, TunnelType, packet_columns
from sensor.packet.ethertype import ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, OTHER
from sensor.packet.fragment import FragmentTable, is_fragment, track
from sensor.packet.layer import LAYER, NOT_A_TUNNEL, Layers
from sensor.packet.network import forget, ip_error, is_arp
from sensor.packet.stack import network_header
from sensor.packet.tunnel import carried_by, is_link, link_in_tunnel, tunnel_header
from sensor.packet.wire import be32, be48, be64, signed, u8

_NONE = int(DecodeError.NONE)
_TRUNCATED_NETWORK = int(DecodeError.TRUNCATED_NETWORK)
_TRUNCATED = int(DecodeError.TRUNCATED_TUNNEL)
_TOO_MANY = int(DecodeError.TOO_MANY_LAYERS)
_BAD_ARP = int(DecodeError.BAD_ARP)

_UNDECODED = int(PacketKind.UNDECODED)
_OTHER = int(PacketKind.OTHER)
_ARP = int(PacketKind.ARP)
_IP = int(PacketKind.IP)

_DONE = -1  # `what` behind a packet that carries nothing more


class Tunnels(NamedTuple):
    """What the walk works with.

    Parameters
    ----------
    layer
        `LAYER`, shape (1,): where the walk stands.
    kept
        `PACKET`, shape (1,): the row of the outermost IP packet.
    wants_outer
        int64, shape (1,): 1 when the outermost packet is wanted.
    carried
        int64, shape (types,): frames by `TunnelType` of the innermost tunnel.
    undecoded
        int64, shape (codes,): walks that ended at something undecodable, by
        `DecodeError`; 0 is something whole that is not IP.
    ordinary
        int64, shape (1,): datagrams on a tunnel's port without a tunnel's header.
    fragments
        For those inside tunnels.
    """

    layer: Layers
    kept: Packets
    wants_outer: npt.NDArray[np.int64]
    carried: npt.NDArray[np.int64]
    undecoded: npt.NDArray[np.int64]
    ordinary: npt.NDArray[np.int64]
    fragments: FragmentTable


def tunnels_state(wants_outer: int, fragments: FragmentTable) -> Tunnels:
    """Return the state before the first packet; `wants_outer` is 1 when the outermost packet is wanted."""
    return Tunnels(
        layer=np.zeros(1, LAYER),
        kept=packet_columns(1),
        wants_outer=np.array([wants_outer], np.int64),
        carried=np.zeros(len(TunnelType), np.int64),
        undecoded=np.zeros(len(DecodeError), np.int64),
        ordinary=np.zeros(1, np.int64),
        fragments=fragments,
    )


@kernel
def into_payload(layer: Row, row: Row) -> None:
    """Stand the walk at the payload of the row's IP packet."""
    layer.what = carried_by(row)
    layer.at = max(signed(row.payload_offset), 0)
    layer.end = layer.at + signed(row.payload_captured)
    layer.wire_end = layer.at + signed(row.payload_bytes)
    layer.partial = row.more_fragments


@kernel
def enter(layer: Row, at: Int, wire_end: Int, ethertype: Int, row: Row) -> None:
    """Stand the walk at its beginning; the parameters are those of `innermost`."""
    layer.layers = layer.labels = layer.tags = layer.tunnel = layer.tunnel_id = 0
    layer.dst_mac = layer.src_mac = layer.ip = -1
    if row.kind == _IP:
        layer.ip = at
        into_payload(layer, row)
    else:
        layer.at, layer.wire_end = at, wire_end
        layer.end = wire_end - signed(row.wirelen) + signed(row.caplen)
        layer.what, layer.partial = ethertype, 0


@kernel
def why_not(data: Bytes, layer: Row) -> Int:
    """Return why no whole IP header or ARP packet stands where one is announced; `NONE` where one does."""
    if layer.what != ETHERTYPE_ARP:
        error = ip_error(data, layer.at, layer.end, layer.what)
        lost = error == _TRUNCATED_NETWORK and layer.end < layer.wire_end
        return _TRUNCATED if lost else error
    if is_arp(data, layer.at, layer.end):
        return _NONE
    return _TRUNCATED if layer.at + 28 > layer.end and layer.end < layer.wire_end else _BAD_ARP


@kernel
def inner_packet(data: Bytes, row: Row, tunnels: Tunnels) -> Int:
    """Put the packet where the walk stands into the row, in place of the one around it; return the error."""
    layer = tunnels.layer[0]
    error = why_not(data, layer)
    if error != _NONE:
        return error
    is_first = row.kind != _IP
    forget(row)
    row.ethertype = layer.what
    if layer.dst_mac >= 0:
        row.dst_mac = be48(data, layer.dst_mac)
        row.src_mac = be48(data, layer.src_mac)
    row.tunnel, row.tunnel_id, row.tunnel_layers = layer.tunnel, layer.tunnel_id, layer.layers
    row.outer_offset = layer.ip
    error, size = network_header(data, layer.at, layer.end, layer.wire_end, layer.what, row)
    row.error = error
    if is_fragment(row):
        track(row, size, tunnels.fragments)
    if is_first:
        tunnels.kept[0] = row
    layer.ip = layer.at
    layer.what = _DONE
    if error == _NONE and row.kind == _IP and carried_by(row) != OTHER:
        into_payload(layer, row)
    return _NONE


@kernel
def conclude(row: Row, error: Int, tunnels: Tunnels) -> None:
    """Count how the walk ended, and give the row the error that concerns it."""
    if error == NOT_A_TUNNEL:
        tunnels.ordinary[0] += 1
    elif tunnels.layer[0].what != _DONE:
        tunnels.undecoded[error] += 1
        if row.kind not in (_IP, _ARP):
            row.kind = _OTHER if error == _NONE else _UNDECODED
            row.error = error
        elif error in (_TRUNCATED, _TOO_MANY):
            row.error = error
    tunnels.carried[row.tunnel] += 1


@outlined
def innermost(data: Bytes, row: Row, at: Int, wire_end: Int, ethertype: Int, tunnels: Tunnels) -> None:
    """Walk to the innermost packet, and put it into the row.

    Parameters
    ----------
    data
        uint8, shape (bytes,).
    row
        One `PACKET`, decoded without error.
    at, wire_end
        Of what the link header carried: its first byte, and where the frame ended on the wire.
    ethertype
        What that is.
    tunnels
        State and counters, updated. Where the outermost packet is wanted, its
        row is left in ``kept``, with the tunnel fields of the innermost one.
    """
    layer, kept = tunnels.layer[0], tunnels.kept[0]
    enter(layer, at, wire_end, ethertype, row)
    tunnels.kept[0] = row
    error = _NONE
    while error == _NONE and layer.what not in (OTHER, _DONE):
        if layer.what in (ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_ARP):
            error = inner_packet(data, row, tunnels)
        elif is_link(layer.what):
            error = link_in_tunnel(data, layer)
        else:
            error = tunnel_header(data, layer)
    conclude(row, error, tunnels)
    if kept.kind not in (_IP, _ARP):
        tunnels.kept[0] = row
    kept.tunnel, kept.tunnel_id, kept.tunnel_layers = row.tunnel, row.tunnel_id, row.tunnel_layers
    kept.outer_offset = row.outer_offset


@kernel
def outer_words(data: Bytes, at: Int) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64, Int]:
    """Return what `outer_addresses` does, for an `outer_offset` of a row of the same batch."""
    zero = np.uint64(0)
    if at < 0:
        return zero, zero, zero, zero, 0
    if u8(data, at) >> 4 == 6:
        return be64(data, at + 8), be64(data, at + 16), be64(data, at + 24), be64(data, at + 32), 6
    src = np.uint64(V4_MAPPED | be32(data, at + 12))
    return zero, src, zero, np.uint64(V4_MAPPED | be32(data, at + 16)), 4


def outer_addresses(data: Bytes, outer_offset: int) -> tuple[int, int, int, int, int]:
    """Return who carried a packet: the addresses of the IP header of its innermost tunnel.

    Parameters
    ----------
    data
        uint8, shape (bytes,): the batch that the row was decoded from.
    outer_offset
        The row's field.

    Returns
    -------
    (src_hi, src_lo, dst_hi, dst_lo, version)
        Words as in `PACKET`; version 4 or 6, and all 0 when `outer_offset` is -1.

    Raises
    ------
    ValueError
        When no whole IP header lies there.
    """
    if outer_offset >= 0:
        first = int(data[outer_offset]) >> 4 if outer_offset < len(data) else 0
        if first not in (4, 6) or outer_offset + (20 if first == 4 else 40) > len(data):
            raise ValueError(f"no IP header at offset {outer_offset}")
    src_hi, src_lo, dst_hi, dst_lo, version = outer_words(data, outer_offset)
    return int(src_hi), int(src_lo), int(dst_hi), int(dst_lo), int(version)
