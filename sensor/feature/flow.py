"""Flow records to flow rows: one `schema.FLOW_FEATURES` row a record."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sensor.feature.schema import FLOW_FEATURES
from sensor.flow.record import Flows
from sensor.kernel import Int, Row, kernel, record_dtype

#: Between whom a flow was.
FLOW_ENDS = record_dtype([("src_hi", np.uint64), ("src_lo", np.uint64), ("dst_lo", np.uint64)])

FlowEnds = npt.NDArray[np.void]

_NS = 1e-9
#: log(1 + the largest float64): no value of a feature is beyond it.
_MOST = 710.0
#: Whole numbers whose logarithms are looked up.
_LOGARITHMS = 4096


@kernel
def _spread(count: float, total: float, squares: float) -> float:
    """Return the standard deviation from a count, a sum and a sum of squares."""
    if count < 2.0:
        return 0.0
    mean = total / count
    variance = squares / count - mean * mean
    return float(np.sqrt(variance)) if variance > 0.0 else 0.0


@kernel
def _text_share(hi: np.uint64, lo: np.uint64, present: Int) -> float:
    """Return the share of printable ASCII among the first `present` (at most 16) bytes."""
    count = min(present, 16)
    if count == 0:
        return 0.0
    printable = 0
    for index in range(count):
        word = hi if index < 8 else lo
        byte = np.int64((word >> np.uint64(8 * (7 - index % 8))) & np.uint64(0xFF))
        if byte in (9, 10, 13) or 32 <= byte < 127:
            printable += 1
    return printable / count


@kernel
def fill_logarithms(logarithms: npt.NDArray[np.float64]) -> None:
    """Fill in log(1 + n) at n."""
    for count in range(logarithms.shape[0]):
        logarithms[count] = np.log1p(float(count))


@kernel
def _log1p(count: float, logarithms: npt.NDArray[np.float64]) -> float:
    """Return log(1 + a whole number), which mostly is a small one."""
    if count < _LOGARITHMS:
        return logarithms[np.uint64(count)]
    return np.log1p(count)


@kernel
def _describe(flow: Row, row: npt.NDArray[np.float64], logarithms: npt.NDArray[np.float64]) -> None:
    packets = float(flow.packets)
    back = float(flow.reverse_packets)
    size = float(flow.bytes)
    back_size = float(flow.reverse_bytes)
    duration = float(flow.end - flow.start) * _NS
    both = packets + back
    row[0] = np.log1p(duration)
    row[1] = _log1p(packets, logarithms)
    row[2] = _log1p(back, logarithms)
    row[3] = _log1p(size, logarithms)
    row[4] = _log1p(back_size, logarithms)
    row[5] = np.log1p(size / packets) if packets > 0.0 else 0.0
    row[6] = np.log1p(_spread(packets, size, flow.length_squares))
    row[7] = np.log1p(back_size / back) if back > 0.0 else 0.0
    row[8] = np.log1p(_spread(back, back_size, flow.reverse_length_squares))
    gaps = packets - 1.0
    spent = float(flow.interval_sum) * _NS
    row[9] = np.log1p(spent / gaps) if gaps > 0.0 else 0.0
    row[10] = np.log1p(_spread(gaps, spent, flow.interval_squares))
    row[11] = np.log1p(float(flow.reverse_interval_sum) * _NS / (back - 1.0)) if back > 1.0 else 0.0
    row[12] = float(flow.idle) * _NS / duration if duration > 0.0 else 0.0
    row[13] = size / (size + back_size) if size + back_size > 0.0 else 0.0
    row[14] = packets / both if both > 0.0 else 0.0
    row[15] = _log1p(float(flow.syn) + float(flow.reverse_syn), logarithms)
    row[16] = _log1p(float(flow.rst) + float(flow.reverse_rst), logarithms)
    row[17] = (float(flow.psh) + float(flow.reverse_psh)) / both if both > 0.0 else 0.0
    row[18] = (
        (float(flow.retransmissions) + float(flow.reverse_retransmissions)) / both if both > 0.0 else 0.0
    )
    row[19] = _log1p(float(flow.first_payload_bytes), logarithms)
    row[20] = _log1p(float(flow.reverse_first_payload_bytes), logarithms)
    row[21] = _text_share(flow.first_payload_hi, flow.first_payload_lo, np.int64(flow.first_payload_bytes))
    for column in range(row.shape[0]):
        if not row[column] > 0.0:  # a NaN too
            row[column] = 0.0
        row[column] = min(row[column], _MOST)


@kernel
def _fill(flows: Flows, rows: npt.NDArray[np.float64], logarithms: npt.NDArray[np.float64]) -> None:
    for index in range(flows.shape[0]):
        _describe(flows[index], rows[index], logarithms)


@kernel
def _fill_answered(
    flows: Flows, rows: npt.NDArray[np.float64], ends: FlowEnds, logarithms: npt.NDArray[np.float64]
) -> int:
    """Write a row and the ends of each answered flow; return how many there are."""
    count = 0
    for index in range(flows.shape[0]):
        flow = flows[index]
        if flow.reverse_packets > 0:
            _describe(flow, rows[count], logarithms)
            end = ends[count]
            end.src_hi, end.src_lo, end.dst_lo = flow.src_hi, flow.src_lo, flow.dst_lo
            count += 1
    return count


def flow_rows(flows: Flows) -> npt.NDArray[np.float64]:
    """Return the feature matrix of `flows`.

    Parameters
    ----------
    flows
        `FLOW` records, shape (n,).

    Returns
    -------
    numpy.ndarray
        float64, shape (n, 22), in the order of `FLOW_FEATURES`; counts, sizes
        and times as log(1 + x), shares as they are. Never negative and always
        finite, whatever the records hold.
    """
    rows = np.zeros((flows.shape[0], len(FLOW_FEATURES)))
    if flows.shape[0]:
        _fill(flows, rows, _logarithms())
    return rows


def _logarithms() -> npt.NDArray[np.float64]:
    table = np.empty(_LOGARITHMS)
    fill_logarithms(table)
    return table


class FlowRows:
    """The rows of answered flows, taken from borrowed records until there are enough of these.

    A flow without an answer tells of its sender only, and anybody can invent
    one: it takes room but has no row.

    Parameters
    ----------
    records
        How many flow records there is room for.

    Attributes
    ----------
    one_way
        Flows without an answer so far.
    """

    def __init__(self, records: int) -> None:
        self._rows = np.zeros((records, len(FLOW_FEATURES)))
        self._ends = np.zeros(records, FLOW_ENDS)
        self._logarithms = _logarithms()
        self._room = records
        self._count = 0
        self.one_way = 0

    @property
    def is_full(self) -> bool:
        """Whether `take` would leave everything."""
        return self._room == 0

    def take(self, flows: Flows) -> Flows:
        """Take in `FLOW` records; return those that there was no room for."""
        taken = flows[: self._room]
        rows, ends = self._rows[self._count :], self._ends[self._count :]
        count = int(_fill_answered(taken, rows, ends, self._logarithms))
        self._room -= len(taken)
        self._count += count
        self.one_way += len(taken) - count
        return flows[len(taken) :]

    def empty(self) -> tuple[npt.NDArray[np.float64], FlowEnds]:
        """Begin anew; return the rows (n, 22), as of `flow_rows`, and `FLOW_ENDS` (n,), both borrowed."""
        count, self._count, self._room = self._count, 0, len(self._rows)
        return self._rows[:count], self._ends[:count]
