"""Ordinary traffic of a dozen hosts with a scan in it, and an engine small enough for it."""

from __future__ import annotations

import random

from craft import ACK, FIN, ICMP, PSH, RST, SYN, TCP, UDP, arp, ethernet, icmp, ipv4, tcp, udp

from sensor.settings import EngineSettings, FeatureSettings, FlowSettings, ModelSettings

SECOND = 1_000_000_000
START = 1_700_000_003 * SECOND
KEY = (3, 5)

#: Small tables, so that evictions are common; small models, so that they are ready in time.
SMALL = EngineSettings(
    flow=FlowSettings(capacity=200, active_timeout_secs=60.0),
    feature=FeatureSettings(hosts=24),
    model=ModelSettings(trees=3, height=4, window_rows=30, scaler_rows=30),
)


def conversation(rng: random.Random, client: str, server: str, port: int) -> list[bytes]:
    """A short TCP connection, whole or refused."""
    sport = rng.randrange(20_000, 60_000)

    def packet(flags: int, payload: bytes = b"", *, back: bool = False) -> bytes:
        src, dst = (server, client) if back else (client, server)
        ports = {"src_port": port, "dst_port": sport} if back else {"src_port": sport, "dst_port": port}
        return ethernet(ipv4(tcp(payload, flags=flags, **ports), src=src, dst=dst, proto=TCP))

    if rng.random() < 0.1:
        return [packet(SYN), packet(RST | ACK, back=True)]
    size = rng.randrange(20, 900)
    return [
        packet(SYN),
        packet(SYN | ACK, back=True),
        packet(ACK),
        packet(PSH | ACK, bytes(rng.randrange(20, 90))),
        packet(PSH | ACK, bytes(size), back=True),
        packet(FIN | ACK),
        packet(FIN | ACK, back=True),
    ]


def traffic(seed: int, seconds: int = 240) -> list[tuple[int, bytes]]:
    """Ordinary traffic of a dozen hosts with a scan, a sweep by ARP and idle stretches in it."""
    rng = random.Random(seed)
    packets: list[tuple[int, bytes]] = []
    time = START
    while time < START + seconds * SECOND:
        client, server = f"10.0.0.{rng.randrange(2, 14)}", f"10.0.1.{rng.randrange(1, 5)}"
        for frame in conversation(rng, client, server, rng.choice([80, 443, 22])):
            time += rng.randrange(SECOND // 40)
            packets.append((time, frame))
        if rng.random() < 0.2:
            query = udp(bytes(30), src_port=rng.randrange(20_000, 60_000))
            packets.append((time, ethernet(ipv4(query, src=client, dst="10.0.1.9", proto=UDP))))
        if rng.random() < 0.05:
            packets.append((time, ethernet(ipv4(icmp(bytes(56)), src=client, dst=server, proto=ICMP))))
        if rng.random() < 0.02:
            time += rng.randrange(60 * SECOND)
    middle = START + seconds * SECOND // 2
    for port in range(900):
        probe = tcp(flags=SYN, src_port=41_000, dst_port=port + 1)
        packets.append((middle + port * 1_000_000, ethernet(ipv4(probe, src="10.0.0.66", dst="10.0.1.1"))))
    for host in range(1, 250):
        ask = ethernet(arp(src="10.0.0.67", dst=f"10.0.0.{host}"), ethertype=0x0806)
        packets.append((middle + 20 * SECOND + host * 1_000_000, ask))
    return sorted(packets, key=lambda packet: packet[0])
