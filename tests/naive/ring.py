"""A plain reading of TPACKET_V3 blocks, field by field with struct, for comparison with the kernels."""

from __future__ import annotations

import struct
from collections.abc import Sequence

_SECOND = 1_000_000_000


def read_block(memory: bytes, start: int, size: int, *, keep_outgoing: bool) -> tuple[list[tuple], int, int]:
    """Return one block's rows (offset, time, caplen, wirelen, tci, tpid), then outgoing and malformed."""
    count, first = struct.unpack_from("=II", memory, start + 12)
    rows, outgoing, position = [], 0, start + first
    if first < 48:
        return [], 0, count
    for number in range(count):
        if position % 8 or position + 68 > start + size:
            return rows, outgoing, count - number
        step, sec, nsec, caplen, wirelen, status = struct.unpack_from("=6I", memory, position)
        mac, _net, _hash, tci, tpid = struct.unpack_from("=HHIIH", memory, position + 24)
        if mac < 68 or position + mac + caplen > start + size:
            return rows, outgoing, count - number
        if memory[position + 58] == 4 and not keep_outgoing:
            outgoing += 1
        else:
            tag = (tci & 0xFFFF, tpid if status & 0x40 else 0x8100) if status & 0x10 else (0, 0)
            rows.append((position + mac, sec * _SECOND + nsec, caplen, wirelen, *tag))
        if step < 68 and number + 1 < count:
            return rows, outgoing, count - number - 1
        position += step
    return rows, outgoing, 0


def merge(ready: Sequence[Sequence[int]], latest: Sequence[int], quiet: int) -> list[tuple[int, int]]:
    """Return what may be handed over of several rings, as (time, ring), in order.

    `ready` are the times of each ring's ready packets, in their order, and
    `latest` the largest each ring has handed over before. A ring that runs
    out holds the others back: it may still give what is later than its latest
    packet and than `quiet`.
    """
    queues, seen, merged = [list(times) for times in ready], list(latest), []
    while any(queues):
        time, ring = min((times[0], number) for number, times in enumerate(queues) if times)
        if any(time > max(seen[number], quiet) for number, times in enumerate(queues) if not times):
            break
        queues[ring].pop(0)
        seen[ring] = max(seen[ring], time)
        merged.append((time, ring))
    return merged
