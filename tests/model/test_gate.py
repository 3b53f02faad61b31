import numpy as np
import pytest

from sensor.model.gate import Gate
from sensor.model.scores import Scores


def scores_of(p, usable=None):
    p = np.asarray(p, np.float64)
    n = len(p)
    usable = np.ones(n, bool) if usable is None else np.asarray(usable)
    return Scores(p, p[:, None], np.zeros((n, 1)), np.ones((n, 1)), ("one",), usable, np.zeros((n, 1)))


def test_each_refused_row_is_counted_once_and_by_its_cause():
    gate = Gate(0.01)
    learned, _ = gate.admit(
        scores_of([0.5, 0.5, 0.005, 0.005, 0.5, 1.0], usable=[True, True, True, True, True, False]),
        np.array([True, False, True, False, True, True]),
    )
    assert learned.tolist() == [True, False, False, False, True, False]
    assert (gate.refused_by_gate, gate.refused_by_caller, gate.refused_not_finite) == (1, 2, 1)


def test_the_ration_is_the_share_that_is_normal():
    gate = Gate(0.01)
    shown = 0
    for _ in range(100):
        p = np.full(100, 0.5)
        p[:30] = 1e-9  # an attack: thirty rows in each hundred
        _, indices = gate.admit(scores_of(p), np.ones(100, bool))
        assert (indices < 30).all()
        shown += len(indices)
    assert shown == pytest.approx(70, abs=1)
    assert gate.refused_by_gate == 3_000


def test_quiet_times_do_not_pile_up_a_ration():
    gate = Gate(0.01)
    gate.admit(scores_of(np.full(100_000, 0.5)), np.ones(100_000, bool))
    _, shown = gate.admit(scores_of(np.full(500, 1e-9)), np.ones(500, bool))
    assert len(shown) <= 1_000
    _, shown = gate.admit(scores_of(np.full(500, 1e-9)), np.ones(500, bool))
    assert len(shown) == 0 or len(shown) <= 20


def test_state_goes_round():
    gate, twin = Gate(0.1), Gate(0.1)
    gate.admit(scores_of(np.full(33, 0.5)), np.ones(33, bool))
    twin.restore(gate.state())
    attack = scores_of(np.full(10, 0.01))
    assert (
        twin.admit(attack, np.ones(10, bool))[1].tolist() == gate.admit(attack, np.ones(10, bool))[1].tolist()
    )


@pytest.mark.parametrize("p", [-0.1, 1.0])
def test_wrong_p_is_refused(p):
    with pytest.raises(ValueError, match="gate_p"):
        Gate(p)
