"""Packets to host activity: one walk over the decoded packets of a window."""

from __future__ import annotations

import numpy as np

from sensor.feature import cardinality, novelty
from sensor.feature.host import (
    ARP_TARGETS,
    KNOWN,
    PEERS_OUT,
    SERVICES_OUT,
    SOURCES_IN,
    WINDOW,
    HostTable,
    find_or_add,
    promote,
    touch,
)
from sensor.flow.record import FlowEvent, FlowEvents
from sensor.kernel import Int, Row, kernel
from sensor.packet.columns import V4_MAPPED, PacketKind, Packets, TcpFlag
from sensor.siphash import hash_address

_NEW_FLOW = int(FlowEvent.NEW_FLOW)
_FIRST_REPLY = int(FlowEvent.FIRST_REPLY)
_REFUSED = int(FlowEvent.REFUSED)
_ESTABLISHED = int(FlowEvent.ESTABLISHED)
_CHANGES = _NEW_FLOW | _FIRST_REPLY | _REFUSED | _ESTABLISHED
_ARP = int(PacketKind.ARP)
_ARP_REQUEST = 1
_SYN = int(TcpFlag.SYN)
_RST = int(TcpFlag.RST)
_SYN_ACK = int(TcpFlag.SYN | TcpFlag.ACK)
_TCP, _UDP, _ICMP, _ICMPV6 = 6, 17, 1, 58
_V4_PREFIX = np.uint64(V4_MAPPED >> 32)

#: Keeps logins apart from other connections in the sketch of repetitions.
_LOGIN = np.uint64(1 << 32)
#: A DNS query of an ordinary name, EDNS options included, stays below this many bytes.
_LONG_QUERY_BYTES = 100


@kernel
def is_unicast(hi: np.uint64, lo: np.uint64) -> bool:
    """Say whether the address can be one host's: no multicast, broadcast or unspecified."""
    if hi == np.uint64(0):
        if lo >> np.uint64(32) == _V4_PREFIX:
            address = lo & np.uint64(0xFFFF_FFFF)
            return bool(address != np.uint64(0)) and bool(address < np.uint64(0xE000_0000))
        return bool(lo != np.uint64(0))
    return hi >> np.uint64(56) != np.uint64(0xFF)


@kernel
def _is_login_port(port: Int) -> bool:
    """Say whether a service on this port asks for a password at each connection."""
    # ftp, ssh, telnet, rlogin, ms-sql, rdp, vnc, winrm. Not mysql and postgresql: programs
    # without a connection pool open one for each request.
    return port in (21, 22, 23, 513, 1433, 3389, 5900, 5985)


@kernel
def _is_echo(packet: Row) -> bool:
    """Say whether it is an ICMP or ICMPv6 echo or its reply: errors quote other packets' bytes."""
    kind = np.int64(packet.src_port)
    if packet.protocol == _ICMP:
        return kind in (0, 8)
    return packet.protocol == _ICMPV6 and kind in (128, 129)


@kernel
def _repeat(table: HostTable, standing: Int, hashed: np.uint64) -> Int:
    """Count one more connection to the service in this window; return the (count-min) count."""
    window = table.state[WINDOW]
    cells = table.repeats.shape[2]
    low = np.int64(hashed & np.uint64(cells - 1))
    high = np.int64((hashed >> np.uint64(32)) & np.uint64(cells - 1))
    smallest = np.int64(0x7FFF_FFFF)
    for line in range(2):
        cell = table.repeats[standing, line, low if line == 0 else high]
        if cell.window != window:
            cell.window = window
            cell.count = 0
        cell.count += 1
        smallest = min(smallest, np.int64(cell.count))
    return smallest


