"""Walk over the blocks of TPACKET_V3 receive rings, one or several, in order of time.

The kernel fills blocks of a ring in shared memory and hands each over by a bit
in its header; a walk turns the packets of ready blocks into `FRAME` rows whose
offsets point into the ring itself, so nothing is copied. The layout is that of
``linux/if_packet.h`` (`tpacket_block_desc`, `tpacket3_hdr`, `sockaddr_ll`).

Several rings lie one behind the other in one piece of memory, and their packets
are merged: the one with the smallest time is next, of equals the first ring's.
A ring without a ready block may still hand over packets of a time gone by, so
later ones of the others wait until it cannot.

The rings are written by the kernel and not by an attacker, and are checked all
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
#: Later than every packet: wait for no ring.
NEVER = 2**63 - 1
_ETHERTYPE_8021Q = 0x8100
_SECOND = 1_000_000_000

#: What a walk remembers of a ring, and what it counted there.
RING_STATE = np.dtype(
    [
        ("base", np.int64),  # where the ring begins in the memory, bytes
        ("block_bytes", np.int64),
        ("blocks", np.int64),  # in the ring
        ("next_block", np.int64),  # the one at hand, or the next to be handed over
        ("held_blocks", np.int64),  # used up and not yet given back; they lie before `next_block`
        ("position", np.int64),  # of the next packet of the block at hand, bytes
        ("left", np.int64),  # packets of the block at hand; 0: there is none at hand
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


class Rings(NamedTuple):
    """The memory of rings, seen as bytes, 16 and 32 bit words in this machine's order, and their states.

    Parameters
    ----------
    octets, halves, words
        The same memory: uint8, uint16 and uint32, one dimension.
    state
        `RING_STATE`, shape (rings,).
    """

    octets: Bytes
    halves: npt.NDArray[np.uint16]
    words: npt.NDArray[np.uint32]
    state: npt.NDArray[np.void]


def rings_over(
    memory: Bytes, count: int, block_bytes: int, link_type: int, *, keep_outgoing: bool = False
) -> Rings:
    """Return `count` rings of equal size over mapped memory, with all their blocks still the kernel's."""
    state = np.zeros(count, RING_STATE)
    ring_bytes = memory.size // count
    state["base"] = np.arange(count) * ring_bytes
    state["block_bytes"] = block_bytes
    state["blocks"] = ring_bytes // block_bytes
    state["link_type"] = link_type
    state["keep_outgoing"] = keep_outgoing
    return Rings(memory, memory.view(np.uint16), memory.view(np.uint32), state)


@kernel
def walk_rings(rings: Rings, frames: Frames, most_blocks: int, quiet: int) -> int:
    """Fill rows with the packets of ready blocks, and return how many.

    Blocks that are used up stay the caller's until `release_blocks`; a block
    that does not fit is gone on with by the next walk.

    Parameters
    ----------
    rings
        Their cursors move behind the packets taken.
    frames
        `FRAME`, shape (n,): filled from the first row on.
    most_blocks
        Hold at most this many of each ring, so that the kernel keeps room to write.
    quiet
        ns since the epoch: a ring without a ready block hands over nothing
        earlier any more. `NEVER`: wait for no ring.
    """
    rows = 0
    while rows < frames.shape[0]:
        first = -1
        earliest = np.int64(NEVER)
        for number in range(rings.state.shape[0]):
            if _at_hand(rings, number, most_blocks):
                time = _time(rings, rings.state[number]["position"])
                if first < 0 or time < earliest:
                    first = number
                    earliest = time
        if first < 0:
            break
        bound = np.int64(NEVER)
        for number in range(rings.state.shape[0]):
            if number != first:
                bound = min(bound, _bound(rings, number, first, quiet))
        if earliest > bound:
            break
        rows = _take(rings, first, frames, rows, bound)
    return rows


@kernel
def _bound(rings: Rings, number: int, first: int, quiet: int) -> np.int64:
    """Return up to what time packets of ring `first` come before those of ring `number`."""
    state = rings.state[number]
    if state["left"] > 0:
        time = _time(rings, state["position"])
        return np.int64(time - 1) if number < first else np.int64(time)
    word = (state["base"] + state["next_block"] * state["block_bytes"]) // 4 + 2
    if rings.words[word] & STATUS_USER:  # it has more, which this batch may not hold
        return np.int64(state["time"])
    return np.int64(max(state["time"], quiet))


@kernel
def _time(rings: Rings, position: int) -> np.int64:
    """Return the time of the packet whose header is at `position`, ns since the epoch."""
    word = position // 4
    return np.int64(np.int64(rings.words[word + 1]) * _SECOND + np.int64(rings.words[word + 2]))


