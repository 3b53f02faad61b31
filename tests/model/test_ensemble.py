import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sensor.alert.alert import ModelState
from sensor.kernel import numba
from sensor.model.ensemble import Ensemble
from sensor.model.settings import Settings

FEATURES = ("a", "b", "c", "d", "e", "f")
GROUPS = {"first": (0, 1, 2), "second": (3, 4, 5)}
SMALL = Settings(n_trees=4, height=4, window_rows=100, scaler_rows=80, calibration_rows=100, seed=3)
ROOT = Path(__file__).resolve().parents[2]


def rows_like_always(n, seed=0):
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(n, 2))
    return 3 + np.repeat(common, 3, axis=1) * 0.7 + 0.5 * rng.normal(size=(n, 6))


def make(settings=SMALL, floors=6.0, **parameters):
    floors = None if floors is None else np.full(6, floors)
    return Ensemble(FEATURES, GROUPS, settings=settings, floors=floors, **parameters)


def feed(ensemble, rows, chunk=50):
    for start in range(0, len(rows), chunk):
        part = rows[start : start + chunk]
        ensemble.learn(part, ensemble.score_many(part), np.ones(len(part), bool))


@pytest.fixture(scope="module")
def live():
    ensemble = make()
    feed(ensemble, rows_like_always(600))
    return ensemble


def test_it_goes_from_cold_to_learning_to_live():
    ensemble = make()
    seen = [ensemble.state_name]
    for start in range(0, 500, 50):
        feed(ensemble, rows_like_always(500)[start : start + 50])
        seen.append(ensemble.state_name)
    assert list(dict.fromkeys(seen)) == ["cold", "learning", "live"]
    assert set(seen) <= {state.value for state in ModelState}
    assert ensemble.generation == ensemble.trained_rows // 100


def test_the_rows_that_set_the_limits_teach_the_forests_too():
    ensemble = make()
    feed(ensemble, rows_like_always(110), chunk=37)
    assert ensemble.panel.forests[0].trained_rows == ensemble.trained_rows == 110


def test_a_cold_ensemble_judges_by_its_floors_alone():
    scores = make().score_many(np.array([[3.0] * 6, [3.0, 3.0, 3.0, 3.0, 13.0, 3.0]]))
    assert scores.p[0] > 0.1
    assert scores.p[1] < 1e-10
    assert scores.feature_p[1].argmin() == 4
    assert (scores.p_by_detector[:, 1:] == 1).all()
    without = make(floors=None).score_many(np.full((2, 6), 1e6))
    assert (without.p == 1).all()
    assert (without.feature_p == 1).all()


def test_names_and_shapes(live):
    scores = live.score_many(rows_like_always(7))
    assert scores.names == ("deviation", "forest_all", "forest_first", "forest_second")
    assert scores.p.shape == (7,)
    assert scores.p_by_detector.shape == scores.score_by_detector.shape == scores.surprise.shape == (7, 4)
    assert scores.feature_p.shape == (7, 6)
    assert live.score_many(np.zeros((0, 6))).p.shape == (0,)


@given(st.permutations(range(15)), st.integers(0, 20))
@hypothesis_settings(max_examples=15, deadline=None)
def test_scores_are_in_range_and_do_not_depend_on_order(live, order, seed):
    rows = rows_like_always(15, seed) * np.linspace(0.1, 5, 15)[:, None]
    scores = live.score_many(rows)
    assert ((scores.p > 0) & (scores.p <= 1)).all()
    assert (live.score_many(rows[order]).p == scores.p[order]).all()


def test_odd_rows_are_neither_judged_nor_learned(live):
    rows = rows_like_always(6)
    rows[0, 0], rows[1, 1], rows[2, 2] = np.nan, np.inf, -np.inf
    scores = live.score_many(rows)
    assert scores.usable.tolist() == [False, False, False, True, True, True]
    assert (scores.p[:3] == 1).all()
    assert (scores.feature_p[:3] == 1).all()
    assert np.isfinite(scores.score_by_detector).all()
    assert (scores.p[3:] == live.score_many(rows[3:]).p).all()
    before = live.counters()
    learned = live.learn(rows, scores, np.array([True, True, True, False, False, False]))
    after = live.counters()
    assert not learned.any()
    assert after["refused_not_finite"] - before["refused_not_finite"] == 3
    assert after["refused_by_caller"] - before["refused_by_caller"] == 3
    assert after["rows_learned"] == before["rows_learned"]


def test_what_the_gate_refuses_is_not_learned():
    ensemble = make()
    feed(ensemble, rows_like_always(600))
    flood = np.full((300, 6), 12.0)
    before = ensemble.score_many(flood[:1]).p[0]
    trained = ensemble.trained_rows
    feed(ensemble, flood)
    assert ensemble.trained_rows == trained
    assert ensemble.counters()["refused_by_gate"] >= 300
    assert ensemble.score_many(flood[:1]).p[0] <= before * 2
    ensemble.learn_many(flood)  # the operator says: this is how it is now
    assert ensemble.trained_rows == trained + 300
    assert ensemble.score_many(flood[:1]).p[0] > 0.01


