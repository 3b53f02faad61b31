"""The walk over blocks of one ring and of several, on crafted memory, against plain twins."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive.ring import merge, read_block

from sensor.packet.batch import FRAME
from sensor.sources.ring import (
    NEVER,
    STATUS_KERNEL,
    STATUS_USER,
    release_blocks,
    rings_over,
    waiting_blocks,
    walk_rings,
)

BLOCK = 4096
FIELDS = ("offset", "time", "caplen", "wirelen", "vlan_tci", "vlan_tpid")


#: More packets than any block here has.
ROWS = 200
_SECOND = 1_000_000_000


def block(packets, status=STATUS_USER, size=BLOCK, times=None):
    """One block as the kernel writes it: 48 bytes of header, then packets 8-aligned, frame 82 bytes in."""
    body = b""
    times = times or [100 * _SECOND + number for number in range(len(packets))]
    for number, (frame, tci, tpid, flags, packet_type) in enumerate(packets):
        length = (82 + len(frame) + 7) // 8 * 8
        step = 0 if number == len(packets) - 1 else length
        head = struct.pack(
            "=6IHHIIHH8x",
            *(step, *divmod(times[number], _SECOND), len(frame), len(frame) + 4, flags),
            *(82, 96, 0, tci, tpid, 0),
        )
        address = struct.pack("=HHiHBB8s", 17, 8, 2, 1, packet_type, 6, bytes(8))
        body += (head + address + bytes(14) + frame).ljust(length, b"\0")
    header = struct.pack("=6IQ4I", 1, 0, status, len(packets), 48, 48 + len(body), 1, 0, 0, 0, 0)
    assert len(header + body) <= size
    return (header + body).ljust(size, b"\0")


def over(*blocks, **options):
    memory = np.frombuffer(b"".join(blocks), np.uint8).copy()
    return rings_over(memory, 1, len(blocks[0]), 1, **options), np.zeros(ROWS, FRAME)


def walk(ring, frames, most_blocks=99):
    return walk_rings(ring, frames, most_blocks, NEVER)


def plain(frame, tci=0, tpid=0, flags=0, packet_type=3):
    return frame, tci, tpid, flags, packet_type


def test_rows_hold_offsets_times_lengths_and_the_tag():
    packets = [plain(b"a" * 60), (b"b" * 61, 0x2005, 0x88A8, 0x50, 0), (b"c" * 20, 7, 0, 0x10, 0)]
    ring, frames = over(block(packets))
    assert walk(ring, frames, 8) == 3
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
    assert walk(ring, frames, 1) == 1
    assert walk(ring, frames, 8) == 1
    statuses = ring.words[2 :: BLOCK // 4]
    assert statuses.tolist() == [STATUS_USER, STATUS_USER, STATUS_KERNEL]
    release_blocks(ring)
    assert statuses.tolist() == [STATUS_KERNEL] * 3
    assert walk(ring, frames, 8) == 0


def test_the_walk_goes_round_and_never_takes_a_block_twice():
    ring, frames = over(block([plain(b"1")]), block([plain(b"2")]))
    assert walk(ring, frames, 99) == 2  # both are still the caller's: nothing more to take
    assert walk(ring, frames, 99) == 0
    release_blocks(ring)
    ring.words[2] = STATUS_USER
    assert walk(ring, frames, 99) == 1
    release_blocks(ring)
    assert ring.words[2] == STATUS_KERNEL


def test_a_block_that_does_not_fit_is_gone_on_with_and_kept_till_then():
    ring, _ = over(*(block([plain(bytes([number]))] * 20) for number in range(3)))
    frames = np.zeros(50, FRAME)
    assert walk(ring, frames) == 50
    release_blocks(ring)
    assert ring.words[2 :: BLOCK // 4].tolist() == [STATUS_KERNEL, STATUS_KERNEL, STATUS_USER]
    assert walk(ring, frames) == 10
    release_blocks(ring)
    assert ring.words[2 :: BLOCK // 4].tolist() == [STATUS_KERNEL] * 3
    assert ring.state["walked_blocks"][0] == 3


@pytest.mark.parametrize(("keep", "rows"), [(False, 1), (True, 2)])
def test_outgoing_packets_are_left_out_and_counted(keep, rows):
    ring, frames = over(block([plain(b"in"), plain(b"out", packet_type=4)]), keep_outgoing=keep)
    assert walk(ring, frames, 8) == rows
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
    frames = np.zeros(ROWS, FRAME)
    count = walk(ring, frames, 8)
    rows, outgoing, malformed = read_block(ring.octets.tobytes(), BLOCK, BLOCK, keep_outgoing=keep)
    assert [tuple(int(row[name]) for name in FIELDS) for row in frames[:count]] == rows
    assert ring.state[0]["outgoing_packets"] == outgoing
    assert ring.state[0]["malformed_packets"] == malformed
    ends = frames["offset"][:count] + frames["caplen"][:count].astype(np.int64)
    assert (ends <= 2 * BLOCK).all()


@pytest.mark.parametrize("blocks", [1, 2, 3, 8])
def test_waiting_blocks_are_those_that_the_kernel_has_not(blocks):
    for ready in range(blocks + 1):
        for start in range(blocks):
            statuses = np.full(blocks, STATUS_KERNEL)
            statuses[(start + np.arange(ready)) % blocks] = STATUS_USER
            ring, frames = over(*(block([plain(b"x")], status=status) for status in statuses.tolist()))
            ring.state["next_block"] = start
            assert waiting_blocks(ring) == ready
            walk(ring, frames, 2)
            assert waiting_blocks(ring) == ready
            release_blocks(ring)
            assert waiting_blocks(ring) == ready - min(ready, 2)


def several(rings, ready=None):
    """Return rings of one packet a block with these times; what is beyond `ready` is still the kernel's."""
    size = 256
    blocks = max(map(len, rings)) + 1
    memory = b""
    for number, times in enumerate(rings):
        many = len(times) if ready is None else ready[number]
        statuses = [STATUS_USER] * many + [STATUS_KERNEL] * blocks
        packets = [
            block([plain(bytes([number]))], status, size, [time])
            for time, status in zip(times, statuses, strict=False)
        ]
        memory += b"".join(packets) + bytes(size * (blocks - len(times)))
    return rings_over(np.frombuffer(memory, np.uint8).copy(), len(rings), size, 1)


