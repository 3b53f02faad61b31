"""What acknowledgements say of bytes that never came to the sensor."""

import pytest
from flow_packets import ACK, DATA, FIN, PSH, RST, START, SYN, packet, packet_rows, reply

from sensor.flow.meter import Meter
from sensor.flow.seen import NEAR

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")
COUNTED = ("acks_checked", "ack_gaps", "missed_bytes")
HANDSHAKE = [
    packet(START, tcp_flags=SYN, tcp_seq=99),
    reply(START, tcp_flags=SYN | ACK, tcp_seq=999, tcp_ack=100),
    packet(START, tcp_flags=ACK, tcp_seq=100, tcp_ack=1000),
]


def sent(seq, length, ack=1000):
    return packet(START, tcp_flags=ACK | PSH, tcp_seq=seq, tcp_ack=ack, payload_bytes=length)


def acked(ack, seq=1000, flags=ACK, **fields):
    return reply(START, tcp_flags=flags, tcp_seq=seq, tcp_ack=ack, **fields)


def counted(*packets):
    """Return what was counted, and missed bytes of either direction."""
    meter = Meter(capacity=10, key=(1, 2))
    for _ in meter.observe(packet_rows(packets), DATA):
        pass
    counts = meter.counters()
    (flow,) = (rows[0].copy() for rows in meter.flush())
    return tuple(counts[name] for name in COUNTED), (flow["missed_bytes"], flow["reverse_missed_bytes"])


def test_a_connection_that_is_wholly_seen_misses_nothing():
    packets = [*HANDSHAKE, sent(100, 50), acked(150), sent(150, 10), sent(160, 10), acked(170)]
    packets += [packet(START, tcp_flags=FIN | ACK, tcp_seq=170, tcp_ack=1000)]
    packets += [acked(171, flags=FIN | ACK), packet(START, tcp_flags=ACK, tcp_seq=171, tcp_ack=1001)]
    assert counted(*packets) == ((9, 0, 0), (0, 0))


def test_bytes_that_were_acknowledged_and_never_seen_are_missed_once():
    packets = [*HANDSHAKE, sent(100, 50), acked(250), acked(250), sent(250, 10), acked(260)]
    assert counted(*packets) == ((6, 1, 100), (100, 0))


def test_the_responders_bytes_are_missed_in_its_direction():
    packets = [*HANDSHAKE, packet(START, tcp_flags=ACK, tcp_seq=100, tcp_ack=1700)]
    assert counted(*packets) == ((2, 1, 700), (0, 700))


def test_gaps_are_found_across_the_wrap_of_sequence_numbers():
    top = 2**32
    packets = [packet(START, tcp_flags=SYN, tcp_seq=top - 11), *HANDSHAKE[1:]]
    packets[1:] = [reply(START, tcp_flags=SYN | ACK, tcp_seq=999, tcp_ack=top - 10)]
    assert counted(*packets, sent(top - 10, 5), acked(top - 5))[0] == (2, 0, 0)
    assert counted(*packets, sent(top - 10, 5), acked(15))[0] == (2, 1, 20)


@pytest.mark.parametrize(
    "packets",
    [
        [acked(10_000, flags=RST | ACK)],
        [acked(10_000, flags=SYN | ACK)],
        [acked(10_000, flags=RST)],
        [acked(100 + NEAR)],
        [acked(90)],
        [sent(100, 50), acked(150), sent(149, 1), acked(150), sent(149, 0), acked(150)],  # keepalives
        [sent(100, 50), sent(100, 50), acked(150)],
        [sent(150, 50), sent(100, 50), acked(200)],
    ],
)
def test_what_proves_nothing_does_not_count(packets):
    assert counted(*HANDSHAKE, *packets)[0][1:] == (0, 0)


def test_the_first_ack_of_a_connection_that_was_under_way_only_says_where_it_is():
    packets = [sent(100, 50), acked(400), sent(150, 250), acked(400), acked(450)]
    assert counted(*packets) == ((4, 1, 50), (50, 0))


def test_one_direction_alone_is_not_checked():
    assert counted(*[sent(100 + 10 * i, 10, ack=1000 + 500 * i) for i in range(9)]) == ((0, 0, 0), (0, 0))


def test_a_segment_in_fragments_does_not_look_lost():
    cut = sent(100, 1400) | {"more_fragments": 1}
    rest = packet(START, fragment_offset=1480, fragment_flags=1, payload_bytes=100)
    assert counted(*HANDSHAKE, cut, rest, acked(1600), sent(1600, 10), acked(1610))[0][1:] == (0, 0)


def test_a_connection_that_took_the_ports_over_is_followed_anew():
    again = [packet(START, tcp_flags=SYN, tcp_seq=2**31), acked(2**31 + 1, seq=2**30, flags=SYN | ACK)]
    after = [
        packet(START, tcp_flags=ACK, tcp_seq=2**31 + 1, tcp_ack=2**30 + 1),
        acked(2**31 + 1, seq=2**30 + 1),
    ]
    assert counted(*HANDSHAKE, *again, *after)[0][1:] == (0, 0)
    assert counted(*HANDSHAKE, *again, *after, acked(2**31 + 21, seq=2**30 + 1))[0][1:] == (1, 20)
