"""What holds for every run of windows, whatever is in them."""

import json
import math
from dataclasses import asdict

import numpy as np
from alert_windows import NAMES, a_policy, host, judge
from hypothesis import given, settings
from hypothesis import strategies as st

_values = st.dictionaries(
    st.sampled_from(NAMES), st.tuples(st.floats(0, 1e15), st.floats(1e-300, 1.0)), max_size=6
)
_hosts = st.builds(
    lambda number, values, p, changes: host(number, values, p, **changes),
    st.integers(1, 6),
    _values,
    st.floats(1e-300, 1.0),
    st.fixed_dictionaries(
        {
            "hi": st.sampled_from([0, 0x2001_0DB8 << 32, 2**64 - 1]),
            "peer": st.integers(1, 6),
            "share": st.sampled_from([0.0, 0.3, 1.0]),
            "windows": st.sampled_from([0, 10]),
            "usual": st.sampled_from([0.0, 5000.0]),
            "out_protocol": st.integers(0, 255),
            "in_protocol": st.integers(0, 255),
            "mac": st.integers(0, 2**48 - 1),
            "bytes_in": st.integers(0, 2**62),
            "ip_version": st.sampled_from([0, 4, 6]),
        }
    ),
)
_runs = st.lists(st.tuples(st.sampled_from([10, 10, 60, 400]), st.lists(_hosts, max_size=5)), max_size=8)


def play(run, seed=1):
    policy, seconds, told = a_policy(seed), 0, []
    for step, hosts in run:
        seconds += step
        told += judge(policy, hosts, seconds)[0]
    return told


def leaves(value):
    if isinstance(value, dict):
        value = value.values()
    if isinstance(value, (list, tuple)) or not isinstance(value, (str, int, float, type(None))):
        return [leaf for inner in value for leaf in leaves(inner)]
    return [value]


@given(_runs)
@settings(max_examples=80, deadline=None)
def test_alerts_are_plain_finite_ascii_values(run):
    for alert in play(run):
        fields = asdict(alert)
        json.dumps(fields, allow_nan=False)
        for leaf in leaves(fields):
            assert not isinstance(leaf, np.generic)
            assert not isinstance(leaf, str) or leaf.isascii()
            assert not isinstance(leaf, float) or math.isfinite(leaf)
        assert 0 <= alert.risk <= 100
        assert alert.score >= 0
        assert alert.reasons
        assert alert.entity in alert.related_ips
        assert len(set(alert.related_ips)) == len(alert.related_ips)
        assert alert.incident.first <= alert.incident.last <= alert.time


@given(_runs)
@settings(max_examples=40, deadline=None)
def test_the_same_windows_give_the_same_alerts(run):
    told = play(run)
    assert told == play(run)
    other = play(run, seed=2)
    assert len({alert.id for alert in told + other}) == 2 * len(told)


@given(_runs)
@settings(max_examples=40, deadline=None)
def test_each_incident_opens_once_and_closes_once(run):
    stories = {}
    for alert in play([*run, (100_000, [])]):
        stories.setdefault(alert.incident.id, []).append(alert)
    for story in stories.values():
        statuses = [alert.incident.status for alert in story]
        assert statuses == ["open", *["update"] * (len(story) - 2), "closed"]
        severities = [alert.severity for alert in story]
        assert severities == sorted(severities)
        assert len({alert.entity for alert in story}) == 1
