"""Which scored rows become alerts.

A host row is suspicious when it is rare *and* it matters: at least one feature
lies above its floor, above what is usual for that host, and above what is usual
on this network. Suspicious rows of one host and kind add up to evidence; when
that is as strong as one row at the threshold, an incident opens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import log10
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sensor.alert import explain
from sensor.alert.address import HomeNetworks, mac_text, text
from sensor.alert.alert import (
    Alert,
    DetectorScore,
    Endpoint,
    Incident,
    Model,
    Network,
    Reason,
    Severity,
    Status,
)
from sensor.alert.evidence import CHANCE, Evidence
from sensor.alert.incident import IncidentTable, OpenIncident, identifier
from sensor.alert.kind import MAJORITY, PROBING, SUBJECTS, Subject, classify, is_scan_target
from sensor.feature.row import HostWindow
from sensor.feature.schema import HOST_FEATURES
from sensor.kernel import Row
from sensor.settings import AlertSettings

#: A feature is a reason from this rarity on.
_REASON_P = 1e-2
#: A host's own history counts from this many windows on.
_MATURE_WINDOWS = 6
_ICMP, _ICMPV6 = 1, 58
#: The unspecified address: no peer is known.
_NOBODY = (0, 0)
_TRANSPORTS = {1: "icmp", 6: "tcp", 17: "udp", 58: "ipv6-icmp", 132: "sctp"}
_FLOORS = np.log1p([feature.floor for feature in HOST_FEATURES])
#: Suspicious rows of one window that are looked at, the rarest first: hosts can be invented
#: by the ten thousand, and each row costs more than a kernel's.
MOST_JUDGED = 1024
#: Scores (-log10 p) from which an incident matters one step more than its kind does.
_EXTREME = 30.0

#: (source, destination, protocol, ports, IP version) -> Community ID.
CommunityId = Callable[[tuple[int, int], tuple[int, int], int, tuple[int, int], int], str]


class Scored(NamedTuple):
    """What the models say of a `HostWindow`; n rows, k detectors, d features."""

    p_values: npt.NDArray[np.float64]  # (n,) fused
    detector_p: npt.NDArray[np.float64]  # (n, k)
    detector_scores: npt.NDArray[np.float64]  # (n, k)
    detectors: tuple[str, ...]  # k names
    feature_p: npt.NDArray[np.float64]  # (n, d)
    expected: npt.NDArray[np.float64]  # (d,) usual upper limit on this network, log(1 + value)
    model: Model


class Policy:
    """From scored host windows to alerts.

    Parameters
    ----------
    settings
        Threshold, home networks, intervals.
    seed
        Of the run; goes into identifiers.
    window_secs
        Length of a window, for the words.
    community_id
        How to name a flow for other tools.
    """

    def __init__(
        self, settings: AlertSettings, seed: int, window_secs: float, community_id: CommunityId
    ) -> None:
        self._threshold = settings.p_value
        self._window_secs = window_secs
        self._window = int(window_secs * 1_000_000_000)
        self._home = HomeNetworks(settings.home_networks)
        self._community_id = community_id
        self._incidents = IncidentTable(seed, settings.update_interval_secs, settings.close_after_secs)
        self._evidence = Evidence()
        self._needed = -log10(settings.p_value) - CHANCE
        self._alerts = dict.fromkeys(Status, 0)
        self._suspicious = 0
        self._unjudged = 0
        self._quiet_secs = settings.close_after_secs

    @property
    def quiet(self) -> bool:
        """Whether no incident is open."""
        return len(self._incidents) == 0

    def involved(self) -> set[tuple[int, int]]:
        """Return the hosts with an open incident: what they do must not be learned."""
        return self._incidents.addresses()

    def candidates(self, closed: HostWindow) -> npt.NDArray[np.intp]:
        """Return the rows that `judge` can find suspicious: those with a feature above its floor."""
        above = np.flatnonzero(closed.x > _FLOORS)
        return np.unique(above // closed.x.shape[1])

    def judge(
        self, closed: HostWindow, scored: Scored, now: int
    ) -> tuple[list[Alert], npt.NDArray[np.bool_]]:
        """Return the alerts of a window that ended at `now` (ns), and which rows were suspicious."""
        mature = closed.windows >= _MATURE_WINDOWS
        limits = np.maximum(_FLOORS, scored.expected)
        limits = np.maximum(limits, np.where(mature[:, None], closed.usual, 0.0))
        material = (closed.x > limits) & (scored.feature_p <= _REASON_P)
        suspicious: npt.NDArray[np.bool_] = np.asarray(material.any(axis=1))
        alerts = self._close_quiet(now)
        rows = np.flatnonzero(suspicious)
        self._suspicious += len(rows)
        if len(rows) > MOST_JUDGED:
            self._unjudged += len(rows) - MOST_JUDGED
            rows = np.sort(rows[np.argsort(scored.p_values[rows], kind="stable")[:MOST_JUDGED]])
        # Hosts that act before hosts acted upon, so that a scan is told at its source.
        judged = [self._subject_of(closed, limits[i], scored, int(i)) for i in rows]
        for i, (subject, why) in sorted(zip(rows, judged, strict=True), key=lambda item: item[1][0].inbound):
            alert = self._note(closed.rows[i], subject, why, scored, int(i), now)
            if alert is not None:
                alerts.append(alert)
        return alerts, suspicious

    def counters(self) -> dict[str, int]:
        """Return what was found and told."""
        return {
            "suspicious_rows": self._suspicious,
            "suspicious_rows_not_judged": self._unjudged,
            "evidence_forgotten": self._evidence.forgotten,
            "incidents_open": len(self._incidents),
            "incidents_opened": self._incidents.opened,
            "incidents_refused": self._incidents.refused,
            **{f"alerts_{status}": count for status, count in self._alerts.items()},
        }

    def _subject_of(
        self, closed: HostWindow, limits: npt.NDArray[np.float64], scored: Scored, i: int
    ) -> tuple[Subject, tuple[Reason, ...]]:
        why = explain.reasons(
            HOST_FEATURES, closed.x[i].tolist(), limits.tolist(), scored.feature_p[i].tolist()
        )
        values = {
            feature.name: float(value)
            for feature, value in zip(HOST_FEATURES, np.expm1(closed.x[i]), strict=True)
        }
        return SUBJECTS[classify(closed.rows[i], values, why[0].feature)], why

    def _note(
        self, row: Row, subject: Subject, why: tuple[Reason, ...], scored: Scored, i: int, now: int
    ) -> Alert | None:
        host = (int(row["hi"]), int(row["lo"]))
        if subject.inbound and is_scan_target(row):
            peer = (int(row["peer_in_hi"]), int(row["peer_in_lo"]))
            if any(self._incidents.find(peer, kind) is not None for kind in sorted(PROBING)):
                return None  # told at the source already
        score = -log10(float(scored.p_values[i]))
        severity = _worse(subject.severity) if score >= _EXTREME else subject.severity
        kind = self._continued(host, subject.kind.id)
        weight = self._evidence.add(host, kind, float(scored.p_values[i]), now)
        if weight < self._needed and self._incidents.find(host, kind) is None:
            return None
        incident = self._incidents.note(host, kind, now, severity)
        if incident is None or not self._incidents.is_due(incident, severity):
            return None
        if subject.severity > SUBJECTS[incident.kind].severity:
            incident.kind = subject.kind.id
        alert = self._alert(row, SUBJECTS[incident.kind], why, scored, i)
        return self._tell(alert, incident, Status.UPDATE if incident.messages else Status.OPEN, now)

    def _continued(self, host: tuple[int, int], kind: str) -> str:
        """Return the kind of the host's open incident that `kind` goes on from, or `kind`."""
        if kind in PROBING and self._incidents.find(host, kind) is None:
            for other in sorted(PROBING):
                if self._incidents.find(host, other) is not None:
                    return other
        return kind

    def _tell(self, alert: Alert, incident: OpenIncident, status: Status, now: int) -> Alert:
        self._alerts[status] += 1
        incident.messages += 1
        incident.told = now
        incident.alert = replace(
            alert,
            id=identifier(incident.id, status, incident.messages),
            time=now,
            severity=incident.severity,
            incident=Incident(
                incident.id, status, incident.count, incident.first - self._window, incident.last
            ),
        )
        return incident.alert

    def _close_quiet(self, now: int) -> list[Alert]:
        alerts = []
        for incident in self._incidents.take_quiet(now):
            if incident.alert is not None:
                last = incident.alert
                message = explain.ending(
                    last.entity, last.kind.name, self._quiet_secs, incident.count, self._window_secs
                )
                alerts.append(self._tell(replace(last, message=message), incident, Status.CLOSED, now))
        return alerts

    def _alert(self, row: Row, subject: Subject, why: tuple[Reason, ...], scored: Scored, i: int) -> Alert:
        host = (int(row["hi"]), int(row["lo"]))
        side = "in" if subject.inbound else "out"
        peer, is_main, is_latest = _peer_of(row, side)
        source, target = (peer, host) if subject.inbound else (host, peer)
        # What is known of the latest flow is told only where it is the flow with that peer.
        protocol = int(row[f"{side}_protocol"]) if is_latest else 0
        ports = (int(row[f"{side}_src_port"]), int(row[f"{side}_dst_port"]))
        version = int(row["ip_version"])
        entity, other = text(*host), text(*peer)
        mine = Endpoint(entity, 0, mac_text(int(row["mac"])), int(row["packets_out"]), int(row["bytes_out"]))
        theirs = Endpoint(other, 0, "", int(row["packets_in"]), int(row["bytes_in"]))
        p_value = float(scored.p_values[i])
        towards = "from" if subject.inbound else "with" if subject.kind.id == "traffic_surge" else "to"
        where = f" {towards} {other}" if is_main else ""
        return Alert(
            id="",
            time=0,
            kind=subject.kind,
            severity=subject.severity,
            risk=round(100.0 * (1.0 - 10.0 ** (log10(p_value) / 15.0)), 1),
            message=explain.sentence(entity, subject.kind.name, where, self._window_secs, why),
            entity=entity,
            source=theirs if subject.inbound else mine,
            destination=mine if subject.inbound else theirs,
            network=Network(
                transport=_TRANSPORTS.get(protocol, ""),
                type="ipv6" if version == 6 else "ipv4",
                direction=self._home.direction(source, target) if peer != _NOBODY else "",
                community_id=self._community_id(source, target, protocol, ports, version)
                if _has_community_id(protocol, ports)
                else "",
                vlan_id=int(row["vlan"]),
                packets=mine.packets + theirs.packets,
                bytes=mine.bytes + theirs.bytes,
            ),
            related_ips=(entity,) if peer in (_NOBODY, host) else (entity, other),
            score=round(-log10(p_value), 3),
            p_value=p_value,
            threshold=self._threshold,
            detectors=tuple(
                DetectorScore(name, float(scored.detector_scores[i, k]), float(scored.detector_p[i, k]))
                for k, name in enumerate(scored.detectors)
            ),
            reasons=why,
            incident=Incident("", Status.OPEN, 0, 0, 0),
            model=scored.model,
            next_step=subject.next_step,
        )


def _peer_of(row: Row, side: str) -> tuple[tuple[int, int], bool, bool]:
    """Return whom to name as the other end; whether most packets were his, and the latest flow."""
    voted = (int(row[f"peer_{side}_hi"]), int(row[f"peer_{side}_lo"]))
    latest = (int(row[f"{side}_hi"]), int(row[f"{side}_lo"]))
    is_main = float(row[f"peer_{side}_share"]) >= MAJORITY
    peer = voted if is_main or latest == _NOBODY else latest
    return peer, is_main, peer == latest != _NOBODY


def _has_community_id(protocol: int, ports: tuple[int, int]) -> bool:
    """Say whether `ports` are what the specification hashes: of ICMP that is sure for IPv4 echo only."""
    return (protocol == _ICMP and ports == (8, 0)) or protocol not in (0, _ICMP, _ICMPV6)


def _worse(severity: Severity) -> Severity:
    return min((level for level in Severity if level > severity), default=severity)
