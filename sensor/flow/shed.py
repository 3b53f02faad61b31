"""Which new flows are let in when there is no time for all.

Under overload (`sampling` n > 1) a packet that would begin a flow begins one if
its initiator began few in this second, and few were begun towards its
responder: so ordinary hosts are metered as ever, while of a scan or a flood one
flow in n is, and stands for n. Which one is the keyed hash's choice: all
packets of a flow have the same luck, and nobody can aim.

Flows are counted in two sketches (G. Cormode and S. Muthukrishnan, "An improved
data stream summary: the count-min sketch", 2005), by initiator and by
responder; they may count too many, never too few, and are looked at for new
flows under overload only.
"""

from __future__ import annotations

import numpy as np

from sensor.flow.connection import answers, asks
from sensor.flow.table import SKETCH_CELLS, Table
from sensor.kernel import Int, Row, outlined
from sensor.siphash import hash_address

#: New flows in a second that are few: of one initiator, and towards one responder.
FEW_BY_INITIATOR = 64
FEW_TO_RESPONDER = 1024

_SECOND = 1_000_000_000
_TCP = 6
_BITS32 = np.uint64(32)
_BITS48 = np.uint64(48)
_CELL = np.uint64(SKETCH_CELLS - 1)


@outlined
def admitted_weight(table: Table, packet: Row, key_hash: np.uint64) -> Int:
    """Return for how many flows the new one stands, 0 when it is not let in; counts it.

    Parameters
    ----------
    table
        The table; its clock is the packet's time, its sampling more than 1.
    packet
        `PACKET` row.
    key_hash
        Of the flow's key.
    """
    state = table.state[0]
    second = state["now"] // _SECOND
    if state["shed_second"] != second:
        state["shed_second"] = second
        for which in range(table.sketches.shape[0]):
            for row in range(table.sketches.shape[1]):
                for cell in range(table.sketches.shape[2]):
                    table.sketches[which, row, cell] = 0
    turned = np.int64(answers(packet))
    by_source = _count(table, turned, packet["src_hi"], packet["src_lo"])
    by_target = _count(table, 1 - turned, packet["dst_hi"], packet["dst_lo"])
    by_initiator = by_target if turned == 1 else by_source
    to_responder = by_source if turned == 1 else by_target
    if by_initiator <= FEW_BY_INITIATOR and to_responder <= FEW_TO_RESPONDER:
        return 1
    if (key_hash >> _BITS48) % np.uint64(state["sampling"]) == np.uint64(0):
        return np.int64(state["sampling"])
    state["packets_shed"] += 1
    state["flows_shed"] += packet["protocol"] != _TCP or asks(packet)
    return 0


@outlined
def _count(table: Table, which: Int, hi: np.uint64, lo: np.uint64) -> Int:
    """Count one flow of an address in sketch 0 (initiators) or 1, and return its count."""
    hashed = hash_address(hi, lo, table.settings[0]["k0"], table.settings[0]["k1"])
    first, second = np.int64(hashed & _CELL), np.int64((hashed >> _BITS32) & _CELL)
    table.sketches[which, 0, first] += 1
    table.sketches[which, 1, second] += 1
    return min(np.int64(table.sketches[which, 0, first]), np.int64(table.sketches[which, 1, second]))
