"""From hand-made windows and scores to alerts."""

import numpy as np
import pytest
from alert_windows import FLOOD, FLOORS, NAMES, SCAN, SECOND, START, a_policy, host, judge, v4

from sensor.alert import policy as module
from sensor.alert.alert import Model, ModelState, Severity, Status
from sensor.alert.kind import SUBJECTS
from sensor.feature.row import HostWindow


def test_a_rare_and_material_row_opens_an_incident():
    policy = a_policy()
    alerts, suspicious = judge(policy, [host(4), host(5, SCAN)])
    assert suspicious.tolist() == [False, True]
    (alert,) = alerts
    assert alert.kind.id == "port_scan"
    assert (alert.entity, alert.source.ip, alert.destination.ip) == ("10.0.0.5", "10.0.0.5", "10.0.0.9")
    assert alert.related_ips == ("10.0.0.5", "10.0.0.9")
    assert alert.message == (
        "Port scan: 10.0.0.5 to 10.0.0.9 in 10 s: "
        "about 1,000 distinct host:port pairs contacted (expected at most 40); "
        "900 connections opened without an answer (expected at most 25)"
    )
    assert alert.severity == Severity.MEDIUM
    assert alert.incident.status == Status.OPEN
    assert (alert.incident.count, alert.incident.last) == (1, alert.time)
    assert alert.incident.first == alert.time - 10 * SECOND  # when the window began
    assert alert.time == START * SECOND
    assert (alert.p_value, alert.score, alert.threshold) == (1e-6, 6.0, 1e-4)
    assert [said.name for said in alert.detectors] == ["deviation", "half_space_trees"]
    assert alert.detectors[1].p_value == pytest.approx(1e-3)
    assert alert.source.mac == "02:00:00:00:00:05"
    assert (alert.network.transport, alert.network.type) == ("tcp", "ipv4")
    assert (alert.network.direction, alert.network.packets) == ("internal", 200)
    assert alert.network.community_id == "1:5-9-6-40000-80-4"
    assert alert.next_step == SUBJECTS["port_scan"].next_step
    assert not policy.quiet
    assert policy.involved() == {v4(5)}


@pytest.mark.parametrize(
    ("values", "changes", "expected"),
    [
        ({"services_out": (FLOORS["services_out"], 1e-9)}, {}, 0.0),  # rare, but at its floor
        ({"services_out": (1000, 0.02)}, {}, 0.0),  # high, but not rare
        ({"services_out": (1000, 1e-6)}, {}, 1000.0),  # the network's usual limit
        ({"services_out": (1000, 1e-6)}, {"windows": 6, "usual": 1001.0}, 0.0),  # the host's own
        ({}, {}, 0.0),  # rare as a whole, with nothing to show for it
    ],
)
def test_what_is_not_rare_and_material_at_once_is_not_suspicious(values, changes, expected):
    alerts, suspicious = judge(a_policy(), [host(5, values, **changes)], expected=expected)
    assert alerts == []
    assert not suspicious.any()


def test_a_young_hosts_own_history_does_not_count():
    _, suspicious = judge(a_policy(), [host(5, SCAN, windows=5, usual=1e6)])
    assert suspicious.all()


def test_one_rather_rare_window_is_watched_and_several_open():
    policy = a_policy()
    opened = []
    for number in range(6):
        alerts, suspicious = judge(policy, [host(5, SCAN, p=10**-2.5)], 10 * number)
        assert suspicious.all()
        opened += [10 * number for _ in alerts]
    assert opened == [20]  # of the 3 that are needed, two windows give 1.5 each, less what faded in 10 s
    assert policy.counters()["suspicious_rows"] == 6


def test_tells_once_then_at_each_interval_then_of_the_end():
    policy = a_policy(update_interval_secs=60.0)
    told = []
    for seconds in range(0, 150, 10):
        alerts, _ = judge(policy, [host(5, SCAN)], seconds)
        told += [(seconds, alert.incident.status) for alert in alerts]
    assert told == [(0, "open"), (60, "update"), (120, "update")]
    assert judge(policy, [], 230)[0] == []
    (closing,) = judge(policy, [], 240)[0]
    assert closing.incident.status == Status.CLOSED
    assert closing.message == (
        "Port scan: 10.0.0.5 has been quiet for 100 s, after 15 unusual windows of 10 s"
    )
    assert (closing.incident.count, closing.incident.last) == (15, (START + 140) * SECOND)
    assert closing.time == (START + 240) * SECOND
    assert policy.quiet
    assert policy.involved() == set()
    counters = policy.counters()
    assert (counters["alerts_open"], counters["alerts_update"], counters["alerts_closed"]) == (1, 2, 1)
    assert (counters["incidents_opened"], counters["incidents_open"]) == (1, 0)


