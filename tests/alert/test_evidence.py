"""Evidence adds up, fades, and never outgrows its cap."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.alert import evidence as module
from sensor.alert.evidence import CHANCE, Evidence

SECOND = 10**9
HOST = (0, 1)


def test_one_rare_window_counts_by_its_powers_of_ten():
    assert Evidence().add(HOST, "flood", 1e-6, 0) == pytest.approx(6 - CHANCE)


def test_what_chance_shows_counts_nothing():
    evidence = Evidence()
    for time in range(100):
        assert evidence.add(HOST, "flood", 0.1, time * SECOND) == 0
        assert evidence.add(HOST, "flood", 1.0, time * SECOND) == 0


def test_evidence_halves_in_a_minute():
    evidence = Evidence()
    evidence.add(HOST, "flood", 1e-5, 0)
    assert evidence.add(HOST, "flood", 1.0, 60 * SECOND) == pytest.approx(2)
    assert evidence.add(HOST, "flood", 1.0, 180 * SECOND) == pytest.approx(0.5)
    assert evidence.add(HOST, "flood", 1.0, 10**6 * SECOND) == pytest.approx(0)


def test_rather_rare_windows_in_a_row_add_up_and_isolated_ones_do_not():
    together, apart = Evidence(), Evidence()
    sums = [together.add(HOST, "flood", 1e-2, number * 10 * SECOND) for number in range(10)]
    assert sums == sorted(sums)
    assert sums[-1] > 4
    for number in range(50):
        assert apart.add(HOST, "flood", 1e-2, number * 600 * SECOND) < 1.01


def test_hosts_and_kinds_are_apart():
    evidence = Evidence()
    evidence.add(HOST, "flood", 1e-6, 0)
    assert evidence.add((0, 2), "flood", 1e-2, 0) == pytest.approx(1)
    assert evidence.add(HOST, "upload", 1e-2, 0) == pytest.approx(1)


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(1e-300, 1), st.integers(0, 10**6)), max_size=40))
def test_equals_the_sum_of_faded_parts(windows):
    evidence, told, clock = Evidence(), {}, 0
    for host, p_value, step in windows:
        clock += step
        total = evidence.add((0, host), "flood", p_value, clock * SECOND)
        told.setdefault(host, []).append((clock, p_value))
        direct = sum(max(0.0, -module.log10(p) - 1) * 0.5 ** ((clock - at) / 60) for at, p in told[host])
        assert total == pytest.approx(direct, rel=1e-9, abs=1e-9)


def test_the_longest_unchanged_is_forgotten_first_and_counted(monkeypatch):
    monkeypatch.setattr(module, "MOST_WATCHED", 3)
    evidence = Evidence()
    for number in (0, 1, 2, 0, 3):  # 1 is now the longest unchanged
        evidence.add((0, number), "flood", 1e-4, 0)
    assert (len(evidence), evidence.forgotten) == (3, 1)
    assert evidence.add((0, 0), "flood", 1.0, 0) == pytest.approx(6)
    assert evidence.add((0, 1), "flood", 1.0, 0) == 0
    assert len(evidence) == 3