def test_learn_many_keeps_to_its_mask():
    ensemble = make()
    rows = rows_like_always(40)
    ensemble.learn_many(rows, np.arange(40) < 10)
    assert ensemble.trained_rows == 10


def assert_equal_scores(one, other):
    for field in dataclasses.fields(one):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name), field.name)


def assert_screened_alike(ensemble, rows, p=1e-3):
    scores, screened = ensemble.score_many(rows), ensemble.screen(rows, p)
    limit = max(p, ensemble.gate.p)
    rare = scores.p <= limit
    assert (screened.p[rare] == scores.p[rare]).all()
    assert (screened.p[~rare] > limit).all()
    assert (screened.usable == scores.usable).all()
    some = np.flatnonzero(np.arange(len(rows)) % 3 == 0)
    whole = ensemble.detail(rows, screened, np.arange(len(rows)))
    assert_equal_scores(whole, scores)
    assert (ensemble.detail(rows, screened, some).score_by_detector == scores.score_by_detector[some]).all()
    return rare


@pytest.mark.parametrize("fusion", ["cauchy", "bonferroni", "fisher"])
@pytest.mark.parametrize("floors", [None, 2.0, 6.0, np.inf])
@pytest.mark.parametrize("reading", ["river", "log_mass"])
def test_screening_finds_what_scoring_does(fusion, floors, reading):
    ensemble = make(dataclasses.replace(SMALL, fusion=fusion, reading=reading), floors)
    rng = np.random.default_rng(0)
    probe = rows_like_always(60, 8)
    probe[::4] *= rng.uniform(0, 6, (15, 6))
    probe[7, 2], probe[9, 0] = np.nan, np.inf
    found = 0
    for start in range(0, 500, 50):
        for p in (1e-9, 1e-3, 0.05, 0.7):
            found += assert_screened_alike(ensemble, probe, p).sum()
        feed(ensemble, rows_like_always(500)[start : start + 50])
    assert found > 0
    assert len(ensemble.screen(probe[:0], 0.5).p) == 0


def test_screening_goes_by_the_newest_reference(live):
    twin = make()
    twin.restore(live.state())
    rows = rows_like_always(300, 9)
    assert_screened_alike(twin, rows, 0.1)
    feed(twin, rows)
    assert twin.generation > live.generation
    assert_screened_alike(twin, rows, 0.1)
    twin.restore(live.state())
    assert (twin.screen(rows, 0.1).p == live.screen(rows, 0.1).p).all()


def test_a_further_detector_is_screened_too():
    settings = Settings(n_trees=2, height=3, window_rows=50, scaler_rows=50, calibration_rows=50)
    ensemble = make(settings, detectors=[("river.anomaly.HalfSpaceTrees", {"n_trees": 2, "window_size": 40})])
    feed(ensemble, rows_like_always(1_000), chunk=100)
    rows = rows_like_always(40)
    rows[::5] *= 3
    rows[3, 3] = np.nan
    assert assert_screened_alike(ensemble, rows, 0.2).any()


def test_what_is_screened_teaches_as_what_is_scored():
    by_score, by_screen = make(), make()
    rows = np.concatenate((rows_like_always(500), rows_like_always(100, 1) * 2))
    for start in range(0, len(rows), 50):
        part, all_of_it = rows[start : start + 50], np.ones(50, bool)
        by_score.learn(part, by_score.score_many(part), all_of_it)
        by_screen.learn(part, by_screen.screen(part, 1e-3), all_of_it)
    one, other = by_score.state(), by_screen.state()
    assert one.meta == other.meta
    assert by_score.counters() == by_screen.counters()
    assert all((one.arrays[name] == other.arrays[name]).all() for name in one.arrays)


def test_learning_nothing_changes_nothing(live):
    rows = rows_like_always(10, 5)
    before = live.score_many(rows)
    live.learn(rows, before, np.zeros(10, bool))
    live.learn(rows[:0], live.score_many(rows[:0]), np.zeros(0, bool))
    live.learn_many(rows[:0])
    assert (live.score_many(rows).p == before.p).all()


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="needs 150,000 rows")
@pytest.mark.parametrize("reading", ["river", "log_mass"])
def test_quiet_traffic_keeps_its_promised_rate(reading):
    settings = Settings(n_trees=10, window_rows=1_000, scaler_rows=1_000, reading=reading, half_life_rows=3e4)
    ensemble = make(settings)
    feed(ensemble, rows_like_always(100_000), chunk=1_000)
    p = ensemble.score_many(rows_like_always(50_000, 1)).p
    assert 0.3 < (p <= 1e-2).mean() / 1e-2 < 2
    assert 0.1 < (p <= 1e-3).mean() / 1e-3 < 3
    refused = ensemble.counters()["refused_by_gate"]
    assert refused < 0.005 * 100_000


