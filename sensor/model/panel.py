"""The detectors of one kind of row side by side: what each says of rows, and what that amounts to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from sensor.model.detector import Bools, Detector, Floats, rows_of
from sensor.model.deviation import Deviation
from sensor.model.fusion import FUSIONS, NEVER_BELOW_SMALLEST
from sensor.model.lookup import Lookup
from sensor.model.parts import make_deviation, make_forests, make_threshold
from sensor.model.river_adapter import RiverDetector
from sensor.model.scaler import Scaler, find_finite, squeeze
from sensor.model.scores import Scores
from sensor.model.settings import Settings

#: Rows scaled and looked up at a time: they stay in the second-level cache.
_BLOCK = 2048
#: What sums of p-values may lose to rounding.
_HAIR = 1.0 + 1e-9


class Panel:
    """A scaler, a forest over all features and one per group, deviations, and any River detector.

    Parameters
    ----------
    n_features
        Width d of the rows.
    groups
        Columns by group name.
    settings
        See `Settings`.
    floors
        (d,) see `Deviation`; None leaves the deviations out.
    detectors
        Import path and constructor arguments of further River detectors.

    Attributes
    ----------
    names
        The k detectors: first the deviations, if there are any, then `scaled`.
    scaled
        The detectors that want rows in [0, 1]: first the forests, then the further ones.
    thresholds
        Of `scaled`.
    first
        The place of the first of `scaled` among `names`.

    Raises
    ------
    ValueError
        If a group names a column that is not there, a setting is not allowed or
        a detector is none.
    """

    def __init__(
        self,
        n_features: int,
        groups: Mapping[str, Sequence[int]],
        settings: Settings,
        floors: npt.ArrayLike | None,
        detectors: Sequence[tuple[str, Mapping[str, object]]],
    ) -> None:
        if settings.fusion not in FUSIONS:
            raise ValueError(f"fusion is one of {', '.join(FUSIONS)}, not {settings.fusion!r}")
        self.fusion = settings.fusion
        self.n_features = n_features
        self.scaler = Scaler(n_features, rows=settings.scaler_rows)
        self.deviation = None if floors is None else make_deviation(settings, n_features, floors, groups)
        self.forests = make_forests(settings, n_features, groups)
        self.extras = [
            RiverDetector(path, kw, n_features=n_features, seed=settings.seed) for path, kw in detectors
        ]
        self.scaled: list[Detector] = [*self.forests, *self.extras]
        self.thresholds = [
            *(make_threshold(settings, 0.0, forest.largest_surprise) for forest in self.forests),
            *(make_threshold(settings) for _ in self.extras),
        ]
        self.first = 1 if self.deviation else 0
        self.names = (Deviation.name,)[: self.first] + tuple(detector.name for detector in self.scaled)
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"two detectors have one name: {', '.join(self.names)}")
        self._block, self._sums = np.empty((_BLOCK, n_features)), np.empty(len(self.forests) * _BLOCK)
        self._lookup: Lookup | None = None
        self._generations: list[int] = []

    def surprise_many(self, X: Floats) -> tuple[Floats, Bools]:
        """Return what each detector says of rows.

        Returns
        -------
        surprise
            (n, k) NaN where nothing is said, and for the deviations: these need no calibration.
        usable
            (n,) False for a row with NaN or inf.
        """
        X = rows_of(X, self.n_features)
        surprise, usable = np.empty((len(self.names), len(X))), np.empty(len(X), np.bool_)
        forests = surprise[self.first : self.first + len(self.forests)]
        ready = [forest.ready for forest in self.forests]
        for start in range(0, len(X), _BLOCK):
            rows = X[start : start + _BLOCK]
            find_finite(rows, usable[start : start + _BLOCK])
            if any(ready):
                scaled = self._block[: len(rows)]
                sums = self._sums[: len(forests) * len(rows)].reshape(len(forests), len(rows))
                squeeze(rows, self.scaler.low, self.scaler.width, scaled)
                self.forests[0].fill_surprise(self._settled(), scaled, sums)
                forests[:, start : start + _BLOCK] = sums
        surprise[: self.first], surprise[self.first + len(forests) :] = np.nan, np.nan
        forests[~np.array(ready)] = np.nan
        if self.extras and self.scaler.frozen:
            scaled = self.scaler.transform_many(np.where(usable[:, None], X, 0.0))
            for j, extra in enumerate(self.extras, start=self.first + len(self.forests)):
                surprise[j] = extra.judge_many(scaled).surprise
        if not usable.all():
            surprise[:, ~usable] = np.nan
        return surprise.T, usable

    def rare_rows(self, X: Floats, surprise: Floats, p: float) -> npt.NDArray[np.intp]:
        """Return the rows whose p-value may be at most `p`: of all others each detector's is above it."""
        if self.fusion not in NEVER_BELOW_SMALLEST:
            return np.arange(len(X))
        marks = np.zeros(len(X), np.bool_)
        if self.deviation:
            self.deviation.mark_rare(X, p * _HAIR, marks)
        for j, threshold in enumerate(self.thresholds, start=self.first):
            threshold.mark_rare(surprise[:, j], p * _HAIR, marks)
        return np.flatnonzero(marks)

    def p_many(self, X: Floats, surprise: Floats) -> tuple[Floats, Floats, Floats]:
        """Return the p-values (n,) of finite rows, (n, k) of detectors, (n, d) of features."""
        p, feature_p = np.ones(surprise.shape), np.ones(X.shape)
        if not len(X):
            return np.ones(0), p, feature_p
        active = np.zeros(len(self.names), np.bool_)
        if self.deviation:
            feature_p = self.deviation.p_many(X)
            p[:, 0] = self.deviation.row_p_many(feature_p)
            active[0] = True
        pairs = zip(self.scaled, self.thresholds, strict=True)
        for j, (detector, threshold) in enumerate(pairs, start=self.first):
            p[:, j] = threshold.p_many(surprise[:, j])
            active[j] = self.scaler.frozen and detector.ready and threshold.ready
        return self._fuse(p, active), p, feature_p

    def scores_of(self, X: Floats, surprise: Floats, usable: Bools) -> Scores:
        """Return all there is to say of rows whose surprise is known."""
        X = np.where(usable[:, None], X, 0.0)
        fused, p, feature_p = self.p_many(X, surprise)
        score = np.nan_to_num(surprise)
        if len(X) and any(forest.ready for forest in self.forests):
            scores = np.empty((len(self.forests), len(X)))
            self.forests[0].fill_scores(self._settled(), self.scaler.transform_many(X), scores)
            for j, forest in enumerate(self.forests):
                score[:, self.first + j] = scores[j] if forest.ready else 0.0
        if self.deviation:
            surprise = surprise.copy()
            score[:, 0] = surprise[:, 0] = -np.log10(p[:, 0])
        fused[~usable], p[~usable], feature_p[~usable] = 1.0, 1.0, 1.0
        score[~usable], surprise[~usable] = 0.0, np.nan
        return Scores(fused, p, score, feature_p, self.names, usable, surprise)

    def learn_many(self, rows: Floats) -> None:
        """Let every detector learn finite rows in order."""
        if self.deviation:
            self.deviation.learn_many(rows)
        if not self.scaler.frozen:
            collected = self.scaler.learn_many(rows)
            if collected is None:
                return
            rows = collected
        scaled = self.scaler.transform_many(rows)
        for detector in self.scaled:
            detector.learn_many(scaled)

    def forget_lookup(self) -> None:
        """Take notice that forests were replaced."""
        self._lookup = None

    def _settled(self) -> Lookup:
        """Return the lookup of all forests; it is worked out anew once they replaced their references."""
        generations = [forest.generation for forest in self.forests]
        if self._lookup is None:
            self._lookup = Lookup(
                [forest.forest for forest in self.forests],
                [forest.columns for forest in self.forests],
                self.forests[0].window_size,
            )
        elif generations == self._generations:
            return self._lookup
        self._lookup.settle()
        self._generations = generations
        return self._lookup

    def _fuse(self, p: Floats, active: Bools) -> Floats:
        """Combine families first, then their members: nine forests must not outvote the deviations."""
        fuse = FUSIONS[self.fusion]
        families = [p[:, : self.first]] if self.first else []
        if active[self.first :].any():
            families.append(fuse(p[:, self.first :][:, active[self.first :]])[:, None])
        return fuse(np.hstack(families)) if families else np.ones(len(p))
