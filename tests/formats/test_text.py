from __future__ import annotations

from dataclasses import replace

from alert_examples import OBSERVER, PORT_SCAN, alerts, observers
from hypothesis import given, settings

from sensor.formats import text


def test_line():
    assert text.render(PORT_SCAN, OBSERVER) == (
        b"2026-01-02T03:04:05.678901Z sensor-1 HIGH port_scan 192.0.2.10:40312 -> 198.51.100.7:"
        b" 192.0.2.10 tried 812 ports of 198.51.100.7 in 10 s; 2 to 9 are usual"
        b" (incident inc-192.0.2.10-port_scan open)"
    )


def test_an_ipv6_port_can_be_told_from_the_address():
    alert = replace(PORT_SCAN, source=replace(PORT_SCAN.source, ip="2001:DB8::1", port=443))
    assert b" [2001:db8::1]:443 -> " in text.render(alert, OBSERVER)


@settings(max_examples=100, deadline=None)
@given(alerts, observers)
def test_hostile_text_stays_one_line(alert, observer):
    assert all(0x20 <= byte <= 0x7E for byte in text.render(alert, observer))
