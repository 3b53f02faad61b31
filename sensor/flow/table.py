"""Fixed storage for open flows: chained hash table, free list, and three lists by last-seen time.

A slot is a row of `flows` and the row of `slots` with the same index. Every
walk has a limit and every link goes both ways, so that no packet costs more
than a fixed time, whatever the table holds.

The three lists hold flows that were answered, that were not, and that are
closed; each has a timeout of its own, so each is in order of expiry. The next
flow to expire, or to be evicted, is always at the old end of a list.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sensor.flow.key import KEY_SETTINGS, KeySettings
from sensor.flow.record import FLOW, Flows
from sensor.kernel import kernel

#: How many flows of one bucket are looked at; beyond it a packet starts a new
#: flow. With a keyed hash and two buckets a flow, 64 never happens by chance.
WALK_LIMIT = 64


class FlowList(enum.IntEnum):
    """Which list a flow is in; at equal due times the lower number goes first."""

    UNANSWERED = 0  # packets of one direction only
    ANSWERED = 1
    CLOSED = 2  # lingers after FIN or RST for late packets


#: The links and the memory of one open flow that do not go into its record.
SLOT = np.dtype(
    [
        ("hash", np.uint64),
        ("handshake_time", np.int64),  # of the latest SYN, then of the latest SYN-ACK
        ("chain_next", np.int32),  # same bucket; free slots: the next free one
        ("chain_previous", np.int32),
        ("newer", np.int32),  # same list, seen later
        ("older", np.int32),
        ("vlan", np.uint16),  # as in the key
        ("list", np.uint8),  # FlowList
        ("bits", np.uint8),  # connection.*: what was seen, kept over an active timeout
    ],
    align=True,
)

#: Both ends of one list.
ENDS = np.dtype([("newest", np.int32), ("oldest", np.int32), ("timeout", np.int64)], align=True)

_NAMES = FLOW.names or ()
_FIELDS = dict(FLOW.fields or {})
_SIDE_START = _FIELDS["last"][1]
_SIDE_BYTES = _FIELDS["reverse_last"][1] - _SIDE_START

#: One direction of a `FLOW` row: the same bytes, by the same names for either direction.
SIDE = np.dtype(
    [(name, FLOW[name]) for name in _NAMES[_NAMES.index("last") : _NAMES.index("reverse_last")]], align=True
)

#: One row: the clock, the free slots, and what was counted.
STATE = np.dtype(
    [
        ("now", np.int64),  # latest time seen, ns
        ("next_due", np.int64),  # no flow is due before this
        ("next_flow_id", np.int64),
        ("free", np.int32),  # first free slot, -1: none
        ("used", np.int32),  # slots from here on were never taken
        ("active", np.int64),
        ("active_timeout", np.int64),  # ns
        ("activity_gap", np.int64),  # ns
        ("fetched", np.int64),  # meaningless: see walk.fetch
        ("records", np.int64),  # rows of the record buffer in use
        ("consumed", np.int64),  # packets done since the record buffer was emptied
        ("packets", np.int64),
        ("end_reason", np.int64, (6,)),  # records exported, by FlowEndReason
        ("evicted", np.int64, (3,)),  # by FlowList
        ("without_flow", np.int64, (4,)),  # by KeyCause
        ("late_packets", np.int64),
        ("chain_walk_limit", np.int64),
        ("fragments_without_ports", np.int64),
    ],
    align=True,
)

#: Later than any time.
NEVER = int(np.iinfo(np.int64).max)

Rows = npt.NDArray[np.void]


class Table(NamedTuple):
    """The meter's whole state, as arrays."""

    flows: Flows  # FLOW, shape (capacity,)
    sides: Rows  # SIDE, shape (capacity, 2): forward and reverse of `flows`, the same memory
    blank: Flows  # FLOW, shape (1,): zeros, to start a flow from
    blank_side: Rows  # SIDE, shape (1,): zeros
    slots: Rows  # SLOT, shape (capacity,)
    heads: npt.NDArray[np.int32]  # first slot of each bucket, -1: none
    lists: Rows  # ENDS, shape (3,), by FlowList
    state: Rows  # STATE, shape (1,)
    settings: KeySettings  # KEY_SETTINGS, shape (1,)


def new_table(capacity: int) -> Table:
    """Return an empty table for `capacity` flows. Memory is taken from the system as slots are used."""
    flows = np.zeros(capacity, FLOW)
    sides = np.ndarray((capacity, 2), SIDE, flows, _SIDE_START, (FLOW.itemsize, _SIDE_BYTES))
    buckets = 1 << (2 * capacity - 1).bit_length()
    lists = np.zeros(len(FlowList), ENDS)
    lists["newest"] = lists["oldest"] = -1
    state = np.zeros(1, STATE)
    state["free"] = -1
    state["next_due"] = NEVER
    state["next_flow_id"] = 1
    return Table(
        flows,
        sides,
        np.zeros(1, FLOW),
        np.zeros(1, SIDE),
        np.zeros(capacity, SLOT),
        np.full(buckets, -1, np.int32),
        lists,
        state,
        np.zeros(1, KEY_SETTINGS),
    )


