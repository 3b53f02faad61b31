"""What a TCP packet does to its connection: handshake, sequence numbers, end (RFC 9293).

A sensor sees some packets twice and misses others, so nothing here demands a
legal order. All arithmetic on sequence numbers is modulo 2^32.
"""

from __future__ import annotations

import numpy as np

from sensor.flow.loss import check_ack
from sensor.flow.oneway import weigh_one_way
from sensor.flow.record import FlowEvent, Handshake
from sensor.flow.seen import ENDED, FIN_SEEN, HALF, MODULUS_MASK, NEAR, SEEN, SEQ_KNOWN
from sensor.flow.table import Table
from sensor.kernel import Int, Row, kernel
from sensor.packet.columns import DecodeError, TcpFlag

_TCP = 6
_FIN = int(TcpFlag.FIN)
_SYN = int(TcpFlag.SYN)
_RST = int(TcpFlag.RST)
_PSH = int(TcpFlag.PSH)
_ACK = int(TcpFlag.ACK)
_URG = int(TcpFlag.URG)
_DECODED = int(DecodeError.NONE)

_HANDSHAKE_NONE = int(Handshake.NONE)
_HANDSHAKE_SYN = int(Handshake.SYN)
_HANDSHAKE_SYN_ACK = int(Handshake.SYN_ACK)
_HANDSHAKE_ESTABLISHED = int(Handshake.ESTABLISHED)
_HANDSHAKE_REFUSED = int(Handshake.REFUSED)
_HANDSHAKE_MIDSTREAM = int(Handshake.MIDSTREAM)

_EVENT_ESTABLISHED = int(FlowEvent.ESTABLISHED)
_EVENT_REFUSED = int(FlowEvent.REFUSED)
_EVENT_RETRANSMISSION = int(FlowEvent.RETRANSMISSION)
_EVENT_CLOSED = int(FlowEvent.CLOSED)

_BOTH_SEEN = SEEN | (SEEN << 1)
#: Counters of 16 bits stay at it.
_MOST = 0xFFFF


@kernel
def has_tcp(packet: Row) -> bool:
    """Tell whether the `PACKET` row holds (some of) a TCP header: later fragments do not."""
    return bool(packet["protocol"] == _TCP and packet["fragment_offset"] == 0)


@kernel
def asks(packet: Row) -> bool:
    """Tell whether the packet asks for a new connection: SYN alone."""
    return bool(has_tcp(packet) and packet["tcp_flags"] & (_SYN | _ACK | _RST | _FIN) == _SYN)


@kernel
def answers(packet: Row) -> bool:
    """Tell whether the packet is a SYN-ACK: its sender is then the responder."""
    return bool(has_tcp(packet) and packet["tcp_flags"] & (_SYN | _ACK | _RST | _FIN) == _SYN | _ACK)


@kernel
def first_handshake(packet: Row) -> Int:
    """Return the `Handshake` of a flow that begins with this `PACKET` row."""
    if packet["protocol"] != _TCP:
        return _HANDSHAKE_NONE
    return _HANDSHAKE_SYN if asks(packet) else _HANDSHAKE_MIDSTREAM


