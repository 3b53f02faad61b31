from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sensor.sinks.backoff import Backoff
from sensor.sinks.retry_after import CAP_SECS


@given(st.floats(0.001, 10), st.floats(10, 1000), st.integers(0, 10**6))
def test_a_pause_is_within_the_doubling_limit(base, cap, attempt):
    delay = Backoff(base, cap).delay_secs(attempt, None)
    assert 0.0 <= delay <= min(cap, base * 2.0 ** min(attempt, 64))


@given(st.floats(0, 10**9), st.integers(0, 100))
def test_the_receivers_wish_is_obeyed_up_to_the_cap(wish, attempt):
    assert Backoff(0.001, 0.01).delay_secs(attempt, wish) >= min(wish, CAP_SECS)
    assert Backoff(0.001, 0.01).delay_secs(attempt, wish) <= max(min(wish, CAP_SECS), 0.01)


def test_pauses_spread_over_the_whole_range():
    delays = [Backoff(1.0, 300.0).delay_secs(3, None) for _ in range(400)]
    assert min(delays) < 1.0
    assert max(delays) > 7.0
    assert len(set(delays)) > 390
