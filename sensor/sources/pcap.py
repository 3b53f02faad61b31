"""Classic pcap files: a file header, then records of 16 bytes and a frame.

Format: draft-ietf-opsawg-pcap; the magic numbers of the variants as libpcap
and Wireshark know them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sensor.kernel import kernel
from sensor.packet.batch import Bytes, Frames
from sensor.sources.tally import Tally
from sensor.sources.walk import BAD_CAPTURED_LENGTH, DAMAGE, FULL, NEED, Filled
from sensor.sources.window import Window
from sensor.sources.word import word16, word32

#: No capture tool writes longer records than libpcap's largest snapshot
#: length; whatever claims more is damage, not a frame.
MAX_CAPTURED_BYTES = 262_144

FILE_HEADER_BYTES = 24
RECORD_HEADER_BYTES = 16
_SECOND = 1_000_000_000


class Variant(NamedTuple):
    """How the files of one magic number differ."""

    fraction_ns: int  # length of the time fraction's unit
    file_header_bytes: int = FILE_HEADER_BYTES
    record_header_bytes: int = RECORD_HEADER_BYTES


#: By the magic number in the file's own byte order.
VARIANTS = {
    0xA1B2C3D4: Variant(1000),
    0xA1B23C4D: Variant(1),
    # Kuznetzov's patched libpcap: interface index, protocol and packet type in each record.
    0xA1B2CD34: Variant(1000, record_header_bytes=RECORD_HEADER_BYTES + 8),
    # Ixia's hardware and software captures: the sum of all records behind the file header.
    0x1C0001AC: Variant(1, file_header_bytes=FILE_HEADER_BYTES + 4),
    0x1C0001AB: Variant(1, file_header_bytes=FILE_HEADER_BYTES + 4),
}

#: State of one walk.
PCAP_WALK = np.dtype(
    [
        ("position", np.int64),
        ("stop", np.int64),
        ("status", np.int64),
        ("need", np.int64),
        ("fraction_ns", np.int64),
        ("header_bytes", np.int64),  # of a record
        ("link_type", np.uint16),
        ("big_endian", np.bool_),
        ("swapped_lengths", np.bool_),
    ],
    align=True,
)


def pcap_magic(head: bytes) -> tuple[Variant, bool] | None:
    """Return the variant and whether it is big-endian, or None when `head` begins no pcap file."""
    little = VARIANTS.get(int.from_bytes(head[:4], "little"))
    if little is not None:
        return little, False
    big = VARIANTS.get(int.from_bytes(head[:4], "big"))
    return None if big is None else (big, True)


@kernel
def walk_records(data: Bytes, frames: Frames, walk: npt.NDArray[np.void], tally: npt.NDArray[np.void]) -> int:
    """Fill rows from whole records, and return how many.

    Parameters
    ----------
    data
        uint8, shape (bytes,).
    frames
        `FRAME`, shape (n,): filled from the first row on.
    walk
        `PCAP_WALK`, shape (1,): `position` moves behind the last whole record;
        `status` is `FULL`, `NEED` or `BAD_CAPTURED_LENGTH`.
    tally
        `TALLY`, shape (1,).
    """
    state = walk[0]
    big = state["big_endian"]
    position = state["position"]
    stop = state["stop"]
    header_bytes = state["header_bytes"]
    fraction_ns = state["fraction_ns"]
    rows = 0
    captured = 0
    raised = 0
    status = FULL
    need = 0
    while rows < frames.shape[0]:
        if stop - position < header_bytes:
            status = NEED
            need = header_bytes
            break
        caplen = word32(data, position + 8, big)
        wirelen = word32(data, position + 12, big)
        if state["swapped_lengths"] and caplen > wirelen:
            caplen, wirelen = wirelen, caplen
        if caplen > MAX_CAPTURED_BYTES:
            status = BAD_CAPTURED_LENGTH
            break
        if stop - position < header_bytes + caplen:
            status = NEED
            need = header_bytes + caplen
            break
        if wirelen < caplen:
            wirelen = caplen
            raised += 1
        row = frames[rows]
        row["offset"] = position + header_bytes
        # The fraction may be a second or more (clock bugs): it is added as it is.
        row["time"] = word32(data, position, big) * _SECOND + word32(data, position + 4, big) * fraction_ns
        row["caplen"] = caplen
        row["wirelen"] = wirelen
        row["link_type"] = state["link_type"]
        row["interface"] = 0
        row["vlan_tci"] = 0
        row["vlan_tpid"] = 0
        rows += 1
        captured += caplen
        position += header_bytes + caplen
    state["position"] = position
    state["status"] = status
    state["need"] = need
    count = tally[0]
    count["packets"] += rows
    count["bytes"] += captured
    count["wirelen_raised"] += raised
    return rows


class PcapWalker:
    """Reads one classic capture.

    Parameters
    ----------
    variant
        What the magic number said.
    big_endian
        Byte order of the file.
    tally
        Counters to add to.
    """

    def __init__(self, variant: Variant, big_endian: bool, tally: Tally) -> None:  # noqa: FBT001  (from `pcap_magic`)
        self.readable = False
        self._variant = variant
        self._tally = tally
        self._walk = np.zeros(1, PCAP_WALK)
        self._walk["fraction_ns"] = variant.fraction_ns
        self._walk["header_bytes"] = variant.record_header_bytes
        self._walk["big_endian"] = big_endian

    def _read_file_header(self, window: Window) -> None:
        """Take the version and the link type, and move behind the header."""
        at = window.position
        big = bool(self._walk["big_endian"][0])
        major = word16(window.data, at + 4, big)
        minor = word16(window.data, at + 6, big)
        # Before version 2.3 the two lengths stood the other way round, and in
        # 2.3 some writers still did it; DG/UX wrote 543.0 with them swapped.
        self._walk["swapped_lengths"] = (major == 2 and minor <= 3) or major == 543
        # The upper 16 bits of the field are reserved, or tell the length of
        # the frame check sequence.
        link_type = word32(window.data, at + 20, big) & 0xFFFF
        self._walk["link_type"] = link_type
        window.position += self._variant.file_header_bytes
        self._tally.add_interface(int(link_type))
        self.readable = True

    def fill(self, window: Window, frames: Frames) -> Filled:
        """Fill `frames` with the next records; see `Walker.fill`."""
        if not self.readable:
            if window.stop - window.position < self._variant.file_header_bytes:
                return Filled(0, need=self._variant.file_header_bytes)
            self._read_file_header(window)
        walk = self._walk[0]
        walk["position"] = window.position
        walk["stop"] = window.stop
        rows = int(walk_records(window.data, frames, self._walk, self._tally.rows))
        window.position = int(walk["position"])
        return Filled(rows, int(walk["need"]), DAMAGE.get(int(walk["status"]), ""))
