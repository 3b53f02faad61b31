"""Bytes that an end of a connection has acknowledged and the sensor never saw.

Whoever acknowledges a byte has received it; so what is missing between the
last byte seen and the one acknowledged was lost on the way to the sensor: by
the mirror port, by the link to it, by the kernel. This is how Zeek measures
capture loss (its capture-loss policy: gaps per ACK), and it needs no help from
whoever lost the packets.
"""

from __future__ import annotations

import numpy as np

from sensor.flow.record import Handshake
from sensor.flow.seen import ACK_CHECKED, MODULUS_MASK, NEAR, SEQ_KNOWN
from sensor.flow.table import Table
from sensor.kernel import Int, Row, kernel
from sensor.packet.columns import TcpFlag

_SYN = int(TcpFlag.SYN)
_RST = int(TcpFlag.RST)
_ACK = int(TcpFlag.ACK)
_MIDSTREAM = int(Handshake.MIDSTREAM)
_MOST_BYTES = 0xFFFF_FFFF


@kernel
def check_ack(table: Table, slot: Int, packet: Row, direction: Int) -> None:
    """Compare an ACK with what was seen of the other direction, and count what is missing once.

    SYN and RST may acknowledge anything. Of a connection that began before the
    sensor looked, the first ACK only says where the other end was. Numbers too
    far apart (`NEAR`) are of no use: a connection that took the ports over, or
    an invention.

    Parameters
    ----------
    table, slot
        The flow.
    packet
        `PACKET` row, decoded, with a TCP header.
    direction
        The packet's: 0 forward, 1 reverse.
    """
    entry = table.entries[slot]
    other = 1 - direction
    flags = np.int64(packet["tcp_flags"]) & (_SYN | _RST | _ACK)
    if (flags != _ACK) | (entry["bits"] & (SEQ_KNOWN << other) == 0):
        return
    state = table.state[0]
    state["acks_checked"] += 1
    edge = table.edges[slot, other]
    missing = (np.int64(packet["tcp_ack"]) - np.int64(edge["next_seq"])) & MODULUS_MASK
    first = entry["bits"] & (ACK_CHECKED << direction) == 0
    if first:
        entry["bits"] |= ACK_CHECKED << direction
    if (missing == 0) | (missing >= NEAR):
        return
    edge["next_seq"] = packet["tcp_ack"]
    if first and entry["handshake"] == _MIDSTREAM:
        return
    state["ack_gaps"] += 1
    state["missed_bytes"] += missing
    side = table.sides[slot, other]
    side["missed_bytes"] = min(np.int64(side["missed_bytes"]) + missing, _MOST_BYTES)
