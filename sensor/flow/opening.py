"""How a flow begins: with its first packet, after its end, or where the active timeout cuts it."""

from __future__ import annotations

import numpy as np

from sensor.flow.claims import take_back
from sensor.flow.connection import answers, asks, first_handshake
from sensor.flow.entry import LINES
from sensor.flow.expiry import Buffers, emit, emit_due, evict
from sensor.flow.record import FlowEndReason, FlowEvent
from sensor.flow.seen import ENDED, PAYLOAD_SEEN
from sensor.flow.shed import admitted_weight
from sensor.flow.table import Table, take
from sensor.flow.wheel import FlowList, due_of, join, leave
from sensor.kernel import Int, Row, kernel, outlined
from sensor.packet.batch import Bytes
from sensor.packet.columns import V4_MAPPED

_UNANSWERED = int(FlowList.UNANSWERED)
_ACTIVE_TIMEOUT = int(FlowEndReason.ACTIVE_TIMEOUT)
_END_OF_FLOW = int(FlowEndReason.END_OF_FLOW)
_NEW_FLOW = int(FlowEvent.NEW_FLOW)
_CONTINUED = int(FlowEvent.CONTINUED)
_SHED = int(FlowEvent.SHED)
_V4, _V6 = 4, 6
_V4_HEADER, _V6_HEADER = 20, 40
_MAPPED = np.uint64(V4_MAPPED)
_BITS8 = np.uint64(8)
_KEPT_BITS = 0xFFFF & ~(PAYLOAD_SEEN | (PAYLOAD_SEEN << 1))


@kernel
def begin_flow(
    table: Table, buffers: Buffers, packet: Row, key: Row, data: Bytes, found: tuple[Int, Int, np.uint64]
) -> tuple[Int, Int, Int]:
    """Make the packet's flow ready when it is new, old, due or closed.

    Parameters
    ----------
    table, buffers
        State and output.
    packet, key, data
        `PACKET` and `KEY` row, and the batch's bytes.
    found
        What `find` gave, and the key's hash.

    Returns
    -------
    tuple
        Slot, filed in a wheel, -1 when the packet was shed; direction; `FlowEvent` bits.
    """
    slot, direction, key_hash = found
    now = table.state[0]["now"]
    weight = 1
    if slot < 0:
        if table.state[0]["sampling"] > 1:
            weight = admitted_weight(table, packet, key_hash)
            if weight == 0:
                return -1, 0, _SHED
        slot = take(table, key_hash)
        if slot < 0:
            evict(table, buffers, now)
            slot = take(table, key_hash)
    else:
        due = due_of(table, slot)
        if due <= now:
            # Its bucket is not over yet.
            emit_due(table, buffers, slot, due)
        elif table.entries[slot]["bits"] & ENDED != 0 and asks(packet):
            emit(table, buffers, slot, _END_OF_FLOW, now)
        elif now - table.entries[slot]["start"] >= table.state[0]["active_timeout"]:
            emit(table, buffers, slot, _ACTIVE_TIMEOUT, now)
            _continue(table, slot)
            return slot, direction, _CONTINUED
        else:
            return slot, direction, 0
        take_back(table, buffers.pool, slot)
        leave(table, slot)
    direction = _open(table, slot, packet, key)
    table.entries[slot]["sampling"] = weight
    if packet["outer_offset"] >= 0:
        read_outer(table.entries[slot], packet, data, direction)
    join(table, slot, _UNANSWERED, now + table.wheels[_UNANSWERED]["timeout"])
    return slot, direction, _NEW_FLOW


