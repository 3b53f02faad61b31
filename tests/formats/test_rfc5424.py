from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from alert_examples import OBSERVER, PORT_SCAN, alerts, observers
from hypothesis import given, settings

from sensor.alert.alert import Observer, Severity
from sensor.formats import ecs, rfc5424
from sensor.formats.canonical import utc

GOLDEN = Path(__file__).with_name("rfc5424.golden")

#: The grammar of RFC 5424, section 6, as far as one SD-ELEMENT needs it.
MESSAGE = re.compile(
    rb"<(?P<pri>\d{1,3})>1 (?P<time>\S+) (?P<host>[!-~]{1,255}) (?P<app>[!-~]{1,48})"
    rb" (?P<pid>[!-~]{1,128}) (?P<msgid>[!-~]{1,32})"
    rb' \[(?P<sd_id>[^ =\]"]{1,32})(?P<sd>(?: [^ =\]"]{1,32}="(?:[^"\\\]]|\\["\\\]])*")*)\] (?P<body>.*)',
    re.DOTALL,
)
PARAMETER = re.compile(rb' ([^ =\]"]+)="((?:[^"\\\]]|\\["\\\]])*)"')


def parsed(message: bytes):
    match = MESSAGE.fullmatch(message)
    assert match, message
    unescaped = {
        name.decode(): re.sub(rb'\\(["\\\]])', rb"\1", value).decode()
        for name, value in PARAMETER.findall(match["sd"])
    }
    return match, unescaped


def test_golden():
    assert rfc5424.render_ecs(PORT_SCAN, OBSERVER, 8192, pid=4711) + b"\n" == GOLDEN.read_bytes()


def test_header_and_structured_data_are_found_again():
    match, data = parsed(rfc5424.render(PORT_SCAN, OBSERVER, b"body", 4, 99))
    assert match["pri"] == b"35"  # auth 4 * 8 + error 3
    assert match["time"] == b"2026-01-02T03:04:05.678901Z"
    assert (match["host"], match["app"], match["pid"]) == (b"sensor-1", b"span-sensor", b"99")
    assert match["msgid"] == b"port_scan"
    assert match["sd_id"] == b"sensor@32473"
    assert data == {
        "id": PORT_SCAN.id,
        "kind": "port_scan",
        "severity": "high",
        "source": "192.0.2.10",
        "destination": "198.51.100.7",
        "incident": "inc-192.0.2.10-port_scan",
        "state": "open",
    }
    assert match["body"] == b"body"


@pytest.mark.parametrize(
    ("severity", "code"),
    [(Severity.CRITICAL, 2), (Severity.HIGH, 3), (Severity.MEDIUM, 4), (Severity.LOW, 5)],
)
def test_priority(severity, code):
    message = rfc5424.render(replace(PORT_SCAN, severity=severity), OBSERVER, b"")
    assert message.startswith(b"<%d>1 " % (16 * 8 + code))


def test_special_characters_are_escaped():
    message = rfc5424.render(replace(PORT_SCAN, id='a"b\\c]d'), OBSERVER, b"")
    assert rb'id="a\"b\\c\]d"' in message
    assert parsed(message)[1]["id"] == 'a"b\\c]d'


def test_empty_names_become_the_nil_value():
    alert = replace(PORT_SCAN, kind=replace(PORT_SCAN.kind, id=""))
    match, _ = parsed(rfc5424.render(alert, Observer("", "", ""), b""))
    assert (match["host"], match["pid"], match["msgid"]) == (b"-", b"-", b"-")


@settings(max_examples=200, deadline=None)
@given(alerts, observers)
def test_hostile_text_stays_one_message_within_udp_size(alert, observer):
    message = rfc5424.render_ecs(alert, observer, 2048)
    assert len(message) <= 2048
    assert all(0x20 <= byte <= 0x7E for byte in message)
    match, data = parsed(message)
    assert match["time"].decode() == utc(alert.time)
    assert set(data) == {"id", "kind", "severity", "source", "destination", "incident", "state"}
    assert json.loads(match["body"])["event"]["severity"] == alert.severity


def test_the_worst_alert_fits_udp():
    worst = '"' * 5000
    technique = replace(PORT_SCAN.kind.technique, id=worst, name=worst, tactic_name=worst)
    kind = replace(PORT_SCAN.kind, id=worst, name=worst, technique=technique)
    long_ip = "2001:db8:1111:2222:3333:4444:5555:6666"
    alert = replace(
        PORT_SCAN,
        id=worst,
        kind=kind,
        message=worst,
        entity=worst,
        source=replace(PORT_SCAN.source, ip=long_ip),
        destination=replace(PORT_SCAN.destination, ip=long_ip[:-1] + "7"),
        incident=replace(PORT_SCAN.incident, id=worst),
        next_step=worst,
        related_ips=tuple(f"2001:db8:1111:2222:3333:4444:5555:{number:x}" for number in range(500)),
    )
    message = rfc5424.render_ecs(alert, Observer(worst, worst, worst), 2048, 23, 4_194_304)
    assert len(message) <= 2048
    match, _ = parsed(message)
    assert json.loads(match["body"])["tags"] == ["shortened"]


def test_a_body_that_fits_is_whole():
    match, _ = parsed(rfc5424.render_ecs(PORT_SCAN, OBSERVER, 8192))
    assert match["body"] == ecs.render(PORT_SCAN, OBSERVER)
