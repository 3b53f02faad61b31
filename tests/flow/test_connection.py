"""TCP connections as they happen, packet by packet."""

import pytest
from flow_examples import connection, records
from flow_packets import ACK, DATA, FIN, PSH, RST, SECOND, START, SYN, packet, packet_rows, reply

from sensor.flow.meter import Meter
from sensor.flow.record import FlowEndReason, FlowEvent, Handshake

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")
NEW, FIRST_REPLY = FlowEvent.NEW_FLOW, FlowEvent.FIRST_REPLY


def events(packets):
    meter = Meter(capacity=100, key=(1, 2))
    return [
        (FlowEvent(int(event["bits"])), int(event["reverse"]))
        for step in meter.observe(packet_rows(packets), DATA)
        for event in step.events
    ]


def data(p, seq, length=10):
    return p | {"tcp_flags": ACK | PSH, "tcp_seq": seq, "payload_bytes": length, "ip_bytes": 40 + length}


def test_events_of_a_whole_connection():
    assert events(connection()) == [
        (NEW, 0),
        (FIRST_REPLY, 1),
        (FlowEvent.ESTABLISHED, 0),
        (FlowEvent(0), 0),
        (FlowEvent(0), 1),
        (FlowEvent(0), 0),
        (FlowEvent.CLOSED, 1),
    ]


def test_delays_are_of_the_latest_syn_and_syn_ack():
    (flow,) = records(
        [
            packet(START, tcp_flags=SYN),
            packet(START + SECOND, tcp_flags=SYN),
            reply(START + SECOND + 5, tcp_flags=SYN | ACK),
            reply(START + 2 * SECOND, tcp_flags=SYN | ACK),
            packet(START + 2 * SECOND + 7, tcp_flags=ACK),
        ]
    )
    assert (flow["synack_delay"], flow["ack_delay"]) == (5, 7)
    assert flow["handshake"] == Handshake.ESTABLISHED


@pytest.mark.parametrize(
    ("packets", "handshake"),
    [
        ([packet(tcp_flags=SYN)], Handshake.SYN),
        ([packet(tcp_flags=SYN), reply(START, tcp_flags=SYN | ACK)], Handshake.SYN_ACK),
        ([packet(tcp_flags=SYN), reply(START, tcp_flags=RST | ACK)], Handshake.REFUSED),
        ([packet(tcp_flags=SYN), packet(tcp_flags=RST)], Handshake.SYN),
        ([packet(tcp_flags=SYN), reply(START, tcp_flags=ACK)], Handshake.SYN),
        ([packet(tcp_flags=ACK)], Handshake.MIDSTREAM),
        ([packet(tcp_flags=RST)], Handshake.MIDSTREAM),
        ([packet(protocol=17)], Handshake.NONE),
    ],
)
def test_handshakes_that_stop_early(packets, handshake):
    (flow,) = records(packets)
    assert flow["handshake"] == handshake


def test_a_refusal_is_an_event_and_closes():
    answer = events([packet(tcp_flags=SYN), reply(START, tcp_flags=RST | ACK), reply(START, tcp_flags=RST)])
    assert answer[1] == (FIRST_REPLY | FlowEvent.REFUSED | FlowEvent.CLOSED, 1)
    assert answer[2] == (FlowEvent(0), 1)


def test_a_first_syn_ack_comes_from_the_responder():
    (flow,) = records([reply(START, tcp_flags=SYN | ACK, ip_bytes=44), packet(START, tcp_flags=ACK)])
    assert (flow["src_port"], flow["dst_port"]) == (4000, 80)
    assert (flow["src_lo"], flow["src_mac"]) == (packet()["src_lo"], packet()["src_mac"])
    assert (flow["packets"], flow["reverse_packets"], flow["reverse_bytes"]) == (1, 1, 44)
    assert flow["handshake"] == Handshake.MIDSTREAM
    assert events([reply(START, tcp_flags=SYN | ACK)]) == [(NEW | FIRST_REPLY, 1)]


