"""The meter against its plain twin: any packets, any cut, any ticks, a table that is always too small."""

import itertools
from unittest import mock

import numpy as np
import pytest
from flow_audit import audit
from flow_packets import DATA, SECOND, START, packet, packet_rows, packets
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from naive.meter import NaiveMeter, differences

import sensor.flow.meter
from sensor.flow.meter import Meter

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")

#: Small enough that all timeouts happen within a test.
TIMEOUTS = {
    "idle_timeout_secs": 20.0,
    "unanswered_timeout_secs": 8.0,
    "linger_secs": 3.0,
    "active_timeout_secs": 30.0,
    "activity_gap_secs": 1.0,
}


def small_meter(capacity, record_rows=4096, event_rows=65_536, key_rows=16, **keywords):
    rows = {"RECORD_ROWS": record_rows, "EVENT_ROWS": event_rows, "KEY_ROWS": key_rows}
    with mock.patch.multiple(sensor.flow.meter, **rows):
        return Meter(capacity=capacity, key=(1, 2), **(TIMEOUTS | keywords))


def small_twin(capacity, **keywords):
    return NaiveMeter(capacity, unanswered=8.0, idle=20.0, linger=3.0, active=30.0, gap=1.0, **keywords)


def observe_all(meter, rows):
    """Return events with their flow identity, and copies of the records with their place in the sequence."""
    events, sequence = [], []
    for step in meter.observe(rows, DATA):
        for i, (row, position) in enumerate(zip(step.flows, step.positions, strict=True)):
            sequence.append((len(events) + int(position), row.copy()))
            assert i == 0 or step.positions[i - 1] <= position
        assert len(step.events) == len(step.packets)
        events += [(int(e["flow"]), int(e["bits"]), int(e["reverse"])) for e in step.events]
    assert len(events) == len(rows)
    return events, sequence


def drain(steps):
    return [row.copy() for rows in steps for row in rows]


def assert_same(records, rows):
    assert [r["flow_id"] for r in records] == [int(row["flow_id"]) for row in rows]
    for record, row in zip(records, rows, strict=True):
        assert differences(record, row) == {}


def assert_equal_rows(one, other):
    assert [row.item() for row in one] == [row.item() for row in other]


class MeterMachine(RuleBasedStateMachine):
    """The meter and its twin, side by side, with every link of the table checked after each step."""

    @initialize(
        capacity=st.integers(1, 9),
        record_rows=st.integers(1, 3),
        event_rows=st.integers(1, 9),
        vlan_in_key=st.booleans(),
    )
    def start(self, capacity, record_rows, event_rows, vlan_in_key):
        self.meter = small_meter(capacity, record_rows, event_rows, vlan_in_key=vlan_in_key)
        self.twin = small_twin(capacity, vlan_in_key=vlan_in_key)
        self.offset = 0

    @rule(batch=packets())
    def observe(self, batch):
        for p in batch:
            p["time"] += self.offset
        expected = [self.twin.observe(p, DATA) for p in batch]
        events, sequence = observe_all(self.meter, packet_rows(batch))
        assert_same(self.twin.records, [row for _, row in sequence])
        self.twin.records.clear()
        for (flow_id, bits, reverse), event in zip(expected, events, strict=True):
            assert event[1:] == (bits, reverse)
            assert (event[0] == -1) == (flow_id is None)
        if batch:
            self.offset = batch[-1]["time"] - START

    @rule(step=st.sampled_from([0, 1, SECOND, 8 * SECOND, 60 * SECOND, -SECOND]))
    def advance(self, step):
        self.twin.advance(self.twin.now + step)
        assert_same(self.twin.records, drain(self.meter.advance(self.twin.now)))
        self.twin.records.clear()

    @rule()
    def flush(self):
        self.twin.flush()
        assert_same(self.twin.records, drain(self.meter.flush()))
        self.twin.records.clear()
        assert self.meter.active == 0

    @invariant()
    def every_link_holds(self):
        if hasattr(self, "meter"):
            audit(self.meter)
            assert self.meter.active == len(self.twin.flows)
            counters = self.meter.counters()
            assert {name: counters[name] for name in self.twin.counts} == self.twin.counts


MeterMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=8, deadline=None)
test_meter_equals_its_twin = MeterMachine.TestCase