def test_an_odd_combination_in_one_group_is_seen():
    settings = Settings(n_trees=25, height=6, window_rows=500, scaler_rows=500, calibration_rows=500, seed=1)
    ensemble = Ensemble(FEATURES, GROUPS, settings=settings)
    feed(ensemble, rows_like_always(3_000), chunk=500)
    odd = np.array([[3.0, 3.0, 3.0, 9.0, -3.0, 9.0]])
    scores = ensemble.score_many(np.concatenate((odd, np.full((1, 6), 3.0))))
    assert scores.p_by_detector[0].argmin() == scores.names.index("forest_second")
    assert scores.p[0] < 0.01 < scores.p[1]


def test_shares_name_the_feature_and_sum_to_one(live):
    x = np.full(6, 3.0)
    x[4] = 11.0
    shares = live.explain(x)
    assert shares.argmax() == 4
    assert shares.sum() == pytest.approx(1)
    assert (shares >= 0).all()
    assert make().explain(x).argmax() == 4
    assert (make(floors=None).explain(x) == 0).all()
    assert (live.explain(np.full(6, np.nan)) == 0).all()


def test_expected_upper_is_where_usual_ends(live):
    upper = live.expected_upper(1e-3)
    assert (upper > 3).all()
    assert (upper < 9).all()
    assert (make(floors=None).expected_upper(1e-3) == np.inf).all()


def test_any_river_detector_can_join():
    settings = Settings(n_trees=2, height=3, window_rows=50, scaler_rows=50, calibration_rows=50)
    ensemble = make(settings, detectors=[("river.anomaly.HalfSpaceTrees", {"n_trees": 2, "window_size": 40})])
    feed(ensemble, rows_like_always(1_200), chunk=100)
    scores = ensemble.score_many(rows_like_always(20))
    assert scores.names[-1] == "HalfSpaceTrees"
    assert len(np.unique(scores.p_by_detector[:, -1])) > 3
    assert ensemble.counters()["errors_HalfSpaceTrees"] == 0


def test_state_goes_round(live):
    twin = make()
    twin.restore(live.state())
    rows = rows_like_always(300, 9)
    assert twin.state_name == live.state_name
    assert (twin.score_many(rows).p == live.score_many(rows).p).all()
    original = make()
    original.restore(live.state())
    for ensemble in (original, twin):
        feed(ensemble, rows)
    assert (twin.score_many(rows).p == original.score_many(rows).p).all()
    assert original.generation == twin.generation > live.generation


def test_state_is_json_and_arrays(live):
    state = live.state()
    assert json.loads(json.dumps(state.meta)) == state.meta
    assert all(array.dtype.kind in "iuf" for array in state.arrays.values())


def test_state_of_another_ensemble_is_refused(live):
    with pytest.raises(ValueError, match="other features or detectors"):
        make(floors=None).restore(live.state())
    with pytest.raises(ValueError, match="other features"):
        Ensemble("uvwxyz", GROUPS, settings=SMALL, floors=np.ones(6)).restore(live.state())


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"settings": Settings(fusion="vote")}, "fusion"),
        ({"settings": Settings(gate_p=1.0)}, "gate_p"),
        ({"settings": Settings(height=40)}, "height"),
        ({"floors": np.ones(3)}, "floors"),
        ({"groups": {"x": [6]}}, "columns"),
        ({"groups": {"all": [1]}}, "all"),
        ({"detectors": [("math.sqrt", {})]}, "not a River"),
        ({"detectors": [("river.anomaly.LODA", {})] * 2}, "one name"),
    ],
)
def test_what_cannot_be_is_refused(changed, reason):
    groups = changed.pop("groups", GROUPS)
    with pytest.raises(ValueError, match=reason):
        Ensemble(FEATURES, groups, **changed)


PRINT_SCORES = """
import sys
sys.path.insert(0, "tests/model")
from test_ensemble import feed, make, rows_like_always
ensemble = make()
feed(ensemble, rows_like_always(300))
print(ensemble.score_many(rows_like_always(20, 4)).p.tolist())
"""


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="two more processes without compiled kernels are slow")
def test_the_seed_alone_decides():
    outputs = set()
    for hash_seed in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", PRINT_SCORES],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        outputs.add(run.stdout)
    assert len(outputs) == 1
    rows = rows_like_always(300)
    other = make(Settings(n_trees=4, height=4, window_rows=100, scaler_rows=80, calibration_rows=100, seed=4))
    same = make()
    for ensemble in (other, same):
        feed(ensemble, rows)
    probe = rows_like_always(20, 4)
    assert str(same.score_many(probe).p.tolist()) in outputs.pop()
    assert (other.score_many(probe).p != same.score_many(probe).p).any()
