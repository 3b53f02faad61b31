"""What the ends of open flows said of themselves: a bounded pool of `CLAIM` rows.

Few flows say anything, so rows are lent: to a flow whose first payload, of
either direction, fills one, until its last record has left. When all are lent
a claim is refused and counted; the flow still learns its application. A pool
without any row asks nothing: reading a TLS hello costs more than all else that
is done with its packet, and only who shows claims needs them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sensor.flow.seen import CLAIM_READ
from sensor.flow.table import Table
from sensor.kernel import Int, Row, kernel, outlined
from sensor.packet.batch import Bytes
from sensor.packet.claim import Claims, claim_rows, claim_scratch
from sensor.packet.first_bytes import read_claim

#: Rows that are lent at most.
MOST_CLAIMS = 65_536

_TCP, _UDP = 6, 17


class Pool(NamedTuple):
    """Claims of open flows."""

    rows: Claims  # CLAIM, shape (n + 1,): those not lent are blank; the last one never is lent
    bytes: npt.NDArray[np.uint8]  # the same memory
    free: npt.NDArray[np.int32]  # shape (n,): the first `state.claims_free` of them are not lent
    scratch: Claims  # CLAIM_SCRATCH, shape (1,)
    given: Claims  # CLAIM, as many as records: those of the records that leave


def new_pool(claims: int, records: int) -> Pool:
    """Return a pool of so many rows, none of them lent."""
    free = np.arange(claims, dtype=np.int32)[::-1].copy()
    rows = claim_rows(claims + 1)
    return Pool(rows, rows.view(np.uint8), free, claim_scratch(), claim_rows(records))


@outlined
def hear(table: Table, pool: Pool, slot: Int, packet: Row, data: Bytes, direction: Int) -> None:
    """Ask the first payload of a direction of `slot` what it claims.

    Parameters
    ----------
    table, pool
        State.
    slot, packet, direction
        The flow, the `PACKET` row with payload, and which way it goes.
    data
        uint8: what the payload's offset points into.
    """
    entry, state = table.entries[slot], table.state[0]
    entry["bits"] |= CLAIM_READ << direction
    begin, captured = packet["payload_offset"], np.int64(packet["payload_captured"])
    # The reader trusts what the row says of the bytes.
    whole = 0 <= begin <= data.shape[0] - captured and captured <= np.int64(packet["payload_bytes"])
    if pool.free.shape[0] == 0 or packet["protocol"] not in (_TCP, _UDP) or captured == 0 or not whole:
        return
    known = np.int64(entry["claim"])
    at = known
    if known < 0:
        left = np.int64(state["claims_free"])
        at = np.int64(pool.free[left - 1]) if left > 0 else pool.rows.shape[0] - 1
        pool.rows[at]["application"] = entry["application"]
    claim = pool.rows[at]
    read_claim(data, packet, direction, claim, pool.scratch[0])
    entry["application"] = claim["application"]
    if known >= 0:
        return
    if claim["filled"] == 0:
        claim["application"] = 0
    elif state["claims_free"] > 0:
        state["claims_free"] -= 1
        entry["claim"] = at
    else:
        state["claims_refused"] += 1
        _wipe(pool, at)


@outlined
def _wipe(pool: Pool, at: Int) -> None:
    """Make a row blank again."""
    memory = pool.bytes
    begin = at * (memory.shape[0] // pool.rows.shape[0])
    for i in range(begin, begin + memory.shape[0] // pool.rows.shape[0]):
        memory[i] = 0


@kernel
def give(table: Table, pool: Pool, slot: Int, record: Row) -> None:
    """Put the claims of `slot`, if any, beside its record; the flow keeps them."""
    lent = np.int64(table.entries[slot]["claim"])
    if lent >= 0:
        state = table.state[0]
        pool.given[state["claims_given"]] = pool.rows[lent]
        record["claim"] = state["claims_given"]
        state["claims_given"] += 1


@kernel
def take_back(table: Table, pool: Pool, slot: Int) -> None:
    """Let the row of `slot`, if any, be lent anew: the flow is over."""
    entry = table.entries[slot]
    lent = np.int64(entry["claim"])
    if lent >= 0:
        state = table.state[0]
        _wipe(pool, lent)
        pool.free[state["claims_free"]] = lent
        state["claims_free"] += 1
        entry["claim"] = -1
