"""How flows leave the table: by timeout, for lack of room, or at the end of the input.

Flows that are due leave in order of (due time, list), whenever somebody asks:
so the order of records does not depend on how often that is.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sensor.flow.key import KEY, Keys
from sensor.flow.record import FLOW, FLOW_EVENT, FlowEndReason, FlowEvents, Flows
from sensor.flow.table import NEVER, FlowList, Table, release
from sensor.kernel import kernel

_IDLE_TIMEOUT = int(FlowEndReason.IDLE_TIMEOUT)
_END_OF_FLOW = int(FlowEndReason.END_OF_FLOW)
_FORCED_END = int(FlowEndReason.FORCED_END)
_LACK_OF_RESOURCES = int(FlowEndReason.LACK_OF_RESOURCES)

_UNANSWERED = int(FlowList.UNANSWERED)
_ANSWERED = int(FlowList.ANSWERED)
_CLOSED = int(FlowList.CLOSED)
_LISTS = len(FlowList)


class Buffers(NamedTuple):
    """Fixed memory for what the meter gives out, and for the keys it works with."""

    records: Flows  # FLOW
    positions: npt.NDArray[np.int64]  # of each record: how many packets were done before it left
    events: FlowEvents  # FLOW_EVENT
    keys: Keys  # KEY


def new_buffers(records: int, events: int, keys: int) -> Buffers:
    """Return buffers with room for so many rows."""
    return Buffers(
        np.zeros(records, FLOW),
        np.zeros(records, np.int64),
        np.zeros(events, FLOW_EVENT),
        np.zeros(keys, KEY),
    )


@kernel
def emit(table: Table, buffers: Buffers, slot: int, reason: int, time: int) -> None:
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
    buffers.positions[row] = state["consumed"]
    state["records"] += 1
    state["end_reason"][reason] += 1


@kernel
def expire(table: Table, buffers: Buffers, now: int) -> bool:
    """Export every flow that is due at or before `now` (ns); False when the buffer filled first."""
    state = table.state[0]
    while True:
        which = 0
        due = NEVER
        for i in range(_LISTS):
            oldest = table.lists[i]["oldest"]
            if oldest >= 0:
                candidate = table.flows[oldest]["end"] + table.lists[i]["timeout"]
                if candidate < due:
                    due = candidate
                    which = i
        if due > now:
            state["next_due"] = due
            return True
        if state["records"] == buffers.records.shape[0]:
            return False
        slot = table.lists[which]["oldest"]
        emit(table, buffers, slot, _END_OF_FLOW if which == _CLOSED else _IDLE_TIMEOUT, due)
        release(table, slot)


@kernel
def evict(table: Table, buffers: Buffers, time: int) -> None:
    """Export the flow that is missed least, at `time` (ns): a closed one, else one without answer.

    The table is full and the buffer has room.
    """
    which = _ANSWERED
    if table.lists[_CLOSED]["oldest"] >= 0:
        which = _CLOSED
    elif table.lists[_UNANSWERED]["oldest"] >= 0:
        which = _UNANSWERED
    slot = table.lists[which]["oldest"]
    emit(table, buffers, slot, _LACK_OF_RESOURCES, time)
    release(table, slot)
    table.state[0]["evicted"][which] += 1


@kernel
def empty(table: Table, buffers: Buffers) -> bool:
    """Export all flows in order of (last packet, list); False when the buffer filled first."""
    state = table.state[0]
    while True:
        which = -1
        earliest = NEVER
        for i in range(_LISTS):
            oldest = table.lists[i]["oldest"]
            if oldest >= 0 and table.flows[oldest]["end"] < earliest:
                earliest = table.flows[oldest]["end"]
                which = i
        if which < 0:
            state["next_due"] = NEVER
            return True
        if state["records"] == buffers.records.shape[0]:
            return False
        slot = table.lists[which]["oldest"]
        emit(table, buffers, slot, _END_OF_FLOW if which == _CLOSED else _FORCED_END, state["now"])
        release(table, slot)