def test_late_packets_still_count_while_a_closed_flow_lingers():
    last = connection()[-1]["time"]
    (flow,) = records([*connection(), packet(last + 4 * SECOND, tcp_flags=ACK)])
    assert flow["end_reason"] == FlowEndReason.END_OF_FLOW
    assert flow["packets"] == 5
    first, second = records([*connection(), packet(last + 5 * SECOND, tcp_flags=ACK)])
    assert (first["end_reason"], first["exported"]) == (FlowEndReason.END_OF_FLOW, last + 5 * SECOND)
    assert second["handshake"] == Handshake.MIDSTREAM


def test_a_fresh_syn_on_a_closed_flow_starts_another():
    time = connection()[-1]["time"] + SECOND
    again = [packet(time, tcp_flags=SYN), reply(time, tcp_flags=RST | ACK), packet(time + 1, tcp_flags=SYN)]
    first, second, third = records(connection() + again)
    assert (first["end_reason"], first["exported"]) == (FlowEndReason.END_OF_FLOW, time)
    assert (second["handshake"], second["exported"]) == (Handshake.REFUSED, time + 1)
    assert [flow["flow_id"] for flow in (first, second, third)] == [1, 2, 3]
    assert third["handshake"] == Handshake.SYN


def test_the_responder_can_open_the_next_connection():
    time = connection()[-1]["time"] + SECOND
    _, second = records([*connection(), reply(time, tcp_flags=SYN)])
    assert (second["src_port"], second["dst_port"], second["packets"]) == (80, 4000, 1)


def test_fin_from_one_side_does_not_close():
    packets = [packet(tcp_flags=SYN), packet(tcp_flags=FIN | ACK), packet(tcp_flags=FIN | ACK)]
    assert all(not bits & FlowEvent.CLOSED for bits, _ in events(packets))


def test_retransmissions_are_counted_across_the_wrap_of_sequence_numbers():
    seqs = [2**32 - 15, 2**32 - 5, 5, 2**32 - 5, 15, 5, 500, 490]
    packets = [data(packet(START + i), seq) for i, seq in enumerate(seqs)]
    (flow,) = records(packets)
    assert flow["retransmissions"] == 3
    assert flow["next_seq"] == 510
    repeated = [bool(bits & FlowEvent.RETRANSMISSION) for bits, _ in events(packets)]
    assert repeated == [False, False, False, True, False, True, False, True]


def test_pure_acknowledgements_and_resets_are_no_retransmissions():
    packets = [
        data(packet(), 100),
        packet(tcp_flags=ACK, tcp_seq=109),
        data(packet(), 50) | {"tcp_flags": RST},
    ]
    (flow,) = records(packets)
    assert (flow["retransmissions"], flow["next_seq"]) == (0, 110)


def test_the_active_timeout_splits_a_connection_that_goes_on():
    step = 40 * SECOND
    opening = connection()[:3]
    packets = [data(packet(START + i * step), 101 + 10 * (i - 1)) for i in range(1, 10)]
    again = [data(packet(START + 10 * step), 181), reply(START + 10 * step, tcp_flags=ACK)]
    first, second = records(opening + packets + again)
    assert (first["end_reason"], second["end_reason"]) == (
        FlowEndReason.ACTIVE_TIMEOUT,
        FlowEndReason.FORCED_END,
    )
    assert first["exported"] == second["start"] == START + 8 * step
    assert (first["continued"], second["continued"]) == (0, 1)
    assert (first["flow_id"], second["flow_id"]) == (1, 2)
    assert (first["packets"], second["packets"], second["reverse_packets"]) == (9, 3, 1)
    assert (first["handshake"], second["handshake"]) == (Handshake.ESTABLISHED, Handshake.ESTABLISHED)
    assert (first["synack_delay"] > 0, second["synack_delay"]) == (True, 0)
    # The next expected number was carried over: 181 comes a second time.
    assert (second["retransmissions"], second["interval_sum"]) == (1, 2 * step)
    bits = events(opening + packets + again)
    assert bits[10] == (FlowEvent.CONTINUED, 0)
    assert bits[-1] == (FlowEvent(0), 1)


def test_a_cut_tcp_header_counts_but_moves_no_sequence():
    cut = packet(START + 1, error=4, payload_bytes=0, ip_bytes=99)
    (flow,) = records([data(packet(), 100), cut, data(packet(START + 2), 110)])
    assert (flow["packets"], flow["bytes"], flow["retransmissions"]) == (3, 199, 0)
