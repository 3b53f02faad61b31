"""Each feature on its own: how rare a value this high is.

Forests see odd combinations; floods, scans and exfiltration are plain excess
in one feature, and this detector sees those, says by how much, and can judge
from its first row on.

Per feature, P(V >= v) is a mixture of two tails, v being a logarithm:

- the prior, worth `prior_rows` rows: 1 falling to 0.1 at the feature's floor,
  then exponential (a power law of the plain value);
- the data: a histogram with slow forgetting, continued beyond its 98 % by an
  exponential tail that is fitted to the exceedances.

At or below its floor no value is unusual, however quiet the past was; above
it, p falls no faster than the steepest tail: a deviation must be large both in
itself and against the past.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sensor.kernel import kernel
from sensor.model.detector import Bools, Floats, Judgement, State, array_of, rows_of
from sensor.model.fusion import P_MIN

#: 1/16 in log1p is 6 % of the value; 640 bins reach e^40, beyond any 64-bit counter.
BINS = 640
_PER_UNIT = 16.0
#: The least p-value of a value at its floor.
FLOOR_P = 0.1
#: The share of rows that the fitted tail stands for.
_TAIL_SHARE = 0.02
#: Exceedances worth of belief in the prior's scale.
_SCALE_PRIOR = 10.0
_MIN_SCALE = 0.1
_MAX_SCALE = 1.0
_MAX_WEIGHT = 1e60


class Tails(NamedTuple):
    """What `upper_tails` needs of each of the d features."""

    floor: Floats  # (d,) inf: never unusual
    survival: Floats  # (d, BINS) data's share of rows in this bin or above
    start: Floats  # (d,) where the fitted tail begins
    share: Floats  # (d,) the data's share above `start`
    scale: Floats  # (d,) of the fitted tail
    prior: Floats  # (2,) the prior's scale, and its weight in the mixture


@kernel
def count_rows(X: Floats, counts: Floats, clock: Floats, growth: float) -> None:
    """Add each row to the histograms (d, BINS), weighing `growth` times the row before.

    `clock` (2,) is the next row's weight and the sum of all weights.
    """
    for row in range(X.shape[0]):
        for column in range(X.shape[1]):
            place = X[row, column] * _PER_UNIT
            if place >= 0.0:
                counts[column, int(min(place, BINS - 1.0))] += clock[0]
            else:  # a NaN counts as nothing too: it is not high
                counts[column, 0] += clock[0]
        clock[1] += clock[0]
        clock[0] *= growth
        if clock[0] > _MAX_WEIGHT:
            counts /= clock[0]
            clock[1] /= clock[0]
            clock[0] = 1.0


@kernel
def upper_tail_of(value: float, column: int, tails: Tails) -> float:
    """Return P(V >= value) of one feature; 1 for NaN."""
    floor = tails.floor[column]
    if np.isnan(value) or floor == np.inf:
        return 1.0
    data = tails.survival[column, int(min(max(value * _PER_UNIT, 0.0), BINS - 1.0))]
    if value >= tails.start[column]:
        reach = (value - tails.start[column]) / tails.scale[column]
        fitted = tails.share[column] * np.exp(-reach)
        # What was seen among n rows is never rarer than 1 in n.
        data = max(fitted, data) if value * _PER_UNIT < BINS else fitted
    weight = tails.prior[1]
    if value <= floor:
        below = max(value, 0.0) / floor if floor > 0.0 else 0.0
        p = weight * (1.0 - (1.0 - FLOOR_P) * below) + (1.0 - weight) * data
        return min(max(p, FLOOR_P), 1.0)
    excess = value - floor
    p = weight * FLOOR_P * np.exp(-excess / tails.prior[0]) + (1.0 - weight) * data
    steepest = FLOOR_P * np.exp(-excess / _MIN_SCALE)
    return min(max(p, steepest, P_MIN), 1.0)


@kernel
def upper_tails(X: Floats, tails: Tails, p: Floats) -> None:
    """Fill `p` (n, d) with P(V >= x) of each value."""
    for row in range(X.shape[0]):
        for column in range(X.shape[1]):
            p[row, column] = upper_tail_of(X[row, column], column, tails)


@kernel
def mark_rows(X: Floats, tails: Tails, p: float, marks: Bools) -> None:
    """Set a row's mark where P(V >= x) of a value above its floor is at most `p`."""
    for row in range(X.shape[0]):
        for column in range(X.shape[1]):
            value = X[row, column]
            if value > tails.floor[column] and upper_tail_of(value, column, tails) <= p:
                marks[row] = True