def test_one_incident_has_one_id_and_each_alert_its_own():
    policy = a_policy(update_interval_secs=20.0)
    alerts = [
        alert for seconds in (0, 20, 40, 200) for alert in judge(policy, scan_until(40, seconds), seconds)[0]
    ]
    assert [alert.incident.status for alert in alerts] == ["open", "update", "update", "closed"]
    assert len({alert.incident.id for alert in alerts}) == 1
    assert len({alert.id for alert in alerts}) == 4


def scan_until(last, seconds):
    return [host(5, SCAN)] if seconds <= last else []


def test_a_graver_row_is_told_at_once_and_names_the_incident():
    policy = a_policy()
    failures = {"unanswered_out": (60, 1e-6), "failed_damped": (60, 1e-2)}
    (opened,), _ = judge(policy, [host(5, failures)])
    assert (opened.kind.id, opened.severity) == ("connection_failures", Severity.LOW)
    (grown,), _ = judge(policy, [host(5, SCAN)], 10)
    assert (grown.kind.id, grown.severity) == ("port_scan", Severity.MEDIUM)
    assert grown.incident.id == opened.incident.id
    assert grown.incident.status == Status.UPDATE
    assert judge(policy, [host(5, failures)], 20)[0] == []
    (closing,) = judge(policy, [], 500)[0]
    assert (closing.kind.id, closing.severity) == ("port_scan", Severity.MEDIUM)
    assert policy.counters()["incidents_opened"] == 1


def test_an_extreme_row_is_one_step_graver():
    (alert,), _ = judge(a_policy(), [host(5, SCAN, p=1e-40)])
    assert alert.severity == Severity.HIGH
    (alert,), _ = judge(a_policy(), [host(5, FLOOD, p=1e-40)])
    assert alert.severity == Severity.CRITICAL


def test_a_scan_is_told_at_its_source_only():
    target = host(9, {"flows_in": (9000, 1e-9)}, peer=5, port_in_share=0.01)
    alerts, suspicious = judge(a_policy(), [target, host(5, SCAN)])
    assert [alert.entity for alert in alerts] == ["10.0.0.5"]
    assert suspicious.all()
    # Many sources, or one port, or a source that was not caught: then it is told at the target.
    for change in ({"peer_in_share": 0.1}, {"port_in_share": 1.0}, {"peer_in_lo": v4(77)[1]}):
        seen = target | {"row": target["row"] | change}
        alerts, _ = judge(a_policy(), [seen, host(5, SCAN)])
        assert {alert.kind.id for alert in alerts} == {"port_scan", "flood"}


def test_an_inbound_alert_has_its_host_as_destination():
    (alert,), _ = judge(a_policy(), [host(5, FLOOD, bytes_in=7)])
    assert (alert.entity, alert.source.ip, alert.destination.ip) == ("10.0.0.5", "10.0.0.9", "10.0.0.5")
    assert alert.destination.mac == "02:00:00:00:00:05"
    assert alert.source.mac == ""
    assert alert.source.bytes == 7
    assert alert.message.startswith("Flood: 10.0.0.5 from 10.0.0.9 in 10 s: 9,000 connections received")


def test_without_a_main_peer_the_latest_flows_is_named_but_not_in_the_sentence():
    (alert,), _ = judge(a_policy(), [host(5, SCAN, share=0.2, out_lo=v4(33)[1])])
    assert alert.destination.ip == "10.0.0.33"
    assert alert.message.startswith("Port scan: 10.0.0.5 in 10 s: ")
    assert alert.network.community_id == "1:5-33-6-40000-80-4"


def test_a_flow_with_another_peer_lends_the_alert_nothing():
    (alert,), _ = judge(a_policy(), [host(5, SCAN, out_lo=v4(33)[1])])
    assert alert.destination.ip == "10.0.0.9"
    assert (alert.network.community_id, alert.network.transport) == ("", "")


