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

from sensor.model.detector import Bools, Detector, Floats, State, rows_of
from sensor.model.deviation import Deviation
from sensor.model.fusion import FUSIONS, NEVER_BELOW_SMALLEST
from sensor.model.gate import Gate
from sensor.model.parts import make_deviation, make_forests, make_threshold
from sensor.model.river_adapter import RiverDetector
from sensor.model.scaler import Scaler, find_finite, squeeze
from sensor.model.scores import Scores, Screened
from sensor.model.settings import Settings

#: Rows scaled and looked up at a time: they stay in the second-level cache.
_BLOCK = 2048
#: What sums of p-values may lose to rounding.
_HAIR = 1.0 + 1e-9


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
        if self.settings.fusion not in FUSIONS:
            raise ValueError(f"fusion is one of {', '.join(FUSIONS)}, not {self.settings.fusion!r}")
        self.gate = Gate(self.settings.gate_p)
        self.features = tuple(features)
        d = len(self.features)
        self.scaler = Scaler(d, rows=self.settings.scaler_rows)
        self.deviation = None if floors is None else make_deviation(self.settings, d, floors, groups)
        self.forests = make_forests(self.settings, d, groups)
        seed = self.settings.seed
        self.extras = [RiverDetector(path, kw, n_features=d, seed=seed) for path, kw in detectors]
        self._scaled: list[Detector] = [*self.forests, *self.extras]
        self._thresholds = [
            *(make_threshold(self.settings, 0.0, forest.largest_surprise) for forest in self.forests),
            *(make_threshold(self.settings) for _ in self.extras),
        ]
        first = (Deviation.name,) if self.deviation else ()
        self.names = first + tuple(detector.name for detector in self._scaled)
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"two detectors have one name: {', '.join(self.names)}")
        self._block = np.empty((_BLOCK, d))
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
        forests_ready = all(f.ready and t.ready for f, t in zip(self.forests, self._thresholds, strict=False))
        return "live" if forests_ready else "learning"

    @property
    def generation(self) -> int:
        """How often the forest over all features replaced its reference."""
        return self.forests[0].generation

    def counters(self) -> dict[str, int]:
        """Return plain integers by name: rows scored, learned, and refused by cause."""
        counters = {
            "rows_scored": self.rows_scored,
            "rows_learned": self.rows_learned,
            "refused_not_finite": self.gate.refused_not_finite,
            "refused_by_gate": self.gate.refused_by_gate,
            "refused_by_caller": self.gate.refused_by_caller,
        }
        for extra in self.extras:
            counters[f"errors_{extra.name}"] = extra.errors
            counters[f"rows_skipped_{extra.name}"] = extra.rows_skipped
        return counters

    def score_many(self, X: Floats) -> Scores:
        """Judge all rows by what is known now; nothing is learned."""
        self.rows_scored += len(X)
        return self._scores(X)

    def screen(self, X: Floats, p: float) -> Screened:
        """Find the rows that `score_many` gives a p-value of at most `p` (or the gate's, if that is more).

        Their p-values are what it gives; `detail` says the rest of them. All
        others are told from them without being worked out.
        """
        self.rows_scored += len(X)
        X, usable = self._usable_rows(X)
        surprise = self._surprise(X)
        rows = np.flatnonzero(self._may_be_rare(X, surprise, max(p, self.gate.p) * _HAIR) & usable)
        fused = np.ones(len(X))
        fused[rows] = self._p(X[rows], surprise[rows])[0]
        return Screened(fused, usable, surprise)

    def detail(self, X: Floats, screened: Screened, rows: npt.NDArray[np.intp]) -> Scores:
        """Return all that `score_many` would have said of the rows (m,) of a chunk that was just screened."""
        return self._explicit(X[rows], screened.usable[rows], screened.surprise[rows])

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
        if self.deviation:
            shares += weights[0] * _normalised(self.deviation.contributions(x, self.scaler.median))
        if self.scaler.frozen:
            scaled, reference = self.scaler.transform_many(np.stack((x, self.scaler.median)))
            for detector, weight in zip(self._scaled, weights[-len(self._scaled) :], strict=True):
                if weight > 0:
                    shares += weight * _normalised(detector.contributions(scaled, reference))
        return _normalised(shares)

    def expected_upper(self, q: float) -> Floats:
        """Return (d,): the value up to which each feature is usual (p > `q`); inf without floors."""
        if self.deviation is None:
            return np.full(len(self.features), np.inf)
        return self.deviation.expected_upper(q)

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
        self.trained_rows = int(meta["ensemble"]["trained_rows"])

    def _scores(self, X: Floats) -> Scores:
        X, usable = self._usable_rows(X)
        return self._explicit(X, usable, self._surprise(X))

    def _surprise(self, X: Floats) -> Floats:
        """Return (n, k): what each detector says of finite rows; NaN for deviations, which need no scale."""
        surprise = np.full((len(self.names), len(X)), np.nan)
        if self.scaler.frozen:
            first = len(self.names) - len(self._scaled)
            for start in range(0, len(X), _BLOCK):
                rows = X[start : start + _BLOCK]
                scaled = self._block[: len(rows)]
                squeeze(rows, self.scaler.low, self.scaler.width, scaled)
                for j, forest in enumerate(self.forests, start=first):
                    forest.fill_surprise(scaled, surprise[j, start : start + _BLOCK])
            for j, extra in enumerate(self.extras, start=first + len(self.forests)):
                surprise[j] = extra.judge_many(self.scaler.transform_many(X)).surprise
        return surprise.T

    def _may_be_rare(self, X: Floats, surprise: Floats, p: float) -> Bools:
        """Return (n,): False only where the fused p-value is above `p`, for that of each detector is."""
        if self.settings.fusion not in NEVER_BELOW_SMALLEST:
            return np.ones(len(X), np.bool_)
        marks = np.zeros(len(X), np.bool_)
        if self.deviation:
            self.deviation.mark_rare(X, p, marks)
        first = len(self.names) - len(self._scaled)
        for j, threshold in enumerate(self._thresholds, start=first):
            threshold.mark_rare(surprise[:, j], p, marks)
        return marks

    def _p(self, X: Floats, surprise: Floats) -> tuple[Floats, Floats, Floats]:
        """Return the p-values (n,) of rows, (n, k) of detectors, (n, d) of features."""
        p, feature_p = np.ones(surprise.shape), np.ones(X.shape)
        active = np.zeros(len(self.names), np.bool_)
        if self.deviation:
            feature_p = self.deviation.p_many(X)
            p[:, 0] = self.deviation.row_p_many(feature_p)
            active[0] = True
        first = len(self.names) - len(self._scaled)
        pairs = zip(self._scaled, self._thresholds, strict=True)
        for j, (detector, threshold) in enumerate(pairs, start=first):
            p[:, j] = threshold.p_many(surprise[:, j])
            active[j] = self.scaler.frozen and detector.ready and threshold.ready
        return self._fuse(p, active), p, feature_p

    def _explicit(self, X: Floats, usable: Bools, surprise: Floats) -> Scores:
        X = np.where(usable[:, None], X, 0.0)
        surprise = np.where(usable[:, None], surprise, np.nan)
        fused, p, feature_p = self._p(X, surprise)
        score = np.nan_to_num(surprise)
        if self.scaler.frozen and len(X):
            scaled = self.scaler.transform_many(X)
            for j, forest in enumerate(self.forests, start=len(self.names) - len(self._scaled)):
                score[:, j] = forest.score_many(scaled)
        if self.deviation:
            score[:, 0] = surprise[:, 0] = -np.log10(p[:, 0])
        fused[~usable], p[~usable], feature_p[~usable] = 1.0, 1.0, 1.0
        score[~usable], surprise[~usable] = 0.0, np.nan
        return Scores(fused, p, score, feature_p, self.names, usable, surprise)

    def _calibrate(self, scores: Scores | Screened, learned: Bools, shown: npt.NDArray[np.intp]) -> None:
        first = len(self.names) - len(self._scaled)
        lessons = scores.surprise[np.flatnonzero(learned)]
        for j, threshold in enumerate(self._thresholds, start=first):
            if len(shown) and threshold.ready:
                # A refused row counts as one just at the gate, however far beyond it was.
                most = threshold.score_at(self.gate.p / len(self.names))
                threshold.learn_many(np.minimum(scores.surprise[shown, j], most))
            threshold.learn_many(lessons[:, j])  # NaN, not ready then, is left out

    def _learn(self, X: Floats, wanted: Bools) -> None:
        rows = rows_of(X, len(self.features))[np.flatnonzero(wanted)]
        if not len(rows):
            return
        self.trained_rows += len(rows)
        self.rows_learned += len(rows)
        if self.deviation:
            self.deviation.learn_many(rows)
        if not self.scaler.frozen:
            collected = self.scaler.learn_many(rows)
            if collected is None:
                return
            rows = collected
        scaled = self.scaler.transform_many(rows)
        for detector in self._scaled:
            detector.learn_many(scaled)

    def _fuse(self, p: Floats, active: Bools) -> Floats:
        """Combine families first, then their members: nine forests must not outvote the deviations."""
        fuse = FUSIONS[self.settings.fusion]
        first = len(self.names) - len(self._scaled)
        families = [p[:, :first]] if first else []
        if active[first:].any():
            families.append(fuse(p[:, first:][:, active[first:]])[:, None])
        return fuse(np.hstack(families)) if families else np.ones(len(p))

    def _usable_rows(self, X: Floats) -> tuple[Floats, Bools]:
        X = rows_of(X, len(self.features))
        usable = np.empty(len(X), np.bool_)
        find_finite(X, usable)
        return X if usable.all() else np.where(usable[:, None], X, 0.0), usable

    def _parts(self) -> dict[str, Any]:
        parts: dict[str, Any] = {"gate": self.gate, "scaler": self.scaler}
        if self.deviation:
            parts[Deviation.name] = self.deviation
        for detector, threshold in zip(self._scaled, self._thresholds, strict=True):
            parts[detector.name] = detector
            parts[f"threshold_{detector.name}"] = threshold
        return parts


def _normalised(parts: Floats) -> Floats:
    """Return the positive parts, summing to 1 (or all 0)."""
    parts = np.maximum(parts, 0.0)
    total = parts.sum()
    return parts / total if total > 0 else parts
