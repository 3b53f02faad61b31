"""When and in what order flows leave."""

import numpy as np
import pytest
from flow_packets import ACK, DATA, RST, SECOND, START, SYN, packet, packet_rows, reply
from naive.meter import granule_of

from sensor.flow.expiry import SECOND_CHANCES
from sensor.flow.meter import Meter
from sensor.flow.record import FlowEndReason
from sensor.flow.walk import LATEST
from sensor.flow.wheel import granule

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")


def observe(meter, *packets):
    rows = packet_rows(packets)
    return [row.copy() for step in meter.observe(rows, DATA) for row in step.flows]


def drain(steps):
    return [row.copy() for rows in steps for row in rows]


def unanswered(port, time):
    return [packet(time, src_port=port, protocol=17)]


def answered(port, time):
    return [*unanswered(port, time), reply(time, dst_port=port, protocol=17)]


def closed(port, time):
    return [packet(time, src_port=port, tcp_flags=SYN), reply(time, dst_port=port, tcp_flags=RST | ACK)]


def ports(flows):
    return [int(flow["src_port"]) for flow in flows]


def test_each_list_has_its_timeout_and_records_leave_when_due():
    meter = Meter(capacity=10, key=(1, 2))
    assert observe(meter, *answered(1, START), *unanswered(2, START), *closed(3, START)) == []
    assert meter.active == 3
    flows = drain(meter.advance(START + 3600 * SECOND))
    assert ports(flows) == [3, 2, 1]
    assert [int(flow["exported"]) - START for flow in flows] == [5 * SECOND, 30 * SECOND, 60 * SECOND]
    reasons = [FlowEndReason(flow["end_reason"]) for flow in flows]
    assert reasons == [FlowEndReason.END_OF_FLOW, FlowEndReason.IDLE_TIMEOUT, FlowEndReason.IDLE_TIMEOUT]
    assert meter.active == 0


def test_a_flow_is_due_at_its_timeout_and_not_before():
    meter = Meter(capacity=10, key=(1, 2))
    observe(meter, *unanswered(2, START))
    assert drain(meter.advance(START + 30 * SECOND - 1)) == []
    assert len(drain(meter.advance(START + 30 * SECOND))) == 1


