"""Why a row is unusual, in words an analyst can act on."""

from __future__ import annotations

from collections.abc import Sequence
from math import expm1, floor, log10

from sensor.alert.alert import Reason
from sensor.feature.schema import ESTIMATES, Feature

#: How many reasons an alert carries.
_MOST_REASONS = 5
#: From here on three digits round to 1000 of the unit.
_NEXT_PREFIX = 999.5


def quantity(value: float, unit: str) -> str:
    """Return `value` as people write it: 412, 8.1, 12 kB, 3.4 MB."""
    if unit == "bytes":
        if value < _NEXT_PREFIX:
            return f"{value:.0f} B"
        for prefix in ("k", "M", "G"):
            value /= 1000.0
            if value < _NEXT_PREFIX:
                return f"{value:.3g} {prefix}B"
        value /= 1000.0
        return f"{value:,.0f} TB" if value >= _NEXT_PREFIX else f"{value:.3g} TB"
    if value >= 100 or value == round(value):
        return f"{value:,.0f}"
    return f"{value:.1f}"


def _about(value: float) -> str:
    """Return an estimated count with the two digits that it is good for."""
    return f"about {float(f'{value:.2g}'):,.0f}" if value >= 100 else f"about {value:,.0f}"


def reasons(
    features: Sequence[Feature], x: Sequence[float], limits: Sequence[float], p_values: Sequence[float]
) -> tuple[Reason, ...]:
    """Return the material features of a row, the most unusual first.

    Parameters
    ----------
    features
        The columns.
    x
        The row, in log(1 + value).
    limits
        The largest value that is still expected, in the same scale.
    p_values
        How rare each value is.
    """
    weights = [
        -log10(p) if value > limit else 0.0 for value, limit, p in zip(x, limits, p_values, strict=True)
    ]
    total = sum(weights) or 1.0
    order = sorted(range(len(features)), key=lambda column: (-weights[column], column))
    found = []
    for column in order[:_MOST_REASONS]:
        if weights[column] <= 0.0:
            break
        feature = features[column]
        # Three decimals: what log(1 + x) and back leave of a count is the count again.
        value, high = round(expm1(x[column]), 3), round(expm1(limits[column]), 3)
        most = floor(high) if value == round(value) else high
        told = _about(value) if feature.name in ESTIMATES else quantity(value, feature.unit)
        sentence = f"{told} {feature.noun} (expected at most {quantity(most, feature.unit)})"
        share = weights[column] / total
        found.append(Reason(feature.name, value, 0.0, high, feature.unit, share, sentence))
    return tuple(found)


def sentence(who: str, about: str, where: str, window_secs: float, why: Sequence[Reason]) -> str:
    """Return the alert in one sentence: kind, host, peer, and the two strongest reasons."""
    told = "; ".join(reason.sentence for reason in why[:2])
    return f"{about}: {who}{where} in {window_secs:g} s: {told}"


def ending(who: str, about: str, quiet_secs: float, count: int, window_secs: float) -> str:
    """Return the closing alert's sentence: who became quiet, after how many unusual windows."""
    windows = f"{count} unusual window{'' if count == 1 else 's'} of {window_secs:g} s"
    return f"{about}: {who} has been quiet for {quiet_secs:g} s, after {windows}"
