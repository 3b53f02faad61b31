"""Any River anomaly detector as a member of the ensemble, row by row and within bounds.

The class is named by its import path in the configuration. River's detectors
differ in cost by four orders of magnitude and some remember every row, so both
time and memory are capped here.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from sensor.model.detector import Floats, Judgement, State, rows_of

#: What a foreign detector may raise on odd input. It is then switched off and counted, not the sensor.
_FOREIGN_ERRORS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class RiverDetector:
    """A River detector behind the `Detector` protocol.

    Parameters
    ----------
    path
        Import path of a class, e.g. ``"river.anomaly.LocalOutlierFactor"``.
    parameters
        Keyword arguments of its constructor.
    n_features
        Width of the rows.
    seed
        Given to a class that takes a `seed` which `parameters` leave open.
    warm_up_rows
        Rows learned before its scores are believed.
    max_rows
        Rows looked at per call; of more rows, evenly spaced ones are. The
        others get NaN (no judgement) and are not learned.
    renew_rows
        After so many learned rows the model starts anew: the bound of what a
        detector that keeps its rows can hold.

    Raises
    ------
    ValueError
        If the path does not lead to a River anomaly detector, or the
        parameters do not fit it.
    """

    def __init__(  # noqa: PLR0913  (one object of settings would only move them)
        self,
        path: str,
        parameters: Mapping[str, object] | None = None,
        *,
        n_features: int,
        seed: int = 0,
        warm_up_rows: int = 500,
        max_rows: int = 1_000,
        renew_rows: int = 50_000,
    ) -> None:
        if min(warm_up_rows, max_rows, renew_rows) < 1 or warm_up_rows >= renew_rows:
            raise ValueError("warm_up_rows, max_rows and renew_rows are positive, warm_up_rows the smaller")
        self.path = path
        self.name = path.rpartition(".")[2]
        self.n_features = n_features
        self.warm_up_rows = warm_up_rows
        self.max_rows = max_rows
        self.renew_rows = renew_rows
        self.errors = 0
        self.rows_skipped = 0
        self.trained_rows = 0
        self._keys = [f"{column:04d}" for column in range(n_features)]
        self._pristine = _build(path, dict(parameters or {}), seed)
        self._model = self._pristine.clone()
        self._learned = 0

    @property
    def ready(self) -> bool:
        """Whether it has learned enough and has not failed."""
        return self._learned >= self.warm_up_rows and not self.errors

    def score_many(self, X: Floats) -> Floats:
        """Return its scores (n,): 0 while not ready, NaN for rows it did not look at."""
        return self.judge_many(X).score

    def judge_many(self, X: Floats) -> Judgement:
        """Return its scores as they are, and the same as surprise (NaN while not ready)."""
        X = rows_of(X, self.n_features)
        surprise = np.full(len(X), np.nan)
        if not self.ready:
            return Judgement(np.zeros(len(X)), surprise)
        chosen = self._choose(len(X))
        self.rows_skipped += len(X) - len(chosen)
        for row in chosen:
            surprise[row] = self._score(X[row])
        return Judgement(surprise.copy(), surprise)

    def learn_many(self, X: Floats) -> None:
        """Learn the chosen rows in order."""
        X = rows_of(X, self.n_features)
        for row in self._choose(len(X)):
            self._learn(X[row])

    def score_learn_many(self, X: Floats) -> Floats:
        """Score then learn the chosen rows one by one."""
        X = rows_of(X, self.n_features)
        scores = np.full(len(X), np.nan)
        for row in self._choose(len(X)):
            scores[row] = self._score(X[row]) if self.ready else 0.0
            self._learn(X[row])
        return scores

    def contributions(self, x: Floats, reference: Floats) -> Floats:
        """Return (d,): the score lost when each feature alone is set to its `reference`."""
        lost = np.zeros(self.n_features)
        if not self.ready:
            return lost
        whole = self._score(x)
        for column in range(self.n_features):
            variant = np.array(x)
            variant[column] = reference[column]
            lost[column] = whole - self._score(variant)
        return np.nan_to_num(lost, nan=0.0, posinf=0.0, neginf=0.0)

    def state(self) -> State:
        """Return counters only: a foreign object could be kept by pickle alone, which is not done."""
        return State({"path": self.path, "trained_rows": self.trained_rows}, {})

    def restore(self, state: State) -> None:
        """Check that the state is of this class, and start its model anew."""
        if state.meta["path"] != self.path:
            raise ValueError(f"the state is of {state.meta['path']!r}, not {self.path!r}")
        self._model = self._pristine.clone()
        self._learned = 0

    def _choose(self, n: int) -> list[int]:
        if n <= self.max_rows:
            return list(range(n))
        return [i * n // self.max_rows for i in range(self.max_rows)]

    def _score(self, x: Floats) -> float:
        if self.errors:
            return float("nan")
        try:
            return float(self._model.score_one(dict(zip(self._keys, x.tolist(), strict=True))))
        except _FOREIGN_ERRORS:
            self.errors += 1
            return float("nan")

    def _learn(self, x: Floats) -> None:
        if self.errors:
            return
        if self._learned >= self.renew_rows:
            self._model = self._pristine.clone()
            self._learned = 0
        try:
            self._model.learn_one(dict(zip(self._keys, x.tolist(), strict=True)))
        except _FOREIGN_ERRORS:
            self.errors += 1
            return
        self._learned += 1
        self.trained_rows += 1


def _build(path: str, parameters: dict[str, object], seed: int) -> Any:
    """Import the class, check that it is a plain anomaly detector, and make one."""
    import inspect  # noqa: PLC0415  (only where a detector is named)

    from river.base import AnomalyDetector  # noqa: PLC0415  (takes more than a second)

    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"detector {path!r} cannot be imported: {error}") from error
    if not (inspect.isclass(found) and issubclass(found, AnomalyDetector)):
        raise ValueError(f"detector {path!r} is not a River anomaly detector")
    if "seed" in inspect.signature(found).parameters:
        parameters.setdefault("seed", seed)
    try:
        return found(**parameters)
    except (TypeError, ValueError) as error:
        raise ValueError(f"detector {path!r} does not take {parameters}: {error}") from error
