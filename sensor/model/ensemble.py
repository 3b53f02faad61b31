"""All detectors of one kind of row as one: p-values out, and a gate before learning.

The protocol is per chunk, a chunk being the rows of one closed window: score
all rows by what was known when the chunk began, let the caller judge, then
learn what it and the gate accept, in order. A chunk never depends on how
packets were captured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sensor.model.detector import Bools, Floats, State, rows_of
from sensor.model.deviation import Deviation
from sensor.model.gate import Gate
from sensor.model.panel import Panel
from sensor.model.scores import Scores, Screened
from sensor.model.settings import Settings


class Ensemble:
    """A scaler, a forest over all features and one per group, deviations, and any River detector.

    Parameters
    ----------
    features
        The d column names.
    groups
        Columns by group name. An anomaly in one group is not drowned by the
        features of the others.
    settings
        See `Settings`.
    floors
        (d,) see `Deviation`; None leaves the deviations out.
    detectors
        Import path and constructor arguments of further River detectors.

    Raises
    ------
    ValueError
        If a group names a column that is not there, a setting is not allowed or
        a detector is none.
    """

    def __init__(
        self,
        features: Sequence[str],
        groups: Mapping[str, Sequence[int]],
        *,
        settings: Settings | None = None,
        floors: npt.ArrayLike | None = None,
        detectors: Sequence[tuple[str, Mapping[str, object]]] = (),
    ) -> None:
        self.settings = settings or Settings()
        self.features = tuple(features)
        self.panel = Panel(len(self.features), groups, self.settings, floors, detectors)
        self.gate = Gate(self.settings.gate_p)
        self.trained_rows = 0
        self.rows_scored = 0
        self.rows_learned = 0

    @property
    def state_name(self) -> str:
        """One of "cold" (nothing learned), "learning" (some detector is not ready) or "live".

        Forests decide; a further River detector that never gets ready delays nothing.
        """
        if not self.trained_rows:
            return "cold"
        pairs = zip(self.panel.forests, self.panel.thresholds, strict=False)
        forests_ready = all(forest.ready and threshold.ready for forest, threshold in pairs)
        return "live" if forests_ready else "learning"

    @property
    def generation(self) -> int:
        """How often the forest over all features replaced its reference."""
        return self.panel.forests[0].generation

    def counters(self) -> dict[str, int]:
        """Return plain integers by name: rows scored, learned, and refused by cause."""
        counters = {
            "rows_scored": self.rows_scored,
            "rows_learned": self.rows_learned,
            "refused_not_finite": self.gate.refused_not_finite,
            "refused_by_gate": self.gate.refused_by_gate,
            "refused_by_caller": self.gate.refused_by_caller,
        }
        for extra in self.panel.extras:
            counters[f"errors_{extra.name}"] = extra.errors
            counters[f"rows_skipped_{extra.name}"] = extra.rows_skipped
        return counters

    def score_many(self, X: Floats) -> Scores:
        """Judge all rows by what is known now; nothing is learned."""
        self.rows_scored += len(X)
        return self._scores(X)

    def screen(self, X: Floats, p: float) -> Screened:
        """Find the rows that `score_many` gives a p-value of at most `p` (or the gate's, if that is more).

        Their p-values are what it gives, and `detail` says the rest; all others
        are told from them without that being worked out.
        """
        self.rows_scored += len(X)
        surprise, usable = self.panel.surprise_many(X)
        rows = self.panel.rare_rows(X, surprise, max(p, self.gate.p))
        rows = rows[usable[rows]]
        fused = np.ones(len(X))
        fused[rows] = self.panel.p_many(X[rows], surprise[rows])[0]
        return Screened(fused, usable, surprise)

    def detail(self, X: Floats, screened: Screened, rows: npt.NDArray[np.intp]) -> Scores:
        """Return all that `score_many` would have said of the rows (m,) of a chunk that was just screened."""
        return self.panel.scores_of(X[rows], screened.surprise[rows], screened.usable[rows])

    def learn(self, X: Floats, scores: Scores | Screened, teaches: Bools) -> Bools:
        """Learn the rows that the caller and the gate accept, in order.

        Parameters
        ----------
        X, scores
            A chunk and what `score_many` or `screen` said of it.
        teaches
            (n,) False for a row that must not become the norm: of a host in an
            open incident, of a source beyond its quota.

        Returns
        -------
        (n,) which rows were learned.
        """
        learned, shown = self.gate.admit(scores, teaches)
        self._calibrate(scores, learned, shown)
        self._learn(X, learned)
        return learned

    def learn_many(self, X: Floats, mask: Bools | None = None) -> None:
        """Learn the rows of `mask` (None: all), whatever the gate says: what an operator accepted."""
        scores = self._scores(X)
        wanted = scores.usable if mask is None else scores.usable & mask
        self.gate.refused_not_finite += int((~scores.usable).sum())
        self._calibrate(scores, wanted, np.zeros(0, np.intp))
        self._learn(X, wanted)

    def explain(self, x: Floats) -> Floats:
        """Return (d,): each feature's part of what makes the row unusual, summing to 1, or all 0.

        A feature's part with one detector is the surprise lost when it alone
        takes its median; detectors count by their own -log10 p.
        """
        shares = np.zeros(len(self.features))
        x = np.asarray(x, np.float64)
        scores = self._scores(x[None, :])
        if not scores.usable[0]:
            return shares
        weights = -np.log10(scores.p_by_detector[0])
        panel = self.panel
        if panel.deviation:
            shares += weights[0] * _normalised(panel.deviation.contributions(x, panel.scaler.median))
        if panel.scaler.frozen:
            scaled, reference = panel.scaler.transform_many(np.stack((x, panel.scaler.median)))
            for detector, weight in zip(panel.scaled, weights[panel.first :], strict=True):
                if weight > 0:
                    shares += weight * _normalised(detector.contributions(scaled, reference))
        return _normalised(shares)

    def expected_upper(self, q: float) -> Floats:
        """Return (d,): the value up to which each feature is usual (p > `q`); inf without floors."""
        if self.panel.deviation is None:
            return np.full(len(self.features), np.inf)
        return self.panel.deviation.expected_upper(q)

    def state(self) -> State:
        """Return all that is known, each part's arrays under its own prefix."""
        parts = {name: part.state() for name, part in self._parts().items()}
        meta: dict[str, object] = {name: part.meta for name, part in parts.items()}
        meta["ensemble"] = {"features": list(self.features), "trained_rows": self.trained_rows}
        arrays = {f"{name}/{key}": a for name, part in parts.items() for key, a in part.arrays.items()}
        return State(meta, arrays)

    def restore(self, state: State) -> None:
        """Become what `state` says.

        Raises
        ------
        ValueError
            If it is of an ensemble made otherwise. Use neither of the two then.
        """
        meta: Any = state.meta
        parts = self._parts()
        if set(meta) != {*parts, "ensemble"} or meta["ensemble"]["features"] != list(self.features):
            raise ValueError("the state is of an ensemble of other features or detectors")
        for name, part in parts.items():
            prefix = f"{name}/"
            arrays = {k.removeprefix(prefix): a for k, a in state.arrays.items() if k.startswith(prefix)}
            part.restore(State(meta[name], arrays))
        self.panel.forget_lookup()
        self.trained_rows = int(meta["ensemble"]["trained_rows"])

    def _scores(self, X: Floats) -> Scores:
        surprise, usable = self.panel.surprise_many(X)
        return self.panel.scores_of(X, surprise, usable)

    def _calibrate(self, scores: Scores | Screened, learned: Bools, shown: npt.NDArray[np.intp]) -> None:
        lessons = scores.surprise[np.flatnonzero(learned)]
        for j, threshold in enumerate(self.panel.thresholds, start=self.panel.first):
            if len(shown) and threshold.ready:
                # A refused row counts as one just at the gate, however far beyond it was.
                most = threshold.score_at(self.gate.p / len(self.panel.names))
                threshold.learn_many(np.minimum(scores.surprise[shown, j], most))
            threshold.learn_many(lessons[:, j])  # NaN, not ready then, is left out

    def _learn(self, X: Floats, wanted: Bools) -> None:
        rows = rows_of(X, len(self.features))[np.flatnonzero(wanted)]
        if len(rows):
            self.trained_rows += len(rows)
            self.rows_learned += len(rows)
            self.panel.learn_many(rows)

    def _parts(self) -> dict[str, Any]:
        panel = self.panel
        parts: dict[str, Any] = {"gate": self.gate, "scaler": panel.scaler}
        if panel.deviation:
            parts[Deviation.name] = panel.deviation
        for detector, threshold in zip(panel.scaled, panel.thresholds, strict=True):
            parts[detector.name] = detector
            parts[f"threshold_{detector.name}"] = threshold
        return parts


def _normalised(parts: Floats) -> Floats:
    """Return the positive parts, summing to 1 (or all 0)."""
    parts = np.maximum(parts, 0.0)
    total = parts.sum()
    return parts / total if total > 0 else parts
