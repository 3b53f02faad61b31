"""Integers of either byte order, read inside kernels.

Everything is int64, so that no kernel mixes signed and unsigned words; numba
would make floats of those.
"""

from __future__ import annotations

import numpy as np

from sensor.kernel import kernel
from sensor.packet.batch import Bytes


@kernel
def word16(data: Bytes, at: int, big_endian: bool) -> int:  # noqa: FBT001  (a kernel's argument)
    """Return the unsigned 16-bit integer at `at`. The caller has checked the bounds."""
    first = np.int64(data[at])
    second = np.int64(data[at + 1])
    if big_endian:
        return int(first << 8 | second)
    return int(second << 8 | first)


@kernel
def word32(data: Bytes, at: int, big_endian: bool) -> int:  # noqa: FBT001  (a kernel's argument)
    """Return the unsigned 32-bit integer at `at`. The caller has checked the bounds."""
    b0 = np.int64(data[at])
    b1 = np.int64(data[at + 1])
    b2 = np.int64(data[at + 2])
    b3 = np.int64(data[at + 3])
    if big_endian:
        return int(b0 << 24 | b1 << 16 | b2 << 8 | b3)
    return int(b3 << 24 | b2 << 16 | b1 << 8 | b0)
