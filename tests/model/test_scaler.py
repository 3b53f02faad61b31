import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from naive.model import squeeze

from sensor.model.half_space_trees import HalfSpaceTrees
from sensor.model.scaler import Scaler, find_finite

ANY = st.floats(allow_nan=True, allow_infinity=True)


def frozen(rows, **parameters):
    scaler = Scaler(rows.shape[1], rows=len(rows), **parameters)
    scaler.learn_many(rows)
    assert scaler.frozen
    return scaler


@given(arrays(np.float64, (7, 2), elements=ANY))
@settings(max_examples=60, deadline=None)
def test_every_value_lands_in_zero_to_one_where_the_plain_twin_says(values):
    scaler = frozen(np.random.default_rng(0).normal(3, 2, (100, 2)))
    scaled = scaler.transform_many(values)
    assert ((scaled >= 0) & (scaled <= 1)).all()
    for i, row in enumerate(values.tolist()):
        for j, value in enumerate(row):
            assert scaled[i, j] == pytest.approx(
                squeeze(value, float(scaler.low[j]), float(scaler.width[j])), abs=1e-12
            )


@given(st.lists(st.floats(-1e12, 1e12), min_size=2, max_size=20))
@settings(max_examples=60, deadline=None)
def test_order_is_kept(values):
    scaler = frozen(np.random.default_rng(0).normal(3, 2, (100, 1)))
    scaled = scaler.transform_many(np.sort(np.array(values))[:, None])[:, 0]
    assert (np.diff(scaled) >= 0).all()


def test_extremes_still_differ():
    scaler = frozen(np.random.default_rng(0).normal(3, 2, (100, 1)))
    scaled = scaler.transform_many(np.array([[10.0], [20.0], [200.0], [1e4], [np.inf]]))[:, 0]
    assert (np.diff(scaled) > 0).all()


@pytest.mark.parametrize("seed", range(5))
def test_one_absurd_row_moves_no_other_score(seed):
    rng = np.random.default_rng(seed)
    rows = np.log1p(rng.lognormal(4, 1, (1500, 6)))
    spoiled = rows.copy()
    spoiled[700] = 1e15
    scores = []
    for lesson in (rows, spoiled):
        scaler = Scaler(6, rows=1500)
        scaled = scaler.transform_many(scaler.learn_many(lesson))
        trees = HalfSpaceTrees(6, n_trees=25, height=8, window_size=500, seed=1)
        trees.learn_many(scaled)
        probe = np.delete(rows, 700, axis=0)
        scores.append(trees.score_many(scaler.transform_many(probe)))
    assert np.abs(scores[0] - scores[1]).max() < 0.01


def test_a_constant_feature_does_not_explode():
    rows = np.zeros((100, 2))
    rows[:, 1] = 5 + 1e-13 * np.arange(100)
    scaler = frozen(rows, min_range=0.25)
    scaled = scaler.transform_many(rows)
    np.testing.assert_allclose(scaled, 0.5, atol=1e-6)
    assert scaler.transform_many(np.array([[0.01, 5.01]])) == pytest.approx(0.52)


def test_not_finite_lessons_are_passed_over():
    rows = np.full((50, 3), np.nan)
    rows[:, 0] = np.linspace(0, 1, 50)
    rows[::2, 1] = np.inf
    rows[1::2, 1] = 4.0
    scaler = frozen(rows)
    assert np.isfinite(scaler.low).all()
    assert np.isfinite(scaler.width).all()
    assert scaler.median[1] == 4.0
    assert scaler.transform_many(np.array([[np.nan] * 3])).tolist() == [[0.5, 0.5, 0.5]]


@given(st.lists(st.integers(0, 40), max_size=5))
@settings(max_examples=30, deadline=None)
def test_all_rows_come_back_in_order_when_the_limits_freeze(cuts):
    rows = np.random.default_rng(2).normal(size=(40, 2))
    scaler = Scaler(2, rows=25)
    seen = []
    for part in np.split(rows, sorted(cuts)):
        frozen_before = scaler.frozen
        out = scaler.learn_many(part)
        if out is not None:
            assert not frozen_before
            seen.append(out)
        elif frozen_before:
            seen.append(part)
    assert (np.concatenate(seen) == rows).all()
    whole = Scaler(2, rows=25)
    whole.learn_many(rows)
    assert (whole.low == scaler.low).all()
    assert (whole.width == scaler.width).all()


def test_no_limits_no_answer():
    with pytest.raises(ValueError, match="no limits"):
        Scaler(2).transform_many(np.zeros((1, 2)))


@pytest.mark.parametrize("learned", [10, 30])
def test_state_goes_round(learned):
    rows = np.random.default_rng(2).normal(size=(60, 2))
    scaler, twin = Scaler(2, rows=25), Scaler(2, rows=25)
    scaler.learn_many(rows[:learned])
    twin.restore(scaler.state())
    assert twin.frozen == scaler.frozen
    for s in (scaler, twin):
        s.learn_many(rows[learned:])
    assert (twin.transform_many(rows) == scaler.transform_many(rows)).all()


def test_unusable_state_is_refused():
    state = frozen(np.random.default_rng(2).normal(size=(25, 2))).state()
    with pytest.raises(ValueError, match="another number"):
        Scaler(2, rows=26).restore(state)
    with pytest.raises(ValueError, match="low"):
        Scaler(3, rows=25).restore(state)
    state.arrays["width"][0] = 0
    with pytest.raises(ValueError, match="usable"):
        Scaler(2, rows=25).restore(state)


@pytest.mark.parametrize("wrong", [{"rows": 0}, {"min_range": 0.0}, {"widen": -1.0}])
def test_wrong_parameters_are_refused(wrong):
    with pytest.raises(ValueError, match="positive"):
        Scaler(2, **wrong)


def test_rows_that_are_not_finite_are_found():
    rows = np.array([[0.0, -1.7e308], [np.nan, 1.0], [2.0, np.inf], [-np.inf, 0.0], [1.7e308, 1.7e308]])
    finite = np.zeros(5, bool)
    find_finite(rows, finite)
    assert finite.tolist() == [True, False, False, False, True]
