from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.sinks.retry_after import CAP_SECS, retry_after_secs

NOW = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT, the date of RFC 9110's examples


@pytest.mark.parametrize(
    ("header", "secs"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("120", 120.0),
        (" 1.5 ", 1.5),
        ("-5", 0.0),
        ("86400", CAP_SECS),
        ("Sun, 06 Nov 1994 08:50:37 GMT", 60.0),
        ("Sun, 06 Nov 1994 08:49:07 GMT", 0.0),
        ("Mon, 07 Nov 1994 08:49:37 GMT", CAP_SECS),
        ("Sun, 99 Nov 1994 08:49:37 GMT", None),
    ],
)
def test_seconds_and_dates(header, secs):
    assert retry_after_secs(header, NOW) == secs


@given(st.text(max_size=60))
def test_any_text_gives_a_bounded_pause_or_none(header):
    secs = retry_after_secs(header, NOW)
    assert secs is None or 0.0 <= secs <= CAP_SECS
