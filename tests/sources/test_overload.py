"""How the level of sampling follows a ring's fill and packet time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.sources.overload import Overload

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
BLOCKS = 101  # so that a block is a percent, the one at hand left out


@pytest.mark.parametrize(
    ("percent", "level"),
    [(0, 1), (49, 1), (50, 2), (59, 2), (60, 4), (70, 8), (80, 16), (90, 32), (99, 32), (100, 64)],
)
def test_the_level_rises_at_once_with_the_ring(percent, level):
    assert Overload().update(percent + 1, BLOCKS, START) == level


def test_it_falls_a_step_for_each_calm_second_of_packet_time():
    overload = Overload()
    assert overload.update(71, BLOCKS, START) == 8
    seen = [overload.update(26, BLOCKS, START + SECOND + half * SECOND // 2) for half in range(8)]
    assert seen == [8, 8, 4, 4, 2, 2, 1, 1]


def test_a_ring_that_is_not_calm_for_a_moment_begins_the_second_anew():
    overload = Overload()
    overload.update(51, BLOCKS, START)
    overload.update(1, BLOCKS, START)
    overload.update(27, BLOCKS, START + SECOND - 1)
    assert overload.update(1, BLOCKS, START + SECOND) == 2
    assert overload.update(1, BLOCKS, START + 2 * SECOND - 1) == 2
    assert overload.update(1, BLOCKS, START + 2 * SECOND) == 1


def test_between_a_quarter_and_a_half_nothing_changes():
    overload = Overload()
    overload.update(51, BLOCKS, START)
    assert {overload.update(40, BLOCKS, START + step * SECOND) for step in range(100)} == {2}


@pytest.mark.parametrize("blocks", [2, 3, 8])
def test_a_single_waiting_block_is_no_overload_however_small_the_ring(blocks):
    assert Overload().update(1, blocks, START) == 1
    assert Overload().update(blocks, blocks, START) == 64


def test_what_was_seen_is_counted():
    overload = Overload()
    for waiting in (1, 81, 31):
        overload.update(waiting, BLOCKS, START)
    assert overload.counters() == {"sampling": 16, "overload_batches": 2, "ring_fill_percent": 80}


@given(st.lists(st.tuples(st.integers(0, 64), st.integers(0, 3 * SECOND)), max_size=60))
def test_the_level_is_a_power_of_two_and_falls_by_halves(steps):
    overload, now, before = Overload(), START, 1
    for waiting, passed in steps:
        now += passed
        level = overload.update(waiting, 64, now)
        assert level in (1, 2, 4, 8, 16, 32, 64)
        assert level >= before // 2
        assert waiting < 33 or level > 1
        before = level
