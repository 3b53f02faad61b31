import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from naive.model import deviation_p

from sensor.kernel import numba
from sensor.model.deviation import Deviation

FLOOR = float(np.log(1_000))


def quiet(n=5_000, d=1, seed=0):
    return np.log1p(np.random.default_rng(seed).lognormal(3, 1, (n, d)))


def p_of(deviation, value):
    return float(deviation.p_many(np.full((1, deviation.n_features), value))[0, 0])


def test_a_cold_detector_judges_by_the_floor_alone():
    cold = Deviation([FLOOR])
    assert p_of(cold, 0.0) == 1
    assert p_of(cold, FLOOR) == pytest.approx(0.1)
    assert p_of(cold, FLOOR + np.log(10)) == pytest.approx(1e-5, rel=0.01)
    assert p_of(cold, FLOOR + np.log(100)) == pytest.approx(1e-9, rel=0.01)
    assert 0 < p_of(cold, 1e300) <= 1e-200


def test_below_the_floor_nothing_is_unusual_however_quiet_the_past():
    deviation = Deviation([FLOOR])
    deviation.learn_many(np.zeros((10_000, 1)))
    assert p_of(deviation, FLOOR) >= 0.1
    assert p_of(deviation, FLOOR + np.log(3)) < 2e-5


def test_a_loud_past_makes_loud_usual():
    deviation = Deviation([FLOOR])
    loud = np.random.default_rng(0).normal(FLOOR + np.log(20), 0.5, (2_000, 1))
    assert p_of(deviation, loud[0, 0]) < 1e-4
    deviation.learn_many(loud)
    assert p_of(deviation, FLOOR + np.log(20)) > 0.3
    assert p_of(deviation, FLOOR + np.log(2_000)) < 1e-3


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="needs 300,000 rows")
def test_the_tail_errs_on_the_quiet_side():
    deviation = Deviation([0.5])
    deviation.learn_many(quiet(50_000))
    p = deviation.p_many(quiet(300_000, seed=1))[:, 0]
    assert 0.5 < (p <= 1e-2).mean() / 1e-2 < 1.5
    assert 0.2 < (p <= 1e-3).mean() / 1e-3 < 1.5
    assert (p <= 1e-4).mean() / 1e-4 < 1.5


@given(st.lists(st.floats(0, 12), max_size=80), st.floats(0, 20), st.floats(0.1, 8))
@settings(max_examples=60, deadline=None)
def test_equal_to_the_plain_twin(lesson, probe, floor):
    deviation = Deviation([floor], half_life_rows=1e12)
    deviation.learn_many(np.array(lesson).reshape(-1, 1))
    assert p_of(deviation, probe) == pytest.approx(deviation_p(lesson, probe, floor), rel=1e-6)


@given(arrays(np.float64, (12, 2), elements=st.floats(-1e3, 1e3)), st.lists(st.floats(-1, 1e9), min_size=2))
@settings(max_examples=60, deadline=None)
def test_p_is_in_range_and_falls_with_the_value(lesson, probes):
    deviation = Deviation([2.0, 0.0])
    deviation.learn_many(lesson)
    p = deviation.p_many(np.repeat(np.sort(np.array(probes))[:, None], 2, axis=1))
    assert ((p > 0) & (p <= 1)).all()
    assert (np.diff(p, axis=0) <= 1e-12).all()


@given(
    arrays(np.float64, (30, 3), elements=st.floats(0, 12)),
    arrays(np.float64, (20, 3), elements=st.floats(-1, 40) | st.just(np.nan)),
    st.sampled_from([1e-9, 1e-3, 0.1, 0.19, 0.2, 0.9]),
)
@settings(max_examples=60, deadline=None)
def test_no_rare_row_is_left_unmarked(lesson, probes, p):
    deviation = Deviation([2.0, 6.0, np.inf], tests=2)
    for _ in range(2):  # cold, then learned
        marks, p_values = np.zeros(len(probes), bool), deviation.row_p_many(deviation.p_many(probes))
        deviation.mark_rare(probes, p, marks)
        assert marks[p_values <= p].all()
        if p < 0.2:
            assert not marks[p_values > p * 1.001].any()
        deviation.learn_many(lesson)


