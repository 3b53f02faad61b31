from __future__ import annotations

import math
import re

import pytest
from alert_examples import hostile_text
from hypothesis import given
from hypothesis import strategies as st

from sensor.formats.canonical import ip, mac, printable, real, socket_address, utc, whole


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plain text", "plain text"),
        ("a\r\nb", "a\\x0d\\x0ab"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\x7f", "\\x7f"),
        ("\xe9", "\\xc3\\xa9"),
        ("\u2028", "\\xe2\\x80\\xa8"),
        ("\U0001f98b", "\\xf0\\x9f\\xa6\\x8b"),
        ("\udcff\udc80", "\\xff\\x80"),  # bytes that were no UTF-8
        ("\ud800", "\\xed\\xa0\\x80"),  # half a pair
        ("\\x41", "\\x41"),
    ],
)
def test_printable_writes_bytes_as_escapes(text, written):
    assert printable(text) == written


@given(hostile_text, st.integers(3, 400))
def test_printable_is_bounded_ascii_and_idempotent(text, limit):
    once = printable(text, limit)
    assert len(once) <= limit
    assert all(" " <= character <= "~" for character in once)
    assert printable(once, limit) == once


def test_a_cut_says_so_and_leaves_whole_escapes():
    assert printable("a" * 300) == "a" * 252 + "..."
    assert printable("a" * 255) == "a" * 255
    cut = printable("\xe9" * 300, 30)
    assert re.fullmatch(r"(\\xc3\\xa9)+\.\.\.", cut)
    assert len(cut) <= 30


def test_printable_looks_at_no_more_than_it_writes():
    class Counted(str):
        __slots__ = ("seen",)

        def __iter__(self):
            self.seen = 0
            for character in str.__iter__(self):
                self.seen += 1
                yield character

    text = Counted("\n" * 1_000_000)
    printable(text)
    assert text.seen <= 256


@pytest.mark.parametrize(
    ("time_ns", "written"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1_767_323_045_678_901_999, "2026-01-02T03:04:05.678901Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
        (2**63 - 1, "2262-04-11T23:47:16.854775Z"),
        (-(2**63), "1677-09-21T00:12:43.145224Z"),
        (10**30, "9999-12-31T23:59:59.999999Z"),
        (-(10**30), "0001-01-01T00:00:00.000000Z"),
    ],
)
def test_utc(time_ns, written):
    assert utc(time_ns) == written


@given(st.floats())
def test_real_is_finite_and_close_or_none(value):
    written = real(value)
    if not math.isfinite(value):
        assert written is None
    elif abs(value) < 1e-300:  # subnormal numbers have fewer digits
        assert written == pytest.approx(value, abs=1e-305)
    else:
        assert written == pytest.approx(value, rel=5e-6)


def test_real_has_one_zero_and_six_digits():
    assert repr(real(-0.0)) == "0.0"
    assert real(5.2218487496) == 5.22185
    assert real(1.7976931348623157e308) == 1.79769e308


@pytest.mark.parametrize(("value", "written"), [(5, 5), (-1, 0), (2**64 - 1, 2**63 - 1)])
def test_whole_fits_a_signed_long(value, written):
    assert whole(value) == written


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("02:00:5e:00:53:0a", "02-00-5E-00-53-0A"),
        ("02-00-5E-00-53-0a", "02-00-5E-00-53-0A"),
        ("0200.5e00.530a", "02-00-5E-00-53-0A"),
        ("", ""),
        ("02:00:5e", "02:00:5e"),
        ("\u0660" * 12, "\\xd9\\xa0" * 12),
    ],
)
def test_mac(text, written):
    assert mac(text) == written


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("fe80::1%eth0\n", "fe80::1"),
        ("192.0.2.1\n", None),
        ("192.0.2.256", None),
        ("host.example", None),
        ("", None),
    ],
)
def test_ip(text, written):
    assert ip(text) == written


def test_socket_address():
    assert socket_address("192.0.2.1", 80) == "192.0.2.1:80"
    assert socket_address("2001:db8::1", 80) == "[2001:db8::1]:80"
    assert socket_address("2001:db8::1", 0) == "2001:db8::1"
    assert socket_address("", 0) == "0.0.0.0"  # noqa: S104  (text)
