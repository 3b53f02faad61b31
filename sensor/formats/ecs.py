"""Elastic Common Schema: one line of JSON an alert.

Field names are those of ECS 8.17, unchanged in 9; what ECS has no name for
stands under `sensor`. Unknown values (empty texts, zero counts, numbers that
are not finite) are left out, `source.ip`, `destination.ip` and `related.ip`
are always there.

Reference: https://www.elastic.co/docs/reference/ecs
"""

from __future__ import annotations

import json
from typing import Any

from sensor.alert.alert import Alert, Endpoint, Observer, Reason, Status, Technique
from sensor.formats.canonical import (
    ID_BYTES,
    SENTENCE_BYTES,
    UNSPECIFIED,
    ip,
    mac,
    printable,
    real,
    utc,
    whole,
)

ECS_VERSION = "8.17.0"

_Fields = dict[str, Any]

_ACTION = {
    Status.OPEN: "incident-opened",
    Status.UPDATE: "incident-updated",
    Status.CLOSED: "incident-closed",
}

#: What is given up, in this order, when a line must be shorter: a path, and how
#: many items of a list or characters of a text stay. What the alert is, who it
#: is about and its identifiers are never given up.
SHORTENING: tuple[tuple[str, int], ...] = (
    ("related.ip", 8),
    ("sensor.next_step", 0),
    ("sensor.detectors", 0),
    ("sensor.features", 3),
    ("event.reason", 0),
    ("source.mac", 0),
    ("destination.mac", 0),
    ("sensor.model", 0),
    ("sensor.features", 0),
    ("network", 0),
    ("threat", 0),
    ("observer", 0),
    ("related.ip", 2),
    ("related.hosts", 0),
    ("message", 240),
    ("sensor", 0),
    ("source.address", 0),
    ("destination.address", 0),
    ("rule.name", 0),
    ("rule.category", 0),
    ("message", 80),
)


def render(alert: Alert, observer: Observer, max_bytes: int | None = None) -> bytes:
    """Return the alert as one line of JSON, without its line feed.

    Parameters
    ----------
    alert, observer
        What happened, and who saw it.
    max_bytes
        When the line is longer, the fields of `SHORTENING` are given up one
        after the other until it fits, and `tags` says ``shortened``. What is
        never given up takes at most 1,100 bytes.

    Returns
    -------
    bytes
        Bytes 0x20 to 0x7E only; equal alerts give equal bytes.
    """
    fields = document(alert, observer)
    line = _encode(fields)
    if max_bytes is None or len(line) <= max_bytes:
        return line
    fields["tags"] = ["shortened"]
    for path, keep in SHORTENING:
        _give_up(fields, path.split("."), keep)
        line = _encode(fields)
        if len(line) <= max_bytes:
            break
    return line


def document(alert: Alert, observer: Observer) -> _Fields:
    """Return the ECS fields as nested dictionaries of JSON types, in the order they are written."""
    fields: _Fields = _known(
        {
            "@timestamp": utc(alert.time),
            "ecs": {"version": ECS_VERSION},
            "message": printable(alert.message, SENTENCE_BYTES),
            "event": _event(alert),
            "rule": _rule(alert),
            "source": _endpoint(alert.source),
            "destination": _endpoint(alert.destination),
            "network": _network(alert),
            "related": _related(alert),
            "threat": _threat(alert.kind.technique),
            "observer": {
                "type": "sensor",
                "product": "span-sensor",
                "name": printable(observer.name),
                "version": printable(observer.version, ID_BYTES),
                "ingress": {"interface": {"name": printable(observer.interface)}},
            },
            "sensor": _sensor(alert),
        }
    )
    return fields


def _event(alert: Alert) -> _Fields:
    incident = alert.incident
    sentences = "; ".join(reason.sentence for reason in alert.reasons if reason.sentence)
    return {
        "kind": "alert",
        "category": ["network"] if alert.kind.about_sensor else ["network", "intrusion_detection"],
        "type": ["info"],
        "action": _ACTION[Status(incident.status)],
        "id": printable(alert.id, ID_BYTES),
        "start": utc(incident.first),
        "end": utc(incident.last),
        "duration": whole(incident.last - incident.first),  # ns
        "severity": int(alert.severity),
        "risk_score": real(alert.risk),
        "reason": printable(sentences, SENTENCE_BYTES),
        "module": "span_sensor",
        "dataset": "span_sensor.alert",
    }


def _rule(alert: Alert) -> _Fields:
    technique = alert.kind.technique
    category = "Sensor health" if alert.kind.about_sensor else "Anomaly"
    return {
        "id": printable(alert.kind.id, ID_BYTES),
        "name": printable(alert.kind.name),
        "category": printable(technique.tactic_name) if technique else category,
    }


