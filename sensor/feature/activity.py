"""Packets to host activity: one walk over the decoded packets of a window."""

from __future__ import annotations

import numpy as np

from sensor.feature.address import is_unicast
from sensor.feature.arp import observe_arp
from sensor.feature.contact import BEGINS, CHANGES, change, direction_of, enter_ends, prepare
from sensor.feature.host import enter
from sensor.feature.table import GROUP, WINDOW, HostTable
from sensor.flow.record import FlowEvents
from sensor.kernel import Int, Row, kernel, outlined
from sensor.packet.columns import FragmentFlag, PacketKind, Packets, TcpFlag
from sensor.siphash import hash_address

_ARP = int(PacketKind.ARP)
_ODD_FRAGMENT = int(FragmentFlag.OVERLAP | FragmentFlag.TINY)
_SYN = int(TcpFlag.SYN)
_SYN_ACK = int(TcpFlag.SYN | TcpFlag.ACK)
_TCP, _UDP, _ICMP, _ICMPV6 = 6, 17, 1, 58

#: A DNS query of an ordinary name, EDNS options included, stays below this many bytes.
_LONG_QUERY_BYTES = 100
#: Votes of a majority are held here; a share of more packets than this is told too small.
MOST_VOTES = 2**31 - 1


@kernel
def observe(table: HostTable, packets: Packets, events: FlowEvents) -> None:
    """Count `packets` (one window's, in order) and what they did to their flows.

    Packets without a flow count nowhere, but for ARP and for those that found no
    room: copies of other packets, errors, protocols without addresses.
    """
    for first in range(0, packets.shape[0], GROUP):
        end = min(first + GROUP, packets.shape[0])
        prepare(table, packets[first:end], events[first:end])
        _observe_group(table, packets[first:end], events[first:end])


@kernel
def _observe_group(table: HostTable, packets: Packets, events: FlowEvents) -> None:
    """Count the packets whose hashes `prepare` has made."""
    rows, flow_hosts, openings = table.rows, table.flow_hosts, table.openings
    window = table.state[WINDOW]
    begun = 0
    for index in range(packets.shape[0]):
        packet = packets[index]
        event = events[index]
        flow = np.int64(event.flow)
        bits = np.int64(event.bits)
        side = np.int64(event.reverse)
        place = begun
        if bits & BEGINS:
            begun += 1
            source, target = enter_ends(table, packet, openings[place])
            if flow >= 0:
                flow_hosts[flow, side] = source
                flow_hosts[flow, 1 - side] = target
                table.flow_weights[flow] = max(event.weight, np.uint16(1))
            else:
                side = np.int64(direction_of(packet, event))
        elif flow >= 0:
            source = np.int64(flow_hosts[flow, side])
            if source < 0 or not _is_at(rows[source], packet.src_hi, packet.src_lo, window):
                source = np.int64(_find_end(table, packet.src_hi, packet.src_lo, -1))
                flow_hosts[flow, side] = source
            target = np.int64(flow_hosts[flow, 1 - side])
            if target < 0 or not _is_at(rows[target], packet.dst_hi, packet.dst_lo, window):
                target = np.int64(_find_end(table, packet.dst_hi, packet.dst_lo, source))
                flow_hosts[flow, 1 - side] = target
        else:
            if packet.kind == _ARP:
                observe_arp(table, packet)
            continue
        port = np.int64(packet.dst_port if side == 0 else packet.src_port)
        if source >= 0:
            _send(rows[source], packet, port)
        # A flood is one, whatever its packets give as their source.
        if target >= 0:
            _receive(rows[target], packet, port)
        if bits & CHANGES and source >= 0 and target >= 0:
            ends = (source, target) if side == 0 else (target, source)
            change(table, packet, event, ends, place)


@kernel
def _is_at(row: Row, hi: np.uint64, lo: np.uint64, window: Int) -> bool:
    """Say whether the row is this address's, and counts for this window."""
    return row.lo == lo and row.hi == hi and row.window == window


@kernel
def _find_end(table: HostTable, hi: np.uint64, lo: np.uint64, kept: Int) -> Int:
    """Return the host slot of one end of a packet, made (without evicting `kept`) if need be; or -1."""
    return _enter(table, hi, lo, kept) if is_unicast(hi, lo) else -1


@outlined
def _enter(table: HostTable, hi: np.uint64, lo: np.uint64, kept: Int) -> Int:
    return enter(table, hi, lo, hash_address(hi, lo, table.key[0], table.key[1]), kept)


@kernel
def _votes(votes: Int, is_for: Int) -> Int:
    """Return the votes of a majority's candidate after one more (Boyer & Moore, 1981)."""
    return votes + (votes < MOST_VOTES) if is_for else votes - 1


@kernel
def _send(row: Row, packet: Row, port: Int) -> None:
    """Count a packet at its sender; `port` is the service's, i.e. the responder's."""
    row.packets_out += 1
    row.bytes_out += np.int64(packet.ip_bytes)
    row.mac = packet.src_mac
    row.vlan = packet.vlan
    # Whom a packet is for nobody can predict, the processor least: values are chosen, not ways.
    votes = np.int64(row.peer_out_votes)
    hi = packet.dst_hi if votes == 0 else row.peer_out_hi
    lo = packet.dst_lo if votes == 0 else row.peer_out_lo
    same = (hi ^ packet.dst_hi) | (lo ^ packet.dst_lo) == np.uint64(0)
    row.peer_out_hi = hi
    row.peer_out_lo = lo
    row.peer_out_votes = _votes(votes, same)
    votes = np.int64(row.port_out_votes)
    voted = port if votes == 0 else np.int64(row.port_out)
    row.port_out = voted
    row.port_out_votes = _votes(votes, voted == port)
    if np.int64(packet.fragment_flags) & _ODD_FRAGMENT:
        row.odd_fragments += 1
    if packet.protocol == _UDP:
        if packet.dst_port == 53:
            row.dns_queries += 1
            if packet.payload_bytes > _LONG_QUERY_BYTES:
                row.dns_bytes_out += np.int64(packet.payload_bytes)
    elif packet.protocol != _TCP and _is_echo(packet):
        row.icmp_bytes_out += np.int64(packet.payload_bytes)


@kernel
def _receive(row: Row, packet: Row, port: Int) -> None:
    """Count a packet at its receiver."""
    row.packets_in += 1
    row.bytes_in += np.int64(packet.ip_bytes)
    votes = np.int64(row.peer_in_votes)
    hi = packet.src_hi if votes == 0 else row.peer_in_hi
    lo = packet.src_lo if votes == 0 else row.peer_in_lo
    same = (hi ^ packet.src_hi) | (lo ^ packet.src_lo) == np.uint64(0)
    row.peer_in_hi = hi
    row.peer_in_lo = lo
    row.peer_in_votes = _votes(votes, same)
    votes = np.int64(row.port_in_votes)
    voted = port if votes == 0 else np.int64(row.port_in)
    row.port_in = voted
    row.port_in_votes = _votes(votes, voted == port)
    row.syn_in += packet.protocol == _TCP and (np.int64(packet.tcp_flags) & _SYN_ACK) == _SYN


@kernel
def _is_echo(packet: Row) -> bool:
    """Say whether it is an ICMP or ICMPv6 echo or its reply: errors quote other packets' bytes."""
    kind = np.int64(packet.src_port)
    if packet.protocol == _ICMP:
        return kind in (0, 8)
    return packet.protocol == _ICMPV6 and kind in (128, 129)
