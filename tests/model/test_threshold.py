import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive.model import empirical_p

from sensor.kernel import numba
from sensor.model.threshold import BINS, Threshold

SMALL = bool(numba.config.DISABLE_JIT)
DRAWS = {
    "exponential": lambda rng, n: rng.exponential(size=n),
    "gaussian": lambda rng, n: rng.normal(size=n),
    "uniform": lambda rng, n: rng.random(n),
}


def learned(scores, **parameters):
    threshold = Threshold(min_rows=10, **parameters)
    threshold.learn_many(np.asarray(scores, np.float64))
    return threshold


@pytest.mark.parametrize("name", DRAWS)
def test_p_values_of_the_same_source_are_uniform(name):
    rng = np.random.default_rng(3)
    n = 2_000 if SMALL else 20_000
    p = np.sort(learned(DRAWS[name](rng, n)).p_many(DRAWS[name](rng, n)))
    distance = np.abs(p - (np.arange(n) + 0.5) / n).max()
    assert distance < (0.08 if SMALL else 0.035)


@pytest.mark.skipif(SMALL, reason="needs 400,000 rows")
@pytest.mark.parametrize("name", ["exponential", "gaussian"])
@pytest.mark.parametrize("seed", range(3))
def test_the_tail_is_honest_beyond_what_was_learned(name, seed):
    rng = np.random.default_rng(seed)
    threshold = learned(DRAWS[name](rng, 20_000))
    p = threshold.p_many(DRAWS[name](rng, 400_000))
    assert 1 / 3 < (p <= 1e-4).mean() / 1e-4 < 3
    assert 1 / 2 < (p <= 1e-3).mean() / 1e-3 < 2


