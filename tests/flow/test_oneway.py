"""Which flows prove that the mirror shows one direction only."""

import pytest
from flow_packets import ACK, DATA, FIN, PSH, START, SYN, packet, packet_rows, reply

from sensor.flow.meter import Meter

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")
SECOND = 10**9


def counted(packets, **keywords):
    meter = Meter(capacity=10, key=(1, 2), **keywords)
    for _ in meter.observe(packet_rows(packets), DATA):
        pass
    counters = meter.counters()
    return counters["tcp_one_way"], counters["tcp_two_way"]


def acks(count, step=100):
    return [packet(START + i, tcp_flags=ACK, tcp_seq=1, tcp_ack=1000 + step * i) for i in range(count)]


def segments(count, step=100):
    return [
        packet(START + i, tcp_flags=ACK | PSH, tcp_seq=1 + step * i, tcp_ack=5, payload_bytes=100)
        for i in range(count)
    ]


@pytest.mark.parametrize(("count", "proof"), [(4, 0), (5, 1), (50, 1)])
def test_acknowledgements_that_go_on_prove_a_partner(count, proof):
    # The first one only says where the partner was.
    assert counted(acks(count)) == (proof, 0)


@pytest.mark.parametrize(("count", "proof"), [(3, 0), (4, 1), (50, 1)])
def test_new_payload_with_ack_proves_a_partner(count, proof):
    assert counted(segments(count)) == (proof, 0)


def test_numbers_may_wrap():
    packets = [packet(START, tcp_flags=ACK, tcp_ack=(2**32 - 200 + 100 * i) % 2**32) for i in range(5)]
    assert counted(packets) == (1, 0)


@pytest.mark.parametrize(
    "packets",
    [
        [packet(START, tcp_flags=SYN)] * 9,
        acks(9, step=0),
        acks(9, step=-100),
        segments(9, step=0),
        [packet(START, tcp_flags=FIN | PSH, tcp_ack=i, payload_bytes=5, tcp_seq=5 * i) for i in range(9)],
        [packet(START, protocol=17, tcp_flags=ACK, tcp_ack=i, payload_bytes=5) for i in range(9)],
    ],
)
def test_what_needs_no_partner_proves_nothing(packets):
    assert counted(packets) == (0, 0)


def test_a_flow_that_was_answered_is_no_proof():
    assert counted([*acks(4), reply(START, tcp_flags=ACK), *acks(20)]) == (0, 1)


def test_each_flow_counts_once_though_the_active_timeout_cuts_it():
    packets = [packet(START + 20 * i * SECOND, tcp_flags=ACK, tcp_ack=1000 + 100 * i) for i in range(60)]
    assert counted(packets) == (1, 0)
    both = [p for one in packets for p in (one, reply(one["time"], tcp_flags=ACK))]
    assert counted(both) == (0, 1)


def test_udp_is_not_two_way_tcp():
    assert counted([packet(protocol=17), reply(START, protocol=17)]) == (0, 0)
