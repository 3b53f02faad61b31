"""The heart: packets in, alerts out. No I/O, no clock, no threads.

Time is cut into windows of packet time, aligned to the epoch. Neither the cuts
between batches nor idle ticks can be seen in the result: ``process(a + b)``
gives what ``process(a)`` and ``process(b)`` give.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sensor.alert.alert import Alert, Model
from sensor.detection import Detection
from sensor.metering import Metering, Part
from sensor.packet.batch import PacketBatch
from sensor.settings import EngineSettings


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """What the engine knows about itself. Times are ns since the epoch, 0 before the first packet."""

    first: int
    last: int
    active_flows: int
    hosts: int
    models: dict[str, Model]


class Engine:
    """Turns batches of packets into alerts.

    Parameters
    ----------
    settings
        All that decides the result, beside the packets.
    key
        128-bit secret of the hash tables, as two words. Live it must be random;
        in replay it follows from the seed, so that evictions repeat too.
    """

    def __init__(self, settings: EngineSettings, key: tuple[int, int]) -> None:
        self._metering = Metering(settings, key)
        self._detection = Detection(settings, key)

    def process(self, batch: PacketBatch) -> list[Alert]:
        """Take in a batch and return the alerts of the windows it ended."""
        alerts = self._judge(self._metering.take(batch))
        return alerts + self._detection.see(len(batch.frames), batch.lost, batch.now)

    def flush(self) -> list[Alert]:
        """End all flows and the current window: the input is over."""
        return self._detection.flush() + self._judge(self._metering.flush())

    def counters(self) -> dict[str, dict[str, int]]:
        """Return what each stage counted, by stage."""
        metered, detected = self._metering.counters(), self._detection.counters()
        return {stage: {**metered.get(stage, {}), **detected.get(stage, {})} for stage in metered | detected}

    def status(self) -> EngineStatus:
        """Return times, sizes and the models' states."""
        return EngineStatus(
            first=self._metering.first,
            last=self._metering.latest,
            active_flows=self._metering.active,
            hosts=self._detection.hosts,
            models=self._detection.models,
        )

    def _judge(self, parts: Iterable[Part]) -> list[Alert]:
        return [alert for part in parts for alert in self._detection.take(part)]
