"""Traffic of an office network as columns: flows drawn at random, then their packets, in order of time.

Everything follows from the seed. Flows are drawn per slice of time and packets
that lie beyond the slice wait for the next ones, so memory does not grow with
the length of the capture.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

#: Applications: name, IP protocol, server port, share of all flows.
KINDS = (
    ("https", 6, 443, 0.34),
    ("http", 6, 80, 0.06),
    ("ssh", 6, 22, 0.01),
    ("other", 6, 8400, 0.12),
    ("refused", 6, 8530, 0.01),
    ("unanswered", 6, 9100, 0.02),
    ("dns", 17, 53, 0.32),
    ("quic", 17, 443, 0.06),
    ("ntp", 17, 123, 0.02),
    ("ping", 1, 0, 0.04),
)
HTTPS, HTTP, SSH, OTHER, REFUSED, UNANSWERED, DNS, QUIC, NTP, PING = range(len(KINDS))
TCP = np.array([kind[1] == 6 for kind in KINDS])
PORT = np.array([kind[2] for kind in KINDS], np.uint16)
PROTOCOL = np.array([kind[1] for kind in KINDS], np.uint8)

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10

#: With the sizes below this makes 13,500 packets a second and keeps 50,000 flows in a flow table.
FLOWS_PER_SECOND = 1_000
SLICE_SECS = 10.0
#: Flows that began this long before the capture are still running when it begins.
LEAD_SECS = 120.0
#: Longest flow, packets.
MOST_PACKETS = 20_000
#: The second after which time is counted: any will do, this one is 2024-01-01T00:00:00Z.
EPOCH_US = 1_704_067_200_000_000

#: One packet, before it has bytes.
ROW = np.dtype(
    [
        ("time", np.int64),  # microseconds since the epoch
        ("seq", np.uint32),
        ("ack", np.uint32),
        ("client", np.uint16),  # host numbers
        ("server", np.uint16),
        ("client_port", np.uint16),
        ("payload", np.uint16),  # bytes of transport payload
        ("number", np.uint16),  # of the packet in its flow, at most 65535
        ("kind", np.uint8),
        ("flags", np.uint8),  # TCP
        ("version", np.uint8),  # IP
        ("reverse", np.uint8),  # 1: from the server
    ],
    align=True,
)
Rows = npt.NDArray[np.void]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Hosts:
    """Who talks: `clients` numbers from 0 on, then `servers` numbers."""

    clients: int
    servers: int


def hosts_of(count: int) -> Hosts:
    """Split `count` hosts: 85 % are clients."""
    return Hosts(count * 85 // 100, count - count * 85 // 100)


def slices(seed: int, hosts: Hosts) -> Iterator[Rows]:
    """Yield `ROW` arrays without end, each sorted by time and after the one before."""
    rng = np.random.default_rng(seed)
    waiting = np.zeros(0, ROW)
    start = -LEAD_SECS
    while True:
        rows = np.concatenate((waiting, packets(rng, _Flows(rng, hosts, start))))
        rows = rows[np.argsort(rows["time"], kind="stable")]
        start += SLICE_SECS
        begin = np.searchsorted(rows["time"], EPOCH_US)
        end = np.searchsorted(rows["time"], EPOCH_US + round(start * 1e6))
        waiting = rows[max(begin, end) :]
        if start > 0:
            yield rows[begin:end]


class _Flows:
    """The flows that begin within one slice, as columns."""

    def __init__(self, rng: np.random.Generator, hosts: Hosts, start: float) -> None:
        count = round(FLOWS_PER_SECOND * SLICE_SECS)
        share = np.array([kind[3] for kind in KINDS])
        self.kind = rng.choice(len(KINDS), count, p=share / share.sum()).astype(np.uint8)
        self.start = start + rng.random(count) * SLICE_SECS
        self.client = (hosts.clients * rng.random(count) ** 1.5).astype(np.int64)
        # A client uses few servers, and all use the popular ones: rank by a power law, shifted a little.
        rank = np.minimum(rng.pareto(0.9, count) * 2.0, 1e6).astype(np.int64)
        rank = np.where(self.kind == PING, rng.integers(0, hosts.servers, count), rank + self.client % 5)
        self.server = hosts.clients + rank % hosts.servers
        self.version = np.where((self.client + self.server) % 8 == 0, 6, 4).astype(np.uint8)
        self.client_port = rng.integers(32_768, 61_000, count)
        self.isn = rng.integers(0, 1 << 32, (2, count))
        self.closes = TCP[self.kind] & (self.kind < REFUSED) & (rng.random(count) < 0.9)
        self.uploads = rng.random(count) < 0.2
        self.rtt = 10.0 ** rng.normal(-2.3, 0.5, count)  # seconds
        self.duration = np.minimum(10.0 ** rng.normal(1.3, 0.7, count), 900.0)
        self.size = self._sizes(rng, count)

    def _sizes(self, rng: np.random.Generator, count: int) -> Ints:
        """Return packets per flow: a Pareto tail of shape 1.15, the handshakes and ends beside it."""
        body = np.minimum(2 + rng.pareto(1.15, count) * 3.2, MOST_PACKETS).astype(np.int64)
        size = 3 + body + 3 * self.closes
        for kind, sizes in (
            (REFUSED, np.full(count, 2)),
            (UNANSWERED, rng.integers(1, 4, count)),
            (DNS, np.where(rng.random(count) < 0.01, 1, 2)),
            (QUIC, body),
            (NTP, np.full(count, 2)),
            (PING, 2 * rng.integers(1, 6, count)),
        ):
            size = np.where(self.kind == kind, sizes, size)
        return size


def packets(rng: np.random.Generator, flows: _Flows) -> Rows:
    """Return the packets of all `flows`, flow by flow."""
    size = flows.size
    first = np.cumsum(size) - size
    flow = np.repeat(np.arange(len(size)), size)
    number = np.arange(len(flow)) - first[flow]
    kind = flows.kind[flow]
    left = np.where(flows.closes[flow], size[flow] - 1 - number, 9)  # 2, 1, 0: the end of a closing flow
    rows = np.zeros(len(flow), ROW)
    rows["kind"] = kind
    rows["number"] = np.minimum(number, 65_535)
    for name in ("client", "server", "client_port", "version"):
        rows[name] = getattr(flows, name)[flow]
    opening = TCP[kind] & (number < 3)
    body = ((kind < REFUSED) & ~opening & (left > 2)) | (kind == QUIC)
    turn = np.where(kind == QUIC, number, number - 3)
    _talk(rng, rows, flows.uploads[flow], body, turn)
    _small(rows, number, left)
    again = _repeat(rng, rows, body & (kind != QUIC) & (turn > 3) & (turn % 48 > 0))
    rows["flags"] = _flags(rows, number, left)
    _count_bytes(rows, flows, flow, first, again)
    seconds = _times(rng, flows, flow, first, body & (turn % 8 == 0))
    rows["time"] = EPOCH_US + np.round(seconds * 1e6).astype(np.int64)
    return rows


def _talk(
    rng: np.random.Generator,
    rows: Rows,
    uploads: npt.NDArray[np.bool_],
    body: npt.NDArray[np.bool_],
    turn: Ints,
) -> None:
    """Set direction and payload of data packets: requests, two segments an acknowledgement."""
    chance = rng.random(len(rows))
    request = turn % 48 == 0
    ack = turn % 3 == 2
    quic = rows["kind"] == QUIC
    full = np.where(quic, 1200, np.where(rows["version"] == 4, 1448, 1428))
    data = np.where(chance < 0.8, full, 20 + chance * 1200)
    payload = np.where(request, 120 + chance * 500, np.where(ack, np.where(quic, 35, 0), data))
    reverse = np.where(request, False, (turn == 1) | (uploads == ack))
    rows["reverse"] = body & reverse
    rows["payload"] = np.where(body, payload, 0)


def _small(rows: Rows, number: Ints, left: Ints) -> None:
    """Set direction and payload of packets that carry no data, or one question and one answer."""
    kind = rows["kind"]
    answers = ((kind >= DNS) & (kind != QUIC)) | (kind == REFUSED)
    rows["reverse"] |= answers & (number % 2 == 1)
    rows["reverse"] |= (kind < REFUSED) & ((number == 1) | (left == 2) | (left == 0))
    rows["payload"][kind == NTP] = 48
    rows["payload"][kind == PING] = 56
    name = kind == DNS
    more = 16 * (1 + rows["client_port"] % 4)
    rows["payload"] += (name * (35 + more * (number == 1))).astype(np.uint16)


def _repeat(rng: np.random.Generator, rows: Rows, may: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Make some data packets a retransmission of the one before; return which."""
    again = may & (rng.random(len(rows)) < 0.004)
    again[1:] &= ~again[:-1] & (rows["payload"][:-1] > 0)
    at = np.flatnonzero(again)
    rows["reverse"][at] = rows["reverse"][at - 1]
    rows["payload"][at] = rows["payload"][at - 1]
    return again


