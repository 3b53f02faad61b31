"""Which new flows are let in under overload."""

import numpy as np
import pytest
from flow_packets import ACK, DATA, SECOND, START, SYN, packet, packet_rows, reply

from sensor.flow.meter import Meter
from sensor.flow.record import FlowEvent
from sensor.flow.shed import FEW_BY_INITIATOR, FEW_TO_RESPONDER

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")
SAMPLING = 8


def many(count, **steps):
    """Return SYNs, 10 us apart; each field named goes up by its step."""
    rows = np.repeat(packet_rows([packet(tcp_flags=SYN)]), count)
    rows["time"] = START + np.arange(count) * 10_000
    for name, step in steps.items():
        rows[name] += (np.arange(count) * step).astype(rows[name].dtype)
    return rows


def observe(meter, rows, sampling=SAMPLING):
    events = [step.events.copy() for step in meter.observe(rows, DATA, sampling)]
    return np.concatenate(events)


def records(meter):
    return np.concatenate([rows.copy() for rows in meter.flush()])


def shed(events):
    return events["bits"] == FlowEvent.SHED


def test_without_overload_all_come_in():
    meter = Meter(capacity=5000, key=(1, 2))
    events = observe(meter, many(3000, dst_port=1), sampling=1)
    assert not shed(events).any()
    assert set(events["weight"]) == set(records(meter)["sampling"]) == {1}
    assert meter.counters()["packets_shed"] == 0


def test_of_one_source_many_flows_one_in_n_is_let_in_and_stands_for_n():
    meter = Meter(capacity=5000, key=(1, 2))
    events = observe(meter, many(4000, dst_lo=1))
    assert not shed(events[:FEW_BY_INITIATOR]).any()
    rest = events[FEW_BY_INITIATOR:]
    assert 0.8 < np.mean(~shed(rest)) * SAMPLING < 1.2
    assert set(rest["weight"][~shed(rest)]) == {SAMPLING}
    assert (events["flow"][shed(events)] == -1).all()
    assert np.isclose(records(meter)["sampling"].sum(), 4000, rtol=0.2)
    counters = meter.counters()
    assert counters["packets_shed"] == counters["flows_shed"] == shed(events).sum()


def test_of_many_sources_towards_one_responder_too():
    meter = Meter(capacity=5000, key=(1, 2))
    events = observe(meter, many(4000, src_lo=1))
    assert not shed(events[:FEW_TO_RESPONDER]).any()
    assert 0.8 < np.mean(~shed(events[FEW_TO_RESPONDER:])) * SAMPLING < 1.2


def test_others_come_in_while_a_flood_is_shed():
    meter = Meter(capacity=5000, key=(1, 2))
    observe(meter, many(3000, dst_port=1))
    other = many(20, dst_port=1)
    other["src_lo"] += 1000
    other["dst_lo"] += 77
    other["time"] = START + 30_000_000
    assert not shed(observe(meter, other)).any()


def test_open_flows_go_on_and_a_flow_keeps_its_luck():
    meter = Meter(capacity=5000, key=(1, 2))
    rows = many(2000, dst_port=1)
    first = observe(meter, rows)
    again = observe(meter, rows)
    assert (shed(first) <= shed(again)).all()
    assert (shed(again) == shed(first))[first["flow"] >= 0].all()
    assert meter.counters()["flows_started"] == (~shed(first)).sum()


def test_the_count_begins_anew_each_second():
    meter = Meter(capacity=5000, key=(1, 2))
    observe(meter, many(2000, dst_port=1))
    later = many(FEW_BY_INITIATOR, dst_port=-1)
    later["time"] = START + SECOND
    assert not shed(observe(meter, later)).any()


def test_an_answer_counts_for_its_receiver():
    meter = Meter(capacity=5000, key=(1, 2))
    rows = np.repeat(packet_rows([reply(START, tcp_flags=SYN | ACK)]), 2000)
    rows["src_lo"] += np.arange(2000, dtype=np.uint64)
    events = observe(meter, rows)
    assert not shed(events[:FEW_BY_INITIATOR]).any()
    assert shed(events).sum() > 1500


def test_cuts_cannot_be_seen():
    rows = many(2500, dst_port=1)
    whole, cut = (Meter(capacity=5000, key=(1, 2)) for _ in range(2))
    parts = [observe(cut, rows[first : first + 97]) for first in range(0, len(rows), 97)]
    assert np.array_equal(np.concatenate(parts), observe(whole, rows))
    assert [row.item() for row in records(cut)] == [row.item() for row in records(whole)]
    assert cut.counters() == whole.counters()


def test_packets_that_are_shed_are_counted_as_such():
    meter = Meter(capacity=5000, key=(1, 2))
    rows = many(2000, dst_port=1)
    rows["tcp_flags"] = ACK
    events = observe(meter, rows)
    counters = meter.counters()
    assert counters["packets"] == 2000
    assert counters["packets_shed"] == shed(events).sum() > 0
    # They begin no connection, so how many flows they are nobody knows.
    assert counters["flows_shed"] == 0


@pytest.mark.parametrize("sampling", [-1, 0, 1 << 20])
def test_absurd_sampling_is_held_back(sampling):
    meter = Meter(capacity=5000, key=(1, 2))
    observe(meter, many(2000, dst_port=1), sampling)
    assert records(meter)["sampling"].max() <= 0xFFFF
