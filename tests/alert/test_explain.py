"""The words."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.alert import explain
from sensor.feature.schema import HOST_FEATURES, Feature

HOSTS = Feature("peers", "hosts", "g", "hosts contacted", "sweeps", 30)
BYTES = Feature("sent", "bytes", "g", "sent", "uploads", 1000)
FADING = Feature("failed", "flows", "g", "failed connections, fading over 10 min", "slow scans", 2)


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0, "flows", "0"),
        (3, "flows", "3"),
        (8.1, "flows", "8.1"),
        (34.25, "flows", "34.2"),
        (412.4, "flows", "412"),
        (1986, "flows", "1,986"),
        (1e7, "packets", "10,000,000"),
        (0, "bytes", "0 B"),
        (999, "bytes", "999 B"),
        (999.6, "bytes", "1 kB"),
        (1590, "bytes", "1.59 kB"),
        (999_499, "bytes", "999 kB"),
        (999_500, "bytes", "1 MB"),
        (3.4e6, "bytes", "3.4 MB"),
        (50e6, "bytes", "50 MB"),
        (1.25e9, "bytes", "1.25 GB"),
        (7e12, "bytes", "7 TB"),
        (5e16, "bytes", "50,000 TB"),
    ],
)
def test_quantity(value, unit, expected):
    assert explain.quantity(value, unit) == expected


@given(st.floats(0, 1e15), st.sampled_from(["bytes", "flows"]))
def test_a_quantity_is_never_in_powers_of_ten_and_rounds_to_the_value(value, unit):
    said = explain.quantity(value, unit)
    assert "e" not in said
    number, _, prefix = said.replace(",", "").partition(" ")
    scale = {"": 1, "B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}[prefix]
    assert float(number) * scale == pytest.approx(value, rel=0.006, abs=0.51 if unit == "bytes" else 0.051)


def reasons(values, limits, p_values, features=(HOSTS, BYTES, FADING)):
    return explain.reasons(features, np.log1p(values).tolist(), np.log1p(limits).tolist(), p_values)


def test_reasons_come_most_unusual_first_and_share_the_score():
    told = reasons([412, 8e6, 30.27], [40.4, 1e6, 10.2], [1e-3, 1e-6, 1e-1])
    assert [reason.feature for reason in told] == ["sent", "peers", "failed"]
    assert [reason.share for reason in told] == pytest.approx([0.6, 0.3, 0.1])
    assert [reason.sentence for reason in told] == [
        "8 MB sent (expected at most 1 MB)",
        "412 hosts contacted (expected at most 40)",
        "30.3 failed connections, fading over 10 min (expected at most 10.2)",
    ]
    assert told[1].value == 412  # not 411.99999999999994
    assert told[1].expected_low == 0
    assert told[1].expected_high == pytest.approx(40.4)
    assert told[1].unit == "hosts"


@pytest.mark.parametrize(
    ("value", "said"), [(7, "about 7"), (99, "about 99"), (412, "about 410"), (40_812, "about 41,000")]
)
def test_an_estimate_is_told_as_one(value, said):
    (told,) = reasons([value], [1], [1e-6], HOST_FEATURES[:1])
    assert told.value == value
    assert told.sentence == f"{said} distinct hosts contacted (expected at most 1)"


def test_what_is_within_its_limit_is_no_reason():
    assert reasons([40, 8, 2], [40, 9, 3], [1e-300, 1e-9, 1e-9]) == ()
    assert [reason.feature for reason in reasons([41, 8, 2], [40, 9, 3], [0.5, 1e-9, 1e-9])] == ["peers"]


def test_what_is_certain_to_happen_is_no_reason():
    assert reasons([41, 8, 2], [40, 9, 3], [1.0, 1.0, 1.0]) == ()


def test_equally_unusual_features_keep_their_columns_order():
    told = reasons([99, 9e9, 99], [1, 1, 1], [1e-5] * 3)
    assert [reason.feature for reason in told] == ["peers", "sent", "failed"]


def test_at_most_five_reasons():
    d = len(HOST_FEATURES)
    told = explain.reasons(HOST_FEATURES, [20.0] * d, [1.0] * d, [1e-300] * d)
    assert len(told) == 5
    assert sum(reason.share for reason in told) == pytest.approx(5 / d)


@given(st.lists(st.tuples(st.floats(0, 40), st.floats(0, 40), st.floats(1e-300, 1)), min_size=3, max_size=3))
def test_reasons_are_plain_finite_numbers(columns):
    values, limits, p_values = map(list, zip(*columns, strict=True))
    for reason in explain.reasons((HOSTS, BYTES, FADING), values, limits, p_values):
        for number in (reason.value, reason.expected_low, reason.expected_high, reason.share):
            assert type(number) is float
            assert math.isfinite(number)
        assert 0 < reason.share <= 1
        assert reason.sentence.isascii()


def test_the_sentence_has_what_who_whom_how_long_and_two_reasons():
    why = reasons([412, 8e6, 30], [40, 1e6, 10], [1e-3, 1e-6, 1e-1])
    assert explain.sentence("10.0.0.5", "Port scan", " to 10.0.0.9", 10.0, why) == (
        "Port scan: 10.0.0.5 to 10.0.0.9 in 10 s: "
        "8 MB sent (expected at most 1 MB); 412 hosts contacted (expected at most 40)"
    )
    assert explain.sentence("10.0.0.5", "Flood", "", 2.5, why[:1]) == (
        "Flood: 10.0.0.5 in 2.5 s: 8 MB sent (expected at most 1 MB)"
    )


def test_the_ending_says_how_long_it_lasted():
    assert explain.ending("10.0.0.5", "Port scan", 300.0, 1, 10.0) == (
        "Port scan: 10.0.0.5 has been quiet for 300 s, after 1 unusual window of 10 s"
    )
    assert explain.ending("10.0.0.5", "Port scan", 300.0, 12, 10.0).endswith(
        "after 12 unusual windows of 10 s"
    )