@kernel
def _open_flow(table: HostTable, packet: Row, source: Int, target: Int) -> None:
    """Count a new flow at its initiator `source` and its responder `target`."""
    row = table.rows[source]
    peer = table.rows[target]
    # The flow's slot may know both ends from a former flow: then nothing moved them up yet.
    touch(table, source)
    touch(table, target)
    # The first packet seen may be the responder's (a SYN-ACK).
    forward = row.lo == packet.src_lo and row.hi == packet.src_hi
    source_port = packet.src_port if forward else packet.dst_port
    port = packet.dst_port if forward else packet.src_port
    key0, key1 = table.key[0], table.key[1]
    pair = hash_address(row.hash, peer.hash, key0, key1)
    service = hash_address(pair, np.uint64(port) | (np.uint64(packet.protocol) << np.uint64(16)), key0, key1)
    if row.flows_out == 0:
        table.registers[source, PEERS_OUT] = 0
        table.registers[source, SERVICES_OUT] = 0
    if peer.flows_in == 0:
        table.registers[target, SOURCES_IN] = 0
    row.flows_out += 1
    peer.flows_in += 1
    cardinality.add(table.registers[source, PEERS_OUT], peer.hash)
    cardinality.add(table.registers[source, SERVICES_OUT], service)
    cardinality.add(table.registers[target, SOURCES_IN], row.hash)
    standing = np.int64(row.standing)
    if novelty.first_seen(table.seen[standing], table.seen_state[standing], pair):
        row.new_peers += 1
    if novelty.first_seen(table.seen[standing], table.seen_state[standing], service):
        row.new_services += 1
    # The sketch counts too high when a flood fills it; a host's own flows are the limit.
    repeats = min(_repeat(table, standing, service), np.int64(row.flows_out))
    row.repeats_out = max(np.int64(row.repeats_out), repeats)
    row.out_hi = peer.hi
    row.out_lo = peer.lo
    peer.in_hi = row.hi
    peer.in_lo = row.lo
    row.out_src_port = source_port
    row.out_dst_port = port
    row.out_protocol = packet.protocol
    peer.in_src_port = source_port
    peer.in_dst_port = port
    peer.in_protocol = packet.protocol
    row.ip_version = packet.ip_version
    peer.ip_version = packet.ip_version


@kernel
def _send(row: Row, packet: Row, port: Int) -> None:
    """Count a packet at its sender; `port` is the service's, i.e. the responder's."""
    row.packets_out += 1
    row.bytes_out += np.int64(packet.ip_bytes)
    row.mac = packet.src_mac
    row.vlan = packet.vlan
    if row.peer_out_votes == 0:
        row.peer_out_hi = packet.dst_hi
        row.peer_out_lo = packet.dst_lo
    same = row.peer_out_lo == packet.dst_lo and row.peer_out_hi == packet.dst_hi
    row.peer_out_votes += 1 if same else -1
    if row.port_out_votes == 0:
        row.port_out = port
    row.port_out_votes += 1 if np.int64(row.port_out) == port else -1
    if packet.protocol == _UDP:
        if packet.dst_port == 53:
            row.dns_queries += 1
            if packet.payload_bytes > _LONG_QUERY_BYTES:
                row.dns_bytes_out += np.int64(packet.payload_bytes)
    elif _is_echo(packet):
        row.icmp_bytes_out += np.int64(packet.payload_bytes)


@kernel
def _receive(row: Row, packet: Row, port: Int) -> None:
    """Count a packet at its receiver."""
    row.packets_in += 1
    row.bytes_in += np.int64(packet.ip_bytes)
    if row.peer_in_votes == 0:
        row.peer_in_hi = packet.src_hi
        row.peer_in_lo = packet.src_lo
    same = row.peer_in_lo == packet.src_lo and row.peer_in_hi == packet.src_hi
    row.peer_in_votes += 1 if same else -1
    if row.port_in_votes == 0:
        row.port_in = port
    row.port_in_votes += 1 if np.int64(row.port_in) == port else -1
    if packet.protocol == _TCP and (np.int64(packet.tcp_flags) & _SYN_ACK) == _SYN:
        row.syn_in += 1


@kernel
def _observe_arp(table: HostTable, packet: Row) -> None:
    if not is_unicast(packet.src_hi, packet.src_lo):
        return
    slot = _enter(table, packet.src_hi, packet.src_lo, -1)
    row = table.rows[slot]
    row.packets_out += 1
    row.bytes_out += np.int64(packet.wirelen)
    row.ip_version = 4
    row.mac = packet.src_mac
    if packet.src_mac != np.uint64(0):
        if row.arp_mac != np.uint64(0) and row.arp_mac != packet.src_mac:
            row.binding_changes += 1
        row.arp_mac = packet.src_mac
    if packet.arp_operation == _ARP_REQUEST and packet.src_lo != packet.dst_lo:
        hashed = hash_address(packet.dst_hi, packet.dst_lo, table.key[0], table.key[1])
        if row.arp_requests == 0:
            table.registers[slot, ARP_TARGETS] = 0
        row.arp_requests += 1
        cardinality.add(table.registers[slot, ARP_TARGETS], hashed)
        if row.peer_out_votes == 0:
            row.peer_out_hi = packet.dst_hi
            row.peer_out_lo = packet.dst_lo


