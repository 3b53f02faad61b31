"""Flow rows against a plain twin, and against any bytes at all."""

import math

import numpy as np
import pytest
from flow_packets import DATA, packet_rows, packets
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.feature.flow import FlowRows, flow_rows
from sensor.feature.schema import FLOW_FEATURES, groups, names
from sensor.flow.meter import Meter
from sensor.flow.record import FLOW

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered", "ignore:invalid value encountered")


def spread(count, total, squares):
    return math.sqrt(max(squares / count - (total / count) ** 2, 0)) if count >= 2 else 0


def share(part, whole):
    return part / whole if whole else 0


def naive_row(flow):
    get = {name: flow[name].item() for name in flow.dtype.names}
    packets_, back = get["packets"], get["reverse_packets"]
    seconds = (get["end"] - get["start"]) / 1e9
    size, back_size = get["bytes"], get["reverse_bytes"]
    spent, back_spent = get["interval_sum"] / 1e9, get["reverse_interval_sum"] / 1e9
    both = {name: get[name] + get[f"reverse_{name}"] for name in ("syn", "rst", "psh", "retransmissions")}
    first = (get["first_payload_hi"] << 64 | get["first_payload_lo"]).to_bytes(16, "big")
    first = first[: min(get["first_payload_bytes"], 16)]
    text = sum(byte in b"\t\n\r" or 32 <= byte < 127 for byte in first)
    values = {
        "duration": math.log1p(seconds),
        "packets": math.log1p(packets_),
        "reverse_packets": math.log1p(back),
        "bytes": math.log1p(size),
        "reverse_bytes": math.log1p(back_size),
        "length_mean": math.log1p(share(size, packets_)),
        "length_sd": math.log1p(spread(packets_, size, get["length_squares"])),
        "reverse_length_mean": math.log1p(share(back_size, back)),
        "reverse_length_sd": math.log1p(spread(back, back_size, get["reverse_length_squares"])),
        "interval_mean": math.log1p(share(spent, max(packets_ - 1, 0))),
        "interval_sd": math.log1p(spread(packets_ - 1, spent, get["interval_squares"])),
        "reverse_interval_mean": math.log1p(share(back_spent, max(back - 1, 0))),
        "idle_share": share(get["idle"] / 1e9, seconds),
        "byte_share": share(size, size + back_size),
        "packet_share": share(packets_, packets_ + back),
        "syn_count": math.log1p(both["syn"]),
        "rst_count": math.log1p(both["rst"]),
        "psh_share": share(both["psh"], packets_ + back),
        "retransmission_share": share(both["retransmissions"], packets_ + back),
        "first_payload_bytes": math.log1p(get["first_payload_bytes"]),
        "reverse_first_payload_bytes": math.log1p(get["reverse_first_payload_bytes"]),
        "first_payload_text": share(text, len(first)),
    }
    return [values[name] for name in names(FLOW_FEATURES)]


@given(packets(max_size=60))
@settings(max_examples=60, deadline=None)
def test_rows_of_the_meters_records_equal_the_twin(drawn):
    meter = Meter(capacity=8, active_timeout_secs=20.0, key=(1, 2))
    records = [seen.flows.copy() for seen in meter.observe(packet_rows(drawn), DATA)]
    records += [flows.copy() for flows in meter.flush()]
    flows = np.concatenate([np.zeros(0, FLOW), *records])
    rows = flow_rows(flows)
    assert rows.shape == (len(flows), len(FLOW_FEATURES))
    for row, flow in zip(rows, flows, strict=True):
        # A standard deviation from sums loses digits where the spread is tiny.
        assert row == pytest.approx(naive_row(flow), abs=1e-5)


@given(st.binary(min_size=FLOW.itemsize, max_size=FLOW.itemsize), st.integers(0, 255))
@settings(max_examples=150, deadline=None)
def test_any_bytes_give_finite_rows(noise, fill):
    flows = np.stack([np.frombuffer(noise, FLOW)[0], np.frombuffer(bytes([fill]) * len(noise), FLOW)[0]])
    rows = flow_rows(flows)
    assert np.isfinite(rows).all()
    assert (rows >= 0).all()


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 1.7e308, -1.0])
def test_sums_that_are_no_numbers_are_bounded(value):
    flows = np.zeros(1, FLOW)
    flows["packets"] = flows["reverse_packets"] = 10
    for name in ("length_squares", "interval_squares", "reverse_length_squares"):
        flows[name] = value
    assert np.isfinite(flow_rows(flows)).all()


@given(st.lists(st.integers(0, 40), max_size=6), st.integers(1, 30), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_answered_flows_are_taken_until_there_is_no_room(lengths, room, seed):
    rng = np.random.default_rng(seed)
    kept = FlowRows(room)
    left_over = np.zeros(0, FLOW)
    for length in lengths:
        flows = np.zeros(length, FLOW)
        for name in ("src_hi", "src_lo", "dst_lo", "bytes", "reverse_bytes"):
            flows[name] = rng.integers(0, 10_000, length)
        flows["packets"] = rng.integers(1, 9000, length)
        flows["reverse_packets"] = rng.integers(0, 3, length)
        seen, one_way = np.concatenate((left_over, flows)), kept.one_way
        left_over = kept.take(seen)
        taken = seen[: len(seen) - len(left_over)]
        assert len(taken) == min(len(seen), room)
        assert kept.is_full == (len(taken) == room)
        answered = taken[taken["reverse_packets"] > 0]
        assert kept.one_way - one_way == len(taken) - len(answered)
        rows, ends = kept.empty()
        assert (rows == flow_rows(answered)).all()
        for name in ends.dtype.names:
            assert (ends[name] == answered[name]).all()
    assert [len(part) for part in kept.empty()] == [0, 0]


@pytest.mark.parametrize("count", [0, 1, 4095, 4096, 4097, 2**32 - 1])
def test_looked_up_logarithms_are_the_same(count):
    flows = np.zeros(1, FLOW)
    flows["packets"], flows["reverse_packets"] = max(count, 1), 1
    flows["first_payload_bytes"] = count
    row = flow_rows(flows)[0]
    assert row[names(FLOW_FEATURES).index("first_payload_bytes")] == pytest.approx(
        math.log1p(count), rel=1e-15
    )
    assert row[names(FLOW_FEATURES).index("packets")] == pytest.approx(math.log1p(max(count, 1)), rel=1e-15)


def test_no_flows_no_rows():
    assert flow_rows(np.zeros(0, FLOW)).shape == (0, len(FLOW_FEATURES))


def test_each_flow_column_is_in_one_group():
    columns = [column for group in groups(FLOW_FEATURES).values() for column in group]
    assert sorted(columns) == list(range(len(FLOW_FEATURES)))
