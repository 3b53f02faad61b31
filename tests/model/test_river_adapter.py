import numpy as np
import pytest
from river.anomaly import HalfSpaceTrees as RiverHalfSpaceTrees

from sensor.model.river_adapter import RiverDetector

LOF = "river.anomaly.LocalOutlierFactor"
HST = "river.anomaly.HalfSpaceTrees"
ROWS = np.random.default_rng(0).random((120, 3))


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("river.anomaly.NoSuchThing", "imported"),
        ("no.such.module.Thing", "imported"),
        ("Thing", "imported"),
        ("", "imported"),
        ("river.preprocessing.StandardScaler", "not a River anomaly detector"),
        ("river.anomaly.GaussianScorer", "not a River anomaly detector"),  # it wants a label
        ("river.anomaly.base", "imported"),
        ("math.sqrt", "not a River anomaly detector"),
        ("river.anomaly.QuantileFilter", "not a River anomaly detector"),  # a filter around one
        ("river.base.AnomalyDetector", "does not take"),  # abstract
    ],
)
def test_what_is_no_detector_is_refused(path, reason):
    with pytest.raises(ValueError, match=reason):
        RiverDetector(path, n_features=3)


def test_parameters_it_does_not_take_are_refused():
    with pytest.raises(ValueError, match="does not take"):
        RiverDetector(HST, {"wings": 2}, n_features=3)


def test_limits_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="positive"):
        RiverDetector(HST, n_features=3, warm_up_rows=10, renew_rows=10)


def test_scores_are_rivers_own():
    ours = RiverDetector(HST, {"window_size": 20}, n_features=3, seed=4, warm_up_rows=1)
    river = RiverHalfSpaceTrees(window_size=20, seed=4)
    expected = []
    for row in ROWS.tolist():
        x = {f"{i:04d}": value for i, value in enumerate(row)}
        expected.append(river.score_one(x))
        river.learn_one(x)
    assert ours.score_learn_many(ROWS).tolist() == expected
    assert ours.name == "HalfSpaceTrees"


def test_it_says_nothing_until_warm():
    ours = RiverDetector(LOF, n_features=3, warm_up_rows=50)
    ours.learn_many(ROWS[:49])
    assert not ours.ready
    assert np.isnan(ours.judge_many(ROWS).surprise).all()
    assert (ours.score_many(ROWS) == 0).all()
    ours.learn_many(ROWS[49:60])
    assert ours.ready
    assert np.isfinite(ours.score_many(ROWS[60:70])).all()


def test_work_per_call_is_bounded():
    ours = RiverDetector(HST, {"window_size": 10}, n_features=3, warm_up_rows=10, max_rows=40)
    ours.learn_many(ROWS)
    assert ours.trained_rows == 40
    scores = ours.score_many(ROWS)
    assert np.isfinite(scores).sum() == 40
    assert ours.rows_skipped == 80


def test_memory_is_bounded_by_starting_anew():
    ours = RiverDetector(LOF, n_features=3, warm_up_rows=5, renew_rows=20)
    ours.learn_many(ROWS[:20])
    assert ours.ready
    grown = ours._model
    ours.learn_many(ROWS[20:21])
    assert ours._model is not grown
    assert not ours.ready
    assert ours.trained_rows == 21


@pytest.mark.parametrize("method", ["learn_one", "score_one"])
def test_a_detector_that_breaks_is_switched_off_and_counted(method, monkeypatch):
    ours = RiverDetector(HST, {"window_size": 10}, n_features=3, warm_up_rows=5)
    ours.learn_many(ROWS[:30])

    def broken(_x):
        return 1 / 0

    monkeypatch.setattr(ours._model, method, broken)
    ours.learn_many(ROWS[:3])
    ours.judge_many(ROWS[:3])
    assert ours.errors == 1
    assert not ours.ready
    assert np.isnan(ours.judge_many(ROWS).surprise).all()


def test_contributions_name_the_feature_that_is_off():
    rng = np.random.default_rng(0)
    ours = RiverDetector(HST, {"n_trees": 20, "window_size": 100}, n_features=3, warm_up_rows=10)
    assert (ours.contributions(ROWS[0], ROWS[1]) == 0).all()
    ours.learn_many(rng.normal(0.5, 0.05, (200, 3)))
    lost = ours.contributions(np.array([0.5, 0.97, 0.5]), np.full(3, 0.5))
    assert lost.argmax() == 1


def test_state_says_only_what_it_was():
    ours = RiverDetector(HST, n_features=3, warm_up_rows=5)
    ours.learn_many(ROWS)
    state = ours.state()
    assert state.arrays == {}
    ours.restore(state)
    assert not ours.ready
    with pytest.raises(ValueError, match="state is of"):
        RiverDetector(LOF, n_features=3).restore(state)
