"""What is usual for each host: a fading mean and spread of every feature.

Exponentially weighted mean and variance (West, CACM 1979; Finch, 2009) of
log(1 + value) over the windows in which the host was active and judged normal.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sensor.feature.row import HostRows
from sensor.feature.table import HostTable
from sensor.kernel import kernel

#: Spreads above the mean that still count as usual.
_SPREADS = 3.0


@kernel
def expect(
    table: HostTable,
    rows: HostRows,
    x: npt.NDArray[np.float64],
    floors: npt.NDArray[np.float64],
    moments: npt.NDArray[np.float32],
    upper: npt.NDArray[np.float64],
) -> None:
    """Write each row's usual upper limits, where they can decide.

    Parameters
    ----------
    table
        The hosts.
    rows
        `HOST_ROW`, shape (n,).
    x
        float64, shape (n, features): their values, as log(1 + value).
    floors
        float64, shape (features,): what no value at or below is a reason to alert.
    moments
        float32, shape (hosts, 2, features): mean and variance of log(1 + value).
    upper
        float64, shape (n, features): the result, in log(1 + value). 0 for a
        host without history, and where the value does not exceed its floor.
    """
    for index in range(rows.shape[0]):
        slot = rows[index].slot
        known = np.int64(table.rows[slot].windows) > 0
        for column in range(upper.shape[1]):
            upper[index, column] = 0.0
            if known and x[index, column] > floors[column]:
                mean, variance = moments[slot, 0, column], moments[slot, 1, column]
                upper[index, column] = float(mean) + _SPREADS * np.sqrt(float(variance))


@kernel
def learn(
    table: HostTable,
    rows: HostRows,
    x: npt.NDArray[np.float64],
    accepted: npt.NDArray[np.bool_],
    moments: npt.NDArray[np.float32],
    weight: float,
) -> None:
    """Take the accepted rows into their hosts' history; `weight` is a mature host's for a new window."""
    for index in range(rows.shape[0]):
        if not accepted[index]:
            continue
        slot = rows[index].slot
        row = table.rows[slot]
        windows = np.int64(row.windows)
        means, variances = moments[slot, 0], moments[slot, 1]
        if windows == 0:
            means[:] = 0.0
            variances[:] = 0.0
        part = max(weight, 1.0 / (windows + 1.0))
        for column in range(x.shape[1]):
            mean = float(means[column])
            gap = x[index, column] - mean
            means[column] = mean + part * gap
            variances[column] = (1.0 - part) * (float(variances[column]) + part * gap * gap)
        row.windows = windows + 1
