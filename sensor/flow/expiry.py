"""How flows leave the table: by timeout, for lack of room, or at the end of the input.

Buckets are emptied in order of the time when they are over, and of their
wheels; flows in the order in which they were filed. Filing depends on packets
and their times alone: so the order of records does not depend on how often
somebody asks.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sensor.flow.claims import Pool, give, new_pool, take_back
from sensor.flow.fetch import fetch_behind, fetch_flows, start_fetching
from sensor.flow.key import KeyMark, Keys, new_keys
from sensor.flow.record import FLOW, FLOW_EVENT, FlowEndReason, FlowEvents, Flows
from sensor.flow.table import NOBODY, Table, release
from sensor.flow.wheel import (
    NEVER,
    FlowList,
    due_of,
    first_bucket,
    join,
    leave,
    number_of,
    oldest_of,
    soonest,
)
from sensor.kernel import Int, Row, kernel

#: How many flows are looked at to evict one: those that were seen since they were filed go to
#: where they belong by now (a second chance), and after so many the next one has to go.
SECOND_CHANCES = 8

_IDLE_TIMEOUT = int(FlowEndReason.IDLE_TIMEOUT)
_END_OF_FLOW = int(FlowEndReason.END_OF_FLOW)
_FORCED_END = int(FlowEndReason.FORCED_END)
_LACK_OF_RESOURCES = int(FlowEndReason.LACK_OF_RESOURCES)

_UNANSWERED = int(FlowList.UNANSWERED)
_ANSWERED = int(FlowList.ANSWERED)
_CLOSED = int(FlowList.CLOSED)
_FRAGMENTS = int(KeyMark.FRAGMENTS)
_TCP = 6


class Buffers(NamedTuple):
    """Fixed memory for what the meter gives out, and for the keys it works with."""

    records: Flows  # FLOW
    positions: npt.NDArray[np.int64]  # of each record: how many packets were done before it left
    events: FlowEvents  # FLOW_EVENT
    keys: Keys
    pool: Pool


def new_buffers(records: int, events: int, keys: int, claims: int) -> Buffers:
    """Return buffers with room for so many rows."""
    return Buffers(
        np.zeros(records, FLOW),
        np.zeros(records, np.int64),
        np.zeros(events, FLOW_EVENT),
        new_keys(keys),
        new_pool(claims, records),
    )


@kernel
def emit(table: Table, buffers: Buffers, slot: Int, reason: Int, time: Int) -> None:
    """Write the record of `slot` to the buffer, which has room; the slot stays as it is.

    Parameters
    ----------
    table, buffers
        State and output.
    slot
        The flow.
    reason
        `FlowEndReason`.
    time
        When the record was due, ns.
    """
    state = table.state[0]
    row = state["records"]
    buffers.records[row] = table.flows[slot]
    record = buffers.records[row]
    record["exported"] = time
    record["end_reason"] = reason
    _finish(record)
    if table.entries[slot]["mark"] & (NOBODY - 1) == _FRAGMENTS:
        record["src_port"] = 0
        record["dst_port"] = 0
    give(table, buffers.pool, slot, record)
    buffers.positions[row] = state["consumed"]
    state["records"] += 1
    table.tally[0]["end_reason"][reason] += 1


@kernel
def _finish(record: Row) -> None:
    """Turn what an open flow keeps into what its record says: see `entry`."""
    record["interval_sum"] = record["last"] - record["interval_sum"]
    record["reverse_interval_sum"] = record["reverse_last"] - record["reverse_interval_sum"]
    if record["protocol"] == _TCP:
        record["ack"] = record["packets"] - record["ack"]
        record["reverse_ack"] = record["reverse_packets"] - record["reverse_ack"]


@kernel
def emit_due(table: Table, buffers: Buffers, slot: Int, due: Int) -> None:
    """Write the record of `slot`, which was due at `due` (ns)."""
    closed = table.entries[slot]["list"] == _CLOSED
    emit(table, buffers, slot, _END_OF_FLOW if closed else _IDLE_TIMEOUT, due)


@kernel
def expire(table: Table, buffers: Buffers, now: Int) -> bool:
    """Empty every bucket that is over at or before `now` (ns); False when the buffer filled first."""
    state = table.state[0]
    while True:
        which, over = soonest(table)
        if over > now or which < 0:
            state["next_due"] = over
            return True
        wheel = table.wheels[which]
        bucket = table.buckets[which, first_bucket(table, which) & wheel["mask"]]
        slot = np.int64(bucket["oldest"])
        near, far = start_fetching(table, slot)
        while slot >= 0:
            near, far = fetch_flows(table, near, far)
            due = due_of(table, slot)
            if due <= over and state["records"] == buffers.records.shape[0]:
                return False
            leave(table, slot)
            if due <= over:
                emit_due(table, buffers, slot, due)
                forget(table, buffers, slot)
            else:
                join(table, slot, which, due)
            slot = np.int64(bucket["oldest"])


@kernel
def evict(table: Table, buffers: Buffers, now: Int) -> None:
    """Export the flow that is missed least, at `now` (ns): a closed one, else one without answer.

    Of those it is about the one seen longest ago. The table is full and the
    buffer has room.
    """
    which = _ANSWERED
    if table.wheels[_CLOSED]["count"] > 0:
        which = _CLOSED
    elif table.wheels[_UNANSWERED]["count"] > 0:
        which = _UNANSWERED
    slot = oldest_of(table, which)
    chances = SECOND_CHANCES
    while chances > 0:
        due = due_of(table, slot)
        if number_of(table, which, due) == first_bucket(table, which):
            chances = 0
        else:
            leave(table, slot)
            join(table, slot, which, due)
            slot = oldest_of(table, which)
            chances -= 1
    fetch_behind(table, slot)
    due = due_of(table, slot)
    if due <= now:
        emit_due(table, buffers, slot, due)
    else:
        emit(table, buffers, slot, _LACK_OF_RESOURCES, now)
        table.tally[0]["evicted"][which] += 1
    leave(table, slot)
    forget(table, buffers, slot)


@kernel
def forget(table: Table, buffers: Buffers, slot: Int) -> None:
    """Free `slot`, which is in no bucket and whose record has left, and what was lent to it."""
    take_back(table, buffers.pool, slot)
    release(table, slot)


@kernel
def empty(table: Table, buffers: Buffers) -> bool:
    """Export all flows, bucket by bucket; False when the buffer filled first."""
    state = table.state[0]
    now = state["now"]
    while True:
        which, _ = soonest(table)
        if which < 0:
            state["next_due"] = NEVER
            return True
        if state["records"] == buffers.records.shape[0]:
            return False
        slot = oldest_of(table, which)
        due = due_of(table, slot)
        if due <= now:
            emit_due(table, buffers, slot, due)
        else:
            emit(table, buffers, slot, _END_OF_FLOW if which == _CLOSED else _FORCED_END, now)
        leave(table, slot)
        forget(table, buffers, slot)
