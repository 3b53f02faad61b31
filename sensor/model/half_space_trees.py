"""River's Half-Space Trees, walked as flat arrays.

River grows the trees (`river.anomaly.HalfSpaceTrees`, 0.26; Tan, Ting & Liu,
"Fast anomaly detection for streaming data", IJCAI 2011); this file walks them.
Three facts make it fast and keep every score equal to River's to the last bit:

- A tree of height H is complete, so heap order needs no child pointers: the
  children of node i are 2i + 1 and 2i + 2.
- A learned row adds 1 to every node of its path, so an inner node's mass is
  the sum of its leaves: only leaves are counted.
- Between two pivots the reference masses stand still, and so does what River
  adds up along each path, with its early stop: see `lookup`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np

from sensor.memo import Arrays, kept
from sensor.model.detector import Floats, Judgement, State, array_of, rows_of
from sensor.model.forest import Forest, count_rows, empty_forest
from sensor.model.lookup import Lookup

#: 4,096 leaves a tree; a taller one costs memory and cache, and isolates nothing more.
_MAX_HEIGHT = 12


class HalfSpaceTrees:
    """Half-Space Trees over columns of X whose values lie in [0, 1].

    Parameters
    ----------
    n_features
        Width d of the rows that are given.
    columns
        The columns this forest looks at; None is all. River sees them in
        ascending order.
    n_trees, height, window_size, seed
        As River's. `window_size` counts learned rows.
    reading
        How `judge_many` reads the trees. "river": surprise is -log(1 - River's
        score), the log of the *sum* of the trees' masses. "log_mass": the mean
        over trees of the log of each mass, so that one tree which isolates the
        row is not drowned by nine that do not.

    Attributes
    ----------
    generation
        How often the reference masses were replaced.
    trained_rows
        Rows learned since the beginning.
    """

    def __init__(  # noqa: PLR0913  (River's own four, and which columns)
        self,
        n_features: int,
        *,
        columns: Sequence[int] | None = None,
        n_trees: int = 10,
        height: int = 8,
        window_size: int = 250,
        seed: int | None = None,
        reading: str = "river",
        name: str = "half_space_trees",
    ) -> None:
        if not 1 <= height <= _MAX_HEIGHT or n_trees < 1 or window_size < 1:
            raise ValueError(f"height is 1 to {_MAX_HEIGHT}; n_trees and window_size are positive")
        if reading not in {"river", "log_mass"}:
            raise ValueError(f"reading is 'river' or 'log_mass', not {reading!r}")
        self.columns = tuple(sorted(range(n_features) if columns is None else set(columns)))
        if not self.columns or self.columns[0] < 0 or self.columns[-1] >= n_features:
            raise ValueError(f"columns must be among 0 to {n_features - 1}, and at least one")
        self.name = name
        self.n_features = n_features
        self.n_trees = n_trees
        self.height = height
        self.window_size = window_size
        self.seed = seed
        self.reading = reading
        self.counter = 0
        self.generation = 0
        self.trained_rows = 0
        self._forest = empty_forest(n_trees, height)
        self._lookup = Lookup([self._forest], [self.columns], window_size)
        self._is_settled = False
        self._grown = False

    @property
    def ready(self) -> bool:
        """Whether a first window has been learned whole; before, River's score is 0."""
        return self.generation > 0

    @property
    def forest(self) -> Forest:
        """The trees: not to be changed. `restore` puts others in their place."""
        return self._forest

    @property
    def largest_surprise(self) -> float:
        """The surprise of a row that meets no mass below any root; none is larger."""
        return float(np.log(2 ** (self.height + 1) - 1))

    def score_many(self, X: Floats) -> Floats:
        """Return River's scores, (n,) in [0, 1); all 0 during the first window."""
        X = rows_of(X, self.n_features)
        return self._scores(X) if self.ready else np.zeros(len(X))

    def judge_many(self, X: Floats) -> Judgement:
        """Return River's scores, and surprises in [0, `largest_surprise`] (NaN during the first window)."""
        X = rows_of(X, self.n_features)
        if not self.ready:
            return Judgement(np.zeros(len(X)), np.full(len(X), np.nan))
        surprise = np.empty((1, len(X)))
        self.fill_surprise(self._settled(), X, surprise)
        return Judgement(self._scores(X), surprise[0])

    def fill_surprise(self, lookup: Lookup, X: Floats, surprise: Floats) -> None:
        """Write the surprises (F, n) of each of a lookup's forests, which are like this one."""
        if self.reading == "log_mass":
            lookup.log_masses(X, surprise)
            np.divide(surprise, -self.n_trees, out=surprise)
            np.maximum(surprise, 0.0, out=surprise)
            return
        lookup.masses(X, surprise)
        # The numerator is an exact integer: no digits are lost near score 0 or 1.
        surprise[:] = np.where(
            2 * surprise > self._max_mass,
            -np.log1p((surprise - self._max_mass) / self._max_mass),
            -np.log(surprise / self._max_mass),
        )

    def fill_scores(self, lookup: Lookup, X: Floats, scores: Floats) -> None:
        """Write River's scores (F, n) of each of a lookup's forests, which are like this one."""
        lookup.masses(X, scores)
        np.subtract(1.0, scores / self._max_mass, out=scores)

    def learn_many(self, X: Floats) -> None:
        """Learn the rows in order; the reference is replaced after every `window_size` of them."""
        self._learn(rows_of(X, self.n_features), None)

    def score_learn_many(self, X: Floats) -> Floats:
        """Score then learn row by row; equal to River's loop, for scores change at a pivot only."""
        scores = np.zeros(len(X))
        self._learn(rows_of(X, self.n_features), scores)
        return scores

    def contributions(self, x: Floats, reference: Floats) -> Floats:
        """Return (d,): the surprise lost when each feature alone takes its `reference`; 0 if not ready."""
        lost = np.zeros(self.n_features)
        if not self.ready:
            return lost
        columns = list(self.columns)
        variants = np.repeat(np.asarray(x, np.float64)[None, :], len(columns) + 1, axis=0)
        variants[np.arange(len(columns)), columns] = np.asarray(reference, np.float64)[columns]
        surprise = self.judge_many(variants).surprise
        lost[columns] = surprise[-1] - surprise[:-1]
        return lost

    def state(self) -> State:
        """Return the trees, their masses and the counters."""
        meta: dict[str, object] = {
            "columns": list(self.columns),
            "window_size": self.window_size,
            "counter": self.counter,
            "generation": self.generation,
            "trained_rows": self.trained_rows,
            "grown": self._grown,
        }
        kept = ("feature", "threshold", "l_mass", "r_mass")
        return State(meta, {field: getattr(self._forest, field).copy() for field in kept})

    def restore(self, state: State) -> None:
        """Become what `state` says; River is not needed for it."""
        meta: Any = state.meta
        if meta["columns"] != list(self.columns) or meta["window_size"] != self.window_size:
            raise ValueError("the state is of a forest over other columns or another window")
        forest = empty_forest(self.n_trees, self.height)
        for field in ("feature", "threshold", "l_mass", "r_mass"):
            getattr(forest, field)[:] = array_of(state, field, getattr(forest, field))
        if not np.isin(forest.feature, self.columns).all() and meta["grown"]:
            raise ValueError("the state's trees split on columns this forest does not have")
        self._forest = forest
        self._grown = False
        if meta["grown"]:
            self._adopt()
        self.counter = int(meta["counter"])
        self.generation = int(meta["generation"])
        self.trained_rows = int(meta["trained_rows"])

    @property
    def _max_mass(self) -> int:
        return self.n_trees * self.window_size * (2 ** (self.height + 1) - 1)

    def _scores(self, X: Floats) -> Floats:
        scores = np.empty((1, len(X)))
        self.fill_scores(self._settled(), X, scores)
        return scores[0]

    def _learn(self, X: Floats, scores: Floats | None) -> None:
        if len(X) and not self._grown:
            self._grow()
        start = 0
        while start < len(X):
            stop = min(len(X), start + self.window_size - self.counter)
            if scores is not None and self.ready:
                scores[start:stop] = self._scores(X[start:stop])
            count_rows(self._forest, X[start:stop])
            self.counter += stop - start
            if self.counter == self.window_size:
                self._pivot()
            start = stop
        self.trained_rows += len(X)

    def _pivot(self) -> None:
        self._forest.r_mass[:] = self._forest.l_mass
        self._forest.l_mass[:] = 0
        self.counter = 0
        self.generation += 1
        self._is_settled = False

    def _grow(self) -> None:
        parts = (_river_version(), self.n_trees, self.height, self.seed, list(map(int, self.columns)))
        feature, threshold = kept(f"half-space trees {parts}", self._grown_by_river)
        self._forest.feature[:] = feature
        self._forest.threshold[:] = threshold
        self._adopt()

    def _adopt(self) -> None:
        """Take the forest's trees and reference as they now are.

        Raises
        ------
        ValueError
            If a reference is not that of a whole window.
        """
        mass = self._forest.r_mass
        if mass.min() < 0 or not np.isin(mass.sum(axis=1), (0, self.window_size)).all():
            raise ValueError("a tree's reference masses are not those of one window")
        self._lookup = Lookup([self._forest], [self.columns], self.window_size)
        self._is_settled = False
        self._grown = True

    def _settled(self) -> Lookup:
        if not self._is_settled:
            self._lookup.settle()
            self._is_settled = True
        return self._lookup

    def _grown_by_river(self) -> Arrays:
        from sensor.model import river_trees  # noqa: PLC0415  (importing River takes about a second)

        return river_trees.grow(self)


@cache
def _river_version() -> str:
    return version("river")
