"""What several metering threads find is what one finds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from craft import batch
from ordinary import KEY, SECOND, SMALL, START, traffic

from sensor.alert.alert import Alert
from sensor.crew import Crew
from sensor.engine import Engine
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
