"""The columns of an archived flow, and how each is derived from its record.

All columns of one direction exist twice: plain for the initiator's, and with
``reverse_`` for the responder's (RFC 5103).

=======================  ====  ==============================================================
column                   kind  meaning (IPFIX information element, where there is one)
=======================  ====  ==============================================================
flow_id                  int   counts up in order of first packets (flowId)
community_id             text  Community ID v1, seed 0
start, end               text  first and last packet, ISO 8601, UTC, ns
start_ns, end_ns         int   the same in ns since 1970 (flowStart-, flowEndNanoseconds)
exported_ns              int   when the record was due
duration_secs            real  end - start
ip_version               int   4 or 6 (ipVersion)
protocol                 int   IANA number (protocolIdentifier)
src_ip, dst_ip           text  initiator, responder (source-, destinationIPv4/6Address)
src_port, dst_port       int   ICMP: type, and counterpart's type or code
src_mac, dst_mac         text  of the first packet; zeros when the link has none
vlan                     int   outermost VLAN id, 0 when untagged (vlanId)
tunnel                   text  `TunnelType` in lower case; empty when the packets came in none
tunnel_id                int   label, VNI, TEID, key, session: what such a tunnel calls its id
tunnel_layers            int   tunnels within one another
outer_src_ip, ...dst_ip  text  ends of the innermost tunnel; empty when it is none of IP's
sampling                 int   flows like it that this one stands for; 1 unless under overload
handshake                text  `Handshake` in lower case
end_reason               text  `FlowEndReason` in lower case (flowEndReason)
continued                bool  the active timeout cut an earlier part off
synack_delay_secs        real  SYN to SYN-ACK; 0 when not seen
ack_delay_secs           real  SYN-ACK to ACK; 0 when not seen
idle_secs                real  sum of the gaps longer than the activity gap
idle_periods             int   number of those gaps
packets                  int   packetDeltaCount
bytes                    int   IP header and payload (octetDeltaCount)
payload_bytes            int   transport payload
length_min, length_max   int   IP length of one packet, bytes (minimum-, maximumIpTotalLength)
length_mean, length_sd   real  and its deviation, over the population
interval_min_secs, ...   real  time between packets: min, mean, sd, max; 0 below two packets
retransmissions          int   TCP payload at or below what was already seen
missed_bytes             int   TCP payload that was acknowledged and never seen here
tcp_flags                text  union, as letters of CWR ECE URG ACK PSH RST SYN FIN
fin, syn, rst, ...       int   packets with that flag: fin syn rst psh ack urg
first_payload_bytes      int   length of the first payload
first_payload            text  its first 16 bytes, hexadecimal
=======================  ====  ==============================================================
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sensor.archive.claimed import CLAIMED, NO_CLAIMS, Claims, claimed_columns
from sensor.flow.community_id import address_bytes, community_id_of
from sensor.flow.record import FlowEndReason, Flows, Handshake
from sensor.packet.columns import V4_MAPPED, TunnelType

Columns = dict[str, Sequence[Any]]
Numbers = npt.NDArray[Any]

_SIDE_COLUMNS: dict[str, type] = {
    "packets": int,
    "bytes": int,
    "payload_bytes": int,
    "length_min": int,
    "length_mean": float,
    "length_sd": float,
    "length_max": int,
    "interval_min_secs": float,
    "interval_mean_secs": float,
    "interval_sd_secs": float,
    "interval_max_secs": float,
    "retransmissions": int,
    "missed_bytes": int,
    "tcp_flags": str,
    "fin": int,
    "syn": int,
    "rst": int,
    "psh": int,
    "ack": int,
    "urg": int,
    "first_payload_bytes": int,
    "first_payload": str,
}

#: Name and kind of every column, in order.
COLUMNS: Mapping[str, type] = {
    "flow_id": int,
    "community_id": str,
    "start": str,
    "end": str,
    "start_ns": int,
    "end_ns": int,
    "exported_ns": int,
    "duration_secs": float,
    "ip_version": int,
    "protocol": int,
    "src_ip": str,
    "src_port": int,
    "dst_ip": str,
    "dst_port": int,
    "src_mac": str,
    "dst_mac": str,
    "vlan": int,
    "tunnel": str,
    "tunnel_id": int,
    "tunnel_layers": int,
    "outer_src_ip": str,
    "outer_dst_ip": str,
    "sampling": int,
    "handshake": str,
    "end_reason": str,
    "continued": bool,
    "synack_delay_secs": float,
    "ack_delay_secs": float,
    "idle_secs": float,
    "idle_periods": int,
    **_SIDE_COLUMNS,
    **{f"reverse_{name}": kind for name, kind in _SIDE_COLUMNS.items()},
    **dict.fromkeys(CLAIMED, str),
}

_SECONDS_PER_NS = 1e-9
_V4_PREFIX = V4_MAPPED >> 32
_HANDSHAKES = {int(one): one.name.lower() for one in Handshake}
_END_REASONS = {0: "open"} | {int(one): one.name.lower() for one in FlowEndReason}
_FLAG_LETTERS = ["".join(c for i, c in enumerate("CEUAPRSF") if bits & (0x80 >> i)) for bits in range(256)]
_TUNNELS = {int(one): "" if one == TunnelType.NONE else one.name.lower() for one in TunnelType}
_PLAIN = (
    "flow_id",
    "ip_version",
    "protocol",
    "src_port",
    "dst_port",
    "vlan",
    "tunnel_id",
    "tunnel_layers",
    "sampling",
    "idle_periods",
)
_PLAIN_SIDE = tuple(name for name, kind in _SIDE_COLUMNS.items() if kind is int)


def columns(flows: Flows, claims: Claims = NO_CLAIMS) -> Columns:
    """Return all of `COLUMNS` for `flows`, as plain Python values.

    Parameters
    ----------
    flows
        `FLOW`, shape (n,).
    claims
        `CLAIM`, shape (m,): what ``claim`` of the flows is a row of.

    Returns
    -------
    dict
        Of lists of n values, in the order of `COLUMNS`.
    """
    sources, destinations = _addresses(flows, "src"), _addresses(flows, "dst")
    found: Columns = {name: flows[name].tolist() for name in _PLAIN}
    found["community_id"] = [
        community_id_of(*ends)
        for ends in zip(
            sources, destinations, found["protocol"], found["src_port"], found["dst_port"], strict=True
        )
    ]
    for name in ("start", "end", "exported"):
        found[f"{name}_ns"] = flows[name].tolist()
    found["start"] = _iso(flows["start"])
    found["end"] = _iso(flows["end"])
    found["duration_secs"] = _seconds(flows["end"] - flows["start"])
    found["src_ip"] = [_address_text(address) for address in sources]
    found["dst_ip"] = [_address_text(address) for address in destinations]
    found["src_mac"] = [_mac_text(value) for value in flows["src_mac"].tolist()]
    found["dst_mac"] = [_mac_text(value) for value in flows["dst_mac"].tolist()]
    found["tunnel"] = [_TUNNELS[value] for value in flows["tunnel"].tolist()]
    found["outer_src_ip"] = _outer_texts(flows, "src")
    found["outer_dst_ip"] = _outer_texts(flows, "dst")
    found["handshake"] = [_HANDSHAKES[value] for value in flows["handshake"].tolist()]
    found["end_reason"] = [_END_REASONS[value] for value in flows["end_reason"].tolist()]
    found["continued"] = (flows["continued"] != 0).tolist()
    for name in ("synack_delay", "ack_delay", "idle"):
        found[f"{name}_secs"] = _seconds(flows[name])
    for prefix in ("", "reverse_"):
        found |= {prefix + name: values for name, values in _side(flows, prefix).items()}
    found |= claimed_columns(flows, claims)
    return {name: found[name] for name in COLUMNS}


def _side(flows: Flows, prefix: str) -> Columns:
    """Return `_SIDE_COLUMNS` of one direction."""
    found: Columns = {name: flows[prefix + name].tolist() for name in _PLAIN_SIDE}
    count = flows[prefix + "packets"].astype(np.float64)
    mean, sd = moments(flows[prefix + "bytes"].astype(np.float64), flows[prefix + "length_squares"], count)
    found["length_mean"], found["length_sd"] = mean.tolist(), sd.tolist()
    total = flows[prefix + "interval_sum"] * _SECONDS_PER_NS
    mean, sd = moments(total, flows[prefix + "interval_squares"], count - 1)
    found["interval_mean_secs"], found["interval_sd_secs"] = mean.tolist(), sd.tolist()
    found["interval_min_secs"] = _seconds(flows[prefix + "interval_min"])
    found["interval_max_secs"] = _seconds(flows[prefix + "interval_max"])
    found["tcp_flags"] = [_FLAG_LETTERS[value] for value in flows[prefix + "tcp_flags"].tolist()]
    found["first_payload"] = _first_payloads(flows, prefix)
    return found


def moments(total: Numbers, squares: Numbers, count: Numbers) -> tuple[Numbers, Numbers]:
    """Return mean and standard deviation (of the population), both 0 where `count` is not positive.

    Parameters
    ----------
    total, squares
        Sum and sum of squares, float64, shape (n,).
    count
        How many values they sum, float64, shape (n,).
    """
    some = np.maximum(count, 1.0)
    mean = np.where(count > 0, total / some, 0.0)
    variance = np.where(count > 0, squares / some - mean * mean, 0.0)
    # The difference of equal numbers may come out a little below zero.
    return mean, np.sqrt(np.maximum(variance, 0.0))


def _seconds(nanoseconds: Numbers) -> list[float]:
    # A division rounds once; so 0.1 s is written as 0.1.
    seconds: list[float] = (nanoseconds / 1e9).tolist()
    return seconds


def _iso(times: Numbers) -> list[str]:
    text = np.datetime_as_string(times.astype("datetime64[ns]"), unit="ns")
    return [f"{one}Z" for one in text.tolist()]


def _addresses(flows: Flows, end: str) -> list[bytes]:
    """Return the addresses of one end in network order, 4 or 16 bytes each."""
    his, los = flows[f"{end}_hi"].tolist(), flows[f"{end}_lo"].tolist()
    versions = flows["ip_version"].tolist()
    return [address_bytes(hi, lo, version) for hi, lo, version in zip(his, los, versions, strict=True)]


def _outer_texts(flows: Flows, end: str) -> list[str]:
    """Return the addresses of one end of the tunnels; empty where there is none."""
    words = zip(flows[f"outer_{end}_hi"].tolist(), flows[f"outer_{end}_lo"].tolist(), strict=True)
    return [
        _address_text(address_bytes(hi, lo, 4 if hi == 0 and lo >> 32 == _V4_PREFIX else 6))
        if hi | lo
        else ""
        for hi, lo in words
    ]


def _address_text(address: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET if len(address) == 4 else socket.AF_INET6, address)


def _mac_text(value: int) -> str:
    return value.to_bytes(6, "big").hex(":")


def _first_payloads(flows: Flows, prefix: str) -> list[str]:
    """Return the kept bytes of each first payload in hexadecimal, as many as it had, 16 at most."""
    words = np.stack([flows[f"{prefix}first_payload_hi"], flows[f"{prefix}first_payload_lo"]], axis=1)
    text = words.astype(">u8").tobytes().hex()
    lengths = np.minimum(flows[f"{prefix}first_payload_bytes"], 16).tolist()
    return [text[32 * i : 32 * i + 2 * length] for i, length in enumerate(lengths)]
