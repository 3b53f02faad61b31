"""How many distinct values: HyperLogLog in 128 bytes.

Flajolet et al., AofA 2007, with linear counting for small ranges. Standard
error 1.04 / sqrt(128) = 9 %, and 6 % below about 50: 10 values are counted as
9 to 11.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sensor.kernel import kernel

REGISTERS = 128
_INDEX_BITS = np.uint64(7)
_ALPHA = 0.7213 / (1.0 + 1.079 / REGISTERS)
_ONE = np.uint64(1)
_MAX_RANK = 64 - 7 + 1
#: 2^-rank: what a register adds to the harmonic mean.
_PARTS = 2.0 ** -np.arange(_MAX_RANK + 1)


@kernel
def add(registers: npt.NDArray[np.uint8], hashed: np.uint64) -> None:
    """Count the value with the 64-bit hash `hashed` in `registers` (128 bytes)."""
    index = np.int64(hashed & np.uint64(REGISTERS - 1))
    rest = hashed >> _INDEX_BITS
    rank = 1
    while rank < _MAX_RANK and rest & _ONE == np.uint64(0):
        rank += 1
        rest = rest >> _ONE
    if rank > np.int64(registers[index]):
        registers[index] = np.uint8(rank)


@kernel
def estimate(registers: npt.NDArray[np.uint8]) -> float:
    """Return about how many distinct values were added."""
    zeros = 0
    total = 0.0
    for index in range(REGISTERS):
        rank = np.int64(registers[index])
        if rank == 0:
            zeros += 1
        total += _PARTS[rank]
    raw = _ALPHA * REGISTERS * REGISTERS / total
    if zeros > 0 and raw <= 2.5 * REGISTERS:
        return float(np.round(REGISTERS * np.log(REGISTERS / zeros)))
    return float(np.round(raw))
