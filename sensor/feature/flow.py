"""Flow records to flow rows: one `schema.FLOW_FEATURES` row a record."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sensor.feature.schema import FLOW_FEATURES
from sensor.flow.record import Flows
from sensor.kernel import Int, kernel

_NS = 1e-9
#: log(1 + the largest float64): no value of a feature is beyond it.
_MOST = 710.0


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
def _fill(flows: Flows, rows: npt.NDArray[np.float64]) -> None:
    for index in range(flows.shape[0]):
        flow = flows[index]
        row = rows[index]
        packets = float(flow.packets)
        back = float(flow.reverse_packets)
        size = float(flow.bytes)
        back_size = float(flow.reverse_bytes)
        duration = float(flow.end - flow.start) * _NS
        both = packets + back
        row[0] = np.log1p(duration)
        row[1] = np.log1p(packets)
        row[2] = np.log1p(back)
        row[3] = np.log1p(size)
        row[4] = np.log1p(back_size)
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
        row[15] = np.log1p(float(flow.syn) + float(flow.reverse_syn))
        row[16] = np.log1p(float(flow.rst) + float(flow.reverse_rst))
        row[17] = (float(flow.psh) + float(flow.reverse_psh)) / both if both > 0.0 else 0.0
        row[18] = (
            (float(flow.retransmissions) + float(flow.reverse_retransmissions)) / both if both > 0.0 else 0.0
        )
        row[19] = np.log1p(float(flow.first_payload_bytes))
        row[20] = np.log1p(float(flow.reverse_first_payload_bytes))
        row[21] = _text_share(
            flow.first_payload_hi, flow.first_payload_lo, np.int64(flow.first_payload_bytes)
        )
        for column in range(row.shape[0]):
            if not row[column] > 0.0:  # a NaN too
                row[column] = 0.0
            row[column] = min(row[column], _MOST)


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
        _fill(flows, rows)
    return rows
