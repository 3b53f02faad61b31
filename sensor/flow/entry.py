"""One row of the flow table: what a packet needs first stands first, in lines of 64 bytes.

With more open flows than the processor's caches hold, the lines that a packet
touches are its price. A packet of an open flow reads lines 0 and 1 and the
first line of its direction; the others are for what happens once in a while.

====  =================================================================================
line  holds
====  =================================================================================
0     what finds the flow: its key
1     what both directions share, and what a packet of either is compared with
2, 3  forward: sums that each packet changes; what changes rarely, and the MAC addresses
4, 5  reverse: the same, and the delays of the handshake
6     what is written when the flow begins and when it ends
====  =================================================================================

A record (`FLOW`) is the row without its links. Three of its fields hold
something else while the flow is open: see `ENTRY` and `SIDE`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sensor.flow.record import FLOW, FLOW_OFFSETS, SIDE_NAMES, Flows
from sensor.kernel import Rows

#: Bytes the processor fetches at a time.
_LINE = 64
#: Lines a row.
LINES = 7
#: Where the record begins within the row.
_RECORD = 24

_LINKS: list[tuple[str, type]] = [
    ("tag", np.uint32),  # low half of the key's hash: which cell the flow belongs to
    ("bits", np.uint16),  # connection.*: what was seen, kept over an active timeout
    ("bucket", np.uint16),  # which bucket of its wheel
    ("key_vlan", np.uint16),  # as in the key
    ("list", np.uint8),  # FlowList
    ("mark", np.uint8),  # KeyMark
    ("evidence", np.uint8),  # packets that prove the other direction was there: see `oneway`
    ("last_ack", np.uint32),  # TCP: of those packets
]
_LINK_OFFSETS = (0, 4, 6, 8, 10, 11, 12, 16)

#: What a field of `FLOW` holds while the flow is open, and its name until then.
_OPEN_NAMES = {
    "exported": "handshake_time",  # of the latest SYN, then of the latest SYN-ACK
    "interval_sum": "first",  # time of the direction's first packet, ns
    "ack": "no_ack",  # packets of the direction without ACK
}


def _dtype(
    names: list[str], formats: list[np.dtype[np.generic]], offsets: list[int], size: int
) -> np.dtype[np.void]:
    """Return a dtype of the fields at these offsets, whose rows have them as attributes."""
    plain = np.dtype(
        {"names": names, "formats": formats, "offsets": offsets, "itemsize": size},
        align=True,
    )
    return np.dtype((np.record, plain))


def _part(prefix: str, names: tuple[str, ...], begin: int, size: int) -> np.dtype[np.void]:
    """Return the dtype of those of a record's fields, `begin` being where the part begins in it."""
    return _dtype(
        [_OPEN_NAMES.get(name, name) for name in names],
        [FLOW[prefix + name] for name in names],
        [FLOW_OFFSETS[prefix + name] - begin for name in names],
        size,
    )


_SIDE_BEGIN = FLOW_OFFSETS["last"]
_SIDE_STRIDE = FLOW_OFFSETS["reverse_last"] - _SIDE_BEGIN
_EDGE_NAMES = ("next_seq", "length_min", "length_max")
_EDGE_BEGIN = FLOW_OFFSETS["next_seq"]
_EDGE_STRIDE = FLOW_OFFSETS["reverse_next_seq"] - _EDGE_BEGIN
_COMMON = tuple(
    name for name in FLOW.names or () if name.removeprefix("reverse_") not in (*SIDE_NAMES, *_EDGE_NAMES)
)

#: One row of the table, without what it has of each direction.
ENTRY = _dtype(
    [name for name, _ in _LINKS] + [_OPEN_NAMES.get(name, name) for name in _COMMON],
    [np.dtype(kind) for _, kind in _LINKS] + [FLOW[name] for name in _COMMON],
    [*_LINK_OFFSETS, *(_RECORD + FLOW_OFFSETS[name] for name in _COMMON)],
    LINES * _LINE,
)

#: One direction of a row: its sums.
SIDE = _part("", SIDE_NAMES, _SIDE_BEGIN, _SIDE_STRIDE - 16)

#: One direction of a row: what each packet is compared with. It stands in line 1.
EDGE = _part("", _EDGE_NAMES, _EDGE_BEGIN, _EDGE_STRIDE)


def new_entries(capacity: int) -> tuple[Rows, Rows, Rows, Flows, npt.NDArray[np.uint64]]:
    """Return memory for `capacity` rows, by five names; the system gives it as rows are used.

    Returns
    -------
    tuple
        `ENTRY`, shape (capacity,); `SIDE`, shape (capacity, 2); `EDGE`, shape
        (capacity, 2); `FLOW`, shape (capacity,); uint64, shape (7 *
        capacity, 8), a line each. They are the same bytes.
    """
    size = ENTRY.itemsize
    memory: npt.NDArray[np.uint8] = np.zeros(capacity * size + _LINE, np.uint8)
    start = -memory.ctypes.data % _LINE

    def named(kind: np.dtype[np.void], offset: int, stride: int) -> Rows:
        shape, strides = ((capacity, 2), (size, stride)) if stride else ((capacity,), (size,))
        return np.ndarray(shape, kind, memory, start + offset, strides)

    return (
        named(ENTRY, 0, 0),
        named(SIDE, _RECORD + _SIDE_BEGIN, _SIDE_STRIDE),
        named(EDGE, _RECORD + _EDGE_BEGIN, _EDGE_STRIDE),
        named(FLOW, _RECORD, 0),
        np.ndarray((capacity * LINES, _LINE // 8), np.uint64, memory, start),
    )
