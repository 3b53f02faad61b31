"""What the ends of open flows said of themselves: a bounded pool of `CLAIM` rows.

Few flows say anything, so rows are lent: to a flow whose first payload, of
either direction, fills one, until its last record has left. When all are lent
a claim is refused and counted; the flow still learns its application.
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

    rows: Claims  # CLAIM, shape (n + 2,): the last but one is to be filled, the last one stays blank
    free: npt.NDArray[np.int32]  # shape (n,): the first `state.claims_free` of them are not lent
    scratch: Claims  # CLAIM_SCRATCH, shape (1,)
    given: Claims  # CLAIM, as many as records: those of the records that leave


def new_pool(claims: int, records: int) -> Pool:
    """Return a pool of so many rows, none of them lent."""
    free = np.arange(claims, dtype=np.int32)[::-1].copy()
    return Pool(claim_rows(claims + 2), free, claim_scratch(), claim_rows(records))


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
    entry = table.entries[slot]
    entry["bits"] |= CLAIM_READ << direction
    begin, captured = packet["payload_offset"], np.int64(packet["payload_captured"])
    # The reader trusts what the row says of the bytes.
    whole = 0 <= begin <= data.shape[0] - captured and captured <= np.int64(packet["payload_bytes"])
    if packet["protocol"] not in (_TCP, _UDP) or captured == 0 or not whole:
        return
    last = pool.rows.shape[0]
    at = np.int64(entry["claim"])
    if at < 0:
        at = last - 2
        if pool.rows[at]["filled"] != 0:
            pool.rows[at] = pool.rows[last - 1]
        pool.rows[at]["application"] = entry["application"]
    read_claim(data, packet, direction, pool.rows[at], pool.scratch[0])
    entry["application"] = pool.rows[at]["application"]
    if at < last - 2 or pool.rows[at]["filled"] == 0:
        return
    state = table.state[0]
    if state["claims_free"] == 0:
        state["claims_refused"] += 1
        return
    state["claims_free"] -= 1
    lent = pool.free[state["claims_free"]]
    entry["claim"] = lent
    pool.rows[lent] = pool.rows[at]


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
        pool.free[state["claims_free"]] = lent
        state["claims_free"] += 1
        entry["claim"] = -1
