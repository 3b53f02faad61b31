"""What a live sensor does on the side, between two batches: watchdog, status, statistics.

It is driven by the loop that moves packets, never by a thread of its own, so
that a loop that hangs is a watchdog that is not fed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from sensor.systemd import Notifier
from sensor.telemetry import Snapshot, losses, packets_per_second

_LOG = logging.getLogger(__name__)
#: Watchdog and status; systemd is told to expect a sign every 30 seconds.
_BEAT_SECS = 1.0


class Heartbeat:
    """Tells systemd and the log how the sensor is.

    Parameters
    ----------
    notifier
        systemd's socket.
    snapshot
        Gives the counters.
    unhealthy
        Gives the names of the parts that died.
    statistics_secs
        How often the log gets a line of statistics.
    """

    def __init__(
        self,
        notifier: Notifier,
        snapshot: Callable[[], Snapshot],
        unhealthy: Callable[[], list[str]],
        statistics_secs: float,
    ) -> None:
        self._notifier = notifier
        self._snapshot = snapshot
        self._unhealthy = unhealthy
        self._statistics_secs = statistics_secs
        self._ready = False
        self._dead: list[str] = []
        now = time.monotonic()
        self._beat_due = now
        self._logged_at = now
        self._logged: Snapshot | None = None
        self._seen_at = now
        self._seen: Snapshot | None = None

    def beat(self) -> None:
        """Do what is due; cheap when nothing is. The first call means: packets can be had."""
        now = time.monotonic()
        if now < self._beat_due:
            return
        self._beat_due = now + _BEAT_SECS
        snapshot = self._snapshot()
        rate = packets_per_second(self._seen, snapshot, now - self._seen_at) if self._seen else 0.0
        self._seen, self._seen_at = snapshot, now
        states: dict[str, str | int] = {"STATUS": _status_line(snapshot, rate)}
        if not self._ready:
            self._ready = True
            states["READY"] = 1
        if self._is_healthy():
            states["WATCHDOG"] = 1
        self._notifier.send(**states)
        if now - self._logged_at >= self._statistics_secs:
            self.log_statistics()

    def log_statistics(self) -> None:
        """Write one line of statistics to the log, now."""
        now = time.monotonic()
        snapshot = self._snapshot()
        rate = packets_per_second(self._logged, snapshot, now - self._logged_at)
        self._logged, self._logged_at = snapshot, now
        lost = ", ".join(f"{name} {count}" for name, count in losses(snapshot).items())
        _LOG.info("%s; losses since the start: %s", _status_line(snapshot, rate), lost or "none")

    def _is_healthy(self) -> bool:
        """Return whether every part lives; a part that died is logged once and starves the watchdog."""
        dead = self._unhealthy()
        for name in dead:
            if name not in self._dead:
                _LOG.error("%s died: alerts for it are lost; waiting for the watchdog to restart us", name)
        self._dead = dead
        return not dead


def _status_line(snapshot: Snapshot, rate: float) -> str:
    parts = [
        f"{rate:,.0f} packets/s",
        f"{snapshot.packets:,} packets",
        f"{snapshot.status.active_flows:,} flows",
        f"{snapshot.status.hosts:,} hosts",
        f"{snapshot.alerts:,} alerts",
        *(f"{name} model {model.state}" for name, model in snapshot.status.models.items()),
    ]
    return ", ".join(parts)