def test_a_flow_leaves_when_the_granule_it_is_due_in_is_over():
    meter = Meter(capacity=10, key=(1, 2))
    observe(meter, *unanswered(2, START + 1), *answered(3, START + 1), *closed(4, START + 1))
    for flow, timeout, length in (
        (4, 5 * SECOND, SECOND // 8),
        (2, 30 * SECOND, SECOND // 2),
        (3, 60 * SECOND, SECOND),
    ):
        assert drain(meter.advance(START + timeout + length - 1)) == []
        (left,) = drain(meter.advance(START + timeout + length))
        assert (left["src_port"], left["exported"]) == (flow, START + 1 + timeout)


def test_a_packet_on_a_flow_that_is_due_but_still_there_starts_another():
    meter = Meter(capacity=10, key=(1, 2))
    observe(meter, *unanswered(1, START + 1))
    (flow,) = observe(meter, *unanswered(1, START + 30 * SECOND + 1))
    assert (flow["flow_id"], flow["exported"]) == (1, START + 30 * SECOND + 1)
    assert flow["end_reason"] == FlowEndReason.IDLE_TIMEOUT
    (flow,) = observe(
        meter, *closed(2, START + 31 * SECOND + 1), packet(START + 36 * SECOND + 1, src_port=2, tcp_flags=ACK)
    )
    assert (flow["exported"], flow["end_reason"]) == (START + 36 * SECOND + 1, FlowEndReason.END_OF_FLOW)
    assert meter.active == 2


def test_a_flow_that_goes_on_is_filed_anew_once_a_timeout():
    meter = Meter(capacity=10, key=(1, 2))
    table = meter._table
    observe(meter, *answered(1, START))
    filed = set()
    for second in range(1, 150):
        observe(meter, *answered(1, START + second * SECOND + 1))
        filed.add(int(table.entries["bucket"][0]))
    assert meter.active == 1
    assert len(filed) == 3


def test_equal_due_times_leave_in_order_of_the_lists():
    meter = Meter(capacity=10, key=(1, 2))
    end = START + 60 * SECOND
    observe(meter, *answered(1, START), *unanswered(2, end - 30 * SECOND), *closed(3, end - 5 * SECOND))
    assert ports(drain(meter.advance(end))) == [2, 1, 3]


def test_a_packet_finds_its_old_flow_gone():
    meter = Meter(capacity=10, key=(1, 2))
    observe(meter, *unanswered(1, START))
    (flow,) = observe(meter, *unanswered(1, START + 30 * SECOND))
    assert (flow["flow_id"], flow["exported"]) == (1, START + 30 * SECOND)


def test_eviction_takes_closed_then_unanswered_then_answered():
    meter = Meter(capacity=4, key=(1, 2))
    first = [*answered(1, START), *unanswered(2, START), *closed(3, START), *closed(4, START)]
    assert observe(meter, *first) == []
    flows = observe(meter, *[p for port in (5, 6, 7, 8, 9) for p in answered(port, START + port)])
    assert ports(flows) == [3, 4, 2, 1, 5]
    assert {int(flow["end_reason"]) for flow in flows} == {FlowEndReason.LACK_OF_RESOURCES}
    assert [int(flow["exported"]) for flow in flows] == [START + port for port in (5, 6, 7, 8, 9)]
    counters = meter.counters()
    assert counters["flows_evicted_closed"] == counters["flows_evicted_answered"] == 2
    assert counters["flows_evicted_unanswered"] == 1
    assert counters["flows_ended_lack_of_resources"] == 5


def test_eviction_spares_flows_that_were_seen_since_they_were_filed():
    meter = Meter(capacity=3, key=(1, 2))
    times = [START, START + SECOND, START + 2 * SECOND]
    observe(meter, *[p for port, time in enumerate(times, 1) for p in answered(port, time)])
    flows = observe(meter, *answered(1, START + 5 * SECOND), *unanswered(4, START + 6 * SECOND))
    assert ports(flows) == [2]


def test_eviction_looks_at_a_few_flows_at_most():
    meter = Meter(capacity=50, key=(1, 2))
    observe(meter, *[p for port in range(50) for p in answered(port, START)])
    observe(meter, *[p for port in range(50) for p in answered(port, START + 9 * SECOND)])
    (flow,) = observe(meter, *unanswered(50, START + 10 * SECOND))
    assert flow["src_port"] == SECOND_CHANCES
    assert flow["end_reason"] == FlowEndReason.LACK_OF_RESOURCES


def test_what_is_due_is_no_eviction():
    meter = Meter(capacity=1, key=(1, 2))
    observe(meter, *unanswered(1, START + 1))
    (flow,) = observe(meter, *unanswered(2, START + 30 * SECOND + 2))
    assert (flow["end_reason"], flow["exported"]) == (FlowEndReason.IDLE_TIMEOUT, START + 30 * SECOND + 1)
    assert meter.counters()["flows_evicted_unanswered"] == 0


@pytest.mark.parametrize(
    ("timeout", "length"),
    [
        (1, 1),
        (31, 1),
        (64, 1),
        (5 * SECOND, SECOND // 8),
        (30 * SECOND, SECOND // 2),
        (32 * SECOND, SECOND),
        (1024 * SECOND, SECOND),
        (1056 * SECOND, 2 * SECOND),
    ],
)
def test_granules_are_seconds_halved_or_doubled(timeout, length):
    assert granule(timeout) == granule_of(timeout)
    if timeout >= SECOND:
        assert granule(timeout) == length
    assert granule(timeout) <= max(1, timeout // 32)
    assert timeout // granule(timeout) <= 1024


def test_a_spoofed_flood_leaves_the_answered_flows_alone():
    meter = Meter(capacity=2000, key=(1, 2))
    observe(meter, *[p for port in range(1000) for p in answered(port, START)])
    flood = packet_rows([packet(protocol=17)])
    rows = np.repeat(flood, 8000)
    rows["src_lo"] += np.arange(1000, 9000, dtype=np.uint64)
    rows["time"] = START + np.arange(8000) * (SECOND // 5000)
    left = [row for step in meter.observe(rows, DATA) for row in step.flows]
    assert len(left) == 7000
    assert meter.counters()["flows_evicted_answered"] == 0
    assert sum(int(flow["reverse_packets"]) == 1 for flow in drain(meter.flush())) == 1000


def test_flush_goes_by_when_flows_would_be_due():
    meter = Meter(capacity=10, key=(1, 2))
    observe(
        meter,
        *closed(1, START),
        *unanswered(2, START + 1),
        *answered(3, START + 2),
        *unanswered(2, START + 3),
    )
    drain(meter.advance(START + SECOND))
    flows = drain(meter.flush())
    assert ports(flows) == [1, 2, 3]
    forced, end = FlowEndReason.FORCED_END, FlowEndReason.END_OF_FLOW
    assert [FlowEndReason(flow["end_reason"]) for flow in flows] == [end, forced, forced]
    assert {int(flow["exported"]) for flow in flows} == {START + SECOND}
    assert observe(meter, *unanswered(2, START + 2 * SECOND)) == []


def test_time_never_moves_back():
    meter = Meter(capacity=10, key=(1, 2))
    observe(
        meter, *unanswered(1, START), *unanswered(1, START - 3600 * SECOND), *unanswered(1, START + SECOND)
    )
    assert drain(meter.advance(START - SECOND)) == []
    (flow,) = drain(meter.flush())
    assert (flow["start"], flow["end"], flow["packets"]) == (START, START + SECOND, 3)
    assert (flow["interval_min"], flow["interval_max"]) == (0, SECOND)
    assert meter.counters()["late_packets"] == 1


def test_absurd_times_are_held_back():
    meter = Meter(capacity=10, key=(1, 2))
    huge = np.iinfo(np.int64).max
    observe(meter, *unanswered(1, -huge), *unanswered(2, huge), *unanswered(2, huge))
    (first,) = [flow for flow in drain(meter.flush()) if flow["src_port"] == 2]
    assert (first["start"], first["end"], first["packets"]) == (LATEST, LATEST, 2)
    assert meter.counters()["late_packets"] == 3


@pytest.mark.parametrize("offset", [-1, 0, len(DATA) - 3, len(DATA), len(DATA) + 50, 2**40])
def test_a_payload_that_is_not_there_is_zeros(offset):
    meter = Meter(capacity=10, key=(1, 2))
    fields = {"payload_bytes": 100, "payload_captured": 100, "payload_offset": offset, "tcp_flags": ACK}
    observe(meter, packet(**fields))
    (flow,) = drain(meter.flush())
    kept = bytes(DATA[offset : offset + 16]) if offset >= 0 else b""
    got = int(flow["first_payload_hi"]).to_bytes(8, "big") + int(flow["first_payload_lo"]).to_bytes(8, "big")
    assert got == kept.ljust(16, b"\0")
    assert flow["first_payload_bytes"] == 100


def test_a_flow_is_cut_at_the_active_timeout_and_not_before():
    meter = Meter(capacity=10, key=(1, 2))
    times = [START + 25 * SECOND * step for step in range(12)]
    observe(meter, *[p for time in times for p in unanswered(1, time)])
    assert observe(meter, *unanswered(1, START + 300 * SECOND - 1)) == []
    (flow,) = observe(meter, *unanswered(1, START + 300 * SECOND))
    assert (flow["end_reason"], flow["packets"]) == (FlowEndReason.ACTIVE_TIMEOUT, 13)


def test_a_gap_is_idle_time_when_it_is_longer_than_the_activity_gap():
    meter = Meter(capacity=10, activity_gap_secs=2.0, key=(1, 2))
    observe(
        meter, *answered(1, START), *answered(1, START + 2 * SECOND), *answered(1, START + 4 * SECOND + 1)
    )
    (flow,) = drain(meter.flush())
    assert (flow["idle"], flow["idle_periods"]) == (2 * SECOND + 1, 1)


def test_flush_gives_what_is_due_as_such():
    meter = Meter(capacity=10, key=(1, 2))
    observe(meter, *closed(1, START + 1), *unanswered(2, START + 1))
    drain(meter.advance(START + 30 * SECOND + 1))
    (flow,) = drain(meter.flush())
    assert (flow["end_reason"], flow["exported"]) == (FlowEndReason.IDLE_TIMEOUT, START + 30 * SECOND + 1)


def test_a_connection_that_was_only_accepted_is_as_good_as_unanswered():
    meter = Meter(capacity=2, key=(1, 2))
    observe(meter, *answered(1, START), packet(START, tcp_flags=SYN, src_port=2))
    observe(meter, reply(START + 1, tcp_flags=SYN | ACK, dst_port=2))
    (flow,) = observe(meter, *unanswered(3, START + 2))
    assert flow["src_port"] == 2
    assert meter.counters()["flows_evicted_unanswered"] == 1


def test_a_connection_that_was_completed_is_answered():
    meter = Meter(capacity=10, key=(1, 2))
    opening = [packet(START, tcp_flags=SYN), reply(START, tcp_flags=SYN | ACK), packet(START, tcp_flags=ACK)]
    observe(meter, *opening)
    assert drain(meter.advance(START + 59 * SECOND)) == []
    assert len(drain(meter.advance(START + 61 * SECOND))) == 1


def test_an_answered_flow_never_counts_as_unanswered_again():
    meter = Meter(capacity=10, key=(1, 2))
    odd = [packet(START, tcp_flags=SYN), reply(START, tcp_flags=ACK), reply(START, tcp_flags=SYN | ACK)]
    observe(meter, *odd)
    assert drain(meter.advance(START + 59 * SECOND)) == []
    assert meter.counters()["tcp_two_way"] == 1