def _endpoint(endpoint: Endpoint) -> _Fields:
    address = ip(endpoint.ip)
    return {
        "ip": address or UNSPECIFIED,
        # ECS keeps what is no address here, because `ip` fields refuse it.
        "address": address or printable(endpoint.ip),
        "port": _some(endpoint.port),
        "mac": mac(endpoint.mac),
        "bytes": _some(endpoint.bytes),
        "packets": _some(endpoint.packets),
    }


def _network(alert: Alert) -> _Fields:
    network = alert.network
    return {
        "transport": printable(network.transport, ID_BYTES),
        "type": printable(network.type, ID_BYTES),
        "direction": printable(network.direction, ID_BYTES),
        "community_id": printable(network.community_id, ID_BYTES),
        "vlan": {"id": str(whole(network.vlan_id)) if network.vlan_id else ""},  # a keyword in ECS
        "bytes": _some(network.bytes),
        "packets": _some(network.packets),
    }


def _related(alert: Alert) -> _Fields:
    texts = (alert.source.ip, alert.destination.ip, alert.entity, *alert.related_ips)
    addresses = dict.fromkeys(address for text in texts if (address := ip(text)))
    return {
        "ip": list(addresses) or [UNSPECIFIED],
        "hosts": [printable(alert.entity)] if alert.entity and ip(alert.entity) is None else [],
    }


def _threat(technique: Technique | None) -> _Fields:
    """Return the ATT&CK fields; a sub-technique (``T1071.004``) has fields of its own."""
    if technique is None:
        return {}
    identifier, name = printable(technique.id, ID_BYTES), printable(technique.name)
    parent = identifier.partition(".")[0]
    if parent == identifier:
        named: _Fields = {"id": [identifier], "name": [name]}
    else:
        named = {"id": [parent], "subtechnique": {"id": [identifier], "name": [name]}}
    return {
        "framework": "MITRE ATT&CK",
        "tactic": {
            "id": [printable(technique.tactic_id, ID_BYTES)],
            "name": [printable(technique.tactic_name)],
        },
        "technique": named,
    }


def _sensor(alert: Alert) -> _Fields:
    incident, model = alert.incident, alert.model
    return {
        "entity": printable(alert.entity),
        "score": real(alert.score),
        "p_value": real(alert.p_value),
        "threshold": real(alert.threshold),
        "state": printable(model.state, ID_BYTES),
        "detectors": [
            {"name": printable(said.name), "score": real(said.score), "p_value": real(said.p_value)}
            for said in alert.detectors
        ],
        "features": [_feature(reason) for reason in alert.reasons],
        "incident": {
            "id": printable(incident.id, ID_BYTES),
            "state": str(incident.status),
            "count": whole(incident.count),
            "first": utc(incident.first),
            "last": utc(incident.last),
        },
        "model": {"generation": whole(model.generation), "trained_rows": whole(model.trained_rows)},
        "sampling": whole(alert.sampling) if alert.sampling > 1 else None,
        "next_step": printable(alert.next_step, SENTENCE_BYTES),
    }


def _feature(reason: Reason) -> _Fields:
    return {
        "name": printable(reason.feature),
        "value": real(reason.value),
        # The bounds' names are those of Elasticsearch's range types; an open end is left out.
        "expected": {"gte": real(reason.expected_low), "lte": real(reason.expected_high)},
        "unit": printable(reason.unit, ID_BYTES),
        "share": real(reason.share),
    }


def _some(count: int) -> int | None:
    """Return a count, or None where 0 stands for unknown."""
    return whole(count) or None


def _known(value: Any) -> Any:
    """Return `value` without what is unknown: None, and empty texts, lists and objects."""
    if isinstance(value, dict):
        pruned = {name: _known(inner) for name, inner in value.items()}
        return {name: inner for name, inner in pruned.items() if inner not in (None, "", [], {})}
    if isinstance(value, list):
        return [inner for inner in map(_known, value) if inner not in (None, "", [], {})]
    return value


def _give_up(fields: _Fields, path: list[str], keep: int) -> None:
    """Shorten the value at `path` to `keep` items or characters; 0 removes it."""
    *parents, last = path
    for name in parents:
        fields = fields.get(name, {})
    value = fields.get(last)
    if value is None:
        return
    if not keep:
        del fields[last]
    elif isinstance(value, str):
        fields[last] = printable(value, keep)
    else:
        fields[last] = value[:keep]


def _encode(fields: _Fields) -> bytes:
    return json.dumps(fields, separators=(",", ":"), allow_nan=False).encode("ascii")
