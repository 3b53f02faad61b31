"""Which judged rows become part of what is normal.

Rows that look like an attack must teach nothing, else a long attack becomes
the norm; but a tail fitted only to what an earlier tail let pass shrinks each
time it is fitted. So the gate lets the thresholds, and only them, see a ration
of what it refuses: the share that `p` itself says is normal. An attack of any
length then adds no more than quiet traffic does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sensor.model.detector import Bools, State
from sensor.model.scores import Scores, Screened

#: Refused rows that may be shown at once, however long it has been quiet.
_MAX_RATION = 20.0


class Gate:
    """Decides which rows are learned, and counts the others by cause.

    Parameters
    ----------
    p
        A row is learned only if its fused p-value is above this.
    """

    def __init__(self, p: float) -> None:
        if not 0.0 <= p < 1.0:
            raise ValueError("gate_p is at least 0 and below 1")
        self.p = p
        self.refused_not_finite = 0
        self.refused_by_gate = 0
        self.refused_by_caller = 0
        self._ration = 0.0

    def admit(self, scores: Scores | Screened, teaches: Bools) -> tuple[Bools, npt.NDArray[np.intp]]:
        """Return (n,) which rows are learned, and indices of those refused yet shown to the thresholds."""
        passes = scores.p > self.p
        learned = scores.usable & teaches & passes
        refused = np.flatnonzero(scores.usable & teaches & ~passes)
        self.refused_not_finite += int((~scores.usable).sum())
        self.refused_by_caller += int((scores.usable & ~teaches).sum())
        self.refused_by_gate += len(refused)
        ration = self._ration + self.p * int(learned.sum())
        shown = refused[: int(ration)]
        self._ration = min(ration - len(shown), _MAX_RATION)
        return learned, shown

    def state(self) -> State:
        """Return the ration left; counters start anew with the process."""
        return State({"ration": self._ration}, {})

    def restore(self, state: State) -> None:
        """Become what `state` says."""
        meta: Any = state.meta
        self._ration = min(max(float(meta["ration"]), 0.0), _MAX_RATION)
