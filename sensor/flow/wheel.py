"""When flows are looked at: three wheels of buckets, one for each timeout.

A flow is filed under the time when it would be due if no further packet came,
and stays there when packets come: nothing but the flow's own row is touched.
When the time of a bucket is over its flows are looked at; what is really due
leaves, the others are filed anew. So a flow is moved at most once a timeout
(G. Varghese and T. Lauck, "Hashed and hierarchical timing wheels", 1987; filing
lazily is what makes it one).

Bucket number k of a wheel holds the flows due in (k - 1, k] granules since the
epoch and is over at k granules: all that is due at a whole number of granules
has left by then. The granule is a second, or less, or more: halved or doubled
until a timeout holds 32 to 1,024 of them. So a flow leaves at most a 32nd of
its timeout after it is due, and a timeout of 32 s to 1,024 s is exact to 1 s.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import numpy as np

from sensor.kernel import Int, Rows, kernel, record_dtype

if TYPE_CHECKING:
    from sensor.flow.table import Table


class FlowList(enum.IntEnum):
    """Which wheel a flow is in; of buckets that are over at one time the lower number's goes first."""

    UNANSWERED = 0  # packets of one direction only, or a TCP connection that was not completed
    ANSWERED = 1
    CLOSED = 2  # lingers after FIN or RST for late packets


#: Both ends of one bucket: slots, -1 when it is empty.
BUCKET = record_dtype([("newest", np.int32), ("oldest", np.int32)])

#: Where a flow stands in its bucket. Apart from the rows: who moves a flow touches its
#: neighbours' links, and those of many flows fit into the caches.
LINK = record_dtype(
    [
        ("newer", np.int32),  # filed later; free rows: the next free one
        ("older", np.int32),
    ]
)

#: One wheel.
WHEEL = record_dtype(
    [
        ("timeout", np.int64),  # ns
        ("granule", np.int64),  # ns
        ("mask", np.int64),  # buckets - 1
        ("earliest", np.int64),  # no bucket with a lower number holds a flow
        ("count", np.int64),  # flows in the wheel
    ]
)

#: Later than any time.
NEVER = int(np.iinfo(np.int64).max)

_SECOND = 1_000_000_000
_FEWEST = 32
_MOST = 1024
_LISTS = len(FlowList)


def granule(timeout: int) -> int:
    """Return how exactly a timeout is kept; both in ns."""
    length = _SECOND
    while length > 1 and timeout // length < _FEWEST:
        length //= 2
    while timeout // length > _MOST:
        length *= 2
    return length


def new_wheels(timeouts: list[int]) -> Rows:
    """Return empty wheels for the timeouts (ns), by `FlowList`."""
    wheels = np.zeros(_LISTS, WHEEL)
    for wheel, timeout in zip(wheels, timeouts, strict=True):
        length = granule(timeout)
        # A flow is filed at most a timeout and one granule ahead of the bucket that is looked at.
        wheel["timeout"], wheel["granule"] = timeout, length
        wheel["mask"] = (1 << (timeout // length + 3).bit_length()) - 1
    return wheels


@kernel
def leave(table: Table, slot: Int) -> None:
    """Take `slot` out of its bucket."""
    entry = table.entries[slot]
    which = np.int64(entry["list"])
    bucket = table.buckets[which, np.int64(entry["bucket"])]
    newer = np.int64(table.links[slot]["newer"])
    older = np.int64(table.links[slot]["older"])
    if newer >= 0:
        table.links[newer]["older"] = older
    else:
        bucket["newest"] = older
    if older >= 0:
        table.links[older]["newer"] = newer
    else:
        bucket["oldest"] = newer
    table.wheels[which]["count"] -= 1


@kernel
def number_of(table: Table, which: Int, due: Int) -> Int:
    """Return the number of the bucket for what is due at `due` (ns) in wheel `which`."""
    length = table.wheels[which]["granule"]
    return np.int64((due + length - 1) // length)


@kernel
def join(table: Table, slot: Int, which: Int, due: Int) -> None:
    """File `slot`, which is in no bucket, in wheel `which` under `due` (ns), behind all others there."""
    wheel = table.wheels[which]
    number = number_of(table, which, due)
    at = number & wheel["mask"]
    bucket = table.buckets[which, at]
    entry = table.entries[slot]
    newest = np.int64(bucket["newest"])
    entry["list"] = which
    entry["bucket"] = at
    link = table.links[slot]
    link["newer"] = -1
    link["older"] = newest
    if newest >= 0:
        table.links[newest]["newer"] = slot
    else:
        bucket["oldest"] = slot
    bucket["newest"] = slot
    if wheel["count"] == 0 or number < wheel["earliest"]:
        wheel["earliest"] = number
    wheel["count"] += 1
    state = table.state[0]
    state["next_due"] = min(state["next_due"], number * wheel["granule"])


@kernel
def first_bucket(table: Table, which: Int) -> Int:
    """Return the number of the first bucket of wheel `which`, which is not empty, that holds a flow."""
    wheel = table.wheels[which]
    number = np.int64(wheel["earliest"])
    while table.buckets[which, number & wheel["mask"]]["oldest"] < 0:
        number += 1
    wheel["earliest"] = number
    return number


@kernel
def soonest(table: Table) -> tuple[Int, Int]:
    """Return (wheel, time) of the bucket that is over first, (-1, NEVER) when no flow is open."""
    which, over = -1, NEVER
    for i in range(_LISTS):
        if table.wheels[i]["count"] > 0:
            time = first_bucket(table, i) * table.wheels[i]["granule"]
            if time < over:
                which, over = i, time
    return which, over


@kernel
def oldest_of(table: Table, which: Int) -> Int:
    """Return the slot that is first in the first bucket of wheel `which`, which is not empty."""
    number = first_bucket(table, which)
    return np.int64(table.buckets[which, number & table.wheels[which]["mask"]]["oldest"])


@kernel
def due_of(table: Table, slot: Int) -> Int:
    """Return when `slot` is due if no further packet comes, ns."""
    entry = table.entries[slot]
    return np.int64(entry["end"] + table.wheels[np.int64(entry["list"])]["timeout"])
