"""The engine's promise: what was cut where, and how often it idled, cannot be seen in the result."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import numpy as np
import pytest
from craft import ACK, TCP, UDP, batch, ethernet, ipv4, tcp, udp
from hypothesis import given, settings
from hypothesis import strategies as st
from ordinary import KEY, SECOND, SMALL, START, traffic

from sensor.alert.alert import Alert
from sensor.engine import Engine
from sensor.packet.batch import PacketBatch, empty_batch
from sensor.settings import FeatureSettings, FlowSettings, PacketSettings


def run(engine: Engine, packets: list[tuple[int, bytes]], cuts: list[int], ticks: list[int]) -> list[Alert]:
    """Process `packets` cut at `cuts`, with an idle tick of up to `ticks` ns after each batch."""
    alerts: list[Alert] = []
    edges = [0, *sorted(cut % (len(packets) + 1) for cut in cuts), len(packets)]
    for i, (begin, end) in enumerate(itertools.pairwise(edges)):
        part = packets[begin:end]
        if part:
            alerts += engine.process(batch([frame for _, frame in part], [time for time, _ in part]))
        if ticks and end and end < len(packets):
            gap = packets[end][0] - packets[end - 1][0]
            now = packets[end - 1][0] + min(gap, ticks[i % len(ticks)])
            alerts += engine.process(empty_batch(now))
    return alerts + engine.flush()


WHOLE: dict[int, tuple[list[Alert], dict[str, dict[str, int]]]] = {}


def whole(seed: int) -> tuple[list[Alert], dict[str, dict[str, int]]]:
    if seed not in WHOLE:
        engine = Engine(SMALL, KEY)
        WHOLE[seed] = run(engine, traffic(seed), [], []), engine.counters()
    return WHOLE[seed]


def test_finds_the_attacks_and_says_so() -> None:
    alerts, counters = whole(1)
    found = {(alert.kind.id, alert.entity) for alert in alerts if not alert.kind.about_sensor}
    assert ("port_scan", "10.0.0.66") in found
    assert ("arp_scan", "10.0.0.67") in found
    assert {entity for _, entity in found} == {"10.0.0.66", "10.0.0.67"}
    assert counters["feature"]["hosts_evicted"] == 0


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(1, 3),
    cuts=st.lists(st.integers(0, 10_000), max_size=12),
    ticks=st.lists(st.integers(0, 70 * SECOND), max_size=3),
)
def test_cuts_and_ticks_cannot_be_seen(seed: int, cuts: list[int], ticks: list[int]) -> None:
    engine = Engine(SMALL, KEY)
    alerts = run(engine, traffic(seed), cuts, ticks)
    expected, counters = whole(seed)
    assert alerts == expected
    assert engine.counters() == counters


@pytest.mark.parametrize("hosts", [2, 6])
def test_cuts_cannot_be_seen_when_tables_overflow(hosts: int) -> None:
    tight = replace(SMALL, flow=FlowSettings(capacity=8), feature=FeatureSettings(hosts=hosts))
    results = []
    for cuts in ([], [100, 101, 500, 900, 1300], list(range(0, 2_000, 37))):
        engine = Engine(tight, KEY)
        results.append((run(engine, traffic(2), cuts, [SECOND]), engine.counters()))
    assert results[0] == results[1] == results[2]
    assert results[0][1]["feature"]["hosts_evicted"] > 0
    assert results[0][1]["flow"]["flows_ended_lack_of_resources"] > 0


def test_the_seed_changes_identifiers_and_nothing_else_is_random() -> None:
    again = run(Engine(SMALL, KEY), traffic(1), [], [])
    assert again == whole(1)[0]
    other = run(Engine(replace(SMALL, seed=9), KEY), traffic(1), [], [])
    assert {a.id for a in other}.isdisjoint({a.id for a in again})


def test_an_empty_input_gives_nothing() -> None:
    engine = Engine(SMALL, KEY)
    assert engine.process(empty_batch(START)) == []
    assert engine.flush() == []
    assert engine.status().first == 0


def test_windows_without_packets_cost_nothing() -> None:
    """A year of silence must not be walked window by window."""
    packets = traffic(1, seconds=20)
    later = [(time + 365 * 86_400 * SECOND, frame) for time, frame in packets]
    engine = Engine(SMALL, KEY)
    run(engine, packets + later, [], [])
    assert engine.counters()["feature"]["windows"] < 200


@pytest.mark.parametrize("time", [0, 1, 2**63 - 1, -5])
def test_any_time_is_survived(time: int) -> None:
    frames = [frame for _, frame in traffic(1, seconds=2)[:50]]
    engine = Engine(SMALL, KEY)
    engine.process(batch(frames, [time] * len(frames)))
    engine.process(batch(frames, [START] * len(frames)))
    engine.flush()
    assert engine.counters()["packet"]["frames"] == 2 * len(frames)


@settings(max_examples=30, deadline=None)
@given(
    data=st.binary(max_size=4000), sizes=st.lists(st.integers(0, 200), max_size=60), seed=st.integers(0, 99)
)
def test_random_bytes_never_raise(data: bytes, sizes: list[int], seed: int) -> None:
    rng = random.Random(seed)
    frames = [data[(at := rng.randrange(len(data) + 1)) : at + size] for size in sizes]
    engine = Engine(SMALL, KEY)
    times = [START + rng.randrange(-(10**12), 10**12) for _ in frames]
    engine.process(batch(frames, times))
    engine.flush()
    assert engine.counters()["packet"]["frames"] == len(frames)


def test_the_batch_is_only_read() -> None:
    packets = traffic(1, seconds=5)
    given_batch = batch([frame for _, frame in packets], [time for time, _ in packets])
    before = PacketBatch(given_batch.data.copy(), given_batch.frames.copy(), given_batch.now)
    Engine(SMALL, KEY).process(given_batch)
    assert np.array_equal(before.data, given_batch.data)
    assert np.array_equal(before.frames, given_batch.frames)


def test_unknown_link_types_are_named_and_counted_up_to_a_limit() -> None:
    engine = Engine(SMALL, KEY)
    engine.process(batch([bytes(20)] * 40, link_type=[147] * 3 + [148 + i % 15 for i in range(37)]))
    packet = engine.counters()["packet"]
    assert packet["error_unknown_link_type"] == 40
    assert packet["error_unknown_link_type_147"] == 3
    assert sum(name.startswith("error_unknown_link_type_") for name in packet) == 8


def given_in(engine: Engine, packets: list[tuple[int, bytes]], size: int, **source: int) -> list[Alert]:
    """Process `packets` in batches of `size`, of which the source says `source`."""
    alerts: list[Alert] = []
    for first in range(0, len(packets), size):
        part = packets[first : first + size]
        one = batch([frame for _, frame in part], [time for time, _ in part])
        alerts += engine.process(one._replace(**source))
    return alerts + engine.flush()


def test_packets_lost_in_the_last_second_are_told() -> None:
    alerts = given_in(Engine(SMALL, KEY), traffic(1, seconds=5), 100_000, lost=5_000)
    assert "sensor_blind" in [alert.kind.id for alert in alerts]


def test_every_alert_of_a_window_under_overload_says_so_however_it_was_cut() -> None:
    packets = traffic(1, seconds=60)
    told = [
        [(alert.id, alert.sampling) for alert in given_in(Engine(SMALL, KEY), packets, size, sampling=4)]
        for size in (60, 100_000)
    ]
    assert told[0] == told[1]
    assert 4 in {sampling for _, sampling in told[1]}


def test_a_mirror_that_copies_is_told_however_it_was_cut() -> None:
    copied = replace(SMALL, packet=PacketSettings(duplicates="on"))
    packets = []
    for number in range(300):
        query = udp(number.to_bytes(8, "big"), src_port=1_000 + number % 50, dst_port=53)
        frame = ethernet(ipv4(query, src="10.0.0.2", dst="10.0.1.9", proto=UDP))
        time = START + number * SECOND // 2
        packets += [(time, frame), (time + 1_000, frame)]
    told = [given_in(Engine(copied, KEY), packets, size) for size in (10, 100_000)]
    assert told[0] == told[1]
    assert "duplicated_mirror" in [alert.kind.id for alert in told[0]]


def test_silence_says_nothing_of_the_mirror_whether_it_ticked_or_not() -> None:
    def acks(count: int, start: int) -> list[tuple[int, bytes]]:
        """Data, and an answer to each that now and then is for more than was seen."""
        packets, seq = [], 1
        for number in range(count):
            data = tcp(bytes(10), flags=ACK, src_port=1_000, dst_port=80, seq=seq, ack=1)
            seq += 60 if number % 5 == 0 else 10
            answer = tcp(flags=ACK, src_port=80, dst_port=1_000, seq=1, ack=seq)
            time = start + number * 2_000_000
            packets.append((time, ethernet(ipv4(data, src="10.0.0.1", dst="10.0.0.2", proto=TCP))))
            packets.append(
                (time + 1_000_000, ethernet(ipv4(answer, src="10.0.0.2", dst="10.0.0.1", proto=TCP)))
            )
        return packets

    results = []
    for ticks in ([], range(10, 400, 10)):
        engine = Engine(SMALL, KEY)
        alerts: list[Alert] = []
        for part in (acks(700, START), acks(400, START + 400 * SECOND)):
            alerts += engine.process(batch([frame for _, frame in part], [time for time, _ in part]))
            for tick in ticks:
                alerts += engine.process(empty_batch(START + tick * SECOND))
        results.append(alerts + engine.flush())
    assert results[0] == results[1]
    assert "capture_loss" in [alert.kind.id for alert in results[0]]
