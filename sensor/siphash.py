"""SipHash-1-3 over 64-bit words: the keyed hash of every table that packets fill.

Whoever sends packets chooses what goes into a table; with a hash that he can
compute he also chooses where, and one long chain is enough to stall a sensor.
SipHash with a secret key denies him that (J.-P. Aumasson and D. J. Bernstein,
"SipHash: a fast short-input PRF", 2012). One compression and three finalization
rounds are what hash tables commonly use (CPython, Rust); the paper's 2-4 is
meant for message authentication, which is not needed here.

The result is that of SipHash over the words' bytes, least significant first.
"""

from __future__ import annotations

import numpy as np

from sensor.kernel import kernel

#: The four words of SipHash's internal state.
SipState = tuple[np.uint64, np.uint64, np.uint64, np.uint64]

# "somepseudorandomlygeneratedbytes", as the paper gives it.
_INIT0 = np.uint64(0x736F_6D65_7073_6575)
_INIT1 = np.uint64(0x646F_7261_6E64_6F6D)
_INIT2 = np.uint64(0x6C79_6765_6E65_7261)
_INIT3 = np.uint64(0x7465_6462_7974_6573)
_FINAL = np.uint64(0xFF)

_L13 = np.uint64(13)
_L16 = np.uint64(16)
_L17 = np.uint64(17)
_L21 = np.uint64(21)
_L32 = np.uint64(32)
_L43 = np.uint64(43)
_L47 = np.uint64(47)
_L48 = np.uint64(48)
_L51 = np.uint64(51)
_L56 = np.uint64(56)
_ADDRESS_BYTES = np.uint64(16)


@kernel
def sip_round(state: SipState) -> SipState:
    """Return `state` after one SipRound (figure 2.1 of the paper)."""
    v0, v1, v2, v3 = state
    v0 = v0 + v1
    v2 = v2 + v3
    v1 = ((v1 << _L13) | (v1 >> _L51)) ^ v0
    v3 = ((v3 << _L16) | (v3 >> _L48)) ^ v2
    v0 = (v0 << _L32) | (v0 >> _L32)
    v2 = v2 + v1
    v0 = v0 + v3
    v1 = ((v1 << _L17) | (v1 >> _L47)) ^ v2
    v3 = ((v3 << _L21) | (v3 >> _L43)) ^ v0
    v2 = (v2 << _L32) | (v2 >> _L32)
    return v0, v1, v2, v3


@kernel
def sip_start(k0: np.uint64, k1: np.uint64) -> SipState:
    """Return the state before the first word, for the key (k0, k1)."""
    return k0 ^ _INIT0, k1 ^ _INIT1, k0 ^ _INIT2, k1 ^ _INIT3


@kernel
def sip_absorb(state: SipState, word: np.uint64) -> SipState:
    """Return `state` with one more 64-bit `word` of the message taken in."""
    v0, v1, v2, v3 = sip_round((state[0], state[1], state[2], state[3] ^ word))
    return v0 ^ word, v1, v2, v3


@kernel
def sip_finish(state: SipState, length: np.uint64) -> np.uint64:
    """Return the 64-bit hash of a message of `length` bytes, a multiple of 8, all taken in."""
    v0, v1, v2, v3 = sip_absorb(state, length << _L56)
    state = sip_round((v0, v1, v2 ^ _FINAL, v3))
    v0, v1, v2, v3 = sip_round(sip_round(state))
    return v0 ^ v1 ^ v2 ^ v3


@kernel
def hash_address(hi: np.uint64, lo: np.uint64, k0: np.uint64, k1: np.uint64) -> np.uint64:
    """Return the keyed hash of one 128-bit address.

    Parameters
    ----------
    hi, lo
        The address in two words, as in `packet.columns`.
    k0, k1
        The secret 128-bit key.
    """
    return sip_finish(sip_absorb(sip_absorb(sip_start(k0, k1), hi), lo), _ADDRESS_BYTES)
