"""The alert: everything an analyst needs, as one frozen value.

Formats render it, sinks carry it, nobody changes it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Status(enum.StrEnum):
    """Where an incident stands."""

    OPEN = "open"
    UPDATE = "update"
    CLOSED = "closed"


class Severity(enum.IntEnum):
    """How much it matters; the number is ECS `event.severity`, 0-100 as Elastic's rules use it."""

    LOW = 21
    MEDIUM = 47
    HIGH = 73
    CRITICAL = 99


class ModelState(enum.StrEnum):
    """What the models may be believed to know."""

    COLD = "cold"  # nothing learned yet: only built-in limits speak
    LEARNING = "learning"
    LIVE = "live"
    DEGRADED = "degraded"


@dataclass(frozen=True, slots=True)
class Technique:
    """A MITRE ATT&CK technique and its tactic."""

    id: str
    name: str
    tactic_id: str
    tactic_name: str


@dataclass(frozen=True, slots=True)
class Kind:
    """What an incident is about."""

    id: str  # e.g. "port_scan"
    name: str  # e.g. "Port scan"
    technique: Technique | None
    about_sensor: bool = False  # the sensor's own state, and nothing on the network


@dataclass(frozen=True, slots=True)
class Reason:
    """One feature that made the row unusual.

    `value`, `expected_low` and `expected_high` are in `unit`; `share` is the
    feature's part of the score, 0-1.
    """

    feature: str
    value: float
    expected_low: float
    expected_high: float
    unit: str
    share: float
    sentence: str


@dataclass(frozen=True, slots=True)
class DetectorScore:
    """What one detector said."""

    name: str
    score: float
    p_value: float


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One side of the alert. `ip` is always there; port 0 and counts of 0 mean unknown."""

    ip: str
    port: int = 0
    mac: str = ""
    packets: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Network:
    """The traffic the alert is about; empty strings and zeros mean unknown or several."""

    transport: str = ""  # "tcp", "udp", "icmp" ...
    type: str = ""  # "ipv4" or "ipv6"
    direction: str = ""  # "inbound", "outbound", "internal", "external"
    community_id: str = ""
    vlan_id: int = 0
    packets: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Incident:
    """The incident an alert belongs to."""

    id: str
    status: Status
    count: int  # anomalous rows so far
    first: int  # when its first window began, ns since the epoch
    last: int


@dataclass(frozen=True, slots=True)
class Model:
    """The model that judged."""

    state: ModelState
    generation: int  # how often the reference was replaced
    trained_rows: int


@dataclass(frozen=True, slots=True)
class Alert:
    """One message about one incident. Times are ns since the epoch, from the packets."""

    id: str  # unique; the idempotency key of its delivery
    time: int
    kind: Kind
    severity: Severity
    risk: float  # 0-100
    message: str  # one sentence: what, who, how unusual, why
    entity: str  # the host the incident is about
    source: Endpoint
    destination: Endpoint
    network: Network
    related_ips: tuple[str, ...]
    score: float  # -log10 of the p-value
    p_value: float
    threshold: float  # the p-value that was needed
    detectors: tuple[DetectorScore, ...]
    reasons: tuple[Reason, ...]
    incident: Incident
    model: Model
    next_step: str  # what to look at next
    sampling: int = 1  # n > 1: under overload, 1 in n new flows of busy sources was looked at


@dataclass(frozen=True, slots=True)
class Observer:
    """Who saw it: goes into every rendered alert."""

    name: str
    version: str
    interface: str  # in replay the configured one, or "replay"