@kernel
def expect(tails: Tails, q: float, upper: Floats) -> None:
    """Fill `upper` (d,) with the value up to which P(V >= value) > `q`, found by halving; inf if always."""
    for column in range(upper.shape[0]):
        # No tail is flatter than scale 1, and none starts above the grid's end.
        low, high = 0.0, BINS / _PER_UNIT + max(1.0, tails.prior[0]) * 700.0
        if upper_tail_of(high, column, tails) > q:
            upper[column] = np.inf
            continue
        for _ in range(60):
            middle = (low + high) / 2.0
            if upper_tail_of(middle, column, tails) > q:
                low = middle
            else:
                high = middle
        upper[column] = high


@kernel
def fit_tails(counts: Floats, clock: Floats, tails: Tails) -> None:
    """Fit every feature's survival and tail to its histogram (d, BINS)."""
    total = clock[1] / clock[0]
    for column in range(counts.shape[0]):
        at_least, moment = 0.0, 0.0
        start, share, excess = BINS, 0.0, 0.0
        for place in range(BINS - 1, -1, -1):
            weight = counts[column, place] / clock[0]
            at_least += weight
            moment += weight * ((place + 0.5) / _PER_UNIT)
            tails.survival[column, place] = at_least / total
            if at_least <= _TAIL_SHARE * total:
                start, share, excess = place, at_least, max(moment - place / _PER_UNIT * at_least, 0.0)
        tails.start[column] = start / _PER_UNIT
        tails.share[column] = share / total
        scale = (excess + _SCALE_PRIOR * tails.prior[0]) / (share + _SCALE_PRIOR)
        tails.scale[column] = min(max(scale, _MIN_SCALE), _MAX_SCALE)


