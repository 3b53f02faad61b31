import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river.anomaly import HalfSpaceTrees as RiverHalfSpaceTrees

from sensor.kernel import numba
from sensor.model.half_space_trees import HalfSpaceTrees
from sensor.model.river_trees import key

ROWS = 200 if numba.config.DISABLE_JIT else 20_000


def river_scores(river, rows, columns=None):
    columns = range(rows.shape[1]) if columns is None else columns
    scores = []
    for row in rows.tolist():
        x = {key(column): row[column] for column in columns}
        scores.append(river.score_one(x))
        river.learn_one(x)
    return np.array(scores, np.float64)


def pair(seed, *, n_features=20, **parameters):
    river = RiverHalfSpaceTrees(seed=seed, **parameters)
    return HalfSpaceTrees(n_features, seed=seed, **parameters), river


def rows_of_kind(seed, n, d):
    rng = np.random.default_rng(seed)
    return np.where(rng.random((n, 1)) < 0.9, rng.beta(2, 5, (n, d)), rng.random((n, d)))


@pytest.mark.parametrize(
    ("seed", "height", "n_trees", "window_size"), [(1, 6, 10, 250), (2, 8, 25, 1000), (3, 12, 10, 250)]
)
def test_scores_equal_river_to_the_last_bit(seed, height, n_trees, window_size):
    window_size = min(window_size, ROWS // 4)
    ours, river = pair(seed, height=height, n_trees=n_trees, window_size=window_size)
    rows = rows_of_kind(seed, ROWS, 20)
    scores = ours.score_learn_many(rows)
    assert np.abs(scores - river_scores(river, rows)).max() == 0.0
    assert (scores[:window_size] == 0).all()
    assert len(np.unique(scores)) > 50


def test_odd_values_go_where_river_sends_them():
    ours, river = pair(5, n_features=3, height=4, n_trees=5, window_size=20)
    rows = rows_of_kind(5, 200, 3)
    rows[::7, 0] = np.nan
    rows[::11, 1] = np.inf
    rows[::13, 2] = -np.inf
    rows[::5, 1] = 7.5
    rows[::3, 2] = -1e300
    assert (ours.score_learn_many(rows) == river_scores(river, rows)).all()


def test_columns_are_a_forest_of_their_own():
    columns = [4, 1, 2]
    ours = HalfSpaceTrees(6, columns=columns, seed=9, height=5, n_trees=4, window_size=30)
    river = RiverHalfSpaceTrees(seed=9, height=5, n_trees=4, window_size=30)
    rows = rows_of_kind(9, 150, 6)
    assert (ours.score_learn_many(rows) == river_scores(river, rows, sorted(columns))).all()


@given(st.lists(st.integers(0, 70), max_size=6), st.integers(1, 40), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_cuts_between_calls_leave_no_trace(cuts, window_size, seed):
    rows = rows_of_kind(seed, 70, 4)
    whole = HalfSpaceTrees(4, n_trees=3, height=3, window_size=window_size, seed=1)
    pieces = HalfSpaceTrees(4, n_trees=3, height=3, window_size=window_size, seed=1)
    scores = np.concatenate([pieces.score_learn_many(part) for part in np.split(rows, sorted(cuts))])
    assert (whole.score_learn_many(rows) == scores).all()
    learner = HalfSpaceTrees(4, n_trees=3, height=3, window_size=window_size, seed=1)
    learner.learn_many(rows)
    assert (learner.score_many(rows) == whole.score_many(rows)).all()


@given(st.permutations(range(12)))
@settings(max_examples=20, deadline=None)
def test_scores_of_a_chunk_do_not_depend_on_its_order(order):
    rows = rows_of_kind(3, 60, 4)
    ours = HalfSpaceTrees(4, n_trees=3, height=3, window_size=20, seed=1)
    ours.learn_many(rows)
    chunk = rows[:12]
    assert (ours.score_many(chunk[order]) == ours.score_many(chunk)[order]).all()
    assert (ours.judge_many(chunk[order]).surprise == ours.judge_many(chunk).surprise[order]).all()


@pytest.mark.parametrize("reading", ["river", "log_mass"])
def test_surprise_is_bounded_and_silent_at_first(reading):
    ours = HalfSpaceTrees(4, n_trees=5, height=4, window_size=50, seed=1, reading=reading)
    rows = rows_of_kind(1, 200, 4)
    assert not ours.ready
    assert np.isnan(ours.judge_many(rows).surprise).all()
    ours.learn_many(rows)
    surprise = ours.judge_many(rows).surprise
    assert ours.ready
    assert ours.generation == 4
    assert (surprise >= 0).all()
    assert (surprise <= ours.largest_surprise + 1e-12).all()


def test_rivers_reading_is_the_log_of_rivers_score():
    ours = HalfSpaceTrees(4, n_trees=5, height=4, window_size=50, seed=1)
    rows = rows_of_kind(1, 200, 4)
    ours.learn_many(rows)
    judgement = ours.judge_many(rows)
    np.testing.assert_allclose(judgement.surprise, -np.log(1 - judgement.score), rtol=1e-9)


def test_learning_nothing_changes_nothing():
    ours = HalfSpaceTrees(3, n_trees=2, height=3, window_size=10, seed=1)
    ours.learn_many(np.zeros((0, 3)))
    assert ours.trained_rows == 0
    rows = rows_of_kind(1, 25, 3)
    ours.learn_many(rows)
    before = ours.score_many(rows)
    ours.learn_many(np.zeros((0, 3)))
    assert (ours.score_many(rows) == before).all()
    assert ours.score_many(np.zeros((0, 3))).shape == (0,)


def test_state_goes_round():
    rows = rows_of_kind(2, 130, 5)
    ours = HalfSpaceTrees(5, n_trees=4, height=4, window_size=30, seed=7)
    ours.learn_many(rows)
    twin = HalfSpaceTrees(5, n_trees=4, height=4, window_size=30, seed=0)
    twin.restore(ours.state())
    assert (twin.score_learn_many(rows) == ours.score_learn_many(rows)).all()
    assert twin.trained_rows == ours.trained_rows
    assert twin.generation == ours.generation


def test_state_of_another_shape_is_refused():
    state = HalfSpaceTrees(5, n_trees=4, height=4, window_size=30).state()
    for other in (
        HalfSpaceTrees(5, n_trees=4, height=5, window_size=30),
        HalfSpaceTrees(5, n_trees=4, height=4, window_size=31),
        HalfSpaceTrees(5, columns=[0], n_trees=4, height=4, window_size=30),
    ):
        with pytest.raises(ValueError, match="state"):
            other.restore(state)


def test_state_that_splits_on_a_foreign_column_is_refused():
    ours = HalfSpaceTrees(5, n_trees=1, height=2, window_size=3, seed=1)
    ours.learn_many(np.zeros((1, 5)))
    state = ours.state()
    state.arrays["feature"][:] = 77
    with pytest.raises(ValueError, match="columns"):
        HalfSpaceTrees(5, n_trees=1, height=2, window_size=3).restore(state)


@pytest.mark.parametrize("wrong", [-1, 1])
def test_state_whose_masses_are_not_one_windows_is_refused(wrong):
    ours = HalfSpaceTrees(5, n_trees=2, height=3, window_size=3, seed=1)
    ours.learn_many(rows_of_kind(1, 4, 5))
    state = ours.state()
    state.arrays["r_mass"][1, 2] += wrong
    state.arrays["r_mass"][1, 3] -= 0 if wrong > 0 else 4
    with pytest.raises(ValueError, match="one window"):
        HalfSpaceTrees(5, n_trees=2, height=3, window_size=3).restore(state)


def test_contributions_name_the_feature_that_is_off():
    rng = np.random.default_rng(0)
    rows = rng.normal(0.5, 0.05, (400, 4))
    ours = HalfSpaceTrees(4, n_trees=20, height=6, window_size=200, seed=1, reading="log_mass")
    assert (ours.contributions(rows[0], rows[1]) == 0).all()
    ours.learn_many(rows)
    x = np.full(4, 0.5)
    x[2] = 0.98
    lost = ours.contributions(x, np.full(4, 0.5))
    assert lost.argmax() == 2
    assert lost[2] > 0
    assert (lost[[0, 1, 3]] == 0).all()


@pytest.mark.parametrize("shape", [(3,), (3, 4), (0,)])
def test_rows_of_another_width_are_refused(shape):
    with pytest.raises(ValueError, match="features"):
        HalfSpaceTrees(5).score_many(np.zeros(shape))


@pytest.mark.parametrize(
    "wrong",
    [{"height": 0}, {"height": 13}, {"n_trees": 0}, {"window_size": 0}, {"reading": "x"}, {"columns": [5]}],
)
def test_wrong_parameters_are_refused(wrong):
    with pytest.raises(ValueError, match=r"are|is|must"):
        HalfSpaceTrees(5, **wrong)
