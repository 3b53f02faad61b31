"""Integers as they stand on the wire: big-endian, at any alignment.

Little-endian are only the headers that capture programs put before a frame.

None of these looks at the captured length: the caller has checked that
``at + width <= end``. Everything up to 32 bits comes back as int64, so that
offsets and lengths never mix signed with unsigned; 48 and 64 bits are keys,
not quantities, and come back as uint64.
"""

from __future__ import annotations

import numpy as np

from sensor.kernel import Int, kernel
from sensor.packet.batch import Bytes

# Unsigned, because numba reads a signed index as possibly counted from the end and
# then cannot join byte loads.
_1, _2, _3 = np.uint64(1), np.uint64(2), np.uint64(3)


@kernel
def signed(value: Int) -> Int:
    """Return a stored field as int64, whatever its width and sign."""
    return np.int64(value)


@kernel
def u8(data: Bytes, at: Int) -> Int:
    """Return the byte at `at`."""
    return signed(data[np.uint64(at)])


@kernel
def be16(data: Bytes, at: Int) -> Int:
    """Return the 16 bits at `at`."""
    i = np.uint64(at)
    return signed(data[i]) << 8 | signed(data[i + _1])


@kernel
def be32(data: Bytes, at: Int) -> Int:
    """Return the 32 bits at `at`."""
    i = np.uint64(at)
    high = signed(data[i]) << 24 | signed(data[i + _1]) << 16
    return high | signed(data[i + _2]) << 8 | signed(data[i + _3])


@kernel
def be48(data: Bytes, at: Int) -> np.uint64:
    """Return the 48 bits at `at`: a MAC address."""
    return np.uint64(be16(data, at) << 32 | be32(data, at + 2))


@kernel
def be64(data: Bytes, at: Int) -> np.uint64:
    """Return the 64 bits at `at`: half of an IPv6 address."""
    return np.uint64(be32(data, at)) << np.uint64(32) | np.uint64(be32(data, at + 4))


@kernel
def le16(data: Bytes, at: Int) -> Int:
    """Return the 16 bits at `at`, least significant byte first."""
    i = np.uint64(at)
    return signed(data[i]) | signed(data[i + _1]) << 8


@kernel
def le32(data: Bytes, at: Int) -> Int:
    """Return the 32 bits at `at`, least significant byte first."""
    i = np.uint64(at)
    low = signed(data[i]) | signed(data[i + _1]) << 8
    return low | signed(data[i + _2]) << 16 | signed(data[i + _3]) << 24
