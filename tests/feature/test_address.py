"""Which addresses are a host's."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sensor.feature.address import is_unicast


@given(st.tuples(st.sampled_from([0, 0xFF, 0xFE80]).map(lambda top: top << 48), st.integers(0, 2**64 - 1)))
def test_unicast_is_what_one_host_can_have(address):
    hi, lo = address
    mapped = hi == 0 and lo >> 32 == 0xFFFF
    expected = 0 < lo & 0xFFFF_FFFF < 0xE000_0000 if mapped else (hi | lo) != 0 and hi >> 56 != 0xFF
    assert is_unicast(np.uint64(hi), np.uint64(lo)) == expected
