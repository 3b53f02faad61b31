"""The first-seen filter: what it may forget, what it may not, and how often it errs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive.novelty import LIMIT, NaiveFilter

from sensor.feature import novelty

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")
WORD = st.integers(0, 2**64 - 1)


def new_filter():
    return np.zeros((2, novelty.WORDS), np.uint64), np.zeros(2, np.int64)


def first_seen(bits, state, hashed):
    return bool(novelty.first_seen(bits, state, np.uint64(hashed)))


def near_rotation(state, left):
    """Make the generation believe that only `left` values are missing from its share."""
    state[1] = LIMIT - left


@given(st.lists(WORD | st.integers(0, 20), max_size=80), st.integers(1, 90))
@settings(max_examples=60)
def test_equals_the_twin_over_a_rotation(hashes, left):
    bits, state = new_filter()
    twin = NaiveFilter()
    near_rotation(state, left)
    twin.taken = LIMIT - left
    for hashed in hashes:
        assert first_seen(bits, state, hashed) == twin.first_seen(hashed)


@given(st.lists(WORD, min_size=1, max_size=50, unique=True), st.integers(1, 60))
@settings(max_examples=60)
def test_a_value_just_seen_is_never_new(hashes, left):
    bits, state = new_filter()
    near_rotation(state, left)
    for hashed in hashes:
        first_seen(bits, state, hashed)
        assert not first_seen(bits, state, hashed)


def test_is_remembered_for_a_generation_and_forgotten_after_two():
    bits, state = new_filter()
    values = np.random.default_rng(1).integers(0, 2**64, 40, np.uint64, endpoint=False)
    mark, fillers = values[0], values[1:]
    assert first_seen(bits, state, mark)
    near_rotation(state, 1)
    first_seen(bits, state, fillers[0])  # rotates: the mark is in the older generation now
    assert state.tolist() == [1, 0]
    for filler in fillers[1:20]:
        first_seen(bits, state, filler)
    assert not first_seen(bits, state, mark)  # and in the younger again
    near_rotation(state, 1)
    first_seen(bits, state, fillers[20])
    assert not first_seen(bits, state, mark)
    for filler in fillers[21:23]:
        near_rotation(state, 1)
        first_seen(bits, state, filler)
    # It was renewed just before the first of these two rotations, and not since.
    assert first_seen(bits, state, mark)


@pytest.mark.skipif(not hasattr(novelty.first_seen, "py_func"), reason="minutes without compiled kernels")
def test_full_generations_err_within_the_documented_bound():
    bits, state = new_filter()
    rng = np.random.default_rng(7)
    for hashed in rng.integers(0, 2**64, 2 * LIMIT - 1, np.uint64, endpoint=False):
        novelty.first_seen(bits, state, hashed)
    assert state[0] == 1
    assert state[1] > 0.99 * LIMIT  # values that seemed known were not taken in
    near_rotation(state, LIMIT)  # both are full; probe without a rotation
    probes = rng.integers(0, 2**64, 4000, np.uint64, endpoint=False)
    wrong = sum(not first_seen(bits, state, hashed) for hashed in probes)
    assert len(probes) / 300 < wrong < len(probes) / 130 + 3 * (len(probes) / 130) ** 0.5
