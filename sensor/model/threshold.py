"""A detector's score to a p-value, by the scores of rows that were accepted as normal.

A histogram answers for the bulk; beyond its 98 % a generalised Pareto tail
(peaks over threshold; Siffer et al., "Anomaly detection in streams with
extreme value theory", KDD 2017) answers for what was never seen.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from sensor.kernel import kernel
from sensor.model.detector import Bools, Floats, State, array_of
from sensor.model.fusion import P_MIN

BINS = 1024
_MIDDLES = np.arange(BINS) + 0.5
#: The share of accepted scores that the fitted tail stands for.
TAIL_SHARE = 0.02
#: Exceedances worth of belief in a tail of the body's scale, and in an exponential one.
_SCALE_PRIOR = 10.0
_SHAPE_PRIOR = 100.0
_MIN_SHAPE = -0.3
_MAX_SHAPE = 0.5
#: Where a tail with an end turns exponential: hazard has then grown fourfold.
_LAST_BEND = 0.25
#: The newest row's weight grows instead of all others' shrinking; above this both are scaled back.
_MAX_WEIGHT = 1e60


@kernel
def count(scores: Floats, counts: Floats, clock: Floats, grid: Floats, growth: float) -> None:
    """Add scores to the histogram, each weighing `growth` times the one before.

    Parameters
    ----------
    counts
        (BINS + 2,) the bins, then sum and sum of squares of the excess over the
        grid's upper end of all scores beyond it.
    clock
        (1,) the next row's weight.
    grid
        Lower end, upper end, bins per unit.
    """
    bins = counts.shape[0] - 2
    for i in range(scores.shape[0]):
        score = scores[i]
        if not np.isfinite(score):
            continue
        place = (score - grid[0]) * grid[2]
        counts[int(min(max(place, 0.0), bins - 1.0))] += clock[0]
        if score > grid[1]:
            excess = min(score - grid[1], 1e9 * (grid[1] - grid[0]))
            counts[bins] += clock[0] * excess
            counts[bins + 1] += clock[0] * excess * excess
        clock[0] *= growth
        if clock[0] > _MAX_WEIGHT:
            counts /= clock[0]
            clock[0] = 1.0


@kernel
def pareto_survival(reach: float, shape: float) -> float:
    """Return P(Y > reach) of a generalised Pareto variable of scale 1.

    A negative shape would end the tail: beyond that all would be impossible.
    Near the end it goes on as the exponential tail that touches it there.
    """
    if abs(shape) < 1e-6:
        return np.exp(-reach)
    left = 1.0 + shape * reach
    if left >= _LAST_BEND:
        return left ** (-1.0 / shape)
    return _LAST_BEND ** (-1.0 / shape) * np.exp((left - _LAST_BEND) / (-shape * _LAST_BEND))


@kernel
def upper_tail_of(score: float, survival: Floats, tail: Floats, grid: Floats) -> float:
    """Return the share of accepted rows with at least this score; NaN says nothing and gets 1."""
    if np.isnan(score):
        return 1.0
    bins = survival.shape[0]
    value = survival[int(min(max((score - grid[0]) * grid[2], 0.0), bins - 1.0))]
    start, share, shape, scale = tail[0], tail[1], tail[2], tail[3]
    if score >= start:
        fitted = share * pareto_survival((score - start) / scale, shape)
        # What was seen among n rows is never rarer than 1 in n.
        value = fitted if score > grid[1] else max(fitted, value)
    return min(max(value, P_MIN), 1.0)


@kernel
def upper_tail(scores: Floats, survival: Floats, tail: Floats, grid: Floats, p: Floats) -> None:
    """Fill `p` (n,) with `upper_tail_of` each score."""
    for i in range(scores.shape[0]):
        p[i] = upper_tail_of(scores[i], survival, tail, grid)


@kernel
def mark_upper_tail(
    scores: Floats, survival: Floats, tail: Floats, grid: Floats, limits: Floats, marks: Bools
) -> None:
    """Set a row's mark where `upper_tail_of` its score is at most limits[1]; below limits[0] none is."""
    for i in range(scores.shape[0]):
        if not scores[i] < limits[0] and upper_tail_of(scores[i], survival, tail, grid) <= limits[1]:
            marks[i] = True


