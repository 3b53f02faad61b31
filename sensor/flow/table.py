"""Fixed storage for open flows: rows, the cells that find them, and who is free.

A cell is one word: the low half of a key's hash (the tag) and the row of its
flow. A key's cell is the first free one from where the tag points to (linear
probing, Knuth, TAOCP 6.4, algorithm L); there are at least two cells a row, so
that is mostly the first one, and always in the line that was read for it. The
tag says where a cell belongs, so cells move back over a gap without a look at
their rows (algorithm R). Every walk has a limit, so that no packet costs more
than a fixed time, whatever the table holds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sensor.flow.entry import SIDE, new_entries
from sensor.flow.key import KEY_SETTINGS, KeyCause, KeySettings
from sensor.flow.record import FlowEndReason, Flows
from sensor.flow.wheel import BUCKET, LINK, NEVER, FlowList
from sensor.kernel import Int, Row, Rows, kernel, record_dtype

#: How many cells are looked at for one key; beyond it a packet starts a new
#: flow. With a keyed hash and two cells a flow, 256 never happens by chance.
WALK_LIMIT = 256
#: How many cells are moved back when one is freed. So long a run never happens by chance.
_MOVE_LIMIT = 4 * WALK_LIMIT

#: One row: the clock, the free slots, and what was counted.
STATE = record_dtype(
    [
        ("now", np.int64),  # latest time seen, ns
        ("next_due", np.int64),  # no bucket that holds a flow ends before this
        ("next_flow_id", np.int64),
        ("active_timeout", np.int64),  # ns
        ("activity_gap", np.int64),  # ns
        ("free", np.int32),  # first free slot, -1: none
        ("used", np.int32),  # slots from here on were never taken
        ("active", np.int64),
        ("records", np.int64),  # rows of the record buffer in use
        ("consumed", np.int64),  # packets done since the record buffer was emptied
        ("packets", np.int64),
        ("late_packets", np.int64),
        ("sampling", np.int64),  # see shed
        ("shed_second", np.int64),  # which second the sketches count
        ("packets_shed", np.int64),
        ("flows_shed", np.int64),
        ("acks_checked", np.int64),  # see loss
        ("ack_gaps", np.int64),
        ("missed_bytes", np.int64),
        ("tcp_two_way", np.int64),  # see oneway
        ("tcp_one_way", np.int64),
        ("claims_free", np.int64),  # rows of the pool that are not lent: see claims
        ("claims_given", np.int64),  # rows given out since the record buffer was emptied
        ("claims_refused", np.int64),
        ("chain_walk_limit", np.int64),
        ("fragments_without_ports", np.int64),
    ]
)

#: One row: what was counted by kind.
TALLY = np.dtype(
    [
        ("end_reason", np.int64, (len(FlowEndReason) + 1,)),  # records exported, by FlowEndReason
        ("evicted", np.int64, (len(FlowList),)),
        ("without_flow", np.int64, (len(KeyCause),)),  # by KeyCause
    ],
    align=True,
)

#: Cells of one row of a sketch: see `shed`. With two rows, 2,048 counted flows raise
#: another's count by less than one.
SKETCH_CELLS = 4096

_LOW_HALF = np.uint64(0xFFFF_FFFF)
_BITS32 = np.uint64(32)
_ONE = np.uint64(1)
_FREE = np.uint64(0)
#: Beside a `KeyMark`: the slot is to be found by nobody.
NOBODY = 0x80


class Table(NamedTuple):
    """The meter's whole state, as arrays."""

    entries: Rows  # ENTRY, shape (capacity,)
    sides: Rows  # SIDE, shape (capacity, 2): forward and reverse of `entries`, the same memory
    edges: Rows  # EDGE, shape (capacity, 2): the same memory
    flows: Flows  # FLOW, shape (capacity,): the same memory
    lines: npt.NDArray[np.uint64]  # shape (7 * capacity, 8): the same memory, a line each
    links: Rows  # LINK, shape (capacity,)
    blank_side: Rows  # SIDE, shape (1,): zeros
    cells: npt.NDArray[np.uint64]  # tag << 32 | slot + 1; 0: free
    buckets: Rows  # BUCKET, shape (3, most), by FlowList
    wheels: Rows  # WHEEL, shape (3,), by FlowList
    sketches: npt.NDArray[np.uint32]  # shape (2, 2, cells): flows by initiator, by responder
    state: Rows  # STATE, shape (1,)
    tally: Rows  # TALLY, shape (1,)
    settings: KeySettings  # KEY_SETTINGS, shape (1,)


def new_table(capacity: int, wheels: Rows) -> Table:
    """Return an empty table for `capacity` flows. Memory is taken from the system as slots are used.

    Parameters
    ----------
    capacity
        How many flows may be open.
    wheels
        `WHEEL`, shape (3,), as `wheel.new_wheels` makes them.
    """
    buckets = np.zeros((len(FlowList), int(wheels["mask"].max()) + 1), BUCKET)
    buckets["newest"] = buckets["oldest"] = -1
    state = np.zeros(1, STATE)
    state["free"] = -1
    state["next_due"] = NEVER
    state["next_flow_id"] = 1
    state["sampling"] = 1
    return Table(
        *new_entries(capacity),
        np.zeros(capacity, LINK),
        np.zeros(1, SIDE),
        np.zeros(1 << (2 * capacity - 1).bit_length(), np.uint64),
        buckets,
        wheels,
        np.zeros((2, 2, SKETCH_CELLS), np.uint32),
        state,
        np.zeros(1, TALLY),
        np.zeros(1, KEY_SETTINGS),
    )


