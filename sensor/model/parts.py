"""The parts of an ensemble, made from its settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy.typing as npt

from sensor.model.deviation import Deviation
from sensor.model.half_space_trees import HalfSpaceTrees
from sensor.model.settings import Settings
from sensor.model.threshold import Threshold


def make_deviation(
    settings: Settings, n_features: int, floors: npt.ArrayLike, groups: Mapping[str, Sequence[int]]
) -> Deviation:
    """Return the univariate detector, one look a group; ValueError unless there is one floor a feature."""
    deviation = Deviation(
        floors,
        prior_rows=settings.prior_rows,
        prior_scale=settings.prior_scale,
        half_life_rows=settings.half_life_rows,
        tests=max(len(groups), 1),
    )
    if deviation.n_features != n_features:
        raise ValueError(f"{deviation.n_features} floors for {n_features} features")
    return deviation


def make_forests(
    settings: Settings, n_features: int, groups: Mapping[str, Sequence[int]]
) -> list[HalfSpaceTrees]:
    """Return the forest over all features, named "forest_all", then one a group; each has its own seed."""
    if "all" in groups:
        raise ValueError("no group may be called 'all': that is the forest over all features")
    wanted: dict[str, Sequence[int] | None] = {"all": None, **groups}
    return [
        HalfSpaceTrees(
            n_features,
            columns=columns,
            n_trees=settings.n_trees,
            height=settings.height,
            window_size=settings.window_rows,
            seed=settings.seed * 1_000 + number,  # forests of one seed would be alike
            reading=settings.reading,
            name=f"forest_{name}",
        )
        for number, (name, columns) in enumerate(wanted.items())
    ]


def make_threshold(settings: Settings, low: float | None = None, high: float | None = None) -> Threshold:
    """Return the calibration of one detector's surprise, whose range may be known."""
    return Threshold(low, high, min_rows=settings.calibration_rows, half_life_rows=settings.half_life_rows)