class Tail(NamedTuple):
    """A fitted tail: P(S >= s) = share x `pareto_survival`((s - start) / scale, shape)."""

    start: float
    share: float
    shape: float
    scale: float


class Threshold:
    """Streaming calibration of one detector's scores.

    Feed it only scores of rows that were accepted for learning, after they
    were judged: fitted on all traffic, a slow attack teaches it that attacks
    are normal.

    Parameters
    ----------
    low, high
        The scores' range, if known; otherwise it is taken from the first
        `range_rows` scores. Scores outside are still judged, by the tail.
    min_rows
        Below this weight of rows p is 1: nothing is known yet.
    half_life_rows
        A row's weight halves every so many accepted rows.
    range_rows
        Scores collected to find the range.

    Notes
    -----
    `fit` is the one place where a new tail takes the old one's place: whoever
    wants to bound how far the threshold may move in a day does it there.
    """

    def __init__(
        self,
        low: float | None = None,
        high: float | None = None,
        *,
        min_rows: int = 1_000,
        half_life_rows: float = 200_000.0,
        range_rows: int = 256,
    ) -> None:
        if min_rows < 1 or range_rows < 2 or half_life_rows <= 0:
            raise ValueError("min_rows is at least 1, range_rows at least 2, half_life_rows positive")
        self.min_rows = min_rows
        self.range_rows = range_rows
        self.growth = 2.0 ** (1.0 / half_life_rows)
        self.trained_rows = 0
        self.tail = Tail(0.0, 1.0, 0.0, 1.0)
        self._grid = np.zeros(3)
        self._counts = np.zeros(BINS + 2)
        self._clock = np.ones(1)
        self._survival = np.ones(BINS)
        self._seen = np.zeros(0)
        self._stale = False
        if low is not None and high is not None:
            self._set_range(low, high)
        none, tail = np.zeros(0), np.array(self.tail)
        # Compiled now, and not when enough rows have come in.
        upper_tail(none, self._survival, tail, self._grid, none)
        mark_upper_tail(none, self._survival, tail, self._grid, none, np.zeros(0, np.bool_))

    @property
    def ready(self) -> bool:
        """Whether enough scores were accepted for p-values to mean something."""
        return self.trained_rows >= self.min_rows and self._grid[2] > 0

    def p_many(self, scores: Floats) -> Floats:
        """Return (n,) p-values in (0, 1], never larger for a higher score; 1 for NaN or while not ready."""
        p = np.ones(len(scores))
        if self.ready:
            tail = np.array(self.fit())
            upper_tail(np.ascontiguousarray(scores, np.float64), self._survival, tail, self._grid, p)
        return p

    def mark_rare(self, scores: Floats, p: float, marks: Bools) -> None:
        """Set the marks (n,) of the scores whose p-value is at most `p`; leave the others as they are."""
        if not self.ready:
            return
        tail = self.fit()
        low, _, per_unit = self._grid
        # Most scores are neither in the tail nor in a bin that is rare; one bin is left for rounding.
        common = BINS - int(np.searchsorted(self._survival[::-1], p, side="right")) - 1
        limits = np.array([min(tail.start, low + common / per_unit) if common > 0 else -np.inf, p])
        scores = np.ascontiguousarray(scores)
        mark_upper_tail(scores, self._survival, np.array(tail), self._grid, limits, marks)

    def score_at(self, p: float) -> float:
        """Return the lowest score whose p-value is at most `p`; inf if not ready."""
        if not self.ready:
            return float("inf")
        tail = self.fit()
        low = float(self._grid[0])
        high = max(float(self._grid[1]), tail.start + tail.scale)
        for _ in range(200):  # p falls at least as a power of the score, so doubling gets there
            if self.p_many(np.array([high]))[0] <= p:
                break
            high += high - low
        for _ in range(80):
            middle = (low + high) / 2.0
            if self.p_many(np.array([middle]))[0] <= p:
                high = middle
            else:
                low = middle
        return high

    def learn_many(self, scores: Floats) -> None:
        """Learn the scores of accepted rows, in order; those not finite are left out."""
        scores = np.asarray(scores, np.float64)
        scores = scores[np.isfinite(scores)]
        self.trained_rows += len(scores)
        if self._grid[2] == 0:
            scores = np.concatenate((self._seen, scores))
            if len(scores) < self.range_rows:
                self._seen = scores
                return
            self._set_range(*_range(scores[: self.range_rows]))
            self._seen = np.zeros(0)
        if len(scores):
            count(scores, self._counts, self._clock, self._grid, self.growth)
            self._stale = True

    def fit(self) -> Tail:
        """Return the tail that fits what has been learned; worked out when something new was."""
        if self._stale:
            self.tail = self._fit()
            self._stale = False
        return self.tail

    def state(self) -> State:
        """Return all that is known."""
        meta: dict[str, object] = {"trained_rows": self.trained_rows, "min_rows": self.min_rows}
        arrays = {"grid": self._grid, "counts": self._counts, "clock": self._clock, "seen": self._seen}
        return State(meta, {name: array.copy() for name, array in arrays.items()})

    def restore(self, state: State) -> None:
        """Become what `state` says."""
        meta: Any = state.meta
        seen: Any = state.arrays.get("seen")
        if meta["min_rows"] != self.min_rows or seen is None or seen.ndim != 1:
            raise ValueError("the state is of another threshold")
        parts: list[Any] = [array_of(state, n, getattr(self, f"_{n}")) for n in ("grid", "counts", "clock")]
        if not all(np.isfinite(part).all() for part in parts):
            raise ValueError("the state's numbers are not finite")
        self._grid, self._counts, self._clock = parts
        self._seen = np.array(seen, np.float64)
        self.trained_rows = int(meta["trained_rows"])
        self._stale = bool(self._grid[2] > 0)

    def _set_range(self, low: float, high: float) -> None:
        if not high > low:
            raise ValueError("high is above low")
        self._grid[:] = low, high, BINS / (high - low)

    def _fit(self) -> Tail:
        low, high, per_unit = self._grid
        weight = self._counts[:BINS] / self._clock[0]
        downwards = np.cumsum(weight[::-1])
        total = downwards[-1]
        self._survival = downwards[::-1] / (total + 1.0)
        start_bin = BINS - int(np.searchsorted(downwards, TAIL_SHARE * total, side="right"))
        start = low + start_bin / per_unit
        # The scale an exponential tail would have if it went on as the body does from the median.
        median = low + (BINS - np.searchsorted(downwards, 0.5 * total, side="right")) / per_unit
        body_scale = max((start - median) / np.log(0.5 / TAIL_SHARE), 1.0 / per_unit)
        above = weight[start_bin:]
        n = above.sum()
        excess = _MIDDLES[: len(above)] / per_unit
        first, second = (above * excess).sum(), (above * excess**2).sum()
        beyond, beyond_squares = self._counts[BINS:] / self._clock[0]
        gap = high - start
        first += beyond
        second += beyond_squares + 2.0 * gap * beyond
        mean = (first + _SCALE_PRIOR * body_scale) / (n + _SCALE_PRIOR)
        shape = 0.0
        if n > 1.0:
            variance = second / n - (first / n) ** 2
            if variance > 0:
                # Method of moments (Hosking & Wallis, Technometrics 1987).
                shape = 0.5 * (1.0 - (first / n) ** 2 / variance) * n / (n + _SHAPE_PRIOR)
                shape = min(max(shape, _MIN_SHAPE), _MAX_SHAPE)
        return Tail(float(start), float((n + 1.0) / (total + 1.0)), float(shape), float(mean * (1.0 - shape)))


def _range(scores: Floats) -> tuple[float, float]:
    """Return a range that leaves room above the scores seen so far."""
    low, high = float(scores.min()), float(np.quantile(scores, 0.99))
    spread = max(high - low, 1e-9 * max(abs(high), 1.0))
    return low - 0.25 * spread, high + 2.0 * spread
