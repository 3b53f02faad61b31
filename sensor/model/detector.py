"""What every detector of the ensemble can do."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


class Judgement(NamedTuple):
    """What a detector says of n rows.

    Attributes
    ----------
    score
        (n,) Higher is more unusual, on the detector's own scale: what an alert shows.
    surprise
        (n,) The same order on a scale whose tail can be calibrated (no
        saturation). NaN where the detector says nothing: it is not ready, or it
        did not look at the row.
    """

    score: Floats
    surprise: Floats


class State(NamedTuple):
    """All that a detector knows: a JSON-able dict and named arrays. Never pickle."""

    meta: dict[str, object]
    arrays: dict[str, npt.NDArray[np.generic]]


class Detector(Protocol):
    """An online detector over float64 rows of a fixed width.

    Rows are C-ordered (n, d) and hold neither NaN nor inf: the ensemble
    refuses such rows first. Between two calls of a learning method, a row's
    score depends on that row alone, so the order of rows does not matter.

    `score_many` gives 0 while the detector is not ready, as River does; 0 is
    then "nothing known", never "normal": ask `ready`, or read the NaN of
    `judge_many`.
    """

    @property
    def name(self) -> str:
        """A short stable identifier, unique in an ensemble."""
        ...

    @property
    def ready(self) -> bool:
        """Whether scores mean something yet."""
        ...

    def score_many(self, X: Floats) -> Floats:
        """Return the (n,) scores of all rows by what is known now; nothing is learned."""
        ...

    def judge_many(self, X: Floats) -> Judgement:
        """Return scores and surprises of all rows by what is known now; nothing is learned."""
        ...

    def learn_many(self, X: Floats) -> None:
        """Learn the rows in order."""
        ...

    def score_learn_many(self, X: Floats) -> Floats:
        """Score then learn row by row; return the (n,) scores."""
        ...

    def contributions(self, x: Floats, reference: Floats) -> Floats:
        """Return (d,): the surprise lost when each feature of `x` alone takes its `reference` value."""
        ...

    def state(self) -> State:
        """Return all that is known; the arrays are copies."""
        ...

    def restore(self, state: State) -> None:
        """Become what `state` says. Raise ValueError if it belongs to a detector of another shape."""
        ...


def rows_of(X: Floats, n_features: int) -> Floats:
    """Return `X` as the C-ordered float64 (n, n_features) matrix that kernels may walk without bounds checks.

    Raises
    ------
    ValueError
        If the shape is another.
    """
    matrix = np.ascontiguousarray(X, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[1] != n_features:
        raise ValueError(f"expected rows of {n_features} features, got an array of shape {matrix.shape}")
    return matrix


def array_of(state: State, name: str, like: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Return a copy of the state's array `name`, which must have the shape and type of `like`.

    Raises
    ------
    ValueError
        If it is missing or different.
    """
    array = state.arrays.get(name)
    if array is None or array.shape != like.shape or array.dtype != like.dtype:
        raise ValueError(f"state array {name!r} is missing or not {like.dtype} {like.shape}")
    return np.array(array, order="C")
