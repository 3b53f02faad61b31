"""How an ensemble is made."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """All numbers an ensemble takes, with defaults.

    Parameters
    ----------
    n_trees, height, window_rows, reading
        Of each forest, see `HalfSpaceTrees`. Give `window_rows` the rows of
        half an hour or more: a shorter window lets a flood become the norm.
    scaler_rows
        Rows learned before the scaler's limits freeze and forests begin.
    calibration_rows
        Accepted scores before a detector's p-value is believed.
    half_life_rows
        How slowly calibration and deviation forget.
    prior_rows, prior_scale
        See `Deviation`.
    gate_p
        A row is learned only if its p-value is above this.
    fusion
        "cauchy", "fisher" or "bonferroni", see `fusion`.
    seed
        Of every random choice.
    """

    n_trees: int = 25
    height: int = 8
    window_rows: int = 2_000
    reading: str = "log_mass"
    scaler_rows: int = 2_000
    calibration_rows: int = 1_000
    half_life_rows: float = 200_000.0
    prior_rows: float = 100.0
    prior_scale: float = 0.25
    gate_p: float = 1e-3
    fusion: str = "cauchy"
    seed: int = 0