@given(st.lists(st.integers(0, 200), max_size=5))
@settings(max_examples=20, deadline=None)
def test_cuts_between_calls_leave_no_trace(cuts):
    rows = quiet(200, 3)
    whole, pieces = (Deviation([1.0, 2.0, 3.0], half_life_rows=40.0) for _ in range(2))
    whole.learn_many(rows)
    for part in np.split(rows, sorted(cuts)):
        pieces.learn_many(part)
    assert (whole.p_many(rows) == pieces.p_many(rows)).all()
    assert (whole.score_many(rows[::-1]) == whole.score_many(rows)[::-1]).all()


def test_it_forgets_at_its_half_life():
    deviation = Deviation([1.0], half_life_rows=100.0)
    deviation.learn_many(np.full((300, 1), 8.0))
    assert p_of(deviation, 8.0) > 0.5
    deviation.learn_many(np.zeros((2_000, 1)))
    assert p_of(deviation, 8.0) < 1e-5
    fast = Deviation([1.0], half_life_rows=1.0)
    fast.learn_many(np.full((3_000, 1), 8.0))
    assert np.isfinite(fast.state().arrays["counts"]).all()
    assert p_of(fast, 8.0) <= 1


def test_row_by_row_is_score_then_learn():
    rows = quiet(30, 2)
    one, other = (Deviation([2.0, 2.0]) for _ in range(2))
    expected = []
    for row in rows:
        expected.append(one.score_many(row[None])[0])
        one.learn_many(row[None])
    assert other.score_learn_many(rows).tolist() == expected


def test_odd_values_say_nothing_and_teach_nothing_high():
    deviation = Deviation([1.0])
    deviation.learn_many(np.array([[np.nan], [-np.inf], [-5.0]] * 50))
    assert p_of(deviation, np.nan) == 1
    assert p_of(deviation, -np.inf) > 0.9
    assert 0 < p_of(deviation, np.inf) < 1e-100


def test_a_feature_without_a_floor_is_never_unusual():
    deviation = Deviation([np.inf, 1.0])
    rows = np.array([[50.0, 0.0], [50.0, 5.0]])
    p = deviation.p_many(rows)
    assert (p[:, 0] == 1).all()
    row_p = deviation.row_p_many(p)
    assert row_p[1] == pytest.approx(p[1, 1])  # Bonferroni over the one that counts
    assert (Deviation([np.inf]).score_many(np.array([[9.0]])) == 0).all()


@pytest.mark.parametrize("q", [0.05, 1e-3, 1e-6])
def test_expected_upper_is_where_p_is_q(q):
    deviation = Deviation([1.0, 3.0, np.inf])
    deviation.learn_many(quiet(3_000, 3))
    upper = deviation.expected_upper(q)
    assert upper[2] == np.inf
    at = deviation.p_many(np.where(np.isinf(upper), 0, upper)[None])[0, :2]
    below = deviation.p_many(np.where(np.isinf(upper), 0, upper - 1e-6)[None])[0, :2]
    assert (at <= q).all()
    assert (below > q).all()


def test_contributions_name_the_feature_that_is_high():
    deviation = Deviation([2.0] * 3)
    rows = quiet(2_000, 3)
    deviation.learn_many(rows)
    lost = deviation.contributions(np.array([3.0, 9.0, 3.0]), np.full(3, 3.0))
    assert lost.argmax() == 1
    assert lost[[0, 2]].tolist() == [0, 0]


def test_state_goes_round():
    rows = quiet(400, 2)
    deviation, twin = Deviation([1.0, np.inf]), Deviation([1.0, np.inf])
    deviation.learn_many(rows[:250])
    twin.restore(deviation.state())
    for d in (deviation, twin):
        d.learn_many(rows[250:])
    assert (twin.p_many(rows) == deviation.p_many(rows)).all()


def test_unusable_state_is_refused():
    state = Deviation([1.0, 2.0]).state()
    with pytest.raises(ValueError, match="counts"):
        Deviation([1.0]).restore(state)
    state.arrays["clock"][0] = np.inf
    with pytest.raises(ValueError, match="finite"):
        Deviation([1.0, 2.0]).restore(state)


@pytest.mark.parametrize("floors", [[], [-1.0], [np.nan], 3.0])
def test_wrong_floors_are_refused(floors):
    with pytest.raises(ValueError, match="floors"):
        Deviation(floors)


def test_wrong_priors_are_refused():
    with pytest.raises(ValueError, match="positive"):
        Deviation([1.0], prior_rows=0)
