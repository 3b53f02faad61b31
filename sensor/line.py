"""The loop: one source, one engine, the places alerts go to. The same live and in replay."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from sensor.alert.alert import Alert
from sensor.crew import Crew
from sensor.engine import Engine
from sensor.sources.source import Source
from sensor.telemetry import AlertTally, Snapshot


class Outlet(Protocol):
    """Takes alerts: a `Delivery`, or a `Printer`."""

    name: str

    def put(self, alert: Alert) -> None:
        """Take `alert`; what happens to it is in the counters."""
        ...

    def counters(self) -> Mapping[str, object]:
        """Return what was sent, and what was not and why."""
        ...

    def close(self) -> None:
        """Send what is still here, within a bounded time, and end."""
        ...


class Line:
    """Packets in, alerts out.

    Parameters
    ----------
    source
        Where packets come from.
    engine
        What finds anomalies in them.
    outlets
        Where alerts go; may be replaced between two batches.
    """

    def __init__(self, source: Source, engine: Engine | Crew, outlets: Sequence[Outlet]) -> None:
        self.source = source
        self.engine = engine
        self.outlets = tuple(outlets)
        self.alerts = AlertTally()
        self.packets = 0
        self._bytes = 0

    def run(self, after_batch: Callable[[], bool]) -> None:
        """Process until the source ends, then flush the engine.

        When `after_batch` returns False the source is closed; what it took in
        before that still comes, so nothing that was captured is thrown away.

        Raises
        ------
        CaptureError
            The source failed; what it had given before is flushed first.
        """
        try:
            for batch in self.source:
                self.packets += len(batch.frames)
                self._bytes += int(batch.frames["wirelen"].sum(dtype="int64"))
                self._hand_over(self.engine.process(batch))
                if not after_batch():
                    self.source.close()
        finally:
            self._hand_over(self.engine.flush())

    def snapshot(self) -> Snapshot:
        """Return all counters as they are now."""
        return Snapshot(
            packets=self.packets,
            bytes=self._bytes,
            source=dict(self.source.counters()),
            stages=self.engine.counters(),
            sinks={outlet.name: dict(outlet.counters()) for outlet in self.outlets},
            status=self.engine.status(),
            alerts=self.alerts.messages,
            kinds=self.alerts.kinds(),
        )

    def _hand_over(self, alerts: Sequence[Alert]) -> None:
        for alert in alerts:
            self.alerts.put(alert)
            for outlet in self.outlets:
                outlet.put(alert)
