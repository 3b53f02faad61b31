from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from alert_examples import OBSERVER, PORT_SCAN, alerts, observers
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.alert.alert import Endpoint, Incident, Network, Reason, Severity, Status, Technique
from sensor.formats import ecs

GOLDEN = Path(__file__).with_name("ecs.golden")


def _unique(pairs):
    names = [name for name, _ in pairs]
    assert len(names) == len(set(names))
    return dict(pairs)


def _refuse(constant):
    raise AssertionError(f"{constant} is no JSON")


def strict(line: bytes):
    """Parse as the strictest reader would: no NaN, no name twice."""
    return json.loads(line.decode("ascii"), object_pairs_hook=_unique, parse_constant=_refuse)


def test_golden():
    assert ecs.render(PORT_SCAN, OBSERVER) + b"\n" == GOLDEN.read_bytes()


def test_every_field_of_the_alert_is_found_again():
    event = strict(ecs.render(PORT_SCAN, OBSERVER))
    assert event["@timestamp"] == "2026-01-02T03:04:05.678901Z"
    assert event["event"]["duration"] == 20_678_901_234
    assert event["event"]["severity"] == 73
    assert event["rule"] == {"id": "port_scan", "name": "Port scan", "category": "Discovery"}
    assert event["source"]["mac"] == "02-00-5E-00-53-0A"
    assert event["source"]["bytes"] == 97_440
    assert "port" not in event["destination"]
    assert event["network"]["vlan"] == {"id": "20"}
    assert event["related"]["ip"] == ["192.0.2.10", "198.51.100.7", "2001:db8::53"]
    assert event["threat"]["technique"]["id"] == ["T1046"]
    assert event["observer"]["ingress"]["interface"]["name"] == "span0"
    sensor = event["sensor"]
    assert (sensor["score"], sensor["p_value"], sensor["threshold"]) == (5.22185, 6e-06, 1e-04)
    assert sensor["state"] == "live"
    assert [said["name"] for said in sensor["detectors"]] == ["half_space_trees", "deviation"]
    assert sensor["features"][0]["expected"] == {"gte": 0.2, "lte": 0.9}
    assert sensor["incident"]["state"] == "open"
    assert sensor["model"] == {"generation": 12, "trained_rows": 48_000}
    assert sensor["next_step"] == PORT_SCAN.next_step


@settings(max_examples=150, deadline=None)
@given(alerts, observers)
def test_hostile_text_stays_one_line_of_strict_json(alert, observer):
    line = ecs.render(alert, observer)
    assert all(0x20 <= byte <= 0x7E for byte in line)
    event = strict(line)
    for side in (event["source"], event["destination"]):
        assert side["ip"]
    assert event["related"]["ip"]
    assert event["event"]["duration"] >= 0
    assert _longest(event) <= 1024
    assert line == ecs.render(alert, observer)


def _longest(value) -> int:
    if isinstance(value, dict):
        return max([*map(len, value), *map(_longest, value.values())], default=0)
    if isinstance(value, list):
        return max(map(_longest, value), default=0)
    return len(value) if isinstance(value, str) else 0


@settings(max_examples=100, deadline=None)
@given(alerts, observers, st.integers(1100, 3000))
def test_shortened_lines_fit_and_keep_what_matters(alert, observer, limit):
    whole, line = ecs.render(alert, observer), ecs.render(alert, observer, limit)
    event = strict(line)
    assert len(line) <= limit
    if len(whole) <= limit:
        assert line == whole
    else:
        assert event["tags"] == ["shortened"]
    full = strict(whole)
    assert event["@timestamp"] == full["@timestamp"]
    assert event["event"].get("id") == full["event"].get("id")
    assert event["source"]["ip"] == full["source"]["ip"]
    assert event["destination"]["ip"] == full["destination"]["ip"]
    assert event["related"]["ip"][:2] == full["related"]["ip"][:2]


def test_fields_are_given_up_in_the_stated_order():
    gone = []
    size = len(ecs.render(PORT_SCAN, OBSERVER)) - 1
    for limit in range(size, 1000, -1):
        event = strict(ecs.render(PORT_SCAN, OBSERVER, limit))
        missing = [path for path, keep in ecs.SHORTENING if not keep and not _has(event, path)]
        gone.append(missing)
    for fewer, more in itertools.pairwise(gone):
        assert set(fewer) <= set(more)
    assert gone[0] == ["sensor.next_step", "related.hosts"]  # this alert never had related.hosts


def _has(event, path):
    for name in path.split("."):
        if name not in event:
            return False
        event = event[name]
    return True


def test_equal_alerts_are_written_equal():
    negative_zero = replace(PORT_SCAN, score=-0.0, risk=0.0)
    zero = replace(PORT_SCAN, score=0, risk=-0.0)
    assert negative_zero == zero
    assert ecs.render(negative_zero, OBSERVER) == ecs.render(zero, OBSERVER)


def test_unknown_values_are_left_out():
    alert = replace(
        PORT_SCAN,
        kind=replace(PORT_SCAN.kind, technique=None),
        network=Network(),
        score=math.inf,
        p_value=math.nan,
        detectors=(),
        reasons=(Reason("bytes", 5.0, 1.0, math.inf, "", math.nan, ""),),
        next_step="",
    )
    event = strict(ecs.render(alert, OBSERVER))
    assert "network" not in event
    assert "threat" not in event
    assert "reason" not in event["event"]
    assert event["rule"]["category"] == "Anomaly"
    assert not {"score", "p_value", "detectors", "next_step"} & event["sensor"].keys()
    assert event["sensor"]["features"] == [{"name": "bytes", "value": 5.0, "expected": {"gte": 1.0}}]


def test_an_entity_without_address_goes_where_ecs_allows_it():
    alert = replace(PORT_SCAN, entity="02:00:5e:00:53:0a", source=Endpoint("", mac="02:00:5e:00:53:0a"))
    event = strict(ecs.render(alert, OBSERVER))
    assert event["source"]["ip"] == "0.0.0.0"  # noqa: S104  (text)
    assert event["related"]["hosts"] == ["02:00:5e:00:53:0a"]
    named = strict(ecs.render(replace(PORT_SCAN, source=Endpoint("host.example")), OBSERVER))
    assert named["source"]["address"] == "host.example"


def test_a_sub_technique_names_its_parent():
    technique = Technique("T1071.004", "DNS", "TA0011", "Command and Control")
    alert = replace(PORT_SCAN, kind=replace(PORT_SCAN.kind, technique=technique))
    written = strict(ecs.render(alert, OBSERVER))["threat"]["technique"]
    assert written == {"id": ["T1071"], "subtechnique": {"id": ["T1071.004"], "name": ["DNS"]}}


@pytest.mark.parametrize(
    ("status", "action"),
    [
        (Status.OPEN, "incident-opened"),
        (Status.UPDATE, "incident-updated"),
        (Status.CLOSED, "incident-closed"),
    ],
)
def test_action_follows_the_incident(status, action):
    alert = replace(PORT_SCAN, incident=replace(PORT_SCAN.incident, status=status))
    assert strict(ecs.render(alert, OBSERVER))["event"]["action"] == action


def test_times_and_counts_beyond_every_range_do_not_raise():
    incident = Incident("i", Status.OPEN, 2**70, 10**40, -(10**40))
    alert = replace(PORT_SCAN, time=-(10**40), incident=incident, severity=Severity.LOW)
    event = strict(ecs.render(alert, OBSERVER))
    assert event["@timestamp"].startswith("0001-01-01")
    assert event["event"]["duration"] == 0
    assert event["sensor"]["incident"]["count"] == 2**63 - 1
