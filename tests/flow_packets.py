"""`PACKET` rows made directly, and hypothesis strategies of them: few hosts, few ports, all the odd cases."""

import numpy as np
from hypothesis import strategies as st

from sensor.packet.columns import V4_MAPPED, PacketKind, packet_columns

SECOND = 10**9
START = 1_600_000_000 * SECOND
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
ICMP, TCP, UDP, GRE, ICMPV6 = 1, 6, 17, 47, 58

#: What payload offsets point into.
#: An IPv4 header could begin at 63 to 78, an IPv6 header at 94 to 109.
DATA = np.arange(1, 201, dtype=np.uint8)

#: (hi, lo, ip_version); the last two are one address, mapped IPv4 and the IPv6 of the same bits.
HOSTS = (
    (0, V4_MAPPED | 0x0A00_0001, 4),
    (0, V4_MAPPED | 0x0A00_0002, 4),
    (0x2001_0DB8_0000_0000, 1, 6),
    (0x2001_0DB8_0000_0000, 2, 6),
    (0, V4_MAPPED | 0x0A00_0001, 6),
)


def packet(time=START, src=0, dst=1, **fields):
    """Return one packet as a dict of PACKET's fields: TCP from host 0, port 4000, to host 1, port 80."""
    values = dict.fromkeys(packet_columns(1).dtype.names, 0)
    values |= {"src_hi": HOSTS[src][0], "src_lo": HOSTS[src][1], "src_mac": 0x0200_0000_0001 + src}
    values |= {"dst_hi": HOSTS[dst][0], "dst_lo": HOSTS[dst][1], "dst_mac": 0x0200_0000_0001 + dst}
    values |= {"src_port": 4000, "dst_port": 80, "time": time, "kind": int(PacketKind.IP)}
    values |= {"ip_version": HOSTS[src][2], "protocol": TCP, "ip_bytes": 40}
    values |= {"payload_offset": -1, "outer_offset": -1}
    return values | fields


def reply(time, **fields):
    """Return a packet back from host 1, port 80, to host 0, port 4000."""
    return packet(time, 1, 0, **({"src_port": 80, "dst_port": 4000} | fields))


def packet_rows(packets):
    """Return `packets` as a PACKET array."""
    rows = packet_columns(len(packets))
    for row, values in zip(rows, packets, strict=True):
        for name, value in values.items():
            row[name] = value
    return rows


_STEPS = st.sampled_from(
    [
        0,
        0,
        0,
        1,
        1000,
        SECOND // 5,
        SECOND,
        SECOND + 1,
        3 * SECOND,
        5 * SECOND,
        12 * SECOND,
        31 * SECOND,
        -SECOND,
    ]
)
_FLAGS = st.sampled_from(
    [
        SYN,
        SYN,
        SYN | ACK,
        SYN | ACK,
        ACK,
        ACK,
        ACK | PSH,
        FIN | ACK,
        FIN | ACK,
        FIN,
        RST,
        RST | ACK,
        SYN | FIN,
        0,
        255,
    ]
)
_PAYLOADS = st.sampled_from(
    [(0, -1, 0), (0, -1, 0), (1, 3, 1), (20, 5, 20), (40, 9, 7), (30, 190, 30), (9, -1, 0)]
)


#: What is wrong with a packet, if anything.
_ODD = st.sampled_from(
    [{}] * 30
    + [{"vlan": 7}, {"ip_version": 0}, {"kind": 0}, {"kind": 1}, {"kind": 2}, {"kind": 4}]
    + [{"fragment_offset": 1480, "fragment_id": number} for number in (1, 4000 << 16 | 80)]
    + [{"fragment_offset": 1480, "fragment_flags": 1}, {"more_fragments": 1}]
    + [
        {"tunnel": 7, "tunnel_layers": 2, "tunnel_id": 9, "outer_offset": offset}
        for offset in (-1, 5, 70, 100, 182, 500)
    ]
    + [{"error": 3}, {"error": 4}, {"error": 7}, {"error": 8}, {"error": 10}]
)
#: (protocol, host, port, host, port): mostly a few TCP connections, so that they get several packets each.
_TALKS = st.sampled_from(
    [(TCP, 0, 4000, 1, 80)] * 4
    + [(TCP, 2, 4000, 3, 80)] * 2
    + [(TCP, 0, 4001, 1, 80), (TCP, 0, 80, 0, 80), (TCP, 4, 4000, 4, 80)]
    + [(UDP, 0, 4000, 1, 80), (UDP, 2, 80, 3, 80), (GRE, 0, 0, 1, 0)]
    + [
        (ICMP, 0, 8, 1, 0),
        (ICMP, 0, 3, 1, 1),
        (ICMP, 1, 1, 0, 3),
        (ICMPV6, 2, 128, 3, 129),
        (ICMPV6, 2, 136, 3, 5),
    ]
)


_SEQUENCE_NUMBERS = st.sampled_from([0, 1, 20, 21, 41, 2**27, 2**28 + 20, 2**31, 2**32 - 20, 2**32 - 1])


@st.composite
def packets(draw, max_size=40):
    """Draw a list of packets, times mostly growing."""
    time = START
    result = []
    for _ in range(draw(st.integers(0, max_size))):
        time += draw(_STEPS)
        protocol, src, src_port, dst, dst_port = draw(_TALKS)
        if draw(st.booleans()):
            src, src_port, dst, dst_port = dst, dst_port, src, src_port
        payload, offset, captured = draw(_PAYLOADS)
        fields = {
            "protocol": protocol,
            "src_port": src_port,
            "dst_port": dst_port,
            "tcp_flags": draw(_FLAGS) if protocol == TCP else 0,
            "tcp_seq": draw(_SEQUENCE_NUMBERS),
            "tcp_ack": draw(_SEQUENCE_NUMBERS),
            "ip_bytes": 40 + payload,
            "payload_bytes": payload,
            "payload_offset": offset,
            "payload_captured": captured,
        }
        result.append(packet(time, src, dst, **(fields | draw(_ODD))))
    return result