@kernel
def find(table: Table, packet: np.void, key: np.void) -> tuple[int, int]:
    """Return (slot, direction) of the packet's flow, (-1, -1) when there is none.

    Parameters
    ----------
    table
        The table.
    packet, key
        Rows of `PACKET` and `KEY`.
    """
    heads, slots, flows = table.heads, table.slots, table.flows
    state = table.state[0]
    slot = int(heads[bucket_of(heads, key["hash"])])
    direction = -1
    steps = 0
    while slot >= 0 and direction < 0 and steps < WALK_LIMIT:
        link = slots[slot]
        if link["hash"] == key["hash"] and link["vlan"] == key["vlan"]:
            direction = _match(flows[slot], packet, key)
        if direction < 0:
            slot = int(link["chain_next"])
        steps += 1
    if slot >= 0 and direction < 0:
        state["chain_walk_limit"] += 1
        slot = -1
    return slot, direction


@kernel
def _match(flow: np.void, packet: np.void, key: np.void) -> int:
    """Return 0 when the packet goes the flow's way, 1 when it goes back, -1 when it is another's."""
    if flow["protocol"] != packet["protocol"] or flow["ip_version"] != packet["ip_version"]:
        return -1
    if (
        flow["src_lo"] == packet["src_lo"]
        and flow["dst_lo"] == packet["dst_lo"]
        and flow["src_port"] == key["src_port"]
        and flow["dst_port"] == key["dst_port"]
        and flow["src_hi"] == packet["src_hi"]
        and flow["dst_hi"] == packet["dst_hi"]
    ):
        return 0
    if (
        key["one_way"] == 0
        and flow["src_lo"] == packet["dst_lo"]
        and flow["dst_lo"] == packet["src_lo"]
        and flow["src_port"] == key["dst_port"]
        and flow["dst_port"] == key["src_port"]
        and flow["src_hi"] == packet["dst_hi"]
        and flow["dst_hi"] == packet["src_hi"]
    ):
        return 1
    return -1


@kernel
def bucket_of(heads: npt.NDArray[np.int32], key_hash: np.uint64) -> int:
    """Return the bucket of a hash."""
    return int(key_hash & np.uint64(heads.shape[0] - 1))


@kernel
def take(table: Table, key: np.void) -> int:
    """Return a free slot, chained under the key and in no list; -1 when the table is full.

    Parameters
    ----------
    table
        The table.
    key
        A `KEY` row.
    """
    state = table.state[0]
    slot = int(state["free"])
    if slot >= 0:
        state["free"] = table.slots[slot]["chain_next"]
    elif state["used"] < table.slots.shape[0]:
        slot = int(state["used"])
        state["used"] += 1
    else:
        return -1
    state["active"] += 1
    link = table.slots[slot]
    link["hash"] = key["hash"]
    link["vlan"] = key["vlan"]
    bucket = bucket_of(table.heads, key["hash"])
    first = table.heads[bucket]
    link["chain_next"] = first
    link["chain_previous"] = -1
    if first >= 0:
        table.slots[first]["chain_previous"] = slot
    table.heads[bucket] = slot
    return slot


@kernel
def release(table: Table, slot: int) -> None:
    """Take `slot` out of its list and its chain and put it with the free ones."""
    leave(table, slot)
    link = table.slots[slot]
    after = link["chain_next"]
    before = link["chain_previous"]
    if after >= 0:
        table.slots[after]["chain_previous"] = before
    if before >= 0:
        table.slots[before]["chain_next"] = after
    else:
        table.heads[bucket_of(table.heads, link["hash"])] = after
    state = table.state[0]
    link["chain_next"] = state["free"]
    state["free"] = slot
    state["active"] -= 1


@kernel
def leave(table: Table, slot: int) -> None:
    """Take `slot` out of its list."""
    link = table.slots[slot]
    ends = table.lists[link["list"]]
    newer = link["newer"]
    older = link["older"]
    if newer >= 0:
        table.slots[newer]["older"] = older
    else:
        ends["newest"] = older
    if older >= 0:
        table.slots[older]["newer"] = newer
    else:
        ends["oldest"] = newer


@kernel
def join(table: Table, slot: int, which: int, time: int) -> None:
    """Put `slot`, which is in no list, at the new end of list `which`; it was seen at `time` (ns)."""
    link = table.slots[slot]
    ends = table.lists[which]
    newest = ends["newest"]
    link["list"] = which
    link["newer"] = -1
    link["older"] = newest
    if newest >= 0:
        table.slots[newest]["newer"] = slot
    else:
        ends["oldest"] = slot
    ends["newest"] = slot
    state = table.state[0]
    state["next_due"] = min(state["next_due"], time + ends["timeout"])
