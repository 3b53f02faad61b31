"""What a row is told as."""

import numpy as np
import pytest

from sensor.alert.alert import Severity
from sensor.alert.kind import LOGIN_PORTS, PROBING, SUBJECTS, classify, is_scan_target
from sensor.feature import contact
from sensor.feature.row import HOST_ROW
from sensor.feature.schema import HOST_FEATURES, names


def row(**fields):
    made = np.zeros(1, HOST_ROW)[0]
    for name, value in fields.items():
        made[name] = value
    return made


def kind(lead, port_out=80, **values):
    return classify(row(port_out=port_out), dict.fromkeys(names(HOST_FEATURES), 0.0) | values, lead)


CASES = [
    ("port_scan", "services_out", {"services_out": 1000, "peers_out": 1}),
    ("port_scan", "refused_out", {"services_out": 80, "peers_out": 20}),
    ("host_sweep", "peers_out", {"services_out": 250, "peers_out": 250}),
    ("host_sweep", "failed_damped", {"services_out": 79, "peers_out": 20, "failed_damped": 50}),
    ("connection_failures", "unanswered_out", {"services_out": 1, "peers_out": 1, "failed_damped": 60}),
    ("connection_failures", "failed_damped", {"services_out": 19, "peers_out": 1, "failed_damped": 60}),
    ("brute_force", "new_services", {"logins_damped": 30, "failed_damped": 20, "services_out": 15}),
    ("brute_force", "logins_damped", {}),
    ("repeated_connections", "repeats_out", {}),
    ("flood", "flows_in", {}),
    ("flood", "sources_in", {}),
    ("flood", "unanswered_in", {}),
    ("flood", "half_open_in", {}),
    ("flood", "packets_in", {"packets_in": 50_000, "bytes_in": 3e6, "packets_out": 50_000}),
    ("flood", "packets_in", {"packets_in": 50_000, "bytes_in": 6e7, "packets_out": 10}),
    ("traffic_surge", "packets_in", {"packets_in": 50_000, "bytes_in": 7e7, "packets_out": 25_000}),
    ("traffic_surge", "bytes_in", {}),
    ("traffic_surge", "bytes_out", {"bytes_out": 1e8, "bytes_in": 1e8}),
    ("upload", "bytes_out", {"bytes_out": 1e8, "bytes_in": 1e6}),
    ("upload", "packets_out", {"bytes_out": 6e7, "packets_out": 50_000, "bytes_in": 1e6}),
    ("traffic_surge", "packets_out", {"bytes_out": 3e6, "packets_out": 50_000}),
    ("dns_tunnel", "dns_bytes_out", {}),
    ("dns_tunnel", "dns_queries", {}),
    ("icmp_tunnel", "icmp_bytes_out", {}),
    ("arp_scan", "arp_targets", {}),
    ("arp_spoof", "binding_changes", {}),
    ("ip_fragment_evasion", "odd_fragments", {}),
    ("odd_flows", "odd_flows", {}),
]


@pytest.mark.parametrize(("expected", "lead", "values"), CASES)
def test_classify(expected, lead, values):
    assert kind(lead, **values) == expected


def test_every_kind_is_reached_and_every_feature_leads_to_one():
    assert {expected for expected, _, _ in CASES} == set(SUBJECTS)
    for name in names(HOST_FEATURES):
        assert kind(name) in SUBJECTS


@pytest.mark.parametrize("port", sorted(LOGIN_PORTS))
def test_repetition_at_a_login_port_is_guessing(port):
    assert kind("repeats_out", port_out=port) == "brute_force"


def test_login_ports_are_those_whose_logins_are_counted():
    counted = {port for port in range(65_536) if contact._is_login_port(port)}
    assert counted == LOGIN_PORTS


@pytest.mark.parametrize(
    ("peer", "port", "expected"), [(1.0, 0.01, True), (0.5, 0.4, True), (0.4, 0.1, False), (1.0, 1.0, False)]
)
def test_a_scans_echo_is_one_peer_on_many_ports(peer, port, expected):
    assert is_scan_target(row(peer_in_share=peer, port_in_share=port)) == expected


def test_subjects_are_complete():
    for name, subject in SUBJECTS.items():
        assert subject.kind.id == name
        assert subject.kind.name.isascii()
        assert subject.next_step.isascii()
        assert subject.next_step[-1] in ".?"
        assert isinstance(subject.severity, Severity)
        if subject.kind.technique:
            assert subject.kind.technique.id[0] == "T"
            assert subject.kind.technique.tactic_id[:2] == "TA"
    assert set(SUBJECTS) >= PROBING
    assert not any(SUBJECTS[name].inbound for name in PROBING)