@given(
    st.lists(st.floats(-50, 50), min_size=20, max_size=60),
    st.lists(st.floats(-1e200, 1e200), min_size=2, max_size=30),
    st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_p_is_in_range_and_falls_with_the_score(lesson, probes, known_range):
    threshold = learned(lesson, **({"low": -10, "high": 10} if known_range else {"range_rows": 15}))
    p = threshold.p_many(np.sort(np.array(probes)))
    assert ((p > 0) & (p <= 1)).all()
    assert (np.diff(p) <= 1e-12).all()


@given(st.lists(st.floats(0, 1), min_size=30, max_size=60), st.floats(0, 0.7))
@settings(max_examples=40, deadline=None)
def test_the_bulk_is_the_plain_twins_weighted_share(lesson, probe):
    threshold = learned(lesson, low=0.0, high=1.0, half_life_rows=20.0)
    if probe >= threshold.fit().start:
        return
    expected = empirical_p(lesson, 20.0, 1 / BINS, 0.0, probe)
    assert threshold.p_many(np.array([probe]))[0] == pytest.approx(expected, rel=1e-9)


@given(st.lists(st.integers(0, 400), max_size=5))
@settings(max_examples=30, deadline=None)
def test_cuts_between_calls_leave_no_trace(cuts):
    scores = np.random.default_rng(4).exponential(size=400)
    whole = learned(scores, half_life_rows=50.0)
    pieces = Threshold(min_rows=10, half_life_rows=50.0)
    for part in np.split(scores, sorted(cuts)):
        pieces.learn_many(part)
    probe = np.linspace(-1, 30, 50)
    assert (whole.p_many(probe) == pieces.p_many(probe)).all()


def test_weights_stay_finite_when_the_clock_is_fast():
    threshold = learned(np.random.default_rng(4).random(3_000), low=0.0, high=1.0, half_life_rows=1.0)
    assert np.isfinite(threshold.p_many(np.linspace(-1, 2, 50))).all()


@pytest.mark.parametrize("lesson", [[3.0] * 500, [0.0] * 499 + [1.0]])
def test_equal_scores_are_not_unusual(lesson):
    for threshold in (learned(lesson), learned(lesson, low=0.0, high=6.0)):
        assert threshold.p_many(np.array([lesson[0]]))[0] > 0.9
        assert threshold.p_many(np.array([lesson[0] + 5.0]))[0] < 0.01


def test_what_was_seen_among_n_rows_is_no_rarer_than_that():
    lesson = np.concatenate((np.random.default_rng(0).random(1_000) * 0.1, np.full(10, 5.0)))
    threshold = learned(lesson, low=0.0, high=6.0)
    assert threshold.p_many(np.array([5.0]))[0] >= 10 / 1_012


@given(st.floats(1e-12, 0.9))
@settings(max_examples=40, deadline=None)
def test_score_at_is_the_inverse(p):
    threshold = learned(np.random.default_rng(5).exponential(size=3_000))
    score = threshold.score_at(p)
    assert threshold.p_many(np.array([score]))[0] <= p
    assert threshold.p_many(np.array([score * (1 - 1e-6) - 1e-6]))[0] > p


@given(
    st.lists(st.floats(0, 5) | st.sampled_from([1.0, 2.0]), min_size=12, max_size=200),
    st.lists(st.floats(-2, 12) | st.just(np.nan), min_size=1, max_size=40),
    st.sampled_from([1e-12, 1e-3, 0.019, 0.0201, 0.3, 0.97]) | st.floats(0, 1),
    st.booleans(),
)
@settings(max_examples=120, deadline=None)
def test_marks_are_where_p_is_at_most_that(lesson, probes, p, known_range):
    bounds = {"low": 0.0, "high": 6.0} if known_range else {"range_rows": 10}
    threshold = learned(lesson, **bounds)
    probes = np.concatenate((probes, lesson, np.arange(BINS) * 6.0 / BINS))
    marks = np.zeros(len(probes), bool)
    threshold.mark_rare(probes, p, marks)
    assert (marks == (threshold.p_many(probes) <= p)).all()


def test_marks_are_added_and_none_while_not_ready():
    marks = np.array([True, False])
    Threshold(min_rows=100).mark_rare(np.array([1.0, 1e9]), 0.9, marks)
    assert marks.tolist() == [True, False]
    learned(np.linspace(0, 1, 500)).mark_rare(np.array([0.0, 1e9]), 0.01, marks)
    assert marks.tolist() == [True, True]


def test_not_ready_says_nothing():
    threshold = Threshold(min_rows=100)
    threshold.learn_many(np.arange(99.0))
    assert not threshold.ready
    assert (threshold.p_many(np.array([1.0, 1e9])) == 1).all()
    assert threshold.score_at(0.01) == np.inf


def test_scores_that_are_none_are_left_out():
    lesson = np.random.default_rng(6).random(500)
    threshold = learned(np.concatenate((lesson, [np.nan, np.inf, -np.inf])))
    assert threshold.trained_rows == 500
    p = threshold.p_many(np.array([np.nan, np.inf, -np.inf]))
    assert p[0] == 1
    assert 0 < p[1] < 1e-10
    assert p[2] > 0.99


@pytest.mark.parametrize("n", [0, 100, 1_000])
def test_state_goes_round(n):
    scores = np.random.default_rng(7).exponential(size=2_000)
    threshold, twin = Threshold(min_rows=50), Threshold(min_rows=50)
    threshold.learn_many(scores[:n])
    twin.restore(threshold.state())
    probe = np.linspace(0, 20, 50)
    assert (twin.p_many(probe) == threshold.p_many(probe)).all()
    for t in (threshold, twin):
        t.learn_many(scores[n:])
    assert (twin.p_many(probe) == threshold.p_many(probe)).all()


def test_unusable_state_is_refused():
    state = learned(np.arange(300.0)).state()
    with pytest.raises(ValueError, match="another threshold"):
        Threshold(min_rows=11).restore(state)
    state.arrays["counts"][0] = np.nan
    with pytest.raises(ValueError, match="finite"):
        Threshold(min_rows=10).restore(state)


@pytest.mark.parametrize("wrong", [{"min_rows": 0}, {"half_life_rows": 0.0}, {"low": 1.0, "high": 1.0}])
def test_wrong_parameters_are_refused(wrong):
    with pytest.raises(ValueError, match=r"min_rows|above"):
        Threshold(**wrong)
