"""What packets will need from memory, asked for before they come to it.

The processor waits for main memory many times at once where it is told early,
instead of one line after the other in the walk. So packets come in groups, and
while one group is walked over, the next ones are on their way: the cells of the
group after next but one, then the rows that those cells name, then the sums of
the direction in which each packet goes. What is asked for in vain costs little.
"""

from __future__ import annotations

import numpy as np

from sensor.flow.entry import LINES
from sensor.flow.key import Keys
from sensor.flow.seen import PAYLOAD_SEEN
from sensor.flow.table import Table, home_of, slot_of
from sensor.kernel import Int, kernel, prefetch
from sensor.packet.batch import Bytes
from sensor.packet.columns import Packets, TcpFlag

_BITS32 = np.uint64(32)
_ONE = np.uint64(1)
_FREE = np.uint64(0)
_RARE_FLAGS = int(TcpFlag.FIN | TcpFlag.SYN | TcpFlag.RST)
#: How many flows of a bucket are on their way while one is looked at.
_FLOWS_AHEAD = 8
_EVICTIONS_AHEAD = 4
#: Cells looked at: few packets need more.
_PROBES = 16
_LOW_HALF = np.uint64(0xFFFF_FFFF)


@kernel
def fetch_cells(table: Table, keys: Keys, first: Int, last: Int) -> None:
    """Ask for the cells of keys `first` to `last`."""
    for i in range(first, last):
        prefetch(table.cells, np.int64(home_of(table.cells, keys.hashes[i])))


@kernel
def fetch_rows(table: Table, keys: Keys, first: Int, last: Int) -> None:
    """Ask for the first two lines of the rows that the cells of keys `first` to `last` name."""
    for i in range(first, last):
        tag = keys.hashes[i] & _LOW_HALF
        at = home_of(table.cells, tag)
        cell = table.cells[at]
        steps = 0
        while cell >> _BITS32 != tag and cell != _FREE and steps < _PROBES:
            at = (at + _ONE) & np.uint64(table.cells.shape[0] - 1)
            cell = table.cells[at]
            steps += 1
        slot = slot_of(cell) if cell >> _BITS32 == tag else -1
        keys.slots[i] = slot
        if slot >= 0:
            prefetch(table.lines, LINES * slot)
            prefetch(table.lines, LINES * slot + 1)


@kernel
def fetch_sides(table: Table, keys: Keys, packets: Packets, data: Bytes, first: Int) -> None:
    """Ask for the sums of the directions in which `packets` go, whose keys are `first` and the next.

    And for what few of them need: what a handshake or an end changes, and the
    first payload.
    """
    for i in range(packets.shape[0]):
        packet = packets[i]
        slot = keys.slots[first + i]
        kept = np.int64(0)
        if slot >= 0:
            entry = table.entries[slot]
            reverse = np.int64(entry["src_lo"] != packet["src_lo"])
            kept = np.int64(entry["bits"]) & (PAYLOAD_SEEN << reverse)
            line = LINES * slot + 2 + 2 * reverse
            prefetch(table.lines, line)
            if packet["tcp_flags"] & _RARE_FLAGS != 0:
                prefetch(table.lines, line + 1)
                prefetch(table.lines, LINES * slot + LINES - 1)
        if kept == 0 and packet["payload_bytes"] != 0 and packet["payload_offset"] >= 0:
            prefetch(data, packet["payload_offset"])


@kernel
def start_fetching(table: Table, slot: Int) -> tuple[Int, Int]:
    """Ask for the rows of `slot` and some that follow it in its bucket; return what `fetch_flows` takes."""
    near, far = slot, slot
    for step in range(_FLOWS_AHEAD):
        if step == _FLOWS_AHEAD // 2:
            near = far if far >= 0 else slot
        _, far = fetch_flows(table, -1, far)
    return near, far


@kernel
def fetch_behind(table: Table, slot: Int) -> None:
    """Ask for what the evictions after that of `slot` will need, when they come one after the other."""
    near, far = slot, slot
    for step in range(_EVICTIONS_AHEAD):
        if far >= 0:
            far = np.int64(table.links[far]["newer"])
        if step == _EVICTIONS_AHEAD // 2:
            near = far
    fetch_flows(table, near, far)


@kernel
def fetch_flows(table: Table, near: Int, far: Int) -> tuple[Int, Int]:
    """Ask for the row of the flow `far` and the cell of `near`; return those that follow in their bucket."""
    after_near, after_far = near, far
    if near >= 0:
        prefetch(table.cells, np.int64(home_of(table.cells, np.uint64(table.entries[near]["tag"]))))
        after_near = np.int64(table.links[near]["newer"])
    if far >= 0:
        for line in range(LINES):
            prefetch(table.lines, LINES * far + line)
        after_far = np.int64(table.links[far]["newer"])
    return after_near, after_far
