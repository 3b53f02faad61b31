"""What packets change in flows, to the activity of both ends: who contacts whom, and how that goes.

Under overload the meter takes a part of the new flows only. What can be known of
each packet - the addresses, the service - is then counted from all of them; what
only a flow can tell - answered, refused, completed - from the flows taken, each
as many times as its weight says.
"""

from __future__ import annotations

import numpy as np

from sensor.feature import cardinality, novelty
from sensor.feature.address import is_unicast
from sensor.feature.host import enter, promote
from sensor.feature.table import KNOWN, PEERS_OUT, SERVICES_OUT, SOURCES_IN, WINDOW, HostTable
from sensor.flow.record import FlowEvent, FlowEvents
from sensor.kernel import Int, Row, kernel
from sensor.packet.columns import Packets, TcpFlag
from sensor.siphash import hash_address

_NEW_FLOW = int(FlowEvent.NEW_FLOW)
_FIRST_REPLY = int(FlowEvent.FIRST_REPLY)
_REFUSED = int(FlowEvent.REFUSED)
_ESTABLISHED = int(FlowEvent.ESTABLISHED)
_SHED = int(FlowEvent.SHED)
#: Bits of a packet that begins something: a flow, or one that found no room.
BEGINS = _NEW_FLOW | _SHED
#: Bits that are counted here.
CHANGES = BEGINS | _FIRST_REPLY | _REFUSED | _ESTABLISHED
_TCP = 6
_SYN = int(TcpFlag.SYN)
_RST = int(TcpFlag.RST)
_OPENING_FLAGS = int(TcpFlag.SYN | TcpFlag.ACK | TcpFlag.RST | TcpFlag.FIN)
_SYN_ACK = int(TcpFlag.SYN | TcpFlag.ACK)

#: Keeps logins apart from other connections in the sketch of repetitions.
_LOGIN = np.uint64(1 << 32)


@kernel
def direction_of(packet: Row, event: Row) -> Int:
    """Return 0 when the packet goes to the responder, 1 when it goes back."""
    if event.flow >= 0:
        return np.int64(event.reverse)
    # As the meter has it for flows that begin: the sender of a SYN-ACK is the responder.
    return np.int64(packet.protocol == _TCP and np.int64(packet.tcp_flags) & _OPENING_FLAGS == _SYN_ACK)


@kernel
def prepare(table: HostTable, packets: Packets, events: FlowEvents) -> None:
    """Fill `table.openings` for those of the `packets` (at most `GROUP`) that begin a flow, in order.

    One hash waits for another's result; the packets' do not wait for one
    another, so that here the processor works on several.
    """
    key0, key1 = table.key[0], table.key[1]
    openings = table.openings
    count = 0
    for index in range(packets.shape[0]):
        event = events[index]
        if np.int64(event.bits) & BEGINS == 0:
            continue
        packet = packets[index]
        opening = openings[count]
        count += 1
        src = hash_address(packet.src_hi, packet.src_lo, key0, key1)
        dst = hash_address(packet.dst_hi, packet.dst_lo, key0, key1)
        back = direction_of(packet, event) != 0
        pair = hash_address(dst if back else src, src if back else dst, key0, key1)
        port = packet.src_port if back else packet.dst_port
        opening.src, opening.dst, opening.pair = src, dst, pair
        service = np.uint64(port) | (np.uint64(packet.protocol) << np.uint64(16))
        opening.service = hash_address(pair, service, key0, key1)


@kernel
def enter_ends(table: HostTable, packet: Row, opening: Row) -> tuple[Int, Int]:
    """Return the host slots of source and destination, -1 for what is no host's address."""
    source = target = np.int64(-1)
    if is_unicast(packet.src_hi, packet.src_lo):
        source = np.int64(enter(table, packet.src_hi, packet.src_lo, opening.src, -1))
    if is_unicast(packet.dst_hi, packet.dst_lo):
        target = np.int64(enter(table, packet.dst_hi, packet.dst_lo, opening.dst, source))
    return source, target


