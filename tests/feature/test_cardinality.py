"""HyperLogLog against exact sets and against its plain twin."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from naive.cardinality import REGISTERS, NaiveCounter

from sensor.feature import cardinality

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")
STANDARD_ERROR = 1.04 / math.sqrt(REGISTERS)
WORD = st.integers(0, 2**64 - 1)


def counted(hashes):
    registers = np.zeros(REGISTERS, np.uint8)
    for hashed in hashes:
        cardinality.add(registers, np.uint64(hashed))
    return registers


def random_hashes(count, seed):
    return np.random.default_rng(seed).integers(0, 2**64, count, np.uint64, endpoint=False)


@given(st.lists(WORD | st.integers(0, 63).map(lambda shift: 1 << shift), max_size=200))
@example([0])
@example([2**64 - 1, 0, 1 << 63, 1 << 7])
def test_equals_the_twin(hashes):
    registers, twin = counted(hashes), NaiveCounter()
    for hashed in hashes:
        twin.add(hashed)
    assert registers.tolist() == twin.registers
    assert cardinality.estimate(registers) == twin.estimate()


@given(st.lists(WORD, max_size=60))
def test_order_and_repetition_do_not_count(hashes):
    assert counted(hashes).tolist() == counted(hashes[::-1] + hashes).tolist()


@pytest.mark.parametrize("count", [1, 3, 10, 30, 100, 300, 1000, 3000, 10_000])
def test_is_within_three_standard_errors(count):
    for seed in range(5):
        estimate = cardinality.estimate(counted(random_hashes(count, seed)))
        assert abs(estimate - count) <= max(3 * STANDARD_ERROR * count, 1)


@pytest.mark.skipif(not hasattr(cardinality.add, "py_func"), reason="a minute without compiled kernels")
@pytest.mark.parametrize("seed", range(3))
def test_a_hundred_thousand(seed):
    assert abs(cardinality.estimate(counted(random_hashes(100_000, seed))) / 1e5 - 1) <= 3 * STANDARD_ERROR


@given(st.integers(0, 50), st.integers(0, 2**32))
@settings(max_examples=60)
def test_small_counts_are_off_by_chance_collisions_only(count, seed):
    # Linear counting's variance is m (e^t - t - 1), t = n / m (Whang et al., 1990).
    t = count / REGISTERS
    spread = math.sqrt(REGISTERS * (math.exp(t) - t - 1))
    estimate = cardinality.estimate(counted(random_hashes(count, seed)))
    assert abs(estimate - count) <= 5 * spread + 1
    assert (estimate == 0) == (count == 0)


def test_full_registers_give_a_finite_estimate():
    assert 1e16 < cardinality.estimate(np.full(REGISTERS, cardinality.MAX_RANK, np.uint8)) < 1e17