@kernel
def _open(table: Table, slot: Int, packet: Row, key: Row) -> Int:
    """Start a new flow in `slot` and return the packet's direction in it: 1 for a SYN-ACK, else 0."""
    state = table.state[0]
    entry = table.entries[slot]
    tag = entry["tag"]
    for line in range(LINES * slot, LINES * slot + LINES):
        for i in range(8):
            table.lines[line, i] = np.uint64(0)
    entry["tag"] = tag
    entry["key_vlan"] = key["vlan"]
    entry["mark"] = key["mark"]
    entry["flow_id"] = state["next_flow_id"]
    state["next_flow_id"] += 1
    entry["start"] = state["now"]
    entry["end"] = state["now"]
    entry["handshake_time"] = state["now"]
    entry["vlan"] = packet["vlan"]
    entry["protocol"] = packet["protocol"]
    entry["ip_version"] = packet["ip_version"]
    entry["handshake"] = first_handshake(packet)
    entry["claim"] = -1
    entry["tunnel"] = packet["tunnel"]
    entry["tunnel_layers"] = packet["tunnel_layers"]
    entry["tunnel_id"] = packet["tunnel_id"]
    if answers(packet):
        entry["src_hi"], entry["src_lo"] = packet["dst_hi"], packet["dst_lo"]
        entry["dst_hi"], entry["dst_lo"] = packet["src_hi"], packet["src_lo"]
        entry["src_mac"], entry["dst_mac"] = packet["dst_mac"], packet["src_mac"]
        entry["src_port"], entry["dst_port"] = key["dst_port"], key["src_port"]
        return 1
    entry["src_hi"], entry["src_lo"] = packet["src_hi"], packet["src_lo"]
    entry["dst_hi"], entry["dst_lo"] = packet["dst_hi"], packet["dst_lo"]
    entry["src_mac"], entry["dst_mac"] = packet["src_mac"], packet["dst_mac"]
    entry["src_port"], entry["dst_port"] = key["src_port"], key["dst_port"]
    return 0


@kernel
def _continue(table: Table, slot: Int) -> None:
    """Start the next part of the flow in `slot`: same ends, same connection, new sums."""
    state = table.state[0]
    for direction in range(2):
        table.sides[slot, direction] = table.blank_side[0]
        edge = table.edges[slot, direction]
        edge["length_min"] = 0
        edge["length_max"] = 0
    entry = table.entries[slot]
    entry["bits"] &= _KEPT_BITS
    entry["flow_id"] = state["next_flow_id"]
    state["next_flow_id"] += 1
    entry["start"] = state["now"]
    entry["end"] = state["now"]
    entry["idle"] = 0
    entry["idle_periods"] = 0
    entry["synack_delay"] = 0
    entry["ack_delay"] = 0
    entry["tcp_flags"] = 0
    entry["reverse_tcp_flags"] = 0
    entry["continued"] = 1


@outlined
def read_outer(entry: Row, packet: Row, data: Bytes, direction: Int) -> None:
    """Keep the addresses of the IP header that carried a flow's first packet; nothing where it is cut."""
    at = packet["outer_offset"]
    if at >= data.shape[0]:
        return
    version = data[at] >> 4
    if version == _V4 and at + _V4_HEADER <= data.shape[0]:
        high = other_high = np.uint64(0)
        low, other_low = _word(data, at + 12, 4) | _MAPPED, _word(data, at + 16, 4) | _MAPPED
    elif version == _V6 and at + _V6_HEADER <= data.shape[0]:
        high, low = _word(data, at + 8, 8), _word(data, at + 16, 8)
        other_high, other_low = _word(data, at + 24, 8), _word(data, at + 32, 8)
    else:
        return
    if direction == 1:
        high, other_high = other_high, high
        low, other_low = other_low, low
    entry["outer_src_hi"], entry["outer_src_lo"] = high, low
    entry["outer_dst_hi"], entry["outer_dst_lo"] = other_high, other_low


@kernel
def _word(data: Bytes, at: Int, count: Int) -> np.uint64:
    """Return `count` bytes from `at`, big-endian."""
    word = np.uint64(0)
    for i in range(count):
        word = (word << _BITS8) | np.uint64(data[at + i])
    return word
