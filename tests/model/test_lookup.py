import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive.model import tree_mass

from sensor.model.forest import count_rows, empty_forest
from sensor.model.lookup import Lookup


def grown(rng, columns, n_trees, height, *, low=0.0, high=1.0):
    """Return trees whose splits stand anywhere, some in one place: harder than River's."""
    forest = empty_forest(n_trees, height)
    forest.feature[:] = rng.choice(columns, forest.feature.shape)
    forest.threshold[:] = rng.uniform(low, high, forest.threshold.shape)
    forest.threshold[:, ::5] = (low + high) / 2
    return forest


def refer_to(forest, rows):
    forest.l_mass[:] = 0
    count_rows(forest, rows)
    forest.r_mass[:] = forest.l_mass


def naive_sums(forest, rows, window_size):
    trees = list(zip(forest.feature.tolist(), forest.threshold.tolist(), forest.r_mass.tolist(), strict=True))
    masses = [[tree_mass(*tree, window_size, x) for tree in trees] for x in rows.tolist()]
    largest = window_size * (2 * forest.r_mass.shape[1] - 1)
    logs = []
    for row in masses:
        total = 0.0
        for mass in row:
            total += np.log(mass / largest)
        logs.append(total)
    return np.array(masses, np.float64).sum(axis=1), np.array(logs)


def assert_as_walked(lookup, forests, rows, window_size):
    masses, logs = np.empty((len(forests), len(rows))), np.empty((len(forests), len(rows)))
    lookup.masses(rows, masses)
    lookup.log_masses(rows, logs)
    for number, forest in enumerate(forests):
        mass, log = naive_sums(forest, rows, window_size)
        assert (masses[number] == mass).all()
        assert np.abs(logs[number] - log).max() < 1e-12  # the compiler's logarithm may differ by a digit


@given(st.integers(0, 10_000), st.integers(1, 7), st.integers(1, 5), st.sampled_from([5, 37, 200]))
@settings(max_examples=25, deadline=None)
def test_sums_are_those_of_a_walk(seed, height, n_trees, window_size):
    rng = np.random.default_rng(seed)
    columns = [(0, 1, 2, 3, 4), (3, 1), (4,)]
    forests = [grown(rng, own, n_trees, height) for own in columns]
    lookup = Lookup(forests, columns, window_size)
    rows = rng.beta(2, 5, (30, 5))
    rows[::6] = rng.choice([0.0, 0.5, 1.0, np.nan, np.inf, -np.inf, -3.0, 1e300], (5, 5))
    rows[1] = forests[0].threshold[0, 0]  # on a split: that is to its right
    for _ in range(3):  # what was worked out before must leave no trace
        for forest in forests:
            refer_to(forest, rng.beta(2, 5 * rng.random() + 0.1, (window_size, 5)))
        lookup.settle()
        assert_as_walked(lookup, forests, rows, window_size)


@pytest.mark.parametrize("n_trees", [1, 2, 9])
def test_tall_trees_have_more_ends_than_a_word_has_bits(n_trees):
    rng = np.random.default_rng(n_trees)
    forest = empty_forest(n_trees, 12)
    # Each level halves what is left of the busiest tenths: as many ends as there can be.
    forest.threshold[:] = rng.uniform(0, 1, forest.threshold.shape)
    forest.feature[:] = rng.integers(0, 3, forest.feature.shape)
    modes = rng.random((10, 3))
    refer_to(forest, np.repeat(modes, 20, axis=0))
    lookup = Lookup([forest], [(0, 1, 2)], 200)
    lookup.settle()
    assert_as_walked(lookup, [forest], np.concatenate((modes, rng.random((20, 3)))), 200)


def test_a_tree_of_the_most_ends_fits():
    height, window_size = 12, 1000
    forest = empty_forest(1, height)
    forest.threshold[:] = np.linspace(0, 1, forest.threshold.size)
    # Ten leaves of a tenth each, as far apart as can be: every node above them goes on.
    forest.r_mass[0, np.linspace(0, 2**height - 1, 10).astype(int)] = 100
    lookup = Lookup([forest], [(0,)], window_size)
    lookup.settle()
    assert_as_walked(lookup, [forest], np.linspace(-0.1, 1.1, 60)[:, None], window_size)


def test_splits_beyond_zero_to_one_are_found_too():
    rng = np.random.default_rng(3)
    forest = grown(rng, (0, 1), 4, 5, low=-40.0, high=90.0)
    refer_to(forest, rng.uniform(-40, 90, (100, 2)))
    lookup = Lookup([forest], [(0, 1)], 100)
    lookup.settle()
    assert_as_walked(lookup, [forest], rng.uniform(-60, 110, (50, 2)), 100)


def test_more_rows_than_a_block():
    rng = np.random.default_rng(4)
    forests = [grown(rng, (0, 1), 3, 4), grown(rng, (1,), 3, 4)]
    for forest in forests:
        refer_to(forest, rng.random((50, 2)))
    lookup = Lookup(forests, [(0, 1), (1,)], 50)
    lookup.settle()
    rows = rng.random((300, 2))
    whole = np.empty((2, 300))
    lookup.masses(rows, whole)
    for start in range(0, 300, 77):
        part = np.empty((2, len(rows[start : start + 77])))
        lookup.masses(rows[start : start + 77], part)
        assert (part == whole[:, start : start + 77]).all()