def _flags(rows: Rows, number: Ints, left: Ints) -> npt.NDArray[np.uint8]:
    kind = rows["kind"]
    flags = np.where(rows["payload"] > 0, ACK | PSH * (rows["payload"] != 1448), ACK)
    flags = np.where((left == 1) | (left == 2), FIN | ACK, flags)
    flags = np.where(number == 0, SYN, np.where(number == 1, SYN | ACK, flags))
    flags = np.where(kind == REFUSED, np.where(number == 0, SYN, RST | ACK), flags)
    flags = np.where(kind == UNANSWERED, SYN, flags)
    return np.where(TCP[kind], flags, 0).astype(np.uint8)


def _count_bytes(rows: Rows, flows: _Flows, flow: Ints, first: Ints, again: npt.NDArray[np.bool_]) -> None:
    """Set sequence and acknowledgement numbers: what each side had sent before this packet."""
    flags, reverse = rows["flags"], rows["reverse"] == 1
    spent = rows["payload"].astype(np.int64) + ((flags & (SYN | FIN)) != 0)
    spent[again | (rows["kind"] == UNANSWERED)] = 0
    sent = []
    for side, mine in enumerate((~reverse, reverse)):
        total = np.cumsum(spent * mine)
        before = total - spent * mine
        sent.append(flows.isn[side][flow] + before - before[first[flow]])
    seq = np.where(reverse, sent[1], sent[0])
    at = np.flatnonzero(again)
    seq[at] = seq[at - 1]
    rows["seq"] = (seq & 0xFFFF_FFFF).astype(np.uint32)
    ack = np.where(flags & ACK, np.where(reverse, sent[0], sent[1]), 0)
    rows["ack"] = (ack & 0xFFFF_FFFF).astype(np.uint32)


def _times(
    rng: np.random.Generator, flows: _Flows, flow: Ints, first: Ints, pause: npt.NDArray[np.bool_]
) -> Floats:
    """Return each packet's time, seconds: round trips, bursts, and pauses that fill the flow's duration."""
    chance = rng.standard_exponential(len(flow), dtype=np.float32).astype(np.float64)
    weight = chance * pause
    total = np.add.reduceat(weight, first)
    total[total == 0] = 1.0
    kind = flows.kind[flow]
    gap = np.where(pause, weight * (flows.duration / total)[flow], 0.0002 * chance)
    turns = ~pause & ((kind < QUIC) | (kind > QUIC)) & (np.arange(len(flow)) - first[flow] < 2)
    gap = np.where(turns, flows.rtt[flow], gap)
    number = np.arange(len(flow)) - first[flow]
    gap = np.where((kind == UNANSWERED) | ((kind == PING) & (number % 2 == 0)), 1.0, gap)
    gap[first] = 0.0
    passed = np.cumsum(gap)
    return flows.start[flow] + passed - passed[first[flow]]
