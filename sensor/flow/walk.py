"""The walk over packets: each moves the clock, finds its flow, and changes it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sensor.flow.connection import ENDED, SEEN, answers, asks, first_handshake, follow, has_tcp
from sensor.flow.expiry import Buffers, emit, evict, expire
from sensor.flow.key import KeyCause, Keys, key_packets
from sensor.flow.record import FlowEndReason, FlowEvent, Flows
from sensor.flow.side import add_first_payload, add_packet
from sensor.flow.table import FlowList, Rows, Table, bucket_of, find, join, leave, take
from sensor.kernel import kernel
from sensor.packet.batch import Bytes
from sensor.packet.columns import Packets

#: Times beyond this (the year 2116) are held back, so that adding a timeout cannot overflow.
LATEST = 1 << 62

_UNANSWERED = int(FlowList.UNANSWERED)
_ANSWERED = int(FlowList.ANSWERED)
_CLOSED = int(FlowList.CLOSED)
_ACTIVE_TIMEOUT = int(FlowEndReason.ACTIVE_TIMEOUT)
_END_OF_FLOW = int(FlowEndReason.END_OF_FLOW)
_NEW_FLOW = int(FlowEvent.NEW_FLOW)
_FIRST_REPLY = int(FlowEvent.FIRST_REPLY)
_CONTINUED = int(FlowEvent.CONTINUED)
_HAS_FLOW = int(KeyCause.NONE)
_BOTH_SEEN = SEEN | (SEEN << 1)
_MOST_IDLE_PERIODS = 0xFFFF


@kernel
def walk(table: Table, buffers: Buffers, packets: Packets, data: Bytes, begin: int) -> int:
    """Take packets in until all are done or the record buffer is full.

    Parameters
    ----------
    table, buffers
        State and output. Events are written to the packets' own rows of `buffers.events`.
    packets
        `PACKET`, shape (n,).
    data
        uint8: what their payload offsets point into.
    begin
        First packet to take.

    Returns
    -------
    int
        The first packet not taken; n when all are done.
    """
    # Arrays that stand in names of their own cost no reference counting inside the loop.
    flows, sides, slots = table.flows, table.sides, table.slots
    heads, settings = table.heads, table.settings
    keys, events, room = buffers.keys, buffers.events, buffers.records.shape[0]
    state = table.state[0]
    group = keys.shape[0]
    for first in range(begin, packets.shape[0], group):
        end = min(first + group, packets.shape[0])
        key_packets(packets[first:end], keys, settings)
        state["fetched"] = fetch(heads, slots, flows, keys)
        for i in range(first, end):
            packet = packets[i]
            time = min(max(packet["time"], state["now"]), LATEST)
            if time >= state["next_due"] and not expire(table, buffers, time):
                return i
            if state["records"] == room:
                # The packet may have to push one record out.
                return i
            key = keys[i - first]
            event = events[i]
            count_packet(state, packet, key, event, time)
            if key["cause"] != _HAS_FLOW:
                state["consumed"] += 1
                continue
            slot, direction = find(table, packet, key)
            bits = 0
            if slot < 0 or is_special(flows[slot], slots[slot], state):
                slot, direction, bits = begin_flow(table, buffers, packet, key, (slot, direction))
            else:
                leave(table, slot)
            flow = flows[slot]
            link = slots[slot]
            side = sides[slot, direction]
            bits |= _account(flow, side, link, packet, direction, state)
            if packet["payload_bytes"] != 0 and side["first_payload_bytes"] == 0:
                add_first_payload(side, packet, data)
            if has_tcp(packet):
                bits |= follow(flow, side, link, packet, direction)
            event["flow"] = slot
            event["reverse"] = direction
            event["bits"] = bits
            join(table, slot, _list_of(link), time)
            state["consumed"] += 1
    return len(packets)


@kernel
def fetch(heads: npt.NDArray[np.int32], slots: Rows, flows: Flows, keys: Keys) -> int:
    """Read one field of each cache line that the packets of `keys` will need.

    The processor waits for main memory many times at once here, where no read
    depends on another packet's, instead of one after the other in the walk.
    The result means nothing; it is there so that the reads are.
    """
    total = 0
    for i in range(keys.shape[0]):
        slot = heads[bucket_of(heads, keys[i]["hash"])]
        if slot >= 0:
            flow = flows[slot]
            total ^= slots[slot]["newer"] ^ flow["vlan"]
            total ^= np.int64(flow["start"]) ^ np.int64(flow["last"]) ^ np.int64(flow["interval_max"])
            total ^= np.int64(flow["packets"]) ^ np.int64(flow["reverse_interval_max"])
    return total


@kernel
def count_packet(state: np.void, packet: np.void, key: np.void, event: np.void, time: int) -> None:
    """Move the clock to `time` (ns), count the packet, and clear its event."""
    state["now"] = time
    state["packets"] += 1
    state["late_packets"] += time != packet["time"]
    if key["cause"] != _HAS_FLOW:
        state["without_flow"][key["cause"]] += 1
    else:
        state["fragments_without_ports"] += packet["fragment_offset"] != 0
    event["flow"] = -1
    event["bits"] = 0
    event["reverse"] = 0


@kernel
def is_special(flow: np.void, link: np.void, state: np.void) -> bool:
    """Tell whether a known flow is closed, or old enough for the active timeout."""
    return bool(state["now"] - flow["start"] >= state["active_timeout"] or link["bits"] & ENDED != 0)


@kernel
def _list_of(link: np.void) -> int:
    """Return the `FlowList` a flow belongs to, by its `SLOT` row."""
    seen = link["bits"]
    if seen & ENDED != 0:
        return _CLOSED
    return _ANSWERED if seen & _BOTH_SEEN == _BOTH_SEEN else _UNANSWERED


@kernel
def begin_flow(
    table: Table, buffers: Buffers, packet: np.void, key: np.void, found: tuple[int, int]
) -> tuple[int, int, int]:
    """Make the packet's flow ready when it is new, old or closed.

    Parameters
    ----------
    table, buffers
        State and output.
    packet, key
        `PACKET` and `KEY` row.
    found
        What `find` gave.

    Returns
    -------
    tuple
        Slot, in no list; direction; `FlowEvent` bits.
    """
    slot, direction = found
    time = table.state[0]["now"]
    if slot < 0:
        slot = take(table, key)
        if slot < 0:
            evict(table, buffers, time)
            slot = take(table, key)
        return slot, _open(table, slot, packet, key), _NEW_FLOW
    leave(table, slot)
    if table.slots[slot]["bits"] & ENDED != 0 and asks(packet):
        emit(table, buffers, slot, _END_OF_FLOW, time)
        return slot, _open(table, slot, packet, key), _NEW_FLOW
    if time - table.flows[slot]["start"] < table.state[0]["active_timeout"]:
        return slot, direction, 0
    emit(table, buffers, slot, _ACTIVE_TIMEOUT, time)
    _continue(table, slot)
    return slot, direction, _CONTINUED


@kernel
def _account(
    flow: np.void, side: np.void, link: np.void, packet: np.void, direction: int, state: np.void
) -> int:
    """Add one packet to its flow and its direction; return `FlowEvent` bits."""
    time = state["now"]
    gap = time - flow["end"]
    if gap > state["activity_gap"]:
        flow["idle"] += gap
        flow["idle_periods"] += flow["idle_periods"] < _MOST_IDLE_PERIODS
    flow["end"] = time
    add_packet(side, packet, time)
    first = link["bits"] & (SEEN << direction) == 0
    link["bits"] |= SEEN << direction
    return _FIRST_REPLY if first and direction == 1 else 0


@kernel
def _open(table: Table, slot: int, packet: np.void, key: np.void) -> int:
    """Start a new flow in `slot` and return the packet's direction in it: 1 for a SYN-ACK, else 0."""
    state = table.state[0]
    table.flows[slot] = table.blank[0]
    flow = table.flows[slot]
    flow["flow_id"] = state["next_flow_id"]
    state["next_flow_id"] += 1
    flow["start"] = state["now"]
    flow["end"] = state["now"]
    flow["vlan"] = packet["vlan"]
    flow["protocol"] = packet["protocol"]
    flow["ip_version"] = packet["ip_version"]
    flow["handshake"] = first_handshake(packet)
    link = table.slots[slot]
    link["bits"] = 0
    link["handshake_time"] = state["now"]
    if answers(packet):
        flow["src_hi"], flow["src_lo"] = packet["dst_hi"], packet["dst_lo"]
        flow["dst_hi"], flow["dst_lo"] = packet["src_hi"], packet["src_lo"]
        flow["src_mac"], flow["dst_mac"] = packet["dst_mac"], packet["src_mac"]
        flow["src_port"], flow["dst_port"] = key["dst_port"], key["src_port"]
        return 1
    flow["src_hi"], flow["src_lo"] = packet["src_hi"], packet["src_lo"]
    flow["dst_hi"], flow["dst_lo"] = packet["dst_hi"], packet["dst_lo"]
    flow["src_mac"], flow["dst_mac"] = packet["src_mac"], packet["dst_mac"]
    flow["src_port"], flow["dst_port"] = key["src_port"], key["dst_port"]
    return 0


@kernel
def _continue(table: Table, slot: int) -> None:
    """Start the next part of the flow in `slot`: same ends, same connection, new sums."""
    state = table.state[0]
    for direction in range(2):
        next_seq = table.sides[slot, direction]["next_seq"]
        table.sides[slot, direction] = table.blank_side[0]
        table.sides[slot, direction]["next_seq"] = next_seq
    flow = table.flows[slot]
    flow["flow_id"] = state["next_flow_id"]
    state["next_flow_id"] += 1
    flow["start"] = state["now"]
    flow["end"] = state["now"]
    flow["idle"] = 0
    flow["idle_periods"] = 0
    flow["synack_delay"] = 0
    flow["ack_delay"] = 0
    flow["tcp_flags"] = 0
    flow["reverse_tcp_flags"] = 0
    flow["continued"] = 1
