"""SHA-256 against the standard library's, at every length around a block's end."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.packet.claim import claim_scratch
from sensor.packet.sha256 import absorb, finish, start

SCRATCH = claim_scratch()


def digest(message):
    scratch = SCRATCH[0]
    start(scratch)
    for byte in message:
        absorb(scratch, byte)
    finish(scratch)
    return "".join(f"{word:08x}" for word in scratch.state)


@pytest.mark.parametrize("size", [0, 1, 54, 55, 56, 57, 62, 63, 64, 65, 119, 120, 127, 128, 200])
def test_digest_at_the_edges_of_a_block(size):
    message = bytes(range(7, 7 + 200))[:size]
    assert digest(message) == hashlib.sha256(message).hexdigest()


@given(st.binary(max_size=300))
def test_digest_of_any_message(message):
    assert digest(message) == hashlib.sha256(message).hexdigest()
