"""FLOW records made by the meter from a few packets, for tests of what comes after it."""

import numpy as np
from flow_packets import ACK, DATA, FIN, PSH, SECOND, START, SYN, UDP, packet, packet_rows, reply

from sensor.flow.meter import Meter


def records(packets):
    """Return the records of `packets`, all of them, as one FLOW array."""
    meter = Meter(capacity=1000, key=(1, 2))
    kept = [step.flows.copy() for step in meter.observe(packet_rows(packets), DATA)]
    kept += [flows.copy() for flows in meter.flush()]
    return np.concatenate(kept)


def connection():
    """Return one TCP connection: handshake, 20 bytes there, 40 back, FIN from both sides."""
    tenth = SECOND // 10
    sent = {"payload_bytes": 20, "payload_captured": 20, "payload_offset": 4, "ip_bytes": 60}
    came = {"payload_bytes": 9, "payload_captured": 5, "payload_offset": 0, "ip_bytes": 49}
    return [
        packet(START, tcp_flags=SYN, tcp_seq=100),
        reply(START + tenth, tcp_flags=SYN | ACK, tcp_seq=900),
        packet(START + 3 * tenth, tcp_flags=ACK, tcp_seq=101),
        packet(START + 4 * tenth, tcp_flags=ACK | PSH, tcp_seq=101, **sent),
        reply(START + 30 * tenth, tcp_flags=ACK | PSH, tcp_seq=901, **came),
        packet(START + 31 * tenth, tcp_flags=ACK | FIN, tcp_seq=121),
        reply(START + 32 * tenth, tcp_flags=ACK | FIN, tcp_seq=910),
    ]


def query():
    """Return a UDP query over IPv6 in VLAN 7, without answer."""
    return [packet(START + 9 * SECOND, 2, 3, protocol=UDP, dst_port=53, vlan=7, ip_bytes=70)]
