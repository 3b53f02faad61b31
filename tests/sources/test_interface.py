import numpy as np
import pytest
from craft_capture import interface_description, option
from hypothesis import example, given, settings
from hypothesis import strategies as st
from naive.capture import exact_time

from sensor.sources.interface import TIME_MAX, interface_time, parse_interface
from sensor.sources.tally import Tally
from sensor.sources.walk import BadCaptureError


def described(order="little", **fields):
    return parse_interface(memoryview(interface_description(order, **fields)[8:-4]), order)


def time_of(table, ticks):
    tally = Tally()
    time = interface_time(table[0], np.uint64(ticks), tally.rows)
    return time, bool(tally.counters()["timestamps_clamped"])


@settings(max_examples=400, deadline=None)
@given(
    ticks=st.integers(0, 2**64 - 1) | st.integers(0, 70).map(lambda bits: min(2**bits, 2**64) - 1),
    resolution=st.integers(0, 255),
    offset=st.integers(-(2**63), 2**63 - 1) | st.integers(-(2**33), 2**33),
)
@example(ticks=2**64 - 1, resolution=0, offset=0)
@example(ticks=2**64 - 1, resolution=0x80 | 127, offset=0)
@example(ticks=2**64 - 1, resolution=0x80 | 32, offset=-(2**63))
@example(ticks=2**64 - 1, resolution=0x80 | 31, offset=2**63 - 1)
@example(ticks=TIME_MAX, resolution=9, offset=0)
@example(ticks=TIME_MAX + 1, resolution=9, offset=0)
@example(ticks=2**64 - 1, resolution=28, offset=0)
@example(ticks=2**64 - 1, resolution=29, offset=1)
def test_time_equals_exact_arithmetic(ticks, resolution, offset):
    time, clamped = time_of(described(resolution=resolution, offset_secs=offset), ticks)
    assert time == exact_time(ticks, resolution, offset)
    exponent = resolution & 0x7F
    since = (ticks * 10**9) >> exponent if resolution & 0x80 else ticks * 10**9 // 10**exponent
    assert clamped or time == since + offset * 10**9


@pytest.mark.parametrize("order", ["little", "big"])
def test_fields_are_read_in_the_section_byte_order(order):
    table = described(order, link_type=0x0102, snaplen=0x0304, offset_secs=3)
    assert table["link_type"][0] == 0x0102
    assert table["snaplen"][0] == 0x0304
    assert table["offset_ns"][0] == 3 * 10**9


def test_a_clock_is_microseconds_when_nothing_is_said():
    assert time_of(described(), 5) == (5000, False)


def test_the_first_of_two_equal_options_counts():
    body = bytes(8) + option(9, b"\x03") + option(9, b"\x00")
    assert time_of(parse_interface(memoryview(body), "little"), 5) == (5_000_000, False)


def test_nothing_is_read_behind_the_end_of_options():
    body = bytes(8) + option(0, b"") + option(9, b"\x00")
    assert time_of(parse_interface(memoryview(body), "little"), 5) == (5000, False)


def test_an_offset_of_the_wrong_length_is_no_offset():
    body = bytes(8) + option(14, b"\x01\x00\x00\x00")
    assert parse_interface(memoryview(body), "little")["offset_ns"][0] == 0


def test_an_option_longer_than_the_block_is_damage():
    body = bytes(8) + option(9, b"\x06")[:2] + b"\xff\xff" + bytes(8)
    with pytest.raises(BadCaptureError, match="longer than"):
        parse_interface(memoryview(body), "little")


def test_a_short_description_is_damage():
    with pytest.raises(BadCaptureError, match="short"):
        parse_interface(memoryview(bytes(7)), "little")


def test_only_so_many_options_are_looked_at():
    body = bytes(8) + option(1, b"") * 300 + option(9, b"\x00")
    assert time_of(parse_interface(memoryview(body), "little"), 5) == (5000, False)
