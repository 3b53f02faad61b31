"""When and in what order flows leave."""

import numpy as np
import pytest
from flow_packets import ACK, DATA, RST, SECOND, START, SYN, packet, packet_rows, reply

from sensor.flow.meter import Meter
from sensor.flow.record import FlowEndReason
from sensor.flow.walk import LATEST

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


def test_flush_gives_the_flow_seen_longest_ago_first():
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
    assert ports(flows) == [1, 3, 2]
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


def test_flush_breaks_ties_in_order_of_the_lists():
    meter = Meter(capacity=10, key=(1, 2))
    observe(meter, *closed(1, START), *answered(2, START), *unanswered(3, START), *unanswered(4, START))
    assert ports(drain(meter.flush())) == [3, 4, 2, 1]
