"""Writers of capture files, of every kind the reader has to know: any byte order, clock and block.

Plain struct packing, independent of the package under test.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Literal, NamedTuple

Order = Literal["little", "big"]
_SIGN = {"little": "<", "big": ">"}

SECTION_HEADER = 0x0A0D0D0A
INTERFACE_DESCRIPTION = 1
PACKET_BLOCK = 2
SIMPLE_PACKET = 3
NAME_RESOLUTION = 4
INTERFACE_STATISTICS = 5
ENHANCED_PACKET = 6
DECRYPTION_SECRETS = 10
CUSTOM = 0x0BAD

MICROSECOND_MAGIC = 0xA1B2C3D4
NANOSECOND_MAGIC = 0xA1B23C4D
MODIFIED_MAGIC = 0xA1B2CD34
IXIA_MAGIC = 0x1C0001AC


class Captured(NamedTuple):
    """One frame to be written."""

    time: int  # ns since the epoch
    data: bytes
    wirelen: int = -1  # -1: as many as were captured
    interface: int = 0  # pcapng only

    @property
    def on_wire(self) -> int:
        """Bytes on the wire."""
        return len(self.data) if self.wirelen < 0 else self.wirelen


def pcap_header(
    order: Order = "little",
    *,
    magic: int = MICROSECOND_MAGIC,
    link_type: int = 1,
    snaplen: int = 262_144,
    version: tuple[int, int] = (2, 4),
) -> bytes:
    """Return a classic file header."""
    head = struct.pack(f"{_SIGN[order]}IHHiIII", magic, *version, 0, 0, snaplen, link_type)
    return head + bytes(4) if magic == IXIA_MAGIC else head


def pcap_record(frame: Captured, order: Order = "little", *, magic: int = MICROSECOND_MAGIC) -> bytes:
    """Return one classic record, whose time is cut to the file's unit."""
    seconds, fraction = divmod(frame.time, 10**9)
    if magic in (MICROSECOND_MAGIC, MODIFIED_MAGIC):
        fraction //= 1000
    extra = bytes(8) if magic == MODIFIED_MAGIC else b""
    head = struct.pack(f"{_SIGN[order]}IIII", seconds, fraction, len(frame.data), frame.on_wire)
    return head + extra + frame.data


def pcap_bytes(
    frames: Sequence[Captured],
    order: Order = "little",
    *,
    magic: int = MICROSECOND_MAGIC,
    link_type: int = 1,
) -> bytes:
    """Return a whole classic capture."""
    records = (pcap_record(frame, order, magic=magic) for frame in frames)
    return pcap_header(order, magic=magic, link_type=link_type) + b"".join(records)


def block(kind: int, body: bytes, order: Order = "little") -> bytes:
    """Return a pcapng block around `body`, which is padded to 32 bits."""
    body += bytes(-len(body) % 4)
    length = len(body) + 12
    sign = _SIGN[order]
    return struct.pack(f"{sign}II", kind, length) + body + struct.pack(f"{sign}I", length)


def option(code: int, value: bytes, order: Order = "little") -> bytes:
    """Return one option, padded to 32 bits."""
    return struct.pack(f"{_SIGN[order]}HH", code, len(value)) + value + bytes(-len(value) % 4)


def section_header(order: Order = "little", options: bytes = b"", major: int = 1) -> bytes:
    """Return a section header of unknown section length."""
    body = struct.pack(f"{_SIGN[order]}IHHq", 0x1A2B3C4D, major, 0, -1)
    return block(SECTION_HEADER, body + options, order)


def interface_description(
    order: Order = "little",
    *,
    link_type: int = 1,
    snaplen: int = 0,
    resolution: int | None = None,
    offset_secs: int | None = None,
) -> bytes:
    """Return an interface description; `resolution` is the raw if_tsresol byte."""
    options = b""
    if resolution is not None:
        options += option(9, bytes([resolution]), order)
    if offset_secs is not None:
        options += option(14, struct.pack(f"{_SIGN[order]}q", offset_secs), order)
    if options:
        options += option(0, b"", order)
    return block(
        INTERFACE_DESCRIPTION, struct.pack(f"{_SIGN[order]}HHI", link_type, 0, snaplen) + options, order
    )


def enhanced_packet(
    ticks: int,
    data: bytes,
    order: Order = "little",
    *,
    interface: int = 0,
    wirelen: int = -1,
    options: bytes = b"",
) -> bytes:
    """Return an enhanced packet block; `ticks` are of the interface's clock."""
    wirelen = len(data) if wirelen < 0 else wirelen
    head = struct.pack(
        f"{_SIGN[order]}IIIII", interface, ticks >> 32, ticks & 0xFFFF_FFFF, len(data), wirelen
    )
    return block(ENHANCED_PACKET, head + data + bytes(-len(data) % 4) + options, order)


def packet_block(ticks: int, data: bytes, order: Order = "little", *, interface: int = 0) -> bytes:
    """Return an obsolete packet block."""
    head = struct.pack(
        f"{_SIGN[order]}HHIIII", interface, 7, ticks >> 32, ticks & 0xFFFF_FFFF, len(data), len(data)
    )
    return block(PACKET_BLOCK, head + data, order)


def simple_packet(data: bytes, order: Order = "little", *, wirelen: int = -1) -> bytes:
    """Return a simple packet block, which has no time."""
    wirelen = len(data) if wirelen < 0 else wirelen
    return block(SIMPLE_PACKET, struct.pack(f"{_SIGN[order]}I", wirelen) + data, order)


def pcapng_bytes(
    frames: Sequence[Captured], order: Order = "little", *, link_types: Sequence[int] = (1,), digits: int = 9
) -> bytes:
    """Return one section with an interface for each link type, and clocks of 10**-digits seconds."""
    parts = [section_header(order)]
    parts += [interface_description(order, link_type=kind, resolution=digits) for kind in link_types]
    for frame in frames:
        ticks = frame.time * 10**digits // 10**9
        parts.append(
            enhanced_packet(ticks, frame.data, order, interface=frame.interface, wirelen=frame.on_wire)
        )
    return b"".join(parts)
