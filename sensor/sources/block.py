"""The kernel that walks the blocks of one pcapng section.

A block is a type, its length, its body and its length again. Format:
draft-ietf-opsawg-pcapng, sections 3.1 and 4.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sensor.kernel import kernel
from sensor.packet.batch import Bytes, Frames
from sensor.sources.drop_count import (
    COUNT_OPTION_BYTES,
    add_drops,
    drops_before_packet,
    drops_so_far,
    raise_drops,
)
from sensor.sources.interface import Interfaces, interface_time
from sensor.sources.walk import (
    BAD_BLOCK_LENGTH,
    BAD_BLOCK_TRAILER,
    BAD_CAPTURED_LENGTH,
    DESCRIPTION,
    FULL,
    NEED,
    SECTION,
)
from sensor.sources.window import MAX_RECORD_BYTES
from sensor.sources.word import word16, word32

SECTION_HEADER = 0x0A0D0D0A  # reads the same in both byte orders
INTERFACE_DESCRIPTION = 1
PACKET_BLOCK = 2  # obsolete, still found in old captures
SIMPLE_PACKET = 3
NAME_RESOLUTION = 4
INTERFACE_STATISTICS = 5
ENHANCED_PACKET = 6
DECRYPTION_SECRETS = 10
CUSTOM = 0x0BAD
CUSTOM_NOT_COPIED = 0x40000BAD

#: Type and two lengths: the shortest block.
BLOCK_BYTES = 12
_SIMPLE_BYTES = BLOCK_BYTES + 4
_PACKET_BYTES = BLOCK_BYTES + 20

#: State of one walk.
PCAPNG_WALK = np.dtype(
    [
        ("position", np.int64),
        ("stop", np.int64),
        ("status", np.int64),
        ("need", np.int64),
        ("last_time", np.int64),  # ns: what a simple packet block is given
        ("big_endian", np.bool_),
    ],
    align=True,
)


@kernel
def fixed_bytes(kind: int) -> int:
    """Return how long a packet block is without its frame; 0 when it carries none."""
    if kind in (ENHANCED_PACKET, PACKET_BLOCK):
        return _PACKET_BYTES
    return _SIMPLE_BYTES if kind == SIMPLE_PACKET else 0


@kernel
def packet_fields(data: Bytes, block: int, kind: int, big_endian: bool) -> tuple[int, np.uint64, int, int]:  # noqa: FBT001  (a kernel's argument)
    """Read the fixed fields of the packet block at `block`.

    Returns
    -------
    interface
        Index of the capture interface.
    ticks
        Time stamp; 0 for a simple packet, which has none.
    caplen, wirelen
        Bytes; of a simple packet the same number, before the snapshot length.
    """
    if kind == SIMPLE_PACKET:
        wirelen = word32(data, block + 8, big_endian)
        return 0, np.uint64(0), wirelen, wirelen
    if kind == PACKET_BLOCK:
        interface = word16(data, block + 8, big_endian)
    else:
        interface = word32(data, block + 8, big_endian)
    high = np.uint64(word32(data, block + 12, big_endian))
    ticks = high << np.uint64(32) | np.uint64(word32(data, block + 16, big_endian))
    return interface, ticks, word32(data, block + 20, big_endian), word32(data, block + 24, big_endian)


@kernel
def count_packet(caplen: int, wirelen: int, timeless: bool, tally: npt.NDArray[np.void]) -> None:  # noqa: FBT001  (a kernel's argument)
    """Count a delivered packet and what was wrong with it."""
    count = tally[0]
    count["packets"] += 1
    count["bytes"] += caplen
    if timeless:
        count["frames_without_time"] += 1
    if wirelen < caplen:
        count["wirelen_raised"] += 1


@kernel
def count_skipped(kind: int, tally: npt.NDArray[np.void]) -> None:
    """Count a block that carries no packet."""
    count = tally[0]
    if kind == NAME_RESOLUTION:
        count["blocks_skipped_name_resolution"] += 1
    elif kind == INTERFACE_STATISTICS:
        count["blocks_skipped_statistics"] += 1
    elif kind == DECRYPTION_SECRETS:
        count["blocks_skipped_secrets"] += 1
    elif kind in (CUSTOM, CUSTOM_NOT_COPIED):
        count["blocks_skipped_custom"] += 1
    else:
        count["blocks_skipped_other"] += 1


@kernel
def check_block(data: Bytes, position: int, stop: int, big_endian: bool) -> tuple[int, int]:  # noqa: FBT001  (a kernel's argument)
    """Look at the frame of the block at `position`, of which two words are there.

    Returns
    -------
    status
        `FULL` for a whole block, else `SECTION`, `DESCRIPTION`, `NEED` or why it is damaged.
    length
        Of the block in bytes.
    """
    kind = word32(data, position, big_endian)
    length = word32(data, position + 4, big_endian)
    status = FULL
    if kind == SECTION_HEADER:  # its lengths may be in the other byte order
        status = SECTION
    elif length < BLOCK_BYTES or length > MAX_RECORD_BYTES or length & 3 != 0:
        status = BAD_BLOCK_LENGTH
    elif stop - position < length:
        status = NEED
    elif word32(data, position + length - 4, big_endian) != length:
        status = BAD_BLOCK_TRAILER
    elif kind == INTERFACE_DESCRIPTION:
        status = DESCRIPTION
    return status, length


@kernel
def walk_blocks(  # noqa: C901, PLR0915  (a straight walk over the fields of a block)
    data: Bytes,
    frames: Frames,
    walk: npt.NDArray[np.void],
    interfaces: Interfaces,
    tally: npt.NDArray[np.void],
) -> int:
    """Fill rows from whole packet blocks, and return how many.

    Parameters
    ----------
    data
        uint8, shape (bytes,).
    frames
        `FRAME`, shape (n,): filled from the first row on.
    walk
        `PCAPNG_WALK`, shape (1,): `position` moves behind the last block used;
        `status` says why the walk stopped there.
    interfaces
        `INTERFACE`, shape (m,): those of the section so far.
    tally
        `TALLY`, shape (1,).
    """
    state = walk[0]
    big = state["big_endian"]
    position = state["position"]
    time = state["last_time"]
    rows = 0
    status = FULL
    need = 0
    while rows < frames.shape[0]:
        if state["stop"] - position < BLOCK_BYTES:
            status = NEED
            need = BLOCK_BYTES
            break
        status, length = check_block(data, position, state["stop"], big)
        if status != FULL:
            need = length if status == NEED else 0
            break
        kind = word32(data, position, big)
        fixed = fixed_bytes(kind)
        if fixed == 0:
            if kind == INTERFACE_STATISTICS and length >= _PACKET_BYTES:
                total = drops_so_far(data, position + 20, position + length - 4, big)
                raise_drops(total, interfaces, word32(data, position + 8, big), tally)
            count_skipped(kind, tally)
            position += length
            continue
        if length < fixed:
            status = BAD_BLOCK_LENGTH
            break
        index, ticks, caplen, wirelen = packet_fields(data, position, kind, big)
        if index >= interfaces.shape[0]:
            tally[0]["frames_without_interface"] += 1
            position += length
            continue
        interface = interfaces[index]
        if kind == SIMPLE_PACKET and interface["snaplen"] > 0:
            caplen = min(caplen, interface["snaplen"])
        if caplen > length - fixed:
            status = BAD_CAPTURED_LENGTH
            break
        if kind != SIMPLE_PACKET:
            time = interface_time(interface, ticks, tally)
        if kind == ENHANCED_PACKET and length - fixed - caplen >= COUNT_OPTION_BYTES:
            options = position + fixed - 4 + (caplen + 3) // 4 * 4
            drops = drops_before_packet(data, options, position + length - 4, big)
            add_drops(drops, interfaces, index, tally)
        row = frames[rows]
        row["offset"] = position + fixed - 4  # the second length stands behind the frame
        row["time"] = time
        row["caplen"] = caplen
        row["wirelen"] = max(wirelen, caplen)
        row["link_type"] = interface["link_type"]
        row["interface"] = index
        row["vlan_tci"] = 0
        row["vlan_tpid"] = 0
        count_packet(caplen, wirelen, kind == SIMPLE_PACKET, tally)
        rows += 1
        position += length
    state["position"] = position
    state["last_time"] = time
    state["status"] = status
    state["need"] = need
    return rows
