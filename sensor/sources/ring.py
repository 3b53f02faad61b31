"""Walk over the blocks of a TPACKET_V3 receive ring.

The kernel fills blocks of a ring in shared memory and hands each over by a bit
in its header; a walk turns the packets of ready blocks into `FRAME` rows whose
offsets point into the ring itself, so nothing is copied. The layout is that of
``linux/if_packet.h`` (`tpacket_block_desc`, `tpacket3_hdr`, `sockaddr_ll`).

The ring is written by the kernel and not by an attacker, and is checked all
the same: no offset is followed out of its block.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sensor.kernel import kernel
from sensor.packet.batch import Bytes, Frames

#: Bytes of `tpacket_block_desc`, and of `tpacket3_hdr` with the `sockaddr_ll` behind it.
BLOCK_HEADER_BYTES = 48
PACKET_HEADER_BYTES = 68
#: Every packet begins at a multiple of this (V3_ALIGNMENT in the kernel).
ALIGNMENT = 8
#: Block status: whose the block is.
STATUS_KERNEL, STATUS_USER = 0, 1
#: Packet status: which of the VLAN fields hold a stripped tag.
VLAN_VALID, VLAN_TPID_VALID = 0x10, 0x40
#: `sll_pkttype` of what this host sends.
OUTGOING = 4
_ETHERTYPE_8021Q = 0x8100
_SECOND = 1_000_000_000

#: What a walk remembers, and what it counted.
RING_STATE = np.dtype(
    [
        ("block_bytes", np.int64),
        ("blocks", np.int64),  # in the ring
        ("next_block", np.int64),  # the next to be handed over
        ("held_blocks", np.int64),  # handed over and not yet given back; they lie before `next_block`
        ("time", np.int64),  # ns since the epoch, the largest seen
        ("link_type", np.uint16),  # of every frame
        ("keep_outgoing", np.bool_),
        # counters
        ("packets", np.int64),
        ("bytes", np.int64),  # on the wire
        ("truncated_packets", np.int64),  # cut to the snapshot length
        ("vlan_packets", np.int64),  # with a tag put back
        ("outgoing_packets", np.int64),  # sent by this host, left out
        ("malformed_packets", np.int64),  # headers that point out of their block
        ("walked_blocks", np.int64),
    ],
    align=True,
)


class Ring(NamedTuple):
    """A ring's memory, seen as bytes, 16 and 32 bit words in this machine's order, and its state.

    Parameters
    ----------
    octets, halves, words
        The same memory: uint8, uint16 and uint32, one dimension.
    state
        `RING_STATE`, shape (1,).
    """

    octets: Bytes
    halves: npt.NDArray[np.uint16]
    words: npt.NDArray[np.uint32]
    state: npt.NDArray[np.void]


def ring_over(memory: Bytes, block_bytes: int, link_type: int, *, keep_outgoing: bool = False) -> Ring:
    """Return a `Ring` over mapped memory, with all its blocks still the kernel's."""
    state = np.zeros(1, RING_STATE)
    state["block_bytes"] = block_bytes
    state["blocks"] = memory.size // block_bytes
    state["link_type"] = link_type
    state["keep_outgoing"] = keep_outgoing
    return Ring(memory, memory.view(np.uint16), memory.view(np.uint32), state)


def most_packets(block_bytes: int) -> int:
    """Return how many packets one block can hold at most."""
    return block_bytes // (PACKET_HEADER_BYTES + -PACKET_HEADER_BYTES % ALIGNMENT)


@kernel
def walk_blocks(ring: Ring, frames: Frames, most_blocks: int) -> int:
    """Fill rows from the ready blocks, and return how many.

    A block is taken whole or left for the next walk; the blocks taken stay the
    caller's until `release_blocks`.

    Parameters
    ----------
    ring
        `next_block` and `held_blocks` move by the blocks taken.
    frames
        `FRAME`, shape (n,) with n >= `most_packets`: filled from the first row on.
    most_blocks
        Stop after this many, so that the kernel keeps room to write.
    """
    state = ring.state[0]
    block_words = state["block_bytes"] // 4
    rows = 0
    taken = 0
    while taken < most_blocks and state["held_blocks"] < state["blocks"]:
        base = state["next_block"] * block_words
        if ring.words[base + 2] & STATUS_USER == 0:
            break
        if rows > 0 and rows + np.int64(ring.words[base + 3]) > frames.shape[0]:
            break
        rows = _walk_block(ring, frames, rows)
        state["next_block"] = (state["next_block"] + 1) % state["blocks"]
        state["held_blocks"] += 1
        state["walked_blocks"] += 1
        taken += 1
    return rows


@kernel
def _walk_block(ring: Ring, frames: Frames, rows: int) -> int:
    """Fill rows from the block at `next_block`, and return how many are filled now."""
    state = ring.state[0]
    start = state["next_block"] * state["block_bytes"]
    end = start + state["block_bytes"]
    left = np.int64(ring.words[start // 4 + 3])
    position = start + np.int64(ring.words[start // 4 + 4])
    if left > 0 and position < start + BLOCK_HEADER_BYTES:
        position = end
    while left > 0:
        if position + PACKET_HEADER_BYTES > end or position % ALIGNMENT != 0 or rows == frames.shape[0]:
            break
        word = position // 4
        caplen = np.int64(ring.words[word + 3])
        offset = position + np.int64(ring.halves[position // 2 + 12])
        if offset < position + PACKET_HEADER_BYTES or offset + caplen > end:
            break
        if ring.octets[position + 58] == OUTGOING and not state["keep_outgoing"]:
            state["outgoing_packets"] += 1
        else:
            _fill(ring, frames[rows], position, offset)
            rows += 1
        left -= 1
        step = np.int64(ring.words[word])
        if left > 0 and step < PACKET_HEADER_BYTES:
            break
        position += step
    state["malformed_packets"] += left
    return rows


@kernel
def _fill(ring: Ring, row: np.void, position: int, offset: int) -> None:
    """Fill one row from the packet header at `position`, whose frame is at `offset`."""
    state = ring.state[0]
    word = position // 4
    time = np.int64(ring.words[word + 1]) * _SECOND + np.int64(ring.words[word + 2])
    caplen = ring.words[word + 3]
    wirelen = ring.words[word + 4]
    status = ring.words[word + 5]
    row["offset"] = offset
    row["time"] = time
    row["caplen"] = caplen
    row["wirelen"] = wirelen
    row["link_type"] = state["link_type"]
    row["interface"] = 0
    row["vlan_tci"] = 0
    row["vlan_tpid"] = 0
    if status & VLAN_VALID:
        row["vlan_tci"] = ring.words[word + 8] & 0xFFFF
        row["vlan_tpid"] = ring.halves[position // 2 + 18] if status & VLAN_TPID_VALID else _ETHERTYPE_8021Q
        state["vlan_packets"] += 1
    state["time"] = max(state["time"], time)
    state["packets"] += 1
    state["bytes"] += np.int64(wirelen)
    if caplen < wirelen:
        state["truncated_packets"] += 1


@kernel
def release_blocks(ring: Ring) -> None:
    """Give the held blocks back to the kernel."""
    state = ring.state[0]
    block_words = state["block_bytes"] // 4
    first = state["next_block"] - state["held_blocks"]
    for number in range(first, state["next_block"]):
        ring.words[number % state["blocks"] * block_words + 2] = STATUS_KERNEL
    state["held_blocks"] = 0
