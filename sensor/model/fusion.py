"""Several p-values of one row to one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sensor.model.detector import Floats

#: The least p-value ever given: it is never 0, so its logarithm always exists.
P_MIN = 1e-300
#: A p-value near 1 says "nothing unusual"; in Cauchy's sum it would count as minus infinity.
_CAUCHY_CEILING = 0.5


def cauchy(p: Floats) -> Floats:
    """Return the Cauchy combination of each row's k p-values, (n, k) to (n,).

    Valid whatever the dependence, in the tail (Liu & Xie, JASA 2020). Values
    above 0.5 count as 0.5 (truncated Cauchy; Fang et al. 2021): one detector
    that sees nothing at all must not outvote one that sees an attack.
    """
    tangent = 1.0 / np.tan(np.pi * np.clip(p, P_MIN, _CAUCHY_CEILING))
    # atan2 keeps the digits that 0.5 - arctan(t) / pi would lose for small p
    fused: Floats = np.arctan2(1.0, tangent.mean(axis=1)) / np.pi
    # At the ceiling nobody objects: stretch [0, 0.5] back to [0, 1] smoothly.
    return np.clip(fused * (1.0 + 2.0 * fused), P_MIN, 1.0)


def fisher(p: Floats) -> Floats:
    """Return Fisher's combination of each row's k p-values, (n, k) to (n,).

    Right only if the detectors are independent; else too small (Fisher 1925).
    """
    k = p.shape[1]
    half = -np.log(np.clip(p, P_MIN, 1.0)).sum(axis=1)
    # Upper tail of chi-square with 2k degrees of freedom: a Poisson sum.
    term = np.exp(-half)
    total = term.copy()
    for i in range(1, k):
        term = term * half / i
        total += term
    return np.clip(total, P_MIN, 1.0)


def bonferroni(p: Floats) -> Floats:
    """Return k times each row's smallest p-value, at most 1; (n, k) to (n,)."""
    return np.clip(p.min(axis=1) * p.shape[1], P_MIN, 1.0)


#: By the name a setting uses.
FUSIONS: dict[str, Callable[[Floats], Floats]] = {
    "cauchy": cauchy,
    "fisher": fisher,
    "bonferroni": bonferroni,
}

#: Those whose result is never below the smallest of the p-values.
NEVER_BELOW_SMALLEST = frozenset({"cauchy", "bonferroni"})
