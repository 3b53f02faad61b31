"""The reader's side of a capture: takes blocks from the rings, in order, and gives them back."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sensor.packet.batch import FRAME, Bytes, Frames
from sensor.sources.ring import NEVER, release_blocks, rings_over, waiting_blocks, walk_rings
from sensor.sources.window import borrowed

#: Rows of a batch array: several blocks of large packets make one batch.
_ROWS = 16_384
#: Share of a ring that one batch may hold: the kernel has the rest to write to meanwhile.
_BATCH_SHARE = 4
#: Share of a ring that may wait for packets of another ring. With more, order has to give way.
_PATIENCE_SHARE = 8
_COUNTED = (
    *("packets", "bytes", "truncated_packets", "vlan_packets"),
    *("outgoing_packets", "malformed_packets", "walked_blocks"),
)


class RingReader:
    """Reads mapped rings.

    Parameters
    ----------
    memory
        uint8, shape (bytes,): all rings, one behind the other.
    count
        How many rings.
    block_bytes
        Size of their blocks.
    link_type
        LINKTYPE_* of the frames.
    outgoing
        Deliver also what this host sends.

    Attributes
    ----------
    data
        uint8, shape (bytes,), read-only: what the frames' offsets point into.
    frames
        `FRAME`, shape (n,): filled from the first row on by `read`.
    time
        ns since the epoch, the largest time read.
    waiting
        Blocks of the fullest ring that were not the kernel's when `read` was called.
    """

    def __init__(
        self, memory: Bytes, count: int, block_bytes: int, link_type: int, *, outgoing: bool
    ) -> None:
        self._rings = rings_over(memory, count, block_bytes, link_type, keep_outgoing=outgoing)
        self.data = borrowed(memory)
        self.frames: Frames = np.empty(_ROWS, FRAME)
        self.time = 0
        self.waiting = 0
        self.blocks = memory.size // count // block_bytes
        self._ring_bytes = memory.size
        self.read(0)  # nothing is there yet; the kernels are compiled before packets come

    def read(self, quiet: int) -> int:
        """Give the blocks read before back to the kernel and fill `frames` anew; return how many there are.

        Packets of one ring wait for earlier ones of another, until it is `quiet`
        (ns since the epoch) or they fill an eighth of their ring: by then room
        in it is worth more than order among flows.
        """
        self.waiting = int(waiting_blocks(self._rings))
        release_blocks(self._rings)
        if waiting_blocks(self._rings) > max(self.blocks // _PATIENCE_SHARE, 2):
            quiet = NEVER
        most_blocks = max(self.blocks // _BATCH_SHARE, 1)
        rows = int(walk_rings(self._rings, self.frames, most_blocks, quiet))
        self.time = int(self._rings.state["time"].max())
        return rows

    @property
    def ordering(self) -> bool:
        """Whether packets are there that have to wait for those of another ring."""
        return bool(self._rings.state["left"].any())

    def walked(self) -> int:
        """Return how many packets were read, delivered or not."""
        state = self._rings.state
        return int(sum(state[name].sum() for name in ("packets", "outgoing_packets", "malformed_packets")))

    def counters(self) -> Mapping[str, int]:
        """Return what was read; when there are several rings, the packets of each, too."""
        state = self._rings.state
        counts = {name: int(state[name].sum()) for name in _COUNTED}
        counts["ring_bytes"] = self._ring_bytes
        if state.size > 1:
            counts |= {f"packets_ring_{number}": int(one) for number, one in enumerate(state["packets"])}
        return counts

    def release(self) -> None:
        """Let go of the memory; the counters stay readable."""
        self._rings = self._rings._replace(
            octets=np.empty(0, np.uint8), halves=np.empty(0, np.uint16), words=np.empty(0, np.uint32)
        )
        self.data = np.empty(0, np.uint8)