@kernel
def _at_hand(rings: Rings, number: int, most_blocks: int) -> bool:
    """Put the cursor of a ring on its next packet, and say whether there is one."""
    state = rings.state[number]
    while True:
        start = state["base"] + state["next_block"] * state["block_bytes"]
        if state["left"] == 0:
            if state["held_blocks"] >= min(most_blocks, state["blocks"]):
                return False
            if rings.words[start // 4 + 2] & STATUS_USER == 0:
                return False
            state["left"] = np.int64(rings.words[start // 4 + 3])
            state["position"] = start + np.int64(rings.words[start // 4 + 4])
        if state["left"] > 0 and _is_whole(rings, state["position"], start, state["block_bytes"]):
            return True
        state["malformed_packets"] += state["left"]
        _finish(rings, number)


@kernel
def _finish(rings: Rings, number: int) -> None:
    """Leave the block at hand: it is used up."""
    state = rings.state[number]
    state["left"] = 0
    state["next_block"] = (state["next_block"] + 1) % state["blocks"]
    state["held_blocks"] += 1
    state["walked_blocks"] += 1


@kernel
def _is_whole(rings: Rings, position: int, start: int, block_bytes: int) -> bool:
    """Return whether the packet header at `position` and its frame lie in the block at `start`."""
    end = start + block_bytes
    if position < start + BLOCK_HEADER_BYTES or position + PACKET_HEADER_BYTES > end:
        return False
    if position % ALIGNMENT != 0:
        return False
    offset = position + np.int64(rings.halves[position // 2 + 12])
    caplen = np.int64(rings.words[position // 4 + 3])
    return bool(offset >= position + PACKET_HEADER_BYTES and offset + caplen <= end)


@kernel
def _take(rings: Rings, number: int, frames: Frames, rows: int, bound: np.int64) -> int:
    """Fill rows from the block at hand, as far as `bound` (ns), and return how many are filled now."""
    state = rings.state[number]
    size = state["block_bytes"]
    start = state["base"] + state["next_block"] * size
    position = state["position"]
    left = state["left"]
    while rows < frames.shape[0]:
        if not _is_whole(rings, position, start, size):
            state["malformed_packets"] += left
            left = 0
            break
        if _time(rings, position) > bound:
            break
        if rings.octets[position + 58] == OUTGOING and not state["keep_outgoing"]:
            state["outgoing_packets"] += 1
        else:
            _fill(rings, number, frames[rows], position)
            rows += 1
        left -= 1
        step = np.int64(rings.words[position // 4])
        if left > 0 and step < PACKET_HEADER_BYTES:
            state["malformed_packets"] += left
            left = 0
        if left == 0:
            break
        position += step
    state["position"] = position
    state["left"] = left
    if left == 0:
        _finish(rings, number)
    return rows


@kernel
def _fill(rings: Rings, number: int, row: np.void, position: int) -> None:
    """Fill one row from the packet header at `position`."""
    state = rings.state[number]
    word = position // 4
    time = _time(rings, position)
    caplen = rings.words[word + 3]
    wirelen = rings.words[word + 4]
    status = rings.words[word + 5]
    row["offset"] = position + np.int64(rings.halves[position // 2 + 12])
    row["time"] = time
    row["caplen"] = caplen
    row["wirelen"] = wirelen
    row["link_type"] = state["link_type"]
    row["interface"] = 0
    row["vlan_tci"] = 0
    row["vlan_tpid"] = 0
    if status & VLAN_VALID:
        row["vlan_tci"] = rings.words[word + 8] & 0xFFFF
        tpid = rings.halves[position // 2 + 18]
        row["vlan_tpid"] = tpid if status & VLAN_TPID_VALID else _ETHERTYPE_8021Q
        state["vlan_packets"] += 1
    state["time"] = max(state["time"], time)
    state["packets"] += 1
    state["bytes"] += np.int64(wirelen)
    if caplen < wirelen:
        state["truncated_packets"] += 1


@kernel
def waiting_blocks(rings: Rings) -> int:
    """Return how many blocks of the fullest ring are not the kernel's: held, at hand or ready.

    Ready blocks lie in one row behind the cursor, so a search by halves finds their end.
    """
    most = 0
    for number in range(rings.state.shape[0]):
        state = rings.state[number]
        low = 0  # so many are ready
        high = state["blocks"] - state["held_blocks"]
        while low < high:
            middle = (low + high) // 2
            block = (state["next_block"] + middle) % state["blocks"]
            if rings.words[(state["base"] + block * state["block_bytes"]) // 4 + 2] & STATUS_USER:
                low = middle + 1
            else:
                high = middle
        most = max(most, state["held_blocks"] + low)
    return most


@kernel
def release_blocks(rings: Rings) -> None:
    """Give the used blocks back to the kernel."""
    for number in range(rings.state.shape[0]):
        state = rings.state[number]
        first = state["next_block"] - state["held_blocks"]
        for block in range(first, state["next_block"]):
            start = state["base"] + block % state["blocks"] * state["block_bytes"]
            rings.words[start // 4 + 2] = STATUS_KERNEL
        state["held_blocks"] = 0
