"""SHA-256 (FIPS 180-4), as kernels: JA4 is made of two of its digests.

It runs on what a `CLAIM_SCRATCH` row holds, a byte at a time: `start`, `absorb`
each byte, `finish`; the digest is then `state`, most significant word first.
The constants are derived as the standard says: the first 32 bits of the
fractional parts of roots of the first primes (4.2.2, 5.3.3).
"""

from __future__ import annotations

import numpy as np

from sensor.kernel import Int, Row, kernel, outlined
from sensor.packet.wire import signed

_BITS = 32


def _primes(count: int) -> list[int]:
    """Return the first `count` primes."""
    found: list[int] = []
    candidate = 2
    while len(found) < count:
        if all(candidate % prime for prime in found):
            found.append(candidate)
        candidate += 1
    return found


def _root_fraction(number: int, degree: int) -> int:
    """Return the first 32 bits of the fractional part of the root of `number`."""
    scaled = number << _BITS * degree
    low, high = 0, number << _BITS
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**degree <= scaled else (low, middle - 1)
    return low % (1 << _BITS)


_START = np.array([_root_fraction(prime, 2) for prime in _primes(8)], np.uint32)
_ROUNDS = np.array([_root_fraction(prime, 3) for prime in _primes(64)], np.uint32)
_WORD = 0xFFFF_FFFF


@outlined
def compress(scratch: Row) -> None:
    """Take the full block into the state (6.2.2).

    A word is doubled to 64 bits: shifted right, it is then the word rotated.
    """
    block, schedule, state = scratch.block, scratch.schedule, scratch.state
    for i in range(64):
        if i < 16:
            high = signed(block[4 * i]) << 24 | signed(block[4 * i + 1]) << 16
            schedule[i] = high | signed(block[4 * i + 2]) << 8 | signed(block[4 * i + 3])
            continue
        w, x = signed(schedule[i - 15]), signed(schedule[i - 2])
        ww, xx = w << _BITS | w, x << _BITS | x
        mixed = ((ww >> 7 ^ ww >> 18 ^ w >> 3) & _WORD) + ((xx >> 17 ^ xx >> 19 ^ x >> 10) & _WORD)
        schedule[i] = (mixed + signed(schedule[i - 16]) + signed(schedule[i - 7])) & _WORD
    a, b, c, d = signed(state[0]), signed(state[1]), signed(state[2]), signed(state[3])
    e, f, g, h = signed(state[4]), signed(state[5]), signed(state[6]), signed(state[7])
    for i in range(64):
        ee, aa = e << _BITS | e, a << _BITS | a
        chosen = ((ee >> 6 ^ ee >> 11 ^ ee >> 25) & _WORD) + (e & f ^ ~e & _WORD & g)
        first = h + chosen + signed(_ROUNDS[i]) + signed(schedule[i])
        second = ((aa >> 2 ^ aa >> 13 ^ aa >> 22) & _WORD) + (a & b ^ a & c ^ b & c)
        h, g, f, e = g, f, e, (d + first) & _WORD
        d, c, b, a = c, b, a, (first + second) & _WORD
    for i, word in enumerate((a, b, c, d, e, f, g, h)):
        state[i] = (signed(state[i]) + word) & _WORD
    scratch.block_bytes = 0


@kernel
def start(scratch: Row) -> None:
    """Begin a message."""
    state = scratch.state
    for i in range(8):
        state[i] = _START[i]
    scratch.block_bytes = 0
    scratch.total_bytes = 0


@kernel
def absorb(scratch: Row, byte: Int) -> None:
    """Take one more byte of the message in."""
    block = scratch.block
    used = scratch.block_bytes
    block[used] = byte
    scratch.block_bytes = used + 1
    scratch.total_bytes += 1
    if used == 63:
        compress(scratch)


@kernel
def finish(scratch: Row) -> None:
    """End the message: pad it (5.1.1); `state` is the digest."""
    block = scratch.block
    used = scratch.block_bytes
    block[used] = 0x80
    # Where the length has no room behind the mark, it goes into a block of its own.
    for last in range(1 if used >= 56 else 0, -1, -1):
        for i in range(used + 1, 64):
            block[i] = scratch.total_bytes * 8 >> (504 - 8 * i) & 0xFF if last == 0 and i >= 56 else 0
        compress(scratch)
        used = signed(-1)
