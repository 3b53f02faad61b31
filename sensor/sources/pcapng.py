"""pcapng files: sections, each with its own byte order and its own interfaces.

Packet blocks are walked by a kernel; section headers and interface
descriptions, of which there are few, are read here. Every other block is
stepped over and counted. Format: draft-ietf-opsawg-pcapng.
"""

from __future__ import annotations

import numpy as np

from sensor.packet.batch import Frames
from sensor.sources.block import BLOCK_BYTES, PCAPNG_WALK, SECTION_HEADER, walk_blocks
from sensor.sources.interface import INTERFACE, INTERFACES_CAP, ByteOrder, parse_interface
from sensor.sources.tally import Tally
from sensor.sources.walk import BAD_BLOCK_TRAILER, DAMAGE, DESCRIPTION, SECTION, BadCaptureError, Filled
from sensor.sources.window import MAX_RECORD_BYTES, Window

_SECTION_BYTES = 28
_BYTE_ORDER_MAGIC = 0x1A2B3C4D


def is_pcapng(head: bytes) -> bool:
    """Return whether `head`, the first four bytes of a file, begin a pcapng section."""
    return int.from_bytes(head, "big") == SECTION_HEADER


class PcapngWalker:
    """Reads one pcapng capture.

    Parameters
    ----------
    tally
        Counters to add to.
    last_time
        ns since the epoch: the time of packets without one, until one has one.
    """

    def __init__(self, tally: Tally, last_time: int = 0) -> None:
        self.readable = False
        self._tally = tally
        self._walk = np.zeros(1, PCAPNG_WALK)
        self._walk["last_time"] = last_time
        self._order: ByteOrder = "little"
        self._table = np.zeros(8, INTERFACE)  # grows up to INTERFACES_CAP rows
        self._interfaces = 0

    def fill(self, window: Window, frames: Frames) -> Filled:
        """Fill `frames` from the next blocks; see `Walker.fill`."""
        rows = 0
        try:
            while True:
                rows += self._walk_packets(window, frames[rows:])
                status = int(self._walk["status"][0])
                if status == SECTION:
                    need = self._read_section(window)
                    if need:
                        return Filled(rows, need)
                elif status == DESCRIPTION:
                    self._read_interface(window)
                else:
                    return Filled(rows, int(self._walk["need"][0]), DAMAGE.get(status, ""))
        except BadCaptureError as error:
            return Filled(rows, damage=str(error))

    def _walk_packets(self, window: Window, frames: Frames) -> int:
        """Let the kernel walk until it is done or meets a block for Python."""
        walk = self._walk[0]
        walk["position"] = window.position
        walk["stop"] = window.stop
        interfaces = self._table[: self._interfaces]
        rows = int(walk_blocks(window.data, frames, self._walk, interfaces, self._tally.rows))
        window.position = int(walk["position"])
        return rows

    def _read_section(self, window: Window) -> int:
        """Begin the section at `position`; return 0, or the bytes that have to be there first."""
        at = window.position
        head = window.data[at : at + BLOCK_BYTES].tobytes()
        if int.from_bytes(head[8:], "little") == _BYTE_ORDER_MAGIC:
            order: ByteOrder = "little"
        elif int.from_bytes(head[8:], "big") == _BYTE_ORDER_MAGIC:
            order = "big"
        else:
            raise BadCaptureError("a section header has no byte order mark")
        length = int.from_bytes(head[4:8], order)
        if length < _SECTION_BYTES or length > MAX_RECORD_BYTES or length % 4:
            raise BadCaptureError("a section header claims an impossible length")
        if window.stop - at < length:
            return length
        if int.from_bytes(window.data[at + length - 4 : at + length].tobytes(), order) != length:
            raise BadCaptureError(DAMAGE[BAD_BLOCK_TRAILER])
        major = int.from_bytes(window.data[at + 12 : at + 14].tobytes(), order)
        if major != 1:
            raise BadCaptureError(f"pcapng version {major} is not known")
        self._order = order
        self._walk["big_endian"] = order == "big"
        self._interfaces = 0
        self._tally.add("sections")
        self.readable = True
        window.position += length
        return 0

    def _read_interface(self, window: Window) -> None:
        """Add the interface described at `position`; the kernel has checked the block."""
        at = window.position
        length = int.from_bytes(window.data[at + 4 : at + 8].tobytes(), self._order)
        body = window.data[at + 8 : at + length - 4].data
        interface = parse_interface(body, self._order)
        window.position += length
        if self._interfaces == INTERFACES_CAP:
            self._tally.add("interfaces_ignored")
            return
        if self._interfaces == self._table.size:
            self._table = np.concatenate([self._table, np.zeros(self._table.size, INTERFACE)])
        self._table[self._interfaces] = interface[0]
        self._interfaces += 1
        self._tally.add_interface(int(interface["link_type"][0]))
