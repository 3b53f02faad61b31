from __future__ import annotations

import dataclasses
import json

from alert_examples import PORT_SCAN

from sensor.alert.alert import Severity, Status
from sensor.engine import EngineStatus
from sensor.telemetry import AlertTally, Snapshot, losses, packets_per_second

STATUS = EngineStatus(first=1, last=2, active_flows=3, hosts=4, models={})


def snapshot(**changes: object) -> Snapshot:
    plain = Snapshot(packets=10, bytes=1000, source={}, stages={}, sinks={}, status=STATUS, alerts=0)
    return dataclasses.replace(plain, **changes)


def test_alerts_are_counted_by_kind():
    alert = PORT_SCAN
    tally = AlertTally()
    for status, severity in [
        (Status.OPEN, Severity.LOW),
        (Status.UPDATE, Severity.HIGH),
        (Status.CLOSED, Severity.LOW),
    ]:
        incident = dataclasses.replace(alert.incident, status=status)
        tally.put(dataclasses.replace(alert, severity=severity, incident=incident))
    (kind,) = tally.kinds().values()
    assert (kind.name, kind.severity) == (alert.kind.name, Severity.HIGH)
    assert (kind.incidents, kind.messages, tally.messages) == (1, 3, 3)


def test_a_snapshot_is_json():
    values = json.loads(json.dumps(snapshot(sinks={"a": {"sent": 1, "last_error": ""}}).as_dict()))
    assert values["status"]["hosts"] == 4
    assert values["alerts"] == {"messages": 0, "kinds": {}}


def test_losses_are_named_and_zeros_are_not():
    found = losses(
        snapshot(
            source={"kernel_drops": 5, "packets": 10},
            stages={
                "packet": {"error_bad_arp": 2, "error_empty_frame": 0},
                "flow": {"flows_evicted_closed": 1},
            },
            sinks={"web": {"dropped_queue_full": 3, "sent": 7, "last_error": "x"}},
        )
    )
    assert found == {
        "source.kernel_drops": 5,
        "packet.error_bad_arp": 2,
        "flow.flows_evicted_closed": 1,
        "sink web.dropped_queue_full": 3,
    }


def test_a_rate_is_between_two_moments():
    assert packets_per_second(snapshot(), snapshot(packets=40), 2.0) == 15.0
    assert packets_per_second(None, snapshot(packets=40), 2.0) == 20.0
    assert packets_per_second(None, snapshot(packets=40), 0.0) == 0.0
