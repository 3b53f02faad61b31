"""The walk over ring blocks, on crafted memory, against a plain twin."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive.ring import read_block

from sensor.packet.batch import FRAME
from sensor.sources.ring import (
    STATUS_KERNEL,
    STATUS_USER,
    most_packets,
    release_blocks,
    ring_over,
    walk_blocks,
)

BLOCK = 4096
FIELDS = ("offset", "time", "caplen", "wirelen", "vlan_tci", "vlan_tpid")


def block(packets, status=STATUS_USER, size=BLOCK):
    """One block as the kernel writes it: 48 bytes of header, then packets 8-aligned, frame 82 bytes in."""
    body = b""
    for number, (frame, tci, tpid, flags, packet_type) in enumerate(packets):
        length = (82 + len(frame) + 7) // 8 * 8
        step = 0 if number == len(packets) - 1 else length
        head = struct.pack(
            "=6IHHIIHH8x", step, 100, number, len(frame), len(frame) + 4, flags, 82, 96, 0, tci, tpid, 0
        )
        address = struct.pack("=HHiHBB8s", 17, 8, 2, 1, packet_type, 6, bytes(8))
        body += (head + address + bytes(14) + frame).ljust(length, b"\0")
    header = struct.pack("=6IQ4I", 1, 0, status, len(packets), 48, 48 + len(body), 1, 0, 0, 0, 0)
    assert len(header + body) <= size
    return (header + body).ljust(size, b"\0")


def over(*blocks, **options):
    memory = np.frombuffer(b"".join(blocks), np.uint8).copy()
    return ring_over(memory, len(blocks[0]), 1, **options), np.zeros(most_packets(len(blocks[0])), FRAME)


def plain(frame, tci=0, tpid=0, flags=0, packet_type=3):
    return frame, tci, tpid, flags, packet_type


def test_rows_hold_offsets_times_lengths_and_the_tag():
    packets = [plain(b"a" * 60), (b"b" * 61, 0x2005, 0x88A8, 0x50, 0), (b"c" * 20, 7, 0, 0x10, 0)]
    ring, frames = over(block(packets))
    assert walk_blocks(ring, frames, 8) == 3
    assert [bytes(ring.octets[f["offset"] : f["offset"] + f["caplen"]]) for f in frames[:3]] == [
        p[0] for p in packets
    ]
    assert frames["time"][:3].tolist() == [100_000_000_000, 100_000_000_001, 100_000_000_002]
    assert frames["wirelen"][:3].tolist() == [64, 65, 24]
    # Without TP_STATUS_VLAN_TPID_VALID the tag's type is 802.1Q's.
    assert frames["vlan_tci"][:3].tolist() == [0, 0x2005, 7]
    assert frames["vlan_tpid"][:3].tolist() == [0, 0x88A8, 0x8100]
    state = ring.state[0]
    assert (state["packets"], state["bytes"], state["truncated_packets"], state["vlan_packets"]) == (
        3,
        153,
        3,
        2,
    )


def test_blocks_are_taken_in_order_and_given_back_on_release():
    ring, frames = over(block([plain(b"1")]), block([plain(b"2")]), block([], status=STATUS_KERNEL))
    assert walk_blocks(ring, frames, 1) == 1
    assert walk_blocks(ring, frames, 8) == 1
    statuses = ring.words[2 :: BLOCK // 4]
    assert statuses.tolist() == [STATUS_USER, STATUS_USER, STATUS_KERNEL]
    release_blocks(ring)
    assert statuses.tolist() == [STATUS_KERNEL] * 3
    assert walk_blocks(ring, frames, 8) == 0


def test_the_walk_goes_round_and_never_takes_a_block_twice():
    ring, frames = over(block([plain(b"1")]), block([plain(b"2")]))
    assert walk_blocks(ring, frames, 99) == 2  # both are still the caller's: nothing more to take
    assert walk_blocks(ring, frames, 99) == 0
    release_blocks(ring)
    ring.words[2] = STATUS_USER
    assert walk_blocks(ring, frames, 99) == 1
    release_blocks(ring)
    assert ring.words[2] == STATUS_KERNEL


def test_a_block_that_does_not_fit_waits_for_the_next_walk():
    ring, _ = over(*(block([plain(b"x")] * 20) for _ in range(3)))
    frames = np.zeros(50, FRAME)
    assert [walk_blocks(ring, frames, 99), walk_blocks(ring, frames, 99)] == [40, 20]


@pytest.mark.parametrize(("keep", "rows"), [(False, 1), (True, 2)])
def test_outgoing_packets_are_left_out_and_counted(keep, rows):
    ring, frames = over(block([plain(b"in"), plain(b"out", packet_type=4)]), keep_outgoing=keep)
    assert walk_blocks(ring, frames, 8) == rows
    assert ring.state[0]["outgoing_packets"] == 2 - rows


patches = st.lists(st.tuples(st.integers(12, BLOCK // 4 - 1), st.integers(0, 2**32 - 1)), max_size=6)
small_patches = st.lists(st.tuples(st.integers(3, 60), st.integers(0, 4200)), max_size=6)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.binary(max_size=90), max_size=20),
    st.one_of(patches, small_patches),
    st.booleans(),
)
def test_equals_the_twin_on_whole_and_on_corrupt_blocks(payloads, changes, keep):
    memory = bytearray(block([plain(payload) for payload in payloads]) * 2)
    for word, value in changes:
        struct.pack_into("=I", memory, BLOCK + word * 4, value)
    ring, _ = over(bytes(memory[:BLOCK]), bytes(memory[BLOCK:]), keep_outgoing=keep)
    ring.words[2] = STATUS_KERNEL
    ring.state["next_block"] = 1
    ring.words[BLOCK // 4 + 2] = STATUS_USER
    frames = np.zeros(most_packets(BLOCK), FRAME)
    count = walk_blocks(ring, frames, 8)
    rows, outgoing, malformed = read_block(ring.octets.tobytes(), BLOCK, BLOCK, keep_outgoing=keep)
    assert [tuple(int(row[name]) for name in FIELDS) for row in frames[:count]] == rows
    assert ring.state[0]["outgoing_packets"] == outgoing
    assert ring.state[0]["malformed_packets"] == malformed
    ends = frames["offset"][:count] + frames["caplen"][:count].astype(np.int64)
    assert (ends <= 2 * BLOCK).all()