@kernel
def change(table: HostTable, packet: Row, event: Row, ends: tuple[Int, Int], place: Int) -> None:
    """Count what the packet changed at both ends.

    `ends` are the host slots of initiator and responder, `place` is the
    packet's in `table.openings` if it begins something.
    """
    initiator, responder = ends
    row, peer = table.rows[initiator], table.rows[responder]
    bits = np.int64(event.bits)
    if bits & BEGINS:
        _contact(table, packet, event, ends, place)
    if bits & _SHED:
        return
    weight = np.int64(table.flow_weights[event.flow])
    if bits & _FIRST_REPLY:
        row.answered_out += weight
        peer.answered_in += weight
        promote(table, responder)
        # A SYN-ACK or RST answers an invented sender as well.
        if packet.protocol != _TCP or np.int64(packet.tcp_flags) & (_SYN | _RST) == 0:
            promote(table, initiator)
    if bits & _REFUSED:
        row.refused_out += weight
    if bits & _ESTABLISHED:
        promote(table, initiator)
        peer.established_in += weight
        port = np.int64(packet.dst_port if event.reverse == 0 else packet.src_port)
        if _is_login_port(port):
            row.logins_out += _log_in(table, row, peer, port, weight)


@kernel
def _contact(table: HostTable, packet: Row, event: Row, ends: tuple[Int, Int], place: Int) -> None:
    """Count whom the initiator contacts; and the flow, unless it found no room."""
    source, target = ends
    row, peer = table.rows[source], table.rows[target]
    opening = table.openings[place]
    if row.contacts_out == 0:
        table.registers[source, PEERS_OUT] = 0
        table.registers[source, SERVICES_OUT] = 0
    if peer.contacts_in == 0:
        table.registers[target, SOURCES_IN] = 0
    row.contacts_out += 1
    peer.contacts_in += 1
    cardinality.add(table.registers[source, PEERS_OUT], peer.hash)
    cardinality.add(table.registers[source, SERVICES_OUT], opening.service)
    cardinality.add(table.registers[target, SOURCES_IN], row.hash)
    standing = np.int64(row.standing)
    seen, state = table.seen[standing], table.seen_state[standing]
    row.new_peers += novelty.first_seen(seen, state, opening.pair)
    row.new_services += novelty.first_seen(seen, state, opening.service)
    if event.flow >= 0:
        weight = np.int64(table.flow_weights[event.flow])
        row.flows_out += weight
        peer.flows_in += weight
        # The sketch counts too high when a flood fills it; a host's own flows are the limit.
        repeats = min(_repeat(table, standing, opening.service, weight), np.int64(row.flows_out))
        row.repeats_out = max(np.int64(row.repeats_out), repeats)
    row.out_hi, row.out_lo = peer.hi, peer.lo
    peer.in_hi, peer.in_lo = row.hi, row.lo
    back = direction_of(packet, event) != 0
    source_port = packet.dst_port if back else packet.src_port
    port = packet.src_port if back else packet.dst_port
    row.out_src_port = peer.in_src_port = source_port
    row.out_dst_port = peer.in_dst_port = port
    row.out_protocol = peer.in_protocol = packet.protocol
    row.ip_version = peer.ip_version = packet.ip_version


@kernel
def _repeat(table: HostTable, standing: Int, hashed: np.uint64, weight: Int) -> Int:
    """Count one more connection to the service in this window; return the (count-min) count.

    The window's first one counts once, whatever its weight: those that it
    stands for may have gone elsewhere, as in a sweep.
    """
    window = table.state[WINDOW]
    cells = table.repeats.shape[2]
    low = np.int64(hashed & np.uint64(cells - 1))
    high = np.int64((hashed >> np.uint64(32)) & np.uint64(cells - 1))
    smallest = np.int64(0x7FFF_FFFF)
    for line in range(2):
        cell = table.repeats[standing, line, low if line == 0 else high]
        if cell.window != window:
            cell.window = window
            cell.count = 1
        else:
            cell.count = min(np.int64(cell.count) + weight, np.int64(0x7FFF_FFFF))
        smallest = min(smallest, np.int64(cell.count))
    return smallest


@kernel
def _is_login_port(port: Int) -> bool:
    """Say whether a service on this port asks for a password at each connection."""
    # ftp, ssh, telnet, rlogin, ms-sql, rdp, vnc, winrm. Not mysql and postgresql: programs
    # without a connection pool open one for each request.
    return port in (21, 22, 23, 513, 1433, 3389, 5900, 5985)


@kernel
def _log_in(table: HostTable, row: Row, peer: Row, port: Int, weight: Int) -> Int:
    """Return what a connection to a login service counts: 0 if it is the window's first to this one.

    Monitoring connects to many hosts once; guessing comes back to the same.
    """
    key0, key1 = table.key[0], table.key[1]
    pair = hash_address(row.hash, peer.hash, key0, key1)
    count = _repeat(table, KNOWN, hash_address(pair, np.uint64(port) | _LOGIN, key0, key1), weight)
    return weight if count > 1 else 0