class Deviation:
    """One-sided univariate deviation of every feature, usable from the first row.

    Parameters
    ----------
    floors
        (d,) in the rows' own (log1p) scale: what is not worth an alert, whatever
        the past. Choose them high: rows far above are refused as lessons until
        the caller teaches them. inf switches a feature off.
    prior_rows
        How many rows of data outweigh the prior.
    prior_scale
        Of the prior's tail: with 0.25, ten times the floor has p = 1e-5 and a
        hundred times 1e-9 while nothing is learned.
    half_life_rows
        A row's weight halves every so many learned rows.
    tests
        How many independent looks the features amount to: related features
        rise together, so that each should not be paid for. None: one each.
    """

    name = "deviation"

    def __init__(
        self,
        floors: npt.ArrayLike,
        *,
        prior_rows: float = 100.0,
        prior_scale: float = 0.25,
        half_life_rows: float = 200_000.0,
        tests: int | None = None,
    ) -> None:
        floor = np.array(floors, np.float64)
        if floor.ndim != 1 or len(floor) == 0 or np.isnan(floor).any() or (floor < 0).any():
            raise ValueError("floors is one number a feature, not negative")
        if prior_rows <= 0 or prior_scale <= 0 or half_life_rows <= 0:
            raise ValueError("prior_rows, prior_scale and half_life_rows are positive")
        if tests is not None and tests < 1:
            raise ValueError("tests is at least 1")
        d = len(floor)
        self.n_features = d
        self.tests = max(int(np.isfinite(floor).sum()), 1) if tests is None else tests
        self.prior_rows = prior_rows
        self.growth = 2.0 ** (1.0 / half_life_rows)
        self._counts = np.zeros((d, BINS))
        self._clock = np.array([1.0, 0.0])
        self._tails = Tails(
            floor,
            np.zeros((d, BINS)),
            np.zeros(d),
            np.zeros(d),
            np.full(d, prior_scale),
            np.array([prior_scale, 1.0]),
        )
        self._stale = False
        self.p_many(np.zeros((0, d)))  # compiled now, and not when the first rare row comes in

    @property
    def ready(self) -> bool:
        """Always: the prior speaks from the start."""
        return True

    def p_many(self, X: Floats) -> Floats:
        """Return (n, d) p-values in (0, 1], never larger for a higher value; 1 for NaN."""
        X = rows_of(X, self.n_features)
        self._refit()
        p = np.empty_like(X)
        upper_tails(X, self._tails, p)
        return p

    def mark_rare(self, X: Floats, p: float, marks: Bools) -> None:
        """Set the marks (n,) of all rows whose p-value is at most `p`; of others too if `p` is large."""
        if p >= FLOOR_P * self.tests:
            marks[:] = True
            return
        self._refit()
        # A hair more: the product with `tests`, rounded, may be the one that is compared.
        mark_rows(X, self._tails, p / self.tests * (1.0 + 1e-9), marks)

    def row_p_many(self, p: Floats) -> Floats:
        """Return (n,): the smallest of `p_many`'s (n, d), by Bonferroni for `tests` looks."""
        return np.clip(p.min(axis=1) * self.tests, P_MIN, 1.0)

    def score_many(self, X: Floats) -> Floats:
        """Return (n,) -log10 of each row's p-value."""
        return np.asarray(-np.log10(self.row_p_many(self.p_many(X))), np.float64)

    def judge_many(self, X: Floats) -> Judgement:
        """Return -log10 of each row's p-value as score and as surprise: it needs no calibration."""
        score = self.score_many(X)
        return Judgement(score, score)

    def learn_many(self, X: Floats) -> None:
        """Learn the rows in order."""
        X = rows_of(X, self.n_features)
        if len(X):
            count_rows(X, self._counts, self._clock, self.growth)
            self._stale = True

    def score_learn_many(self, X: Floats) -> Floats:
        """Score then learn row by row; the tails are fitted anew at each row, so this is the slow way."""
        X = rows_of(X, self.n_features)
        scores = np.zeros(len(X))
        for row in range(len(X)):
            scores[row] = self.score_many(X[row : row + 1])[0]
            self.learn_many(X[row : row + 1])
        return scores

    def contributions(self, x: Floats, reference: Floats) -> Floats:
        """Return (d,): the log p-value each feature has more at its reference, 0 where it has less."""
        p = self.p_many(np.stack((x, reference)))
        return np.maximum(np.log(p[1]) - np.log(p[0]), 0.0)

    def expected_upper(self, q: float) -> Floats:
        """Return (d,): the value up to which each feature has p > `q` (inf if it always has)."""
        self._refit()
        upper = np.empty(self.n_features)
        expect(self._tails, q, upper)
        return upper

    def state(self) -> State:
        """Return the histograms and the clock."""
        floors = [None if np.isinf(f) else float(f) for f in self._tails.floor]
        return State({"floors": floors}, {"counts": self._counts.copy(), "clock": self._clock.copy()})

    def restore(self, state: State) -> None:
        """Become what `state` says; the floors are the caller's and stay."""
        counts: Any = array_of(state, "counts", self._counts)
        clock: Any = array_of(state, "clock", self._clock)
        if not (np.isfinite(counts).all() and np.isfinite(clock).all() and clock[0] > 0):
            raise ValueError("the state's numbers are not finite")
        self._counts, self._clock = counts, clock
        self._stale = True

    def _refit(self) -> None:
        if not self._stale:
            return
        self._stale = False
        fit_tails(self._counts, self._clock, self._tails)
        self._tails.prior[1] = self.prior_rows / (self.prior_rows + self._clock[1] / self._clock[0])
