"""What a source hands to the engine: frames in borrowed bytes, and the time.

A source owns `data` and `frames` and may reuse both as soon as the next batch
is asked for; whoever wants to keep bytes copies them. A kernel ring block is a
batch without a copy, and so is what a capture file's buffer holds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sensor.kernel import record_dtype

#: One captured frame inside `PacketBatch.data`.
FRAME = record_dtype(
    [
        ("offset", np.int64),  # of the frame's first byte in `data`
        ("time", np.int64),  # ns since the epoch, as the capture says
        ("caplen", np.uint32),  # bytes present
        ("wirelen", np.uint32),  # bytes on the wire
        ("link_type", np.uint16),  # LINKTYPE_* of the interface
        ("interface", np.uint16),  # index of the capture interface
        ("vlan_tci", np.uint16),  # tag the NIC stripped; valid when vlan_tpid != 0
        ("vlan_tpid", np.uint16),  # 0: no stripped tag; else usually 0x8100
    ]
)

Frames = npt.NDArray[np.void]
Bytes = npt.NDArray[np.uint8]


class PacketBatch(NamedTuple):
    """Frames in the order they were captured.

    Parameters
    ----------
    data
        uint8, shape (bytes,): what the offsets point into. Borrowed.
    frames
        `FRAME`, shape (n,). May be empty: then the batch only moves the clock.
    now
        ns since the epoch that capture time has surely reached. No later
        batch of a live source holds an earlier packet.
    lost
        Frames that the source knows it lost since the batch before: kernel
        drops, or a capture's own drop counts.
    sampling
        1: all is well. n > 1: the source cannot keep up; of new flows that
        sources with many send, the meter is to take 1 in n (`flow.shed`).
    """

    data: Bytes
    frames: Frames
    now: int
    lost: int = 0
    sampling: int = 1


def empty_batch(now: int) -> PacketBatch:
    """Return a batch without packets, which only moves the clock to `now` (ns)."""
    return PacketBatch(np.empty(0, np.uint8), np.empty(0, FRAME), now)
