"""Was this seen before? A Bloom filter of two generations, in fixed memory.

When the younger generation has taken in its share, the older one is cleared and
becomes the younger: a value is remembered for at least one full generation and
forgotten at some point after. Four bits a value; with both generations full the
filter calls 1 value in 130 seen that was not, and fewer before.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sensor.kernel import kernel

#: 2^22 bits (512 KiB) a generation.
WORDS = 1 << 16
#: A value's four bits lie in one block of 512 bits, so that they cost one cache miss (Putze et al., 2007).
_BLOCK_WORDS = 8
_BLOCK_BITS = np.uint64(511)
_BITS_PER_PLACE = np.uint64(9)
_GENERATION_LIMIT = 300_000
_HASHES = 4


@kernel
def first_seen(bits: npt.NDArray[np.uint64], state: npt.NDArray[np.int64], hashed: np.uint64) -> bool:
    """Take in `hashed` and say whether it was new.

    Parameters
    ----------
    bits
        uint64, shape (2, `WORDS`): the two generations.
    state
        int64, shape (2,): the younger generation's index, and how many values it took in.
    hashed
        64-bit keyed hash of the value.
    """
    young = state[0]
    # Bits that are missing, gathered without a branch: new or not, nobody could predict it.
    missing = missing_old = np.uint64(0)
    block = np.int64((hashed >> np.uint64(48)) % np.uint64(WORDS // _BLOCK_WORDS)) * _BLOCK_WORDS
    places = hashed
    for _ in range(_HASHES):
        bit = places & _BLOCK_BITS
        word = block + np.int64(bit >> np.uint64(6))
        mask = np.uint64(1) << (bit & np.uint64(63))
        held = bits[young, word]
        missing |= mask & ~held
        missing_old |= mask & ~bits[1 - young, word]
        bits[young, word] = held | mask
        places = places >> _BITS_PER_PLACE
    if missing == np.uint64(0):
        return False
    state[1] += 1
    if state[1] >= _GENERATION_LIMIT:
        bits[1 - young, :] = np.uint64(0)
        state[0] = 1 - young
        state[1] = 0
    return bool(missing_old != np.uint64(0))
