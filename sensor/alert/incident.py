"""Incidents: anomalous rows of one host and one kind, from the first to a while after the last.

One incident gives one alert when it opens, further ones only when it grows
worse or has gone on for another update interval, and one when it closes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from sensor.alert.alert import Alert, Severity

#: Open incidents at a time. Beyond it new ones are counted and not opened: by then
#: the open ones say enough.
MOST_OPEN = 4096

_NS = 1_000_000_000


def identifier(*parts: object) -> str:
    """Return 32 hexadecimal digits that depend on `parts` only, so that a replay gives the same."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:32]


@dataclass(slots=True)
class OpenIncident:
    """An incident that has not been quiet for long enough to close."""

    id: str
    kind: str  # the gravest it was seen to be; at first what it is filed under
    first: int
    last: int
    count: int
    severity: Severity
    told: int  # when the latest alert went out
    messages: int  # alerts so far
    alert: Alert | None = None  # the latest alert


class IncidentTable:
    """Open incidents by (host, kind).

    Parameters
    ----------
    seed
        Goes into the identifiers, with the host, the kind and the time.
    update_interval_secs
        How often an incident that goes on is told of again.
    close_after_secs
        How long it must be quiet to be over.
    """

    def __init__(self, seed: int, update_interval_secs: float, close_after_secs: float) -> None:
        self._seed = seed
        self._update_interval = int(update_interval_secs * _NS)
        self._close_after = int(close_after_secs * _NS)
        self._open: dict[tuple[tuple[int, int], str], OpenIncident] = {}
        self.opened = 0
        self.refused = 0

    def __len__(self) -> int:
        return len(self._open)

    def addresses(self) -> set[tuple[int, int]]:
        """Return the hosts with an open incident."""
        return {address for address, _ in self._open}

    def find(self, address: tuple[int, int], kind: str) -> OpenIncident | None:
        """Return the open incident of this host and kind."""
        return self._open.get((address, kind))

    def note(self, address: tuple[int, int], kind: str, time: int, severity: Severity) -> OpenIncident | None:
        """Add an anomalous row; return its incident, or None when no more can be opened."""
        incident = self._open.get((address, kind))
        if incident is None:
            if len(self._open) >= MOST_OPEN:
                self.refused += 1
                return None
            self.opened += 1
            name = identifier(self._seed, *address, kind, time)
            incident = OpenIncident(name, kind, time, time, 0, severity, 0, 0)
            self._open[address, kind] = incident
        incident.last = time
        incident.count += 1
        return incident

    def is_due(self, incident: OpenIncident, severity: Severity) -> bool:
        """Raise the incident to `severity` if that is worse; say whether it should be told of now."""
        worse = severity > incident.severity
        incident.severity = max(incident.severity, severity)
        return incident.messages == 0 or worse or incident.last - incident.told >= self._update_interval

    def take_quiet(self, now: int) -> list[OpenIncident]:
        """Remove and return the incidents that have been quiet for long enough, oldest first."""
        quiet = [key for key, incident in self._open.items() if incident.last + self._close_after <= now]
        return [self._open.pop(key) for key in quiet]