def random_packets(seed, count):
    """Return many packets among 12 hosts, in a few hundred flows, as PACKET rows."""
    rng = np.random.default_rng(seed)
    rows = packet_rows([])
    rows = np.zeros(count, rows.dtype)
    rows["kind"] = 3
    rows["ip_version"] = 4
    rows["protocol"] = rng.choice([6, 6, 6, 17], count)
    rows["src_lo"] = 0xFFFF_0000_0000 + rng.integers(0, 12, count)
    rows["dst_lo"] = 0xFFFF_0000_0000 + rng.integers(0, 12, count)
    rows["src_port"] = rng.integers(1, 4, count)
    rows["dst_port"] = rng.integers(1, 4, count)
    rows["time"] = START + np.cumsum(rng.integers(0, SECOND // 8, count))
    rows["tcp_flags"] = np.where(rows["protocol"] == 6, rng.choice([2, 18, 16, 24, 17, 4, 20], count), 0)
    rows["tcp_seq"] = rng.integers(0, 2**20, count)
    rows["tcp_ack"] = rng.integers(0, 2**20, count)
    rows["outer_offset"] = -1
    rows["payload_bytes"] = rng.integers(0, 100, count)
    rows["ip_bytes"] = rows["payload_bytes"] + 40
    rows["payload_captured"] = rows["payload_bytes"]
    rows["payload_offset"] = rng.integers(-1, len(DATA), count)
    return rows


@pytest.mark.parametrize(("seed", "capacity"), [(1, 8), (2, 16), (3, 64), (4, 256)])
def test_long_runs_equal_the_twin(seed, capacity):
    rows = random_packets(seed, 3000)
    meter, twin = small_meter(capacity), small_twin(capacity)
    names = rows.dtype.names
    expected = [twin.observe(dict(zip(names, row.item(), strict=True)), DATA) for row in rows]
    events, sequence = observe_all(meter, rows)
    assert [event[1:] for event in events] == [event[1:] for event in expected]
    twin.flush()
    assert_same(twin.records, [row for _, row in sequence] + drain(meter.flush()))
    counters = meter.counters()
    assert {name: counters[name] for name in twin.counts} == twin.counts
    # In a small table connections are pushed out before they are completed.
    counted = ("acks_checked", "ack_gaps", "missed_bytes", "tcp_two_way")
    assert all(
        twin.counts[name] for name in counted if capacity >= 64 or name not in {"ack_gaps", "missed_bytes"}
    )
    assert counters["chain_walk_limit"] == 0
    if capacity < 256:
        assert counters["flows_ended_lack_of_resources"] > 100
    audit(meter)


@given(batch=packets(), data=st.data(), capacity=st.integers(1, 12))
@settings(deadline=None)
def test_cuts_ticks_and_full_buffers_cannot_be_seen(batch, data, capacity):
    rows = packet_rows(batch)
    whole = small_meter(capacity)
    events, sequence = observe_all(whole, rows)
    cut = small_meter(capacity, data.draw(st.integers(1, 3)), data.draw(st.integers(1, 5)))
    begin, cut_events, cut_sequence = 0, [], []
    latest = 0
    while begin < len(rows):
        end = data.draw(st.integers(begin + 1, len(rows)))
        more_events, more = observe_all(cut, rows[begin:end])
        cut_sequence += [(begin + position, row) for position, row in more]
        cut_events += more_events
        latest = max([latest, *(int(time) for time in rows["time"][begin:end])])
        if end < len(rows) and data.draw(st.booleans()):
            # An idle tick may come at any time that no later packet is earlier than.
            reach = max(int(rows["time"][end]), latest)
            tick = data.draw(st.integers(latest, reach))
            cut_sequence += [(end, row) for row in drain(cut.advance(tick))]
        begin = end
    assert cut_events == events
    assert [position for position, _ in cut_sequence] == [position for position, _ in sequence]
    assert_equal_rows([row for _, row in cut_sequence], [row for _, row in sequence])
    assert_equal_rows(drain(cut.flush()), drain(whole.flush()))


@given(batch=packets(max_size=60), capacity=st.integers(1, 6))
@settings(deadline=None)
def test_no_packet_and_no_byte_is_lost(batch, capacity):
    meter = small_meter(capacity)
    _, sequence = observe_all(meter, packet_rows(batch))
    records = [row for _, row in sequence] + drain(meter.flush())
    counters = meter.counters()
    without = sum(value for name, value in counters.items() if name.startswith("packets_without_flow"))
    assert counters["packets"] == len(batch)
    packets_in_records = sum(int(row["packets"]) + int(row["reverse_packets"]) for row in records)
    assert packets_in_records == len(batch) - without
    accepted = [p for p in batch if p["kind"] == 3 and p["ip_version"] and p["error"] not in (3, 5, 6, 7)]
    assert len(accepted) == packets_in_records
    for name in ("bytes", "payload_bytes"):
        total = sum(int(row[name]) + int(row[f"reverse_{name}"]) for row in records)
        assert total == sum(p["ip_bytes" if name == "bytes" else name] for p in accepted)
    assert counters["flows_started"] == counters["flows_exported"] == len(records)
    # A flow leaves within its granule of time, half a second here at most, after it was due.
    exported = [int(row["exported"]) for row in records]
    latest = itertools.accumulate(exported, max)
    assert all(before - due <= SECOND // 2 for before, due in zip(latest, exported, strict=True))


def test_a_flow_keeps_the_tunnel_of_its_first_packet():
    there = packet(START, tunnel=3, tunnel_layers=2, tunnel_id=5)
    back = packet(START, 1, 0, src_port=80, dst_port=4000, tunnel=4, tunnel_layers=1, tunnel_id=6)
    for apart in (False, True):
        meter = Meter(capacity=4, tunnel_in_key=apart, key=(1, 2))
        for _ in meter.observe(packet_rows([there, back, there]), DATA):
            pass
        flows = drain(meter.flush())
        kept = [tuple(int(flow[name]) for name in ("tunnel", "tunnel_layers", "tunnel_id")) for flow in flows]
        assert kept == [(3, 2, 5), (4, 1, 6)] if apart else [(3, 2, 5)]


def test_nothing_in_gives_nothing_out():
    meter = small_meter(4)
    assert list(meter.observe(packet_rows([]), DATA)) == []
    assert list(meter.advance(START)) == []
    assert list(meter.flush()) == []
    assert set(meter.counters().values()) == {0}
    assert len(meter.claims) == 0


@pytest.mark.parametrize("bad", [{"capacity": 0}, {"capacity": 1 << 30}, {"linger_secs": 0.0}])
def test_impossible_sizes_and_timeouts_are_refused(bad):
    with pytest.raises(ValueError, match="must be"):
        Meter(**({"capacity": 4, "key": (1, 2)} | bad))
