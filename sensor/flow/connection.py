"""What a TCP packet does to its connection: handshake, sequence numbers, end (RFC 9293).

A sensor sees some packets twice and misses others, so nothing here demands a
legal order. All arithmetic on sequence numbers is modulo 2^32.
"""

from __future__ import annotations

import numpy as np

from sensor.flow.record import FlowEvent, Handshake
from sensor.kernel import kernel
from sensor.packet.columns import DecodeError, TcpFlag

#: Bits of `SLOT.bits`. The first three pairs are for forward; shifted left by one, for reverse.
SEEN = 0x01  # a packet of this direction
FIN_SEEN = 0x04
SEQ_KNOWN = 0x10  # next_seq is valid
ENDED = 0x40  # FIN from both sides, or RST

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

_MODULUS_MASK = 0xFFFF_FFFF
_HALF = 0x8000_0000


@kernel
def has_tcp(packet: np.void) -> bool:
    """Tell whether the `PACKET` row holds (some of) a TCP header: later fragments do not."""
    return bool(packet["protocol"] == _TCP and packet["fragment_offset"] == 0)


@kernel
def asks(packet: np.void) -> bool:
    """Tell whether the packet asks for a new connection: SYN alone."""
    return bool(has_tcp(packet) and packet["tcp_flags"] & (_SYN | _ACK | _RST | _FIN) == _SYN)


@kernel
def answers(packet: np.void) -> bool:
    """Tell whether the packet is a SYN-ACK: its sender is then the responder."""
    return bool(has_tcp(packet) and packet["tcp_flags"] & (_SYN | _ACK | _RST | _FIN) == _SYN | _ACK)


@kernel
def first_handshake(packet: np.void) -> int:
    """Return the `Handshake` of a flow that begins with this `PACKET` row."""
    if packet["protocol"] != _TCP:
        return _HANDSHAKE_NONE
    return _HANDSHAKE_SYN if asks(packet) else _HANDSHAKE_MIDSTREAM


@kernel
def follow(flow: np.void, side: np.void, link: np.void, packet: np.void, direction: int) -> int:
    """Account for a TCP packet and return its `FlowEvent` bits.

    Parameters
    ----------
    flow, side, link
        The flow's `FLOW`, `SIDE` and `SLOT` rows; `flow`'s end is already the packet's time.
    packet
        `PACKET` row with a TCP header.
    direction
        0 forward, 1 reverse.
    """
    flags = packet["tcp_flags"]
    side["fin"] += (flags & _FIN) != 0
    side["syn"] += (flags & _SYN) != 0
    side["rst"] += (flags & _RST) != 0
    side["psh"] += (flags & _PSH) != 0
    side["ack"] += (flags & _ACK) != 0
    side["urg"] += (flags & _URG) != 0
    if direction == 0:
        flow["tcp_flags"] |= flags
    else:
        flow["reverse_tcp_flags"] |= flags
    bits = _shake(flow, link, flags, direction)
    if packet["error"] == _DECODED and flags & _RST == 0:
        bits |= _sequence(side, link, packet, direction)
    if flags & (_FIN | _RST) != 0 and link["bits"] & ENDED == 0:
        if flags & _FIN != 0:
            link["bits"] |= FIN_SEEN << direction
        both = FIN_SEEN | (FIN_SEEN << 1)
        if flags & _RST != 0 or link["bits"] & both == both:
            link["bits"] |= ENDED
            bits |= _EVENT_CLOSED
    return bits


@kernel
def _shake(flow: np.void, link: np.void, flags: int, direction: int) -> int:
    """Move the handshake on; return `FlowEvent` bits."""
    state = flow["handshake"]
    if state not in (_HANDSHAKE_SYN, _HANDSHAKE_SYN_ACK):
        return 0
    time = flow["end"]
    kind = flags & (_SYN | _ACK | _RST)
    if direction == 1 and kind == _SYN | _ACK:
        if state == _HANDSHAKE_SYN:
            flow["synack_delay"] = time - link["handshake_time"]
            flow["handshake"] = _HANDSHAKE_SYN_ACK
        link["handshake_time"] = time
    elif state == _HANDSHAKE_SYN and direction == 0 and kind == _SYN:
        link["handshake_time"] = time
    elif state == _HANDSHAKE_SYN and direction == 1 and kind & _RST != 0:
        flow["handshake"] = _HANDSHAKE_REFUSED
        return _EVENT_REFUSED
    elif state == _HANDSHAKE_SYN_ACK and direction == 0 and kind == _ACK:
        flow["ack_delay"] = time - link["handshake_time"]
        flow["handshake"] = _HANDSHAKE_ESTABLISHED
        return _EVENT_ESTABLISHED
    return 0


@kernel
def _sequence(side: np.void, link: np.void, packet: np.void, direction: int) -> int:
    """Move the direction's next expected number on; return `FlowEvent` bits."""
    flags = packet["tcp_flags"]
    begin = np.int64(packet["tcp_seq"])
    payload = np.int64(packet["payload_bytes"])
    end = (begin + payload + ((flags & _SYN) != 0) + ((flags & _FIN) != 0)) & _MODULUS_MASK
    known = SEQ_KNOWN << direction
    if link["bits"] & known == 0:
        link["bits"] |= known
        side["next_seq"] = end
        return 0
    expected = np.int64(side["next_seq"])
    if (end - expected) & _MODULUS_MASK < _HALF:
        side["next_seq"] = end
    if payload > 0 and (begin - expected) & _MODULUS_MASK >= _HALF:
        side["retransmissions"] += 1
        return _EVENT_RETRANSMISSION
    return 0
