import numpy as np
import pytest
from river import base, checks
from river.anomaly import HalfSpaceTrees as RiverHalfSpaceTrees

from sensor.model.half_space_trees import HalfSpaceTrees
from sensor.model.river_trees import from_river, key, to_river


def dicts(rows):
    return [{key(column): value for column, value in enumerate(row)} for row in rows.tolist()]


@pytest.mark.parametrize("learned", [0, 1, 29, 30, 95])
def test_a_river_model_goes_on_from_our_state(learned):
    rows = np.random.default_rng(1).random((160, 5))
    ours = HalfSpaceTrees(5, n_trees=4, height=4, window_size=30, seed=7)
    ours.learn_many(rows[:learned])
    river = to_river(ours)
    assert isinstance(river, RiverHalfSpaceTrees)
    scores = []
    for x in dicts(rows[learned:]):
        scores.append(river.score_one(x))
        river.learn_one(x)
    assert (ours.score_learn_many(rows[learned:]) == np.array(scores)).all()


@pytest.mark.parametrize("learned", [0, 1, 30, 95])
def test_we_go_on_from_a_river_model(learned):
    rows = np.random.default_rng(2).random((160, 5))
    # other limits and other names than ours: the trees are what counts
    names = ["delta", "alpha", "charlie", "bravo", "echo"]
    river = RiverHalfSpaceTrees(
        n_trees=4,
        height=4,
        window_size=30,
        seed=None if learned else 3,
        limits={"alpha": (0, 9)} if learned else None,
    )
    stream = [dict(zip(names, row, strict=True)) for row in rows.tolist()]
    for x in stream[:learned]:
        river.learn_one(x)
    ours = from_river(river, names)
    if not learned:
        return  # no trees yet: ours will be grown from the seed by our own names
    scores = []
    for x in stream[learned:]:
        scores.append(river.score_one(x))
        river.learn_one(x)
    assert (ours.score_learn_many(rows[learned:]) == np.array(scores)).all()


def test_a_river_model_over_other_keys_is_refused():
    river = RiverHalfSpaceTrees(n_trees=2, height=2, window_size=5, seed=1)
    river.learn_one({"a": 0.1, "b": 0.2})
    with pytest.raises(ValueError, match="not a given key"):
        from_river(river, ["c", "d"])


def test_masses_that_do_not_add_up_are_refused():
    river = RiverHalfSpaceTrees(n_trees=2, height=2, window_size=5, seed=1)
    river.learn_one({"a": 0.1, "b": 0.2})
    river.trees[0].l_mass += 1
    with pytest.raises(ValueError, match="sum"):
        from_river(river, ["a", "b"])


class KernelHalfSpaceTrees(base.AnomalyDetector):
    """Our detector behind River's interface, over three fixed features, for River's own checks."""

    names = ("a", "b", "c")

    def __init__(self, n_trees=3, height=3, window_size=10, seed=42):
        self.n_trees = n_trees
        self.height = height
        self.window_size = window_size
        self.seed = seed
        self.detector = HalfSpaceTrees(3, n_trees=n_trees, height=height, window_size=window_size, seed=seed)

    def _row(self, x):
        return np.array([[x.get(name, np.nan) for name in self.names]])

    def learn_one(self, x):
        self.detector.learn_many(self._row(x))

    def score_one(self, x):
        return float(self.detector.score_many(self._row(x))[0])


RIVER_CHECKS = (
    "check_learn_one",
    "check_shuffle_features_no_impact",
    "check_predict_one_pure",
    "check_emerging_features",
    "check_disappearing_features",
    "check_radically_disappearing_features",
    "check_bounded_memory_growth",
    "check_pickling",
    "check_clone_is_independent",
    "check_predict_one_before_any_learn",
    "check_no_state_aliasing_with_input",
    "check_seeding_is_idempotent",
)


@pytest.mark.parametrize("name", RIVER_CHECKS)
def test_rivers_own_checks_pass(name):
    rows = np.random.default_rng(4).random((60, 3)).tolist()
    stream = [(dict(zip(KernelHalfSpaceTrees.names, row, strict=True)), False) for row in rows]
    getattr(checks.common, name)(KernelHalfSpaceTrees(), stream)


@pytest.mark.parametrize(
    "name",
    [
        "check_repr",
        "check_str",
        "check_doc",
        "check_clone_changes_memory_addresses",
        "check_repr_roundtrips_clone",
        "check_clone_with_new_params_applies",
        "check_get_params_matches_signature",
    ],
)
def test_rivers_checks_without_data_pass(name):
    getattr(checks.common, name)(KernelHalfSpaceTrees())


def test_river_finds_our_ranking_no_worse_than_chance():
    rng = np.random.default_rng(5)
    rows = rng.normal(0.3, 0.05, (400, 3))
    unusual = rng.random(400) < 0.05
    rows[unusual] = rng.uniform(0.6, 1, (unusual.sum(), 3))
    stream = [
        (dict(zip("abc", row, strict=True)), bool(u)) for row, u in zip(rows.tolist(), unusual, strict=True)
    ]
    checks.anomaly.check_roc_auc(KernelHalfSpaceTrees(n_trees=10, height=6, window_size=50), stream)
