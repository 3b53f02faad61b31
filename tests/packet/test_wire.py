import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sensor.packet import wire


@given(st.binary(min_size=8, max_size=8), st.integers(0, 5))
def test_readers_are_big_endian_at_any_offset(data, at):
    array = np.frombuffer(bytes(at) + data, np.uint8)
    for width, reader in ((1, wire.u8), (2, wire.be16), (4, wire.be32), (6, wire.be48), (8, wire.be64)):
        assert int(reader(array, at)) == int.from_bytes(data[:width], "big")


@given(st.integers(0, 2**32 - 1))
def test_signed_keeps_the_value(value):
    assert wire.signed(np.uint32(value)) == value
