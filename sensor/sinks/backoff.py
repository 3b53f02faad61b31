"""How long to wait before trying again."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from sensor.sinks.retry_after import CAP_SECS

_MOST_DOUBLINGS = 32  # beyond any cap, and short of what a float cannot hold


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff with full jitter: a random part of a limit that doubles.

    Full jitter spreads the sensors that lost one receiver at the same moment,
    so that they do not come back at the same moment either (M. Brooker,
    "Exponential Backoff and Jitter", 2015).
    """

    base_secs: float
    cap_secs: float
    # No seed: sensors with one configuration must not wait in step, and no alert depends on it.
    _random: random.Random = field(default_factory=random.Random, repr=False)

    def delay_secs(self, attempt: int, retry_after_secs: float | None) -> float:
        """Return the pause after failed attempt number `attempt` (from 0).

        It is never shorter than what the receiver asked for.
        """
        limit = min(self.cap_secs, self.base_secs * 2.0 ** min(attempt, _MOST_DOUBLINGS))
        return max(self._random.uniform(0.0, limit), min(retry_after_secs or 0.0, CAP_SECS))
