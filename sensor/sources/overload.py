"""How far the reader is behind, as the level at which new flows are to be sampled.

The level follows from how full the fullest ring is when a batch is taken: 1
below one half, then 2, 4, 8, 16, 32 and 64, one step for each tenth of the
ring beyond. The ring is full, and the kernel about to drop, at 64. The level
rises at once, since a ring fills in a fraction of a second. It falls one step
after the ring was at most a quarter full for a second of packet time, and one
more after each further second, so that it does not go up and down with every
burst.

One block is left out of the count: the kernel hands over no packet without its
block, so a reader who keeps up sees one block waiting too.
"""

from __future__ import annotations

#: Share of the ring, percent: from here on flows are sampled; one step more for each `_STEP`.
_BUSY_PERCENT = 50
_STEP_PERCENT = 10
#: At or below this the reader has caught up.
_CALM_PERCENT = 25
#: For how long, ns of packet time, before the level falls by one step.
_CALM_NS = 1_000_000_000
_NOT_CALM = -1


class Overload:
    """The level, and what was seen of it.

    Attributes
    ----------
    sampling
        The level now: of new flows, 1 in this many is to be taken.
    """

    def __init__(self) -> None:
        self.sampling = 1
        self._batches = 0
        self._fill_percent = 0
        self._calm_since = _NOT_CALM

    def update(self, waiting: int, blocks: int, now: int) -> int:
        """Take in how full the ring is and return the level.

        Parameters
        ----------
        waiting
            Blocks of the ring that the kernel cannot write to.
        blocks
            Blocks of the ring, 2 or more.
        now
            ns since the epoch, in packet time.
        """
        percent = 100 * max(waiting - 1, 0) // (blocks - 1)
        self._fill_percent = max(self._fill_percent, percent)
        if percent > _CALM_PERCENT:
            self._calm_since = _NOT_CALM
        elif self._calm_since == _NOT_CALM:
            self._calm_since = now
        elif now - self._calm_since >= _CALM_NS:
            self._calm_since = now
            self.sampling = max(self.sampling // 2, 1)
        if percent >= _BUSY_PERCENT:
            self.sampling = max(self.sampling, 2 << (percent - _BUSY_PERCENT) // _STEP_PERCENT)
        self._batches += self.sampling > 1
        return self.sampling

    def counters(self) -> dict[str, int]:
        """Return the level now, batches above 1, and the fullest that the ring was, in percent."""
        return {
            "sampling": self.sampling,
            "overload_batches": self._batches,
            "ring_fill_percent": self._fill_percent,
        }
