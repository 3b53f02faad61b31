"""Packets out of any bytes, through the decoder and a meter with room for a few flows.

Whatever comes, no packet and no byte is lost between packets and records, the
table's links hold, and where batches are cut does not show.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

import craft
from flow_audit import audit
from frames import Frame, batch

from sensor.flow.meter import Meter
from sensor.packet.decode import Decoder

PACKET_BYTES = 8
HEAD_BYTES = 2
_MOST_PACKETS = 24
_SECOND = 10**9

#: ns from packet to packet: around each timeout, back, and out of all bounds.
STEPS = (
    *(0, 1, 1000, _SECOND // 5, _SECOND, _SECOND + 1, 3 * _SECOND, 5 * _SECOND),
    *(
        12 * _SECOND,
        30 * _SECOND,
        61 * _SECOND,
        301 * _SECOND,
        -_SECOND,
        -100 * _SECOND,
        3600 * _SECOND,
        2**62,
    ),
)
PROTOCOLS = (craft.TCP, craft.TCP, craft.UDP, craft.ICMP, craft.ICMPV6, craft.SCTP, 47, 50)
PORTS = (80, 40000, 53, 0)
_MOST_TIME = 2**63 - 1


class Packet(NamedTuple):
    """What the eight bytes of a packet choose.

    `odd`: 0 nothing, 1 cut short, 2 later fragment, 3 ARP, 4 no IP, 5 VLAN, 6
    another VLAN, 7 high sequence numbers, 8 padding behind the packet.
    """

    step: int = 2
    odd: int = 0
    hosts: tuple[int, int] = (0, 1)
    ports: tuple[int, int] = (1, 0)
    protocol: int = 0
    wide: bool = False  # IPv6
    flags: int = craft.ACK
    sequence: int = 0
    payload: int = 0

    def bytes(self) -> bytes:
        """Return the eight bytes."""
        (src, dst), (src_port, dst_port) = self.hosts, self.ports
        ends = src << 6 | dst << 4 | src_port << 2 | dst_port
        kind = self.protocol | self.wide << 3
        return struct.pack(
            "!BBBBHBB", self.step | self.odd << 4, ends, kind, self.flags, self.sequence, self.payload, 0
        )


def packet_of(data: bytes) -> Packet:
    """Return what eight bytes choose; the last one is free."""
    first, ends, kind, flags, sequence, payload, _ = struct.unpack("!BBBBHBB", data)
    hosts, ports = (ends >> 6, ends >> 4 & 3), (ends >> 2 & 3, ends & 3)
    return Packet(first & 15, first >> 4, hosts, ports, kind & 7, bool(kind & 8), flags, sequence, payload)


def frame_of(packet: Packet) -> bytes:
    """Return the packet as an Ethernet frame; checksums are left out, nobody reads them."""
    if packet.odd == 3:
        return craft.ethernet(craft.arp(), ethertype=0x0806)
    if packet.odd == 4:
        return craft.ethernet(b"\x02\x07", ethertype=0x88CC)
    proto, body = PROTOCOLS[packet.protocol], bytes([packet.payload | 1]) * packet.payload
    ports = tuple(PORTS[port] for port in packet.ports)
    if proto == craft.TCP:
        sequence = packet.sequence | (0xFFFF_0000 if packet.odd == 7 else 0)
        body = struct.pack("!HHIIBBHHH", *ports, sequence, 0, 5 << 4, packet.flags, 512, 0, 0) + body
    elif proto == craft.UDP:
        body = struct.pack("!HHHH", *ports, 8 + len(body), 0) + body
    elif proto in (craft.ICMP, craft.ICMPV6):
        body = struct.pack("!BBHI", packet.flags, packet.ports[0], 0, 0) + body
    elif proto == craft.SCTP:
        body = struct.pack("!HHII", *ports, 1, 0) + body
    offset = 185 if packet.odd == 2 else 0
    hosts = [bytes([10, 0, 0, host]) for host in packet.hosts]
    if packet.wide:
        wide = b"".join(b"\x20\x01".ljust(12, b"\0") + host for host in hosts)
        if offset:
            proto, body = 44, bytes([proto, 0]) + struct.pack("!HI", offset * 8, 7) + body
        network = struct.pack("!IHBB", 6 << 28, len(body), proto, 64) + wide + body
    else:
        fields = (0x45, 0, 20 + len(body), 7, offset, 64, proto, 0, *hosts)
        network = struct.pack("!BBHHHBBH4s4s", *fields) + body
    frame = craft.ethernet(network, vlans=(packet.odd,) if packet.odd in (5, 6) else ())
    if packet.odd == 1:
        return frame[: 14 + packet.payload % 64]
    return frame + bytes(20) if packet.odd == 8 else frame


def frames_of(data: bytes) -> Iterator[Frame]:
    """Yield the frames that fuzz bytes stand for, eight bytes each."""
    time = 1_000 * _SECOND
    for at in range(0, min(len(data), PACKET_BYTES * _MOST_PACKETS) - PACKET_BYTES + 1, PACKET_BYTES):
        packet = packet_of(data[at : at + PACKET_BYTES])
        time = min(max(time + STEPS[packet.step], 0), _MOST_TIME)
        yield Frame(frame_of(packet), time=time)


def _metered(frames: list[Frame], settings: int, rows_a_batch: int) -> tuple[list, list, dict[str, int]]:
    """Return events, records and counters."""
    decoder = Decoder(rows_a_batch)
    meter = Meter(capacity=1 + settings % 8, vlan_in_key=bool(settings & 8), key=(1, 2))
    events, records, seen, sums = [], [], [0, 0], [0, 0]

    def take(flows):
        for row in flows:
            records.append(row.tolist())
            sums[0] += int(row["packets"]) + int(row["reverse_packets"])
            sums[1] += int(row["bytes"]) + int(row["reverse_bytes"])

    for first in range(0, len(frames), rows_a_batch):
        one = batch(frames[first : first + rows_a_batch])
        for step in meter.observe(decoder.decode(one), one.data):
            taken = step.events["flow"] >= 0
            events += step.events.tolist()
            seen[0] += int(taken.sum())
            seen[1] += int(step.packets["ip_bytes"][taken].sum())
            take(step.flows)
    audit(meter)
    for flows in meter.flush():
        take(flows)
    audit(meter)
    assert meter.active == 0
    assert sums == seen, f"packets and bytes in records {sums}, given to flows {seen}"
    return events, records, {name: count for name, count in meter.counters().items() if count}


def meter(data: bytes) -> object:
    """Meter packets: a byte of settings, a byte for how many a batch, then the packets."""
    settings, cut = data[:HEAD_BYTES].ljust(HEAD_BYTES, b"\0")
    frames = list(frames_of(data[HEAD_BYTES:]))
    result = _metered(frames, settings, _MOST_PACKETS)
    assert repr(_metered(frames, settings, 1 + cut % 8)) == repr(result), "batch cuts show"
    return result
