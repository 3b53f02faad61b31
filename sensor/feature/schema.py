"""The features: name, unit, group, what each tells, and from where on it can matter.

Column order is the order here. `floor` is a materiality floor: a value at or
below it is never a reason to alert, however rare it is on this network, and a
model that has not learned yet judges by it alone. Floors are set from what
ordinary hosts do within one window, not from any capture.

A forest a *group* of features, rather than one over all of them, lets an odd
value in one aspect of behaviour stand out (see Liu, Ting & Zhou, ICDM 2008, on
irrelevant attributes in isolation trees).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Feature:
    """One column of a feature matrix.

    `noun` follows the value and its unit of bytes: "412 <noun>", "8.1 MB <noun>".
    """

    name: str
    unit: str
    group: str
    noun: str
    tells: str
    floor: float = 0.0


#: Features that are estimates, a few percent wrong (`feature.cardinality`).
ESTIMATES = frozenset({"peers_out", "services_out", "sources_in", "arp_targets"})

HOST_FEATURES: tuple[Feature, ...] = (
    Feature("peers_out", "hosts", "fan_out", "distinct hosts contacted", "sweeps, worms", 30),
    Feature("services_out", "services", "fan_out", "distinct host:port pairs contacted", "port scans", 40),
    Feature(
        "new_peers", "hosts", "fan_out", "hosts contacted for the first time", "sweeps, lateral movement", 30
    ),
    Feature(
        "new_services", "services", "fan_out", "host:port pairs contacted for the first time", "scans", 30
    ),
    Feature(
        "unanswered_out", "flows", "failure", "connections opened without an answer", "scans, dead peers", 25
    ),
    Feature("refused_out", "flows", "failure", "connections refused", "scans of closed ports", 10),
    Feature("failed_damped", "flows", "failure", "failed connections, fading over 10 min", "slow scans", 120),
    Feature("flows_in", "flows", "inbound", "connections received", "floods, being scanned", 2_000),
    Feature("sources_in", "hosts", "inbound", "distinct hosts connecting", "distributed floods", 1_000),
    Feature("unanswered_in", "flows", "inbound", "connections received and not answered", "floods", 200),
    Feature(
        "half_open_in", "flows", "inbound", "TCP connections asked for and not completed", "SYN floods", 100
    ),
    Feature("packets_out", "packets", "volume", "packets sent", "floods sent, bulk transfer", 20_000),
    Feature("packets_in", "packets", "volume", "packets received", "floods, amplification", 20_000),
    Feature("bytes_out", "bytes", "volume", "sent", "exfiltration", 50_000_000),
    Feature("bytes_in", "bytes", "volume", "received", "amplification, bulk transfer", 100_000_000),
    Feature(
        "repeats_out", "flows", "repetition", "connections to one service", "brute force, retry storms", 60
    ),
    Feature(
        "logins_damped",
        "flows",
        "repetition",
        "repeated connections to a login service, fading over 5 min",
        "password guessing",
        3,
    ),
    Feature("dns_bytes_out", "bytes", "names", "sent in long DNS queries", "DNS tunnels", 1_000),
    Feature("dns_queries", "packets", "names", "DNS queries sent", "DNS tunnels, generated names", 100),
    Feature(
        "icmp_bytes_out", "bytes", "names", "sent in ICMP echo messages", "ICMP tunnels, ping floods", 2_000
    ),
    Feature("arp_targets", "hosts", "link", "addresses asked for by ARP", "ARP scans", 12),
    Feature("binding_changes", "changes", "link", "moves of its address to another MAC", "ARP spoofing", 1),
    Feature("odd_fragments", "packets", "link", "overlapping or tiny IP fragments sent", "filter evasion", 5),
    Feature("odd_flows", "flows", "odd", "flows of unusual shape", "unknown protocols and misuse", 5),
)

FLOW_FEATURES: tuple[Feature, ...] = (
    Feature("duration", "s", "shape", "duration", "beacons, tunnels, long calls"),
    Feature("packets", "packets", "shape", "packets sent", "bulk against interactive"),
    Feature("reverse_packets", "packets", "shape", "packets received", "one-way traffic"),
    Feature("bytes", "bytes", "shape", "bytes sent", "uploads"),
    Feature("reverse_bytes", "bytes", "shape", "bytes received", "downloads"),
    Feature("length_mean", "bytes", "length", "mean length sent", "padding, tunnels"),
    Feature("length_sd", "bytes", "length", "spread of lengths sent", "constant-size beacons"),
    Feature("reverse_length_mean", "bytes", "length", "mean length received", "amplification"),
    Feature("reverse_length_sd", "bytes", "length", "spread of lengths received", "constant-size answers"),
    Feature("interval_mean", "s", "tempo", "mean time between packets sent", "keep-alives, slow attacks"),
    Feature("interval_sd", "s", "tempo", "spread of times between packets sent", "machine-like regularity"),
    Feature("reverse_interval_mean", "s", "tempo", "mean time between packets received", "slow servers"),
    Feature("idle_share", "share", "tempo", "share of time idle", "held-open connections"),
    Feature("byte_share", "share", "balance", "share of bytes sent by the initiator", "uploads, floods"),
    Feature("packet_share", "share", "balance", "share of packets sent by the initiator", "one-way traffic"),
    Feature("syn_count", "packets", "flags", "SYN packets", "retries without an answer"),
    Feature("rst_count", "packets", "flags", "RST packets", "refusals, injected resets"),
    Feature("psh_share", "share", "flags", "share of packets with PSH", "interactive traffic"),
    Feature("retransmission_share", "share", "flags", "share of packets sent again", "loss, evasion"),
    Feature("first_payload_bytes", "bytes", "payload", "bytes in the first message", "protocol, exploits"),
    Feature("reverse_first_payload_bytes", "bytes", "payload", "bytes in the first answer", "protocol"),
    Feature("first_payload_text", "share", "payload", "share of text in the first bytes", "protocol"),
)


def names(features: tuple[Feature, ...]) -> tuple[str, ...]:
    """Return the names in column order."""
    return tuple(feature.name for feature in features)


def groups(features: tuple[Feature, ...]) -> dict[str, tuple[int, ...]]:
    """Return the columns of each group, groups in order of first appearance."""
    found: dict[str, tuple[int, ...]] = {}
    for column, feature in enumerate(features):
        found[feature.group] = (*found.get(feature.group, ()), column)
    return found