@kernel
def follow(table: Table, slot: Int, packet: Row, direction: Int) -> Int:
    """Account for a TCP packet and return its `FlowEvent` bits.

    Parameters
    ----------
    table, slot
        The flow; its end is already the packet's time.
    packet
        `PACKET` row with a TCP header.
    direction
        0 forward, 1 reverse.
    """
    entry, edge, side = table.entries[slot], table.edges[slot, direction], table.sides[slot, direction]
    flags = np.int64(packet["tcp_flags"])
    side["psh"] += (flags & _PSH) != 0
    if flags & _ACK == 0:
        side["no_ack"] += 1
    entry["tcp_flags"] |= flags * (1 - direction)
    entry["reverse_tcp_flags"] |= flags * direction
    rare = flags & (_FIN | _SYN | _RST | _URG)
    if rare != 0:
        _count_rare(side, rare)
    bits = _shake(entry, flags, direction)
    if packet["error"] == _DECODED and flags & _RST == 0:
        check_ack(table, slot, packet, direction)
        bits |= _sequence(entry, edge, side, packet, direction)
        if entry["bits"] & _BOTH_SEEN != _BOTH_SEEN:
            weigh_one_way(table, slot, packet, bits & _EVENT_RETRANSMISSION == 0)
    if flags & (_FIN | _RST) != 0 and entry["bits"] & ENDED == 0:
        if flags & _FIN != 0:
            entry["bits"] |= FIN_SEEN << direction
        both = FIN_SEEN | (FIN_SEEN << 1)
        if flags & _RST != 0 or entry["bits"] & both == both:
            entry["bits"] |= ENDED
            bits |= _EVENT_CLOSED
    return bits


@kernel
def _count_rare(side: Row, flags: Int) -> None:
    """Count the flags that few packets have."""
    side["fin"] += (flags & _FIN) != 0 and side["fin"] < _MOST
    side["syn"] += (flags & _SYN) != 0 and side["syn"] < _MOST
    side["rst"] += (flags & _RST) != 0 and side["rst"] < _MOST
    side["urg"] += (flags & _URG) != 0 and side["urg"] < _MOST


@kernel
def _shake(entry: Row, flags: Int, direction: Int) -> Int:
    """Move the handshake on; return `FlowEvent` bits."""
    state = entry["handshake"]
    if state not in (_HANDSHAKE_SYN, _HANDSHAKE_SYN_ACK):
        return 0
    time = entry["end"]
    kind = flags & (_SYN | _ACK | _RST)
    if direction == 1 and kind == _SYN | _ACK:
        if state == _HANDSHAKE_SYN:
            entry["synack_delay"] = time - entry["handshake_time"]
            entry["handshake"] = _HANDSHAKE_SYN_ACK
        entry["handshake_time"] = time
    elif state == _HANDSHAKE_SYN and direction == 0 and kind == _SYN:
        entry["handshake_time"] = time
    elif state == _HANDSHAKE_SYN and direction == 1 and kind & _RST != 0:
        entry["handshake"] = _HANDSHAKE_REFUSED
        return _EVENT_REFUSED
    elif state == _HANDSHAKE_SYN_ACK and direction == 0 and kind == _ACK:
        entry["ack_delay"] = time - entry["handshake_time"]
        entry["handshake"] = _HANDSHAKE_ESTABLISHED
        return _EVENT_ESTABLISHED
    return 0


@kernel
def _sequence(entry: Row, edge: Row, side: Row, packet: Row, direction: Int) -> Int:
    """Move the direction's next expected number on; return `FlowEvent` bits."""
    flags = np.int64(packet["tcp_flags"])
    begin = np.int64(packet["tcp_seq"])
    payload = np.int64(packet["payload_bytes"])
    end = (begin + payload + ((flags & _SYN) != 0) + ((flags & _FIN) != 0)) & MODULUS_MASK
    known = SEQ_KNOWN << direction
    if packet["more_fragments"] != 0:
        # How much it carries is in fragments that have no TCP header.
        entry["bits"] &= 0xFFFF ^ known
        return 0
    if entry["bits"] & known == 0:
        entry["bits"] |= known
        edge["next_seq"] = end
        return 0
    expected = np.int64(edge["next_seq"])
    ahead = (end - expected) & MODULUS_MASK
    another = (flags & _SYN != 0) & (ahead > NEAR) & (ahead < MODULUS_MASK - NEAR)
    if (ahead < HALF) | another:
        edge["next_seq"] = end
    # No branch on whether there is payload: half of all packets have none, in no order.
    if (payload > 0) & ((begin - expected) & MODULUS_MASK >= HALF) & (not another):
        side["retransmissions"] += 1
        return _EVENT_RETRANSMISSION
    return 0
