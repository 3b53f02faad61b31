"""The Retry-After header (RFC 9110, 10.2.3): seconds, or a date."""

from __future__ import annotations

import math
from email.utils import parsedate_to_datetime

#: A receiver cannot silence a sensor for longer than this.
CAP_SECS = 3600.0


def retry_after_secs(header: str | None, now: float) -> float | None:
    """Return how long the receiver wants to be left alone.

    Parameters
    ----------
    header
        The header's value, None when the answer had none.
    now
        Seconds since the epoch, to compare a date with.

    Returns
    -------
    float or None
        Seconds, 0 to `CAP_SECS`; None when there is no header or it says nothing usable.
    """
    if header is None:
        return None
    try:
        wanted = float(header)  # RFC 9110 has whole seconds; fractions are met in practice
    except ValueError:
        try:
            wanted = parsedate_to_datetime(header).timestamp() - now
        except (ValueError, OverflowError):
            return None
    return min(max(wanted, 0.0), CAP_SECS) if math.isfinite(wanted) else None
