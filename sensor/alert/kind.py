"""What an incident can be about, and how a host row is told from its features.

A row is classified by its *lead*: the material feature with the smallest
p-value. Where one feature can mean several things, what the host did besides
decides. Technique names and numbers are MITRE ATT&CK's (enterprise, v15).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sensor.alert.alert import Kind, Severity, Technique
from sensor.kernel import Row

_DISCOVERY = ("TA0007", "Discovery")
_IMPACT = ("TA0040", "Impact")
_ACCESS = ("TA0006", "Credential Access")
_COMMAND = ("TA0011", "Command and Control")
_EXFILTRATION = ("TA0010", "Exfiltration")

_SERVICE_DISCOVERY = Technique("T1046", "Network Service Discovery", *_DISCOVERY)
_SYSTEM_DISCOVERY = Technique("T1018", "Remote System Discovery", *_DISCOVERY)
_FLOOD = Technique("T1498", "Network Denial of Service", *_IMPACT)
_GUESSING = Technique("T1110", "Brute Force", *_ACCESS)
_IN_THE_MIDDLE = Technique("T1557.002", "ARP Cache Poisoning", *_ACCESS)
_DNS = Technique("T1071.004", "Application Layer Protocol: DNS", *_COMMAND)
_OTHER_PROTOCOL = Technique("T1095", "Non-Application Layer Protocol", *_COMMAND)
_UPLOAD = Technique("T1048", "Exfiltration Over Alternative Protocol", *_EXFILTRATION)

#: Ports of services that ask for a password at each connection.
LOGIN_PORTS = frozenset({21, 22, 23, 513, 1433, 3389, 5900, 5985})


#: Kinds that are one activity seen from several sides: what comes later belongs to the open incident.
PROBING = frozenset({"port_scan", "host_sweep", "connection_failures"})


class Subject(NamedTuple):
    """A kind, how much it matters, which end the host is, and what to look at next."""

    kind: Kind
    severity: Severity
    inbound: bool
    next_step: str


def _subject(
    name: tuple[str, str],
    technique: Technique | None,
    severity: Severity,
    next_step: str,
    *,
    inbound: bool = False,
) -> Subject:
    return Subject(Kind(name[0], name[1], technique), severity, inbound, next_step)


SUBJECTS: Mapping[str, Subject] = {
    subject.kind.id: subject
    for subject in (
        _subject(
            ("port_scan", "Port scan"),
            _SERVICE_DISCOVERY,
            Severity.MEDIUM,
            "Is the source a scanner you run? If not, see which ports answered and what it did there next.",
        ),
        _subject(
            ("host_sweep", "Host sweep"),
            _SYSTEM_DISCOVERY,
            Severity.MEDIUM,
            "Is the source an inventory or monitoring system? If not, see which hosts answered it.",
        ),
        _subject(
            ("connection_failures", "Connection failures"),
            _SERVICE_DISCOVERY,
            Severity.LOW,
            "Look for a service that is down, a wrong setting, or a slow scan.",
        ),
        _subject(
            ("flood", "Flood"),
            _FLOOD,
            Severity.HIGH,
            "Check whether the service still answers; compare the sources with its usual clients.",
            inbound=True,
        ),
        _subject(
            ("brute_force", "Password guessing"),
            _GUESSING,
            Severity.HIGH,
            "Look in the service's log for failed logins, and for one that then succeeded.",
        ),
        _subject(
            ("repeated_connections", "Repeated connections"),
            None,
            Severity.LOW,
            "Look for a client that retries without pause, or a tool that tests one service.",
        ),
        _subject(
            ("dns_tunnel", "Unusual DNS volume"),
            _DNS,
            Severity.HIGH,
            "Look at the names asked for: long random labels under one domain are data, not lookups.",
        ),
        _subject(
            ("icmp_tunnel", "Unusual ICMP volume"),
            _OTHER_PROTOCOL,
            Severity.MEDIUM,
            "Look at the ICMP payloads: changing content in echo messages is a tunnel.",
        ),
        _subject(
            ("arp_scan", "ARP scan"),
            _SYSTEM_DISCOVERY,
            Severity.MEDIUM,
            "Find the machine by its MAC address and ask what runs there.",
        ),
        _subject(
            ("arp_spoof", "Address moved to another MAC"),
            _IN_THE_MIDDLE,
            Severity.HIGH,
            "Compare both MAC addresses with the switch; failover and new hardware are the harmless causes.",
        ),
        _subject(
            ("ip_fragment_evasion", "Overlapping or tiny IP fragments"),
            None,
            Severity.MEDIUM,
            "Look at what the fragments carry: no ordinary sender makes such, and filters can be passed so.",
        ),
        _subject(
            ("upload", "Unusual upload"),
            _UPLOAD,
            Severity.HIGH,
            "Is the destination a backup or cloud service you use? If not, see what the host could read.",
        ),
        _subject(
            ("traffic_surge", "Unusual traffic volume"),
            None,
            Severity.LOW,
            "See which peer and service carry the volume, and whether it is planned.",
        ),
        _subject(
            ("odd_flows", "Flows of unusual shape"),
            None,
            Severity.LOW,
            "Compare these flows with the host's other traffic to the same services.",
        ),
    )
}

_FAN_OUT = (
    "peers_out",
    "services_out",
    "new_peers",
    "new_services",
    "unanswered_out",
    "refused_out",
    "failed_damped",
)
_INBOUND = ("flows_in", "sources_in", "unanswered_in", "half_open_in", "packets_in")
_DIRECT = {
    "logins_damped": "brute_force",
    "dns_bytes_out": "dns_tunnel",
    "dns_queries": "dns_tunnel",
    "icmp_bytes_out": "icmp_tunnel",
    "arp_targets": "arp_scan",
    "binding_changes": "arp_spoof",
    "bytes_in": "traffic_surge",
    "odd_fragments": "ip_fragment_evasion",
    "odd_flows": "odd_flows",
}

#: From this many distinct ports a host on, contacting them is a scan of ports rather than of hosts.
_PORTS_PER_HOST = 4.0
#: Mean packet size of a transfer; floods mostly send small packets.
_BULK_BYTES = 600.0
#: One peer or one port is the traffic's own when it has at least this majority.
MAJORITY = 0.5


def classify(row: Row, values: Mapping[str, float], lead: str) -> str:
    """Return the id of the kind.

    Parameters
    ----------
    row
        The `HOST_ROW`.
    values
        The row's features by name, in their units.
    lead
        The name of the most unusual material feature.
    """
    if lead in _DIRECT:
        return _DIRECT[lead]
    if lead in _INBOUND:
        return "traffic_surge" if lead == "packets_in" and _is_download(values) else "flood"
    if lead == "repeats_out":
        return "brute_force" if int(row["port_out"]) in LOGIN_PORTS else "repeated_connections"
    if lead in _FAN_OUT:
        return _fan_out(values)
    full = lead == "bytes_out" or values["bytes_out"] > _BULK_BYTES * values["packets_out"]
    return "upload" if full and values["bytes_out"] > 2.0 * values["bytes_in"] else "traffic_surge"


def _is_download(values: Mapping[str, float]) -> bool:
    """Say whether what came in were large packets that the host acknowledged."""
    large = values["bytes_in"] > _BULK_BYTES * values["packets_in"]
    return large and values["packets_out"] > 0.1 * values["packets_in"]


def _fan_out(values: Mapping[str, float]) -> str:
    peers = max(values["peers_out"], 1.0)
    services = values["services_out"]
    if services >= 20 and services / peers >= _PORTS_PER_HOST:
        return "port_scan"
    if values["logins_damped"] > 0.5 * values["failed_damped"]:
        return "brute_force"
    if peers >= 20:
        return "host_sweep"
    return "connection_failures"


def is_scan_target(row: Row) -> bool:
    """Say whether the inbound traffic is one peer's, spread over many ports: a scan's echo."""
    return float(row["peer_in_share"]) >= MAJORITY and float(row["port_in_share"]) < MAJORITY
