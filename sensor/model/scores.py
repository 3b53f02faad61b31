"""What an ensemble says of one chunk of rows."""

from __future__ import annotations

import dataclasses

from sensor.model.detector import Bools, Floats


@dataclasses.dataclass(frozen=True, slots=True)
class Screened:
    """What an ensemble says first of n rows: which are rare, without saying by what.

    Attributes
    ----------
    p
        (n,) fused p-values; those above the asked one are given as 1.
    usable
        (n,) False for a row with NaN or inf, which is neither judged nor learned.
    surprise
        (n, k) what `learn` feeds to the calibration, NaN where nothing was said.
    """

    p: Floats
    usable: Bools
    surprise: Floats


@dataclasses.dataclass(frozen=True, slots=True)
class Scores:
    """P-values and scores of n rows by k detectors over d features.

    Attributes
    ----------
    p
        (n,) fused p-values in (0, 1]; 1 says nothing.
    p_by_detector
        (n, k) 1 where a detector is not ready.
    score_by_detector
        (n, k) on each detector's own scale, 0 where it says nothing.
    feature_p
        (n, d) univariate p-values; all 1 in an ensemble without floors.
    names
        The k detectors.
    usable
        (n,) False for a row with NaN or inf, which is neither judged nor learned.
    surprise
        (n, k) what `learn` feeds to the calibration, NaN where nothing was said.
    """

    p: Floats
    p_by_detector: Floats
    score_by_detector: Floats
    feature_p: Floats
    names: tuple[str, ...]
    usable: Bools
    surprise: Floats
