"""SipHash against the paper, against CPython's own, and against a plain twin."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive.siphash import siphash

from sensor.siphash import hash_address, sip_absorb, sip_finish, sip_start

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")
WORD = st.integers(0, 2**64 - 1)


def hash_words(words, k0, k1):
    state = sip_start(np.uint64(k0), np.uint64(k1))
    for word in words:
        state = sip_absorb(as_uint64(state), np.uint64(word))
    return int(sip_finish(as_uint64(state), np.uint64(8 * len(words))))


def as_uint64(state):
    # A compiled function gives Python integers back.
    return tuple(np.uint64(word) for word in state)


def test_the_twin_gives_the_value_printed_in_the_paper():
    key = bytes(range(16))
    k0, k1 = (int.from_bytes(key[at : at + 8], "little") for at in (0, 8))
    assert siphash(bytes(range(15)), k0, k1, 2, 4) == 0xA129CA6149BE45E5


@given(st.lists(WORD, max_size=6), WORD, WORD)
def test_kernel_equals_the_twin(words, k0, k1):
    message = b"".join(word.to_bytes(8, "little") for word in words)
    assert hash_words(words, k0, k1) == siphash(message, k0, k1)


@given(WORD, WORD, WORD, WORD)
def test_hash_address_is_siphash_of_its_16_bytes(hi, lo, k0, k1):
    message = hi.to_bytes(8, "little") + lo.to_bytes(8, "little")
    got = hash_address(np.uint64(hi), np.uint64(lo), np.uint64(k0), np.uint64(k1))
    assert int(got) == siphash(message, k0, k1)


@pytest.mark.skipif(sys.hash_info.algorithm != "siphash13", reason="this Python hashes bytes otherwise")
def test_equals_the_hash_of_bytes_in_a_python_with_a_zero_key():
    messages = [bytes(range(at, at + 8 * count)) for at, count in ((1, 1), (7, 2), (100, 5))]
    program = f"print(*[hash(m) % 2**64 for m in {messages!r}])"
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    out = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
    for message, expected in zip(messages, out.stdout.split(), strict=True):
        words = [int.from_bytes(message[at : at + 8], "little") for at in range(0, len(message), 8)]
        assert hash_words(words, 0, 0) == int(expected)
