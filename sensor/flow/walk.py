"""The walk over packets: each moves the clock, finds its flow, and changes it."""

from __future__ import annotations

import numpy as np

from sensor.flow.claims import hear
from sensor.flow.connection import follow, has_tcp
from sensor.flow.expiry import Buffers, expire
from sensor.flow.fetch import fetch_cells, fetch_rows, fetch_sides
from sensor.flow.key import KeyCause, Keys, key_packets
from sensor.flow.opening import begin_flow
from sensor.flow.record import FlowEvent, Handshake
from sensor.flow.seen import CLAIM_READ, ENDED, PAYLOAD_SEEN, SEEN
from sensor.flow.side import add_first_payload, add_packet
from sensor.flow.table import Table, find, match
from sensor.flow.wheel import FlowList, join, leave
from sensor.kernel import Int, Row, kernel
from sensor.packet.batch import Bytes
from sensor.packet.columns import FragmentFlag, Packets

#: Times beyond this (the year 2116) are held back, so that adding a timeout cannot overflow.
LATEST = 1 << 62

#: Groups of packets in the ring of keys: one is walked over, three are on their way (see `fetch`).
AHEAD = 4

_UNANSWERED = int(FlowList.UNANSWERED)
_ANSWERED = int(FlowList.ANSWERED)
_CLOSED = int(FlowList.CLOSED)
_NEW_FLOW = int(FlowEvent.NEW_FLOW)
_FIRST_REPLY = int(FlowEvent.FIRST_REPLY)
_SYN_ACK = int(Handshake.SYN_ACK)
_HAS_FLOW = int(KeyCause.NONE)
_ELSEWHERE = int(KeyCause.ELSEWHERE)
_PORTS_KNOWN = int(FragmentFlag.PORTS_KNOWN)
_BOTH_SEEN = SEEN | (SEEN << 1)
_MOST_IDLE_PERIODS = 0xFFFF
_TCP = 6


@kernel
def walk(table: Table, buffers: Buffers, packets: Packets, data: Bytes, begin: Int) -> Int:
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
    entries, sides, edges = table.entries, table.sides, table.edges
    keys, events, room = buffers.keys, buffers.events, buffers.records.shape[0]
    state = table.state[0]
    group = keys.rows.shape[0] // AHEAD
    for first in range(begin - (AHEAD - 1) * group, packets.shape[0], group):
        prepare(table, keys, packets, data, (begin, first))
        for i in range(max(first, begin), min(first + group, packets.shape[0])):
            packet = packets[i]
            time = min(max(packet["time"], state["now"]), LATEST)
            state["consumed"] = i - begin
            if time >= state["next_due"] and not expire(table, buffers, time):
                return i
            if state["records"] == room:
                # The packet may have to push one record out.
                return i
            at = (i - begin) & (keys.rows.shape[0] - 1)
            key = keys.rows[at]
            state["now"] = time
            odd = (time != packet["time"]) | (key["cause"] != _HAS_FLOW) | (packet["fragment_offset"] != 0)
            if odd and not count_odd(table, packet, key, time):
                write_event(events[i], -1, 0, 0)
                continue
            key_hash = keys.hashes[at]
            slot, direction = keys.slots[at], -1
            if slot >= 0:
                direction = match(table, slot, packet, key)
            if direction < 0:
                slot, direction = find(table, packet, key, key_hash)
            bits = 0
            if slot < 0 or is_special(table, slot, time):
                slot, direction, bits = begin_flow(
                    table, buffers, packet, key, data, (slot, direction, key_hash)
                )
                if slot < 0:
                    write_event(events[i], slot, 0, bits)
                    continue
            entry = entries[slot]
            side = sides[slot, direction]
            edge = edges[slot, direction]
            bits |= _account(entry, edge, side, packet, (direction, time, state["activity_gap"]))
            kept = entry["bits"] & (PAYLOAD_SEEN << direction)
            if (packet["payload_bytes"] != 0) & (kept == 0):
                entry["bits"] |= PAYLOAD_SEEN << direction
                add_first_payload(side, packet, data)
                if entry["bits"] & (CLAIM_READ << direction) == 0:
                    hear(table, buffers.pool, slot, packet, data, direction)
            if has_tcp(packet):
                bits |= follow(table, slot, packet, direction)
            elif packet["protocol"] == _TCP:
                side["no_ack"] += 1
            write_event(events[i], slot, direction, bits)
            if bits & _NEW_FLOW != 0:
                events[i]["weight"] = entry["sampling"]
            which = wheel_of(entry["bits"], entry["handshake"])
            if which > entry["list"]:
                if (packet["protocol"] == _TCP) & (entry["bits"] & _BOTH_SEEN == _BOTH_SEEN):
                    state["tcp_two_way"] += entry["list"] == _UNANSWERED
                leave(table, slot)
                join(table, slot, which, time + table.wheels[which]["timeout"])
    return packets.shape[0]


