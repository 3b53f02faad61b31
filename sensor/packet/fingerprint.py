"""A packet's keyed fingerprint: what is the same of all copies of it, and of nothing else.

What is compared are the first 64 bytes of an IPv4 packet, 80 of IPv6, and the
length; what lies behind them is in the transport checksum. The hash is NH, a
universal one (J. Black et al., "UMAC: Fast and Secure Message Authentication",
1999, section 4): without its key nobody can make two packets that share a
fingerprint with a chance above 2**-32.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from sensor.kernel import Int, Row, kernel
from sensor.packet.batch import Bytes
from sensor.packet.columns import DecodeError
from sensor.packet.wire import signed

Words = npt.NDArray[np.uint64]

#: One packet in so many is measured.
SAMPLING = 16

#: Words of the longest stretch that is compared, its tail, and the lengths.
KEY_WORDS = 12

_NONE = int(DecodeError.NONE)
_UDP = 17
_LOW = np.uint64(0xFFFF_FFFF)
_1, _2, _3, _4, _5, _6, _7 = (np.uint64(number) for number in range(1, 8))
_8, _16, _24, _32, _40, _48, _56 = (np.uint64(8 * number) for number in range(1, 8))
_29, _60 = np.uint64(29), np.uint64(60)
# MurmurHash3's finalizer: a bijection, so it makes no two fingerprints equal.
_MIX_1, _MIX_2 = np.uint64(0xFF51_AFD7_ED55_8CCD), np.uint64(0xC4CE_B9FE_1A85_EC53)


@kernel
def word(data: Bytes, at: Int) -> np.uint64:
    """Return the 8 bytes at `at`, least significant first: one load."""
    i = np.uint64(at)
    low = np.uint64(data[i]) | np.uint64(data[i + _1]) << _8
    low |= np.uint64(data[i + _2]) << _16 | np.uint64(data[i + _3]) << _24
    high = np.uint64(data[i + _4]) << _32 | np.uint64(data[i + _5]) << _40
    high |= np.uint64(data[i + _6]) << _48 | np.uint64(data[i + _7]) << _56
    return low | high


@kernel
def blend(value: np.uint64, key: np.uint64) -> np.uint64:
    """Return NH's product for one 64-bit `value`: of its two halves, each with half of `key` added."""
    return (((value & _LOW) + (key & _LOW)) & _LOW) * (((value >> _32) + (key >> _32)) & _LOW)


@kernel
def comparable(data: Bytes, row: Row) -> Int:
    """Return how many bytes of the IP packet of `row` are compared; 0 when they would not tell enough.

    A short snapshot leaves less of the copy that carries a tag more, so a
    packet that was cut is compared by its headers alone. A UDP datagram without
    checksum and identification may be another with the same beginning.
    """
    length, rest = signed(row.ip_bytes), signed(row.payload_bytes)
    at, header = row.network_offset, length - rest
    least, most = (40, 64) if row.ip_version == 4 else (60, 80)
    present = header + signed(row.payload_captured)
    wanted = min(length, signed(most))
    if present < wanted:
        wanted = signed(least)
    if row.error != _NONE or present < wanted or wanted < 20 or at < 0 or at + wanted > data.shape[0]:
        return signed(0)
    if row.protocol == _UDP and row.fragment_id == 0:
        end = np.uint64(at + min(header, wanted))
        if data[end - _2] == 0 and data[end - _1] == 0:
            return signed(0)
    return wanted


@kernel
def in_sample(data: Bytes, row: Row, length: Int, keys: Words, masks: Words) -> bool:
    """Return whether a packet is one of the `SAMPLING`-th part that is measured.

    A smaller hash than the fingerprint, as most packets are not: of the IP
    header's first eight bytes (length, identification, flow label) and of the
    first 16 behind the addresses (ports, checksum or sequence numbers). Takes
    the arguments of `fingerprint`.
    """
    six = signed(row.ip_version == 6)
    at, behind = row.network_offset, signed(20 + 20 * six)
    total = blend(word(data, at) & masks[six, 0], keys[0])
    if length >= behind + 8:
        total += blend(word(data, at + behind), keys[1])
    if length >= behind + 16:
        total += blend(word(data, at + behind + 8), keys[2])
    return bool((total ^ total >> _32) * _MIX_1 >> _60 == 0)


@kernel
def fingerprint(data: Bytes, row: Row, length: Int, keys: Words, masks: Words) -> np.uint64:
    """Return the keyed hash of the beginning of an IP packet and of its length.

    Parameters
    ----------
    data
        uint8, shape (bytes,).
    row
        One `PACKET` of kind IP.
    length
        How many bytes to take in, 20 at least: see `comparable`.
    keys
        uint64, shape (`KEY_WORDS`,): NH's secret.
    masks
        uint64, shape (2, `KEY_WORDS`): bits that count, by word of the packet; IPv4, IPv6.
    """
    at = row.network_offset
    six = signed(row.ip_version == 6)
    words = length >> 3
    total = blend(np.uint64(length) << _32 | np.uint64(row.ip_bytes), keys[KEY_WORDS - 1])
    for i in range(words):
        total += blend(word(data, at + 8 * i) & masks[six, i], keys[i])
    if length & 7:  # the last 8 bytes: what they repeat is not masked
        total += blend(word(data, at + length - 8), keys[words])
    total = (total ^ total >> _32) * _MIX_1
    total = (total ^ total >> _29) * _MIX_2
    return total ^ total >> _32


def keys_of(key: tuple[int, int]) -> Words:
    """Return NH's key, drawn from the 128-bit `key` of the sensor's tables."""
    secret = b"".join(half.to_bytes(8, "little") for half in key)
    drawn = hashlib.shake_128(b"duplicates" + secret).digest(8 * KEY_WORDS)
    return np.frombuffer(drawn, "<u8").astype(np.uint64)


def masks_of(*, routed: bool) -> Words:
    """Return the bits of each word that have to be equal, for IPv4 and for IPv6."""
    masks = np.full((2, 8 * KEY_WORDS), 0xFF, np.uint8)
    if routed:
        masks[0, [1, 8, 10, 11]] = 0  # type of service, time to live, header checksum
        masks[1, [0, 1, 7]] = 0xF0, 0x0F, 0  # traffic class, hop limit
    return masks.view("<u8").astype(np.uint64)