@kernel
def _log_in(table: HostTable, initiator: Int, responder: Int, port: Int) -> None:
    """Count a connection to a login service, unless it is the window's first to this one.

    Monitoring connects to many hosts once; guessing comes back to the same.
    """
    row = table.rows[initiator]
    key0, key1 = table.key[0], table.key[1]
    pair = hash_address(row.hash, table.rows[responder].hash, key0, key1)
    if _repeat(table, KNOWN, hash_address(pair, np.uint64(port) | _LOGIN, key0, key1)) > 1:
        row.logins_out += 1


@kernel
def _change(table: HostTable, packet: Row, bits: Int, ends: tuple[Int, Int], port: Int) -> None:
    """Count what the packet changed in its flow (`FlowEvent` bits) at both ends.

    `ends` are the slots of initiator and responder, `port` is the responder's.
    """
    initiator, responder = ends
    if bits & _NEW_FLOW:
        _open_flow(table, packet, initiator, responder)
    if bits & _FIRST_REPLY:
        table.rows[initiator].answered_out += 1
        table.rows[responder].answered_in += 1
        promote(table, responder)
        # A SYN-ACK or RST answers an invented sender as well.
        if packet.protocol != _TCP or np.int64(packet.tcp_flags) & (_SYN | _RST) == 0:
            promote(table, initiator)
    if bits & _REFUSED:
        table.rows[initiator].refused_out += 1
    if bits & _ESTABLISHED:
        promote(table, initiator)
        table.rows[responder].established_in += 1
        if _is_login_port(port):
            _log_in(table, initiator, responder, port)


@kernel
def _is_of(row: Row, hi: np.uint64, lo: np.uint64) -> bool:
    """Say whether the row is this address's."""
    return row.lo == lo and row.hi == hi and row.used != 0


@kernel
def _enter(table: HostTable, hi: np.uint64, lo: np.uint64, kept: Int) -> Int:
    """Return the address's slot, made (without evicting `kept`) and started for this window if need be."""
    slot = find_or_add(table, hi, lo, kept)
    touch(table, slot)
    return slot


@kernel
def observe(table: HostTable, packets: Packets, events: FlowEvents) -> None:
    """Count `packets` (one window's, in order) and what they did to their flows.

    The table is handed on only where something is looked up or opened: passing
    it costs a reference count an array, which is more than the counting itself.
    """
    rows, flow_hosts = table.rows, table.flow_hosts
    window = table.state[WINDOW]
    for index in range(packets.shape[0]):
        packet = packets[index]
        event = events[index]
        if packet.kind == _ARP:
            _observe_arp(table, packet)
        flow = np.int64(event.flow)
        if flow < 0:
            continue
        side = np.int64(event.reverse)
        port = np.int64(packet.dst_port if side == 0 else packet.src_port)
        source = np.int64(-1)
        if is_unicast(packet.src_hi, packet.src_lo):
            source = np.int64(flow_hosts[flow, side])
            if source < 0 or not _is_of(rows[source], packet.src_hi, packet.src_lo):
                source = _enter(table, packet.src_hi, packet.src_lo, -1)
                flow_hosts[flow, side] = source
            elif rows[source].window != window:
                touch(table, source)
            _send(rows[source], packet, port)
        if not is_unicast(packet.dst_hi, packet.dst_lo):
            continue
        target = np.int64(flow_hosts[flow, 1 - side])
        if target < 0 or not _is_of(rows[target], packet.dst_hi, packet.dst_lo):
            target = _enter(table, packet.dst_hi, packet.dst_lo, source)
            flow_hosts[flow, 1 - side] = target
        elif rows[target].window != window:
            touch(table, target)
        # A flood is one, whatever its packets give as their source.
        _receive(rows[target], packet, port)
        bits = np.int64(event.bits)
        if bits & _CHANGES and source >= 0:
            if side == 0:
                _change(table, packet, bits, (source, target), port)
            else:
                _change(table, packet, bits, (target, source), port)