def rows_of(rings, frames):
    return [(int(row["time"]), int(rings.octets[row["offset"]])) for row in frames]


def test_rings_are_merged_by_time_and_equal_times_by_ring():
    rings, frames = several([[10, 30, 30], [20, 30], [5, 40]]), np.zeros(ROWS, FRAME)
    assert walk_rings(rings, frames, 99, NEVER) == 7
    merged = [(5, 2), (10, 0), (20, 1), (30, 0), (30, 0), (30, 1), (40, 2)]
    assert rows_of(rings, frames[:7]) == merged
    assert rings.state["packets"].tolist() == [3, 2, 2]


def test_a_ring_without_a_ready_block_holds_back_what_is_later_than_it_can_still_give():
    rings, frames = several([[10, 20, 30], [15, 25]], ready=[3, 1]), np.zeros(ROWS, FRAME)
    assert walk_rings(rings, frames, 99, 0) == 2  # after 15 comes perhaps 16, before 20
    assert walk_rings(rings, frames, 99, 19) == 0
    assert walk_rings(rings, frames, 99, 20) == 1  # by now nothing earlier can come
    release_blocks(rings)
    rings.words[(int(rings.state["base"][1]) + 256) // 4 + 2] = STATUS_USER
    assert walk_rings(rings, frames, 99, 20) == 1
    assert rows_of(rings, frames[:1]) == [(25, 1)]
    assert walk_rings(rings, frames, 99, NEVER) == 1


def test_a_ring_that_may_hold_no_more_blocks_holds_back_the_others():
    rings, frames = several([[1, 2, 3], [10]]), np.zeros(ROWS, FRAME)
    assert walk_rings(rings, frames, 2, NEVER) == 2
    release_blocks(rings)
    assert walk_rings(rings, frames, 2, NEVER) == 2
    assert rows_of(rings, frames[:2]) == [(3, 0), (10, 1)]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_the_merge_equals_its_twin_wherever_it_is_cut(data):
    times = st.lists(st.integers(0, 60), max_size=12)
    rings = data.draw(st.lists(st.one_of(times.map(sorted), times), min_size=1, max_size=4))
    ready = [data.draw(st.integers(0, len(one))) for one in rings]
    quiet = data.draw(st.one_of(st.integers(0, 60), st.just(NEVER)))
    made = several(rings, ready)
    expected = merge([one[:many] for one, many in zip(rings, ready, strict=True)], [0] * len(rings), quiet)
    rows = []
    for _ in range(sum(ready) + 1):
        frames = np.zeros(data.draw(st.integers(1, 9)), FRAME)
        count = walk_rings(made, frames, 99, quiet)
        rows += rows_of(made, frames[:count])
        if data.draw(st.booleans()):
            release_blocks(made)
    assert rows == expected
