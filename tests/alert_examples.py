"""Alerts to render and to send: one that is typical, and any that could ever exist."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from sensor.alert.alert import (
    Alert,
    DetectorScore,
    Endpoint,
    Incident,
    Kind,
    Model,
    ModelState,
    Network,
    Observer,
    Reason,
    Severity,
    Status,
    Technique,
)

OBSERVER = Observer(name="sensor-1", version="0.1.0", interface="span0")

PORT_SCAN = Alert(
    id="8f3c0a51d2b94e77a1c6",
    time=1_767_323_045_678_901_234,
    kind=Kind(
        id="port_scan",
        name="Port scan",
        technique=Technique("T1046", "Network Service Discovery", "TA0007", "Discovery"),
    ),
    severity=Severity.HIGH,
    risk=81.25,
    message="192.0.2.10 tried 812 ports of 198.51.100.7 in 10 s; 2 to 9 are usual",
    entity="192.0.2.10",
    source=Endpoint("192.0.2.10", 40_312, "02:00:5e:00:53:0a", 1_624, 97_440),
    destination=Endpoint("198.51.100.7", 0, "02:00:5e:00:53:ff", 812, 48_720),
    network=Network("tcp", "ipv4", "internal", "1:LQU9qZlK+B5F3KDmev6m5PMibrg=", 20, 2_436, 146_160),
    related_ips=("192.0.2.10", "198.51.100.7", "2001:db8::53"),
    score=5.2218487496163565,
    p_value=6e-06,
    threshold=1e-04,
    detectors=(
        DetectorScore("half_space_trees", 0.9921875, 2.5e-05),
        DetectorScore("deviation", 14.125, 6e-06),
    ),
    reasons=(
        Reason(
            "ports_per_second", 81.2, 0.2, 0.9, "1/s", 0.72, "81.2 new ports a second, usually 0.2 to 0.9"
        ),
        Reason(
            "refused_share", 0.985, 0.0, 0.1, "", 0.28, "98.5 % of connections refused, usually below 10 %"
        ),
    ),
    incident=Incident(
        "inc-192.0.2.10-port_scan", Status.OPEN, 3, 1_767_323_025_000_000_000, 1_767_323_045_678_901_234
    ),
    model=Model(ModelState.LIVE, 12, 48_000),
    next_step="Look for accepted connections from 192.0.2.10 to 198.51.100.7",
)


def numbered(count: int) -> list[Alert]:
    """Return alerts that differ in what a receiver should be able to tell apart."""
    return [
        replace(
            PORT_SCAN,
            id=f"alert-{number:04d}",
            time=PORT_SCAN.time + number * 1_000_000,
            severity=list(Severity)[number % 4],
            source=replace(PORT_SCAN.source, ip=f"192.0.2.{1 + number % 250}"),
        )
        for number in range(count)
    ]


#: Everything a name on the wire can become: any bytes, and any text.
hostile_text = st.one_of(
    st.text(max_size=40),
    st.text(st.characters(), max_size=40),  # surrogates included
    st.binary(max_size=40).map(lambda raw: raw.decode("utf-8", "surrogateescape")),
    st.binary(max_size=40).map(lambda raw: raw.decode("latin-1")),
    st.sampled_from(
        [
            "",
            'a"b\\c]d',
            "\r\n<0>1 - - - - - forged",
            "\u2028\u2029\x85",
            "\x1b[31mred\x1b[0m",
            "\x00",
            "\ud800",
            "[bold]x[/bold]",
            "\U0001f98b" * 300,
            '"' * 3000,
            "\\" * 3000,
            "192.0.2.1",
            "fe80::1%eth0",
        ]
    ),
)
_times = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.sampled_from([0, -1, 2**63 - 1, -(2**63), 10**30, -(10**30)])
)
_counts = st.one_of(st.integers(0, 2**16), st.sampled_from([2**63, 2**64 - 1, -1]))
_numbers = st.floats()  # NaN and the infinities included
_techniques = st.builds(Technique, hostile_text, hostile_text, hostile_text, hostile_text)
_endpoints = st.builds(
    Endpoint, st.one_of(hostile_text, st.ip_addresses().map(str)), _counts, hostile_text, _counts, _counts
)
_reasons = st.builds(Reason, hostile_text, _numbers, _numbers, _numbers, hostile_text, _numbers, hostile_text)

observers = st.builds(Observer, hostile_text, hostile_text, hostile_text)

#: Alerts with hostile text, numbers and times in every field.
alerts = st.builds(
    Alert,
    id=hostile_text,
    time=_times,
    kind=st.builds(Kind, hostile_text, hostile_text, st.one_of(st.none(), _techniques)),
    severity=st.sampled_from(list(Severity)),
    risk=_numbers,
    message=hostile_text,
    entity=hostile_text,
    source=_endpoints,
    destination=_endpoints,
    network=st.builds(
        Network, hostile_text, hostile_text, hostile_text, hostile_text, _counts, _counts, _counts
    ),
    related_ips=st.lists(hostile_text, max_size=3).map(tuple),
    score=_numbers,
    p_value=_numbers,
    threshold=_numbers,
    detectors=st.lists(st.builds(DetectorScore, hostile_text, _numbers, _numbers), max_size=2).map(tuple),
    reasons=st.lists(_reasons, max_size=2).map(tuple),
    incident=st.builds(Incident, hostile_text, st.sampled_from(list(Status)), _counts, _times, _times),
    model=st.builds(Model, st.sampled_from(list(ModelState)), _counts, _counts),
    next_step=hostile_text,
)