def test_without_any_peer_the_alert_still_stands():
    (alert,), _ = judge(
        a_policy(), [host(5, {"binding_changes": (4, 1e-5)}, share=0.0, peer_out_lo=0, out_lo=0)]
    )
    assert alert.kind.id == "arp_spoof"
    assert alert.related_ips == ("10.0.0.5",)
    assert alert.destination.ip == "::"
    assert alert.network.direction == ""


@pytest.mark.parametrize(
    ("protocol", "ports", "known"),
    [
        (6, (1, 2), True),
        (17, (1, 2), True),
        (1, (8, 0), True),
        (1, (3, 1), False),
        (58, (128, 0), False),
        (0, (0, 0), False),
    ],
)
def test_a_community_id_is_given_where_it_is_sure(protocol, ports, known):
    fields = {"out_protocol": protocol, "out_src_port": ports[0], "out_dst_port": ports[1]}
    (alert,), _ = judge(a_policy(), [host(5, SCAN, **fields)])
    assert bool(alert.network.community_id) == known


@pytest.mark.parametrize(("name", "kind"), [
    ("services_out", "port_scan"), ("peers_out", "host_sweep"), ("failed_damped", "connection_failures"),
    ("flows_in", "flood"), ("logins_damped", "brute_force"), ("repeats_out", "repeated_connections"),
    ("dns_bytes_out", "dns_tunnel"), ("icmp_bytes_out", "icmp_tunnel"), ("arp_targets", "arp_scan"),
    ("binding_changes", "arp_spoof"), ("bytes_out", "upload"), ("bytes_in", "traffic_surge"),
    ("odd_fragments", "ip_fragment_evasion"), ("odd_flows", "odd_flows"),
])  # fmt: skip
def test_every_kind_can_be_told(name, kind):
    (alert,), _ = judge(a_policy(), [host(5, {name: (50 * FLOORS[name] + 50, 1e-6)})])
    assert alert.kind == SUBJECTS[kind].kind
    assert alert.reasons[0].feature == name
    assert alert.reasons[0].expected_high == pytest.approx(FLOORS[name])


def test_every_kind_is_in_the_list_above():
    marks = test_every_kind_can_be_told.pytestmark[0]
    assert {kind for _, kind in marks.args[1]} == set(SUBJECTS)


@pytest.mark.parametrize("state", list(ModelState))
def test_the_models_state_and_age_are_told(state):
    (alert,), _ = judge(a_policy(), [host(5, SCAN)], model=Model(state, 7, 1234))
    assert (alert.model.state, alert.model.generation, alert.model.trained_rows) == (state, 7, 1234)


def test_ten_thousands_of_odd_hosts_cost_no_more_than_the_cap(monkeypatch):
    monkeypatch.setattr(module, "MOST_JUDGED", 20)
    policy = a_policy()
    crowd = [host(number, SCAN, p=1e-5) for number in range(100)]
    crowd[70] = host(70, SCAN, p=1e-9)
    alerts, suspicious = judge(policy, crowd)
    assert suspicious.all()  # none of them teaches
    assert len(alerts) == 20
    # The rarest is among them; the order is still the rows'.
    assert [alert.entity for alert in alerts] == [f"10.0.0.{number}" for number in (*range(19), 70)]
    counters = policy.counters()
    assert (counters["suspicious_rows"], counters["suspicious_rows_not_judged"]) == (100, 80)


def test_incidents_beyond_their_cap_are_counted(monkeypatch):
    monkeypatch.setattr("sensor.alert.incident.MOST_OPEN", 3)
    policy = a_policy()
    alerts, _ = judge(policy, [host(number, SCAN) for number in range(10)])
    assert len(alerts) == 3
    assert policy.counters()["incidents_refused"] == 7
    assert len(judge(policy, [], 500)[0]) == 3


def test_candidates_are_the_rows_above_a_floor():
    x = np.zeros((5, len(NAMES)))
    x[1] = np.log1p([FLOORS[name] for name in NAMES])  # at every floor
    x[2, 3], x[4, :2] = 40.0, 40.0
    nothing = np.zeros((0, 0))
    assert a_policy().candidates(HostWindow(nothing, x, nothing, nothing)).tolist() == [2, 4]
