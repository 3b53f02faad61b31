"""What several metering threads find is what one finds."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from craft import batch
from ordinary import KEY, SECOND, SMALL, START, traffic

from sensor.alert.alert import Alert
from sensor.crew import Crew
from sensor.engine import Engine
from sensor.metering import Part
from sensor.packet.batch import FRAME, PacketBatch, empty_batch
from sensor.packet.decode import MAX_ROWS
from sensor.settings import FlowSettings

#: A capacity that no share of the flows fills.
ROOMY = replace(SMALL, flow=FlowSettings(capacity=4_000, active_timeout_secs=60.0))


def batches(seed: int, size: int = 173) -> list[PacketBatch]:
    packets = traffic(seed)
    return [
        batch(
            [frame for _, frame in packets[first : first + size]],
            [time for time, _ in packets[first : first + size]],
        )
        for first in range(0, len(packets), size)
    ]


def run(engine: Engine | Crew, given: list[PacketBatch]) -> list[Alert]:
    return [alert for one in given for alert in engine.process(one)] + engine.flush()


@pytest.mark.parametrize("workers", [2, 3, 5])
@pytest.mark.parametrize("seed", [1, 2])
def test_alerts_and_counts_are_those_of_one_engine(seed: int, workers: int) -> None:
    engine, crew = Engine(ROOMY, KEY), Crew(ROOMY, KEY, workers)
    expected = run(engine, batches(seed))
    assert expected, "the traffic holds a scan"
    assert run(crew, batches(seed)) == expected
    assert crew.counters() == engine.counters()
    assert crew.status() == engine.status()


def test_every_metering_has_a_share() -> None:
    crew = Crew(ROOMY, KEY, 2)
    run(crew, batches(1))
    started = [metering.counters()["flow"]["flows_started"] for metering in crew._meterings]
    assert min(started) > 0.2 * sum(started)


def test_borrowed_bytes_may_be_reused_at_once() -> None:
    expected = run(Engine(ROOMY, KEY), batches(1))
    crew = Crew(ROOMY, KEY, 2)
    found: list[Alert] = []
    for one in batches(1):
        found += crew.process(one)
        one.data[:] = 0xFF
        one.frames["caplen"] = 0
    assert found + crew.flush() == expected


def test_an_idle_tick_hands_over_what_waits() -> None:
    crew = Crew(ROOMY, KEY, 2)
    told = [alert for one in batches(1) for alert in crew.process(one)]
    later = START + 3_000 * SECOND
    told += crew.process(empty_batch(later)) + crew.process(empty_batch(later + SECOND))
    assert crew.flush() == []
    assert told


def test_nothing_in_gives_nothing() -> None:
    crew = Crew(ROOMY, KEY, 2)
    assert crew.process(empty_batch(START)) == []
    assert crew.flush() == []


def test_a_failure_in_a_thread_is_raised() -> None:
    crew = Crew(ROOMY, KEY, 2)
    too_many = PacketBatch(np.zeros(10, np.uint8), np.zeros(MAX_ROWS + 1, FRAME), START)
    with pytest.raises(ValueError, match="cut batches"):
        crew.process(too_many)
    crew.flush()


def test_what_the_source_lost_is_told_as_by_one_engine() -> None:
    lossy = [one._replace(lost=40, sampling=1 + number % 3) for number, one in enumerate(batches(1))]
    expected = run(Engine(ROOMY, KEY), lossy)
    assert "sensor_blind" in [alert.kind.id for alert in expected]
    assert {alert.sampling for alert in expected} > {1}
    found = run(Crew(ROOMY, KEY, 2), lossy)
    # Each share sheds by its own counts, so values under sampling differ; what is told does not.
    assert [(one.kind.id, one.entity, one.time, one.sampling) for one in found] == [
        (one.kind.id, one.entity, one.time, one.sampling) for one in expected
    ]
    about_sensor = [one.message for one in expected if one.kind.about_sensor]
    assert [one.message for one in found if one.kind.about_sensor] == about_sensor


def test_nobody_goes_on_with_a_batch_that_another_failed_on() -> None:
    crew = Crew(ROOMY, KEY, 2)
    failed, done = threading.Event(), threading.Event()

    def fails(_: PacketBatch) -> Iterator[Part]:
        failed.set()
        raise ValueError("one of them")

    def is_slow(_: PacketBatch) -> Iterator[Part]:
        failed.wait(10.0)
        done.wait(0.2)
        done.set()
        return iter(())

    crew._meterings[0].take, crew._meterings[1].take = fails, is_slow  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="one of them"):
        crew.process(empty_batch(START))
    assert done.is_set()


def test_threads_end_though_the_last_flush_fails() -> None:
    crew = Crew(ROOMY, KEY, 2)
    run_out = [one for one in batches(1)[:1] if crew.process(one) == []]
    assert run_out

    def fails() -> Iterator[Part]:
        raise ValueError("at the end")

    crew._meterings[1].flush = fails  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="at the end"):
        crew.flush()
    assert not any(thread.is_alive() for thread in crew._pool._threads)
