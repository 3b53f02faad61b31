"""What is usual for a host: the fading mean and spread against their definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.feature import usual
from sensor.feature.row import HOST_ROW
from sensor.feature.table import host_table

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")
COLUMNS = 3


def table_and_rows(hosts=2):
    table = host_table(hosts, 1, (1, 2))
    rows = np.zeros(hosts, HOST_ROW)
    rows["slot"] = np.arange(hosts)
    return table, rows, np.zeros((hosts, 2, COLUMNS), np.float32)


def direct(values, weight):
    """Return mean and variance of `values` (n, d), each with its weight after all have come in."""
    parts = [max(weight, 1 / (1 + number)) for number in range(len(values))]
    weights = [part * np.prod([1 - later for later in parts[at + 1 :]]) for at, part in enumerate(parts)]
    mean = np.average(values, axis=0, weights=weights)
    assert sum(weights) == pytest.approx(1)
    return mean, np.average((values - mean) ** 2, axis=0, weights=weights)


@given(
    st.lists(
        st.tuples(st.lists(st.floats(0, 40), min_size=COLUMNS, max_size=COLUMNS), st.booleans()), min_size=1
    ),
    st.floats(0.001, 1),
)
@settings(max_examples=80, deadline=None)
def test_moments_are_those_of_the_accepted_windows(windows, weight):
    table, rows, moments = table_and_rows()
    accepted = []
    for values, take in windows:
        x = np.array([values, [0.0] * COLUMNS])
        usual.learn(table, rows, x, np.array([take, False]), moments, weight)
        if take:
            accepted.append(values)
    assert table.rows["windows"].tolist() == [len(accepted), 0]
    upper = np.full((2, COLUMNS), -1.0)
    usual.expect(table, rows, np.ones_like(upper), np.zeros(COLUMNS), moments, upper)
    assert not upper[1].any()
    if not accepted:
        assert not upper[0].any()
        return
    mean, variance = direct(np.array(accepted), weight)
    assert moments[0, 0] == pytest.approx(mean, rel=1e-4, abs=1e-4)
    assert moments[0, 1] == pytest.approx(variance, rel=1e-3, abs=1e-3)
    # The kept moments are float32; near zero variance the root makes the most of that.
    assert upper[0] == pytest.approx(mean + 3 * np.sqrt(variance), rel=1e-3, abs=0.1)
    assert (upper[0] >= moments[0, 0]).all()


def test_a_new_host_in_an_old_slot_inherits_nothing():
    table, rows, moments = table_and_rows()
    usual.learn(table, rows, np.full((2, COLUMNS), 9.0), np.ones(2, bool), moments, 0.1)
    usual.learn(table, rows, np.full((2, COLUMNS), 30.0), np.ones(2, bool), moments, 0.1)
    table.rows["windows"] = 0  # as for a host that took the slot over
    upper = np.empty((2, COLUMNS))
    usual.expect(table, rows, np.ones_like(upper), np.zeros(COLUMNS), moments, upper)
    assert not upper.any()
    usual.learn(table, rows, np.ones((2, COLUMNS)), np.ones(2, bool), moments, 0.1)
    assert moments.tolist() == [[[1.0] * COLUMNS, [0.0] * COLUMNS]] * 2


def test_a_mature_host_forgets_at_the_given_rate():
    table, rows, moments = table_and_rows()
    weight = 1 - 0.5 ** (1 / 10)  # half-life: ten windows
    for value, windows in ((4.0, 200), (0.0, 10)):
        for _ in range(windows):
            usual.learn(table, rows, np.full((2, COLUMNS), value), np.ones(2, bool), moments, weight)
    assert moments[0, 0, 0] == pytest.approx(2.0, rel=1e-3)


def test_limits_are_made_where_a_value_exceeds_its_floor_only():
    table, rows, moments = table_and_rows()
    usual.learn(table, rows, np.full((2, COLUMNS), 2.0), np.ones(2, bool), moments, 0.1)
    upper = np.full((2, COLUMNS), -1.0)
    usual.expect(table, rows, np.array([[4.9, 5.0, 5.1]] * 2), np.full(COLUMNS, 5.0), moments, upper)
    assert upper.tolist() == [[0, 0, 2]] * 2
