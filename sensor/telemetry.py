"""What the sensor did, in numbers: read from the parts, never kept by them for us."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from sensor.alert.alert import Alert, Severity, Status
from sensor.engine import EngineStatus


@dataclass(frozen=True, slots=True)
class KindTally:
    """How much one kind of alert was seen."""

    name: str
    severity: Severity  # the highest
    incidents: int
    messages: int


class AlertTally:
    """Counts alerts by kind. The number of kinds is fixed, and so is its size."""

    def __init__(self) -> None:
        self.messages = 0
        self.worst: Severity | None = None
        self._kinds: dict[str, KindTally] = {}

    def put(self, alert: Alert) -> None:
        """Count `alert`; an incident is counted when it opens."""
        self.messages += 1
        self.worst = max(self.worst or alert.severity, alert.severity)
        before = self._kinds.get(alert.kind.id, KindTally(alert.kind.name, alert.severity, 0, 0))
        self._kinds[alert.kind.id] = KindTally(
            alert.kind.name,
            max(before.severity, alert.severity),
            before.incidents + (alert.incident.status is Status.OPEN),
            before.messages + 1,
        )

    def kinds(self) -> dict[str, KindTally]:
        """Return the counts by kind, the most severe and most frequent first."""
        order = sorted(self._kinds.items(), key=lambda item: (-item[1].severity, -item[1].messages, item[0]))
        return dict(order)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All counters at one moment; frozen, so that any thread may read it."""

    packets: int
    bytes: int  # on the wire
    source: Mapping[str, int]
    stages: Mapping[str, Mapping[str, int]]  # by stage of the engine
    sinks: Mapping[str, Mapping[str, object]]  # by name
    status: EngineStatus
    alerts: int  # messages
    kinds: Mapping[str, KindTally] = field(default_factory=dict)

    def as_dict(self) -> dict[str, object]:
        """Return plain values for JSON; same packets, same values."""
        values = asdict(self)
        values["alerts"] = {
            "messages": self.alerts,
            "kinds": {
                name: {
                    "severity": kind.severity.name.lower(),
                    "incidents": kind.incidents,
                    "messages": kind.messages,
                }
                for name, kind in self.kinds.items()
            },
        }
        del values["kinds"]
        return values


def packets_per_second(earlier: Snapshot | None, later: Snapshot, seconds: float) -> float:
    """Return the packet rate between two snapshots `seconds` apart; 0 for no time."""
    packets = later.packets - (earlier.packets if earlier else 0)
    return packets / seconds if seconds > 0 else 0.0


#: Words in the names of counters that say something was lost, cut or not understood.
_LOSS_WORDS = (
    "abandoned",
    "claims_refused",
    "clamped",
    "damaged",
    "dropped",
    "drops",
    "error_",
    "evicted",
    "frames_without",
    "gave_up",
    "ignored",
    "incidents_refused",
    "inner_",
    "interface_down",
    "late_",
    "limit",
    "malformed",
    "missed_bytes",
    "not_finite",
    "overload",
    "rejected",
    "shed",
)


def losses(snapshot: Snapshot) -> dict[str, int]:
    """Return every counter that says something was lost, by ``stage.counter``, where it is not zero."""
    stages: dict[str, Mapping[str, object]] = {"source": snapshot.source, **snapshot.stages}
    stages.update({f"sink {name}": counters for name, counters in snapshot.sinks.items()})
    return {
        f"{stage}.{name}": count
        for stage, counters in stages.items()
        for name, count in counters.items()
        if isinstance(count, int) and count and any(word in name for word in _LOSS_WORDS)
    }