@kernel
def prepare(table: Table, keys: Keys, packets: Packets, data: Bytes, where: tuple[Int, Int]) -> None:
    """Key one group of packets, and ask for the memory of those between it and the group at hand.

    `where` is the first packet of all, and the first of the group at hand.
    Keys stand in a ring: that of packet i is row (i - begin) modulo its length.
    """
    begin, first = where
    group = keys.rows.shape[0] // AHEAD
    count = packets.shape[0]
    for stage in range(1, AHEAD):
        head = first + stage * group
        if head < begin or head >= count:
            continue
        tail = min(head + group, count)
        at = (head - begin) & (keys.rows.shape[0] - 1)
        if stage == AHEAD - 1:
            key_packets(packets[head:tail], keys, at, table.settings)
            fetch_cells(table, keys, at, at + tail - head)
        elif stage == AHEAD - 2:
            fetch_rows(table, keys, at, at + tail - head)
        else:
            fetch_sides(table, keys, packets[head:tail], data, at)


@kernel
def count_odd(table: Table, packet: Row, key: Row, time: Int) -> bool:
    """Count what is odd about a packet, whose flow sees it at `time` (ns); tell whether it has a flow."""
    state = table.state[0]
    if time != packet["time"] and key["cause"] != _ELSEWHERE:
        state["late_packets"] += 1
    if key["cause"] != _HAS_FLOW:
        table.tally[0]["without_flow"][key["cause"]] += 1
        return False
    if packet["fragment_offset"] != 0 and packet["fragment_flags"] & _PORTS_KNOWN == 0:
        state["fragments_without_ports"] += 1
    return True


@kernel
def write_event(event: Row, slot: Int, direction: Int, bits: Int) -> None:
    """Say what a packet did."""
    event["flow"] = slot
    event["bits"] = bits
    event["reverse"] = direction
    event["weight"] = 1


@kernel
def is_special(table: Table, slot: Int, time: Int) -> bool:
    """Tell whether a known flow is closed, past a timeout, or old enough for the active timeout."""
    entry = table.entries[slot]
    idle = time - entry["end"] >= table.wheels[np.int64(entry["list"])]["timeout"]
    old = time - entry["start"] >= table.state[0]["active_timeout"]
    return bool(idle | old | (entry["bits"] & ENDED != 0))


@kernel
def _account(entry: Row, edge: Row, side: Row, packet: Row, what: tuple[Int, Int, Int]) -> Int:
    """Add one packet to its flow and its direction; return `FlowEvent` bits.

    `what` is the direction, the packet's time and the activity gap, ns.
    """
    direction, time, activity_gap = what
    gap = time - entry["end"]
    if gap > activity_gap:
        entry["idle"] += gap
        entry["idle_periods"] += entry["idle_periods"] < _MOST_IDLE_PERIODS
    entry["end"] = time
    add_packet(side, edge, packet, time)
    seen = entry["bits"]
    if seen & (SEEN << direction) != 0:
        return 0
    entry["bits"] = seen | (SEEN << direction)
    return _FIRST_REPLY if direction == 1 else 0


@kernel
def wheel_of(seen: Int, handshake: Int) -> Int:
    """Return the `FlowList` a flow belongs to, by its `ENTRY.bits` and `Handshake`.

    A SYN-ACK alone is no answer that counts: invented senders get one too, and
    must not push out connections that were completed.
    """
    if seen & ENDED != 0:
        return _CLOSED
    return _ANSWERED if (seen & _BOTH_SEEN == _BOTH_SEEN) & (handshake != _SYN_ACK) else _UNANSWERED
