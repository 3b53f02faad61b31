import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import model as naive

from sensor.model.fusion import FUSIONS, bonferroni, cauchy, fisher

P = st.floats(1e-12, 1.0)


@given(st.lists(P, min_size=1, max_size=6))
@settings(deadline=None)
def test_equal_to_the_plain_twins(ps):
    row = np.array([ps])
    assert cauchy(row)[0] == pytest.approx(naive.cauchy(ps), rel=1e-9)
    assert fisher(row)[0] == pytest.approx(naive.fisher(ps), rel=1e-9)
    assert bonferroni(row)[0] == min(min(ps) * len(ps), 1.0)


@given(st.lists(P, min_size=2, max_size=6), st.integers(0, 5), st.floats(0.01, 1.0))
@settings(deadline=None)
def test_a_smaller_p_never_makes_the_whole_larger(ps, which, factor):
    smaller = list(ps)
    smaller[which % len(ps)] *= factor
    for fuse in FUSIONS.values():
        before, after = fuse(np.array([ps, smaller]))
        assert after <= before * (1 + 1e-12)


@pytest.mark.parametrize("name", FUSIONS)
def test_the_ends_of_the_range(name):
    for row in ([1.0, 1.0, 1.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0], [1e-300, 1e-300, 1.0]):
        p = FUSIONS[name](np.array([row]))[0]
        assert 0 < p <= 1
    assert FUSIONS[name](np.ones((1, 4)))[0] == 1.0
    assert FUSIONS[name](np.zeros((0, 4))).shape == (0,)


def test_one_that_sees_nothing_does_not_outvote_one_that_does():
    assert cauchy(np.array([[1e-9] + [1.0] * 6]))[0] < 1e-8


@pytest.mark.parametrize("name", ["cauchy", "bonferroni"])
def test_dependence_does_not_make_them_say_too_little(name):
    rng = np.random.default_rng(0)
    common = rng.normal(size=(200_000, 1))
    z = np.sqrt(0.6) * common + np.sqrt(0.4) * rng.normal(size=(200_000, 5))
    order = np.argsort(np.argsort(-z.ravel())).reshape(z.shape)
    p = FUSIONS[name]((order + 0.5) / z.size)
    assert (p <= 1e-3).mean() < 2e-3
    assert (p <= 1e-3).mean() > 2e-4
