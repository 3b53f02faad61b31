"""Flows of real captures as plain rows, to be laid beside those of another program.

A flow is named by its two ends in a fixed order, so that who began it does not
matter; what each end sent is compared. Ends are (address, port); both ports are
0 for protocols without ports, ICMP among them.
"""

from __future__ import annotations

import csv
import ipaddress
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from sensor.flow.meter import Meter
from sensor.flow.record import FlowEndReason
from sensor.packet.decode import Decoder
from sensor.sources.capture_file import CaptureFiles

DATA = Path(__file__).resolve().parents[1] / "../shared/data"
CLASSES = {"attack", "benign", "mixed", "variety"}
_PORTED = {6, 17}
_ROWS = 8192
_MILLISECOND = 1_000_000

End = tuple[str, int]


class Name(NamedTuple):
    """What a flow is called: its ends in order, protocol, outermost VLAN."""

    low: End
    high: End
    protocol: int
    vlan: int


class Total(NamedTuple):
    """One flow record."""

    name: Name
    start: int  # ms since the epoch
    end: int
    packets: tuple[int, int]  # sent by the low end, by the high end
    octets: tuple[int, int]  # IP header and payload
    source: End  # who began
    end_reason: int = 0

    def and_then(self, other: Total) -> Total:
        """Return this record and a later one of the same name as one."""
        packets = (self.packets[0] + other.packets[0], self.packets[1] + other.packets[1])
        octets = (self.octets[0] + other.octets[0], self.octets[1] + other.octets[1])
        return self._replace(end=other.end, packets=packets, octets=octets, end_reason=other.end_reason)


def total(
    ends: tuple[End, End], protocol: int, vlan: int, times: tuple[int, int], sums: Iterable[int]
) -> Total:
    """Return a record in order.

    Parameters
    ----------
    ends
        Source and destination.
    protocol, vlan
        IANA protocol number, VLAN id.
    times
        First and last packet, ms.
    sums
        Packets and octets of the source, packets and octets of the destination.
    """
    packets, octets, back_packets, back_octets = sums
    source, destination = ends if protocol in _PORTED else ((ends[0][0], 0), (ends[1][0], 0))
    began = source
    there, back = (packets, octets), (back_packets, back_octets)
    if source > destination:
        source, destination, there, back = destination, source, back, there
    if source == destination:  # nobody can tell who sent what
        there, back = (there[0] + back[0], there[1] + back[1]), (0, 0)
    name = Name(source, destination, protocol, vlan)
    return Total(name, *times, (there[0], back[0]), (there[1], back[1]), began)


def captures(count: int, classes: Iterable[str] = CLASSES, most_packets: int = 20_000) -> list[str]:
    """Return paths of about `count` captures: every n-th of those neither tiny nor too long."""
    with (DATA / "MANIFEST.tsv").open() as lines:
        listed = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    wanted = set(classes)
    fitting = sorted(
        row["path"]
        for row in listed
        if row["class"].split(":")[0] in wanted and 10 <= int(row["packets"] or 0) <= most_packets
    )
    return fitting[:: max(1, len(fitting) // count)]


def _address(high: int, low: int, version: int) -> str:
    if version == 4:
        return str(ipaddress.IPv4Address(low & 0xFFFF_FFFF))
    return str(ipaddress.IPv6Address(high << 64 | low))


def _rows(path: Path, timeouts: dict[str, float], tunnels: Literal["inner", "outer"]) -> Iterator[np.record]:
    decoder, meter = Decoder(_ROWS, tunnels=tunnels), Meter(key=(1, 2), capacity=1 << 17, **timeouts)
    for batch in CaptureFiles(path, _ROWS):
        for step in meter.observe(decoder.decode(batch), batch.data):
            yield from step.flows
    for flows in meter.flush():
        yield from flows


def totals(path: Path, timeouts: dict[str, float], *, inner: bool = False) -> list[Total]:
    """Return the flow records of a capture.

    Parameters
    ----------
    path
        The capture.
    timeouts
        Keyword arguments of `Meter`.
    inner
        Whether to look into tunnels.
    """
    found = []
    for row in _rows(path, timeouts, "inner" if inner else "outer"):
        version = int(row["ip_version"])
        source = _address(int(row["src_hi"]), int(row["src_lo"]), version), int(row["src_port"])
        destination = _address(int(row["dst_hi"]), int(row["dst_lo"]), version), int(row["dst_port"])
        sums = [int(row[name]) for name in ("packets", "bytes", "reverse_packets", "reverse_bytes")]
        times = int(row["start"]) // _MILLISECOND, int(row["end"]) // _MILLISECOND
        one = total((source, destination), int(row["protocol"]), int(row["vlan"]), times, sums)
        found.append(one._replace(end_reason=int(row["end_reason"])))
    return found


class Odd(NamedTuple):
    """What not every program counts: link types, and pairs of addresses (in order) of packets."""

    link_types: set[int]

    wrapped: set[tuple[str, str]]  # behind labels or several VLAN tags
    fragments: set[tuple[str, str]]  # fragments that are not the first


def oddities(path: Path) -> Odd:
    """Return what is odd in a capture."""
    decoder, odd = Decoder(_ROWS, tunnels="outer"), Odd(set(), set(), set())
    for batch in CaptureFiles(path, _ROWS):
        odd.link_types.update(batch.frames["link_type"].tolist())
        rows = decoder.decode(batch)
        for found, wanted in (
            (odd.wrapped, (rows["tunnel"] != 0) | (rows["vlan_tags"] > 1)),
            (odd.fragments, rows["fragment_offset"] != 0),
        ):
            for row in rows[wanted]:
                version = int(row["ip_version"])
                ends = [
                    _address(int(row[f"{end}_hi"]), int(row[f"{end}_lo"]), version) for end in ("src", "dst")
                ]
                found.add((min(ends), max(ends)))
    return odd


def summed(flows: Iterable[Total]) -> dict[Name, Total]:
    """Return one record for each name."""
    sums: dict[Name, Total] = {}
    for flow in sorted(flows, key=lambda flow: flow.start):
        before = sums.get(flow.name)
        sums[flow.name] = flow if before is None else before.and_then(flow)
    return sums


def rejoined(flows: Iterable[Total], idle_secs: float) -> list[Total]:
    """Return the records, those together again that the end of a TCP connection alone separated."""
    joined: dict[Name, list[Total]] = {}
    for flow in sorted(flows, key=lambda flow: flow.start):
        same = joined.setdefault(flow.name, [])
        ended = bool(same) and same[-1].end_reason == FlowEndReason.END_OF_FLOW
        if ended and flow.start - same[-1].end < 1000 * idle_secs:
            same[-1] = same[-1].and_then(flow)
        else:
            same.append(flow)
    return [flow for same in joined.values() for flow in same]
