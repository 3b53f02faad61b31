"""Evidence against a host, added up over time and fading.

One very rare window is enough to alert, and so are several rather rare ones in
a row; a single rather rare one is not. Evidence of a window is by how many
powers of ten its p-value lies below what chance shows a few times a minute; it
fades with a half-life, so that isolated oddities never add up.
"""

from __future__ import annotations

from math import log10

#: Half of the evidence is forgotten after this long.
_HALF_LIFE_NS = 60 * 1_000_000_000
#: -log10 p that carries no evidence.
CHANCE = 1.0
#: Hosts and kinds under observation at a time; the longest unchanged is forgotten first.
MOST_WATCHED = 16_384


class Evidence:
    """Fading sums by (host, kind)."""

    def __init__(self) -> None:
        self._sums: dict[tuple[tuple[int, int], str], tuple[float, int]] = {}
        self.forgotten = 0

    def __len__(self) -> int:
        return len(self._sums)

    def add(self, address: tuple[int, int], kind: str, p_value: float, time: int) -> float:
        """Add a window's evidence and return the sum, in powers of ten.

        Parameters
        ----------
        address
            The host.
        kind
            What the window looks like.
        p_value
            How rare it is.
        time
            When, ns.
        """
        key = (address, kind)
        total, since = self._sums.pop(key, (0.0, time))
        total *= 0.5 ** ((time - since) / _HALF_LIFE_NS)
        total += max(0.0, -log10(p_value) - CHANCE)
        if len(self._sums) >= MOST_WATCHED:
            self._sums.pop(next(iter(self._sums)))
            self.forgotten += 1
        self._sums[key] = (total, time)
        return total
