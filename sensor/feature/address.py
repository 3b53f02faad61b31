"""Which addresses can be a host's."""

from __future__ import annotations

import numpy as np

from sensor.kernel import kernel
from sensor.packet.columns import V4_MAPPED

_V4_PREFIX = np.uint64(V4_MAPPED >> 32)


@kernel
def is_unicast(hi: np.uint64, lo: np.uint64) -> bool:
    """Say whether the address can be one host's: no multicast, broadcast or unspecified."""
    if hi == np.uint64(0):
        if lo >> np.uint64(32) == _V4_PREFIX:
            address = lo & np.uint64(0xFFFF_FFFF)
            return bool(address != np.uint64(0)) and bool(address < np.uint64(0xE000_0000))
        return bool(lo != np.uint64(0))
    return hi >> np.uint64(56) != np.uint64(0xFF)
