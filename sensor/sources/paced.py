"""Play a source at the speed its packets were captured, or a multiple of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from sensor.packet.batch import PacketBatch, empty_batch
from sensor.sources.source import Source

#: Packets due within this time are handed on together, so that a busy capture
#: does not become a batch for each packet. It is how late a packet can be.
GATHER_SECS = 0.05
#: While nothing is due the clock is moved with empty batches this often, as a
#: live source does; and a call of `close` is noticed within this time.
TICK_SECS = 0.1
#: Longest silence played in real time. What is longer is a capture with a wrong
#: clock, or two captures in a row, and is shortened to this.
LONGEST_WAIT_SECS = 3600.0

_SECOND = 1_000_000_000


class Paced:
    """The packets of another source, not before their time.

    Frames, their order and their bytes are those of the source; only the cuts
    between batches differ. A packet that is older than one before it comes out
    at once.

    Parameters
    ----------
    source
        What to play.
    speed
        Seconds of packet time in one second of real time.
    clock
        Real time in seconds, monotonic.
    sleep
        Waits for the given number of seconds, or less.

    Attributes
    ----------
    name
        The source's.
    """

    def __init__(
        self,
        source: Source,
        speed: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not 0 < speed < float("inf"):
            raise ValueError(f"speed must be above 0 and finite, not {speed}")
        self.name = source.name
        self._source = source
        self._ns_per_sec = speed * _SECOND
        self._clock = clock
        self._sleep = sleep
        self._start: float | None = None  # real time at which the packet time `_origin` is due
        self._origin = 0
        self._latest = 0  # largest packet time handed on or waited for
        self._gaps_shortened = 0
        self._closed = False

    def __iter__(self) -> Iterator[PacketBatch]:
        """Yield the source's packets, and empty batches while none is due."""
        for batch in self._source:
            yield from self._play(batch)
            if self._closed:
                return

    def counters(self) -> Mapping[str, int]:
        """Return the source's counters, and the silences that were shortened."""
        return {**self._source.counters(), "gaps_shortened": self._gaps_shortened}

    def close(self) -> None:
        """Stop within `TICK_SECS`, and close the source."""
        self._closed = True
        self._source.close()

    def _play(self, batch: PacketBatch) -> Iterator[PacketBatch]:
        """Cut `batch` into what is due together."""
        if not batch.frames.size:
            yield batch
            return
        times = batch.frames["time"]
        if self._start is None:
            self._start = self._clock()
            self._origin = self._latest = int(times[0])
        # A packet is due when the latest one up to it is: late ones do not wait.
        due = np.maximum.accumulate(np.maximum(times, self._latest))
        first = 0
        while first < due.size and not self._closed:
            yield from self._wait(int(due[first]))
            if self._closed:
                return
            gathered = max(self._now(), int(due[first]))
            end = int(np.searchsorted(due, gathered, side="right"))
            frames = batch.frames[first:end]
            self._latest = int(due[end - 1])
            now = batch.now if end == due.size else int(frames["time"][-1])
            yield batch._replace(frames=frames, now=now, lost=batch.lost if first == 0 else 0)
            first = end

    def _now(self) -> int:
        """Return the packet time in ns that is due at this moment."""
        start = self._start if self._start is not None else self._clock()
        return self._origin + int((self._clock() - start) * self._ns_per_sec)

    def _wait(self, due: int) -> Iterator[PacketBatch]:
        """Let real time pass until `due`, and a little longer so that others are due with it."""
        longest = int(LONGEST_WAIT_SECS * self._ns_per_sec)
        wait = due - self._now()
        if wait > longest:
            self._gaps_shortened += 1
            self._origin += wait - longest
        gather = GATHER_SECS if wait > 0 else 0.0
        while not self._closed:
            left = (due - self._now()) / self._ns_per_sec + gather
            if left <= 0:
                return
            self._sleep(min(left, TICK_SECS))
            now = min(self._now(), due)
            if self._latest < now < due:
                self._latest = now
                yield empty_batch(now)