@kernel
def home_of(cells: npt.NDArray[np.uint64], tag: np.uint64) -> np.uint64:
    """Return the cell that `tag`, or a hash that ends in it, points to."""
    return tag & np.uint64(cells.shape[0] - 1)


@kernel
def slot_of(cell: np.uint64) -> Int:
    """Return the slot of a cell, -1 of a free one."""
    return np.int64(cell & _LOW_HALF) - 1


@kernel
def find(table: Table, packet: Row, key: Row, key_hash: np.uint64) -> tuple[Int, Int]:
    """Return (slot, direction) of the packet's flow, (-1, -1) when there is none.

    Parameters
    ----------
    table
        The table.
    packet, key
        Rows of `PACKET` and `KEY`.
    key_hash
        Of the key.
    """
    cells = table.cells
    tag = key_hash & _LOW_HALF
    last = np.uint64(cells.shape[0] - 1)
    at = tag & last
    for _ in range(WALK_LIMIT):
        cell = cells[at]
        if cell == _FREE:
            return -1, -1
        if cell >> _BITS32 == tag:
            slot = slot_of(cell)
            direction = match(table, slot, packet, key)
            if direction >= 0:
                return slot, direction
        at = (at + _ONE) & last
    table.state[0]["chain_walk_limit"] += 1
    return -1, -1


@kernel
def match(table: Table, slot: Int, packet: Row, key: Row) -> Int:
    """Return 0 when the packet goes the way of flow `slot`, 1 when it goes back, -1 when it is another's.

    A slot that is free, or that no cell names, matches nothing: its mark has `NOBODY`.
    """
    entry = table.entries[slot]
    # Which way a packet goes is a coin's toss to the processor: so no branch depends on it.
    other = np.uint64(entry["protocol"] ^ packet["protocol"]) | np.uint64(
        entry["ip_version"] ^ packet["ip_version"]
    )
    other |= np.uint64(entry["key_vlan"] ^ key["vlan"]) | np.uint64(entry["mark"] ^ key["mark"])
    forward = (entry["src_lo"] ^ packet["src_lo"]) | (entry["dst_lo"] ^ packet["dst_lo"])
    forward |= (entry["src_hi"] ^ packet["src_hi"]) | (entry["dst_hi"] ^ packet["dst_hi"])
    forward |= np.uint64(entry["src_port"] ^ key["src_port"]) | np.uint64(entry["dst_port"] ^ key["dst_port"])
    back = (entry["src_lo"] ^ packet["dst_lo"]) | (entry["dst_lo"] ^ packet["src_lo"])
    back |= (entry["src_hi"] ^ packet["dst_hi"]) | (entry["dst_hi"] ^ packet["src_hi"])
    back |= np.uint64(entry["src_port"] ^ key["dst_port"]) | np.uint64(entry["dst_port"] ^ key["src_port"])
    back |= np.uint64(key["mark"])
    reverse = np.int64(forward != _FREE)
    if table.settings[0]["tunnel_in_key"] != 0:
        other |= np.uint64(entry["tunnel_id"] ^ packet["tunnel_id"])
    return reverse if (other == _FREE) & ((forward == _FREE) | (back == _FREE)) else -1


@kernel
def take(table: Table, key_hash: np.uint64) -> Int:
    """Return a free slot, found under the key and in no bucket; -1 when the table is full.

    Parameters
    ----------
    table
        The table.
    key_hash
        Of the key.
    """
    state = table.state[0]
    slot = np.int64(state["free"])
    if slot >= 0:
        state["free"] = table.links[slot]["newer"]
    elif state["used"] < table.entries.shape[0]:
        slot = np.int64(state["used"])
        state["used"] += 1
    else:
        return -1
    state["active"] += 1
    cells = table.cells
    tag = key_hash & _LOW_HALF
    entry = table.entries[slot]
    entry["tag"] = tag
    last = np.uint64(cells.shape[0] - 1)
    at = tag & last
    steps = 0
    while cells[at] != _FREE and steps < WALK_LIMIT - 1:
        at = (at + _ONE) & last
        steps += 1
    if cells[at] != _FREE:
        # Nobody finds the flow that stood here any more: it ends by its timeout.
        at = tag & last
        table.entries[slot_of(cells[at])]["mark"] |= NOBODY
    cells[at] = (tag << _BITS32) | np.uint64(slot + 1)
    return slot


@kernel
def release(table: Table, slot: Int) -> None:
    """Free the cell of `slot`, which is in no bucket, and put it with the free ones."""
    cells = table.cells
    entry = table.entries[slot]
    entry["mark"] |= NOBODY
    tag = np.uint64(entry["tag"])
    cell = (tag << _BITS32) | np.uint64(slot + 1)
    last = np.uint64(cells.shape[0] - 1)
    at = tag & last
    steps = 0
    while cells[at] != cell and steps < WALK_LIMIT - 1:
        at = (at + _ONE) & last
        steps += 1
    if cells[at] == cell:
        _close_gap(cells, at)
    state = table.state[0]
    table.links[slot]["newer"] = state["free"]
    state["free"] = slot
    state["active"] -= 1


@kernel
def _close_gap(cells: npt.NDArray[np.uint64], gap: np.uint64) -> None:
    """Free the cell at `gap` and move back over it what could not be found otherwise."""
    last = np.uint64(cells.shape[0] - 1)
    at = gap
    for _ in range(_MOVE_LIMIT):
        at = (at + _ONE) & last
        cell = cells[at]
        if cell == _FREE:
            break
        home = (cell >> _BITS32) & last
        if ((at - home) & last) >= ((at - gap) & last):
            cells[gap] = cell
            gap = at
    cells[gap] = _FREE
