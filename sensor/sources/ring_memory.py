"""Memory for receive rings: asked of the kernel, and mapped one ring behind the other.

A source with several rings hands out one array, so that an offset alone says
where a frame is. Python's `mmap` cannot be told where to map; so a stretch of
addresses is reserved with it, which costs no memory, and each ring is mapped
over its part. When the stretch is unmapped, the rings in it are too.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import socket
import struct
from collections.abc import Sequence
from typing import NamedTuple

from sensor.errors import CaptureError, ConfigError

_SOL_PACKET = 263
_PACKET_RX_RING = 5
_PACKET_VERSION = 10
_TPACKET_V3 = 2
_MAP_FIXED = 0x10
#: The ring wants a frame size that divides its blocks; with version 3 it has no other meaning.
_RING_FRAME_BYTES = 2048
#: Largest share of the machine's memory that all rings may take: one in this many.
_MEMORY_SHARE = 4


class RingSize(NamedTuple):
    """How large a ring is to be, and how long a block may wait.

    Parameters
    ----------
    ring_bytes, block_bytes
        Size of one ring and of its blocks.
    block_timeout_ms
        After this long the kernel hands over a block that is not full.
    """

    ring_bytes: int
    block_bytes: int
    block_timeout_ms: int


def map_rings(sockets: Sequence[socket.socket], size: RingSize) -> mmap.mmap:
    """Give each socket a ring and map them in one stretch; half the size, again, while memory is short.

    All rings are equally large, and together take a quarter of the machine's memory at most.

    Raises
    ------
    ConfigError
        The kernel does not take this block size.
    CaptureError
        There is no memory for even two blocks a ring.
    """
    for opened in sockets:
        opened.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V3)
    # More than that could starve the machine before the kernel says no.
    most_bytes = os.sysconf("SC_PHYS_PAGES") * mmap.PAGESIZE // _MEMORY_SHARE // len(sockets)
    blocks = max(min(size.ring_bytes, most_bytes) // size.block_bytes, 2)
    while not all(_allot(opened, blocks, size) for opened in sockets):
        for opened in sockets:
            _give_back(opened)
        blocks = max(blocks // 2, 2)
    return _map(sockets, blocks * size.block_bytes)


def _allot(opened: socket.socket, blocks: int, size: RingSize) -> bool:
    """Ask the kernel for one ring; return False when there is no memory, but may be for a smaller one."""
    frames = blocks * (size.block_bytes // _RING_FRAME_BYTES)
    request = (size.block_bytes, blocks, _RING_FRAME_BYTES, frames, size.block_timeout_ms, 0, 0)
    try:
        opened.setsockopt(_SOL_PACKET, _PACKET_RX_RING, struct.pack("=7I", *request))
    except OSError as error:
        if error.errno == errno.ENOMEM and blocks > 2:
            return False
        if error.errno == errno.EINVAL:
            raise ConfigError(
                f"the kernel refuses a ring of {blocks} blocks of {size.block_bytes} bytes"
            ) from error
        raise CaptureError(f"no ring of {blocks * size.block_bytes} bytes: {error.strerror}") from error
    return True


def _give_back(opened: socket.socket) -> None:
    """Let go of a ring that is not mapped yet; of none at all, that changes nothing."""
    opened.setsockopt(_SOL_PACKET, _PACKET_RX_RING, bytes(28))


def _map(sockets: Sequence[socket.socket], ring_bytes: int) -> mmap.mmap:
    """Map the rings of all sockets into one stretch of addresses."""
    stretch = mmap.mmap(-1, len(sockets) * ring_bytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    start = ctypes.addressof(ctypes.c_char.from_buffer(stretch))
    map_at = ctypes.CDLL(None, use_errno=True).mmap
    map_at.restype = ctypes.c_void_p
    map_at.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *(ctypes.c_int,) * 3, ctypes.c_ssize_t)
    access, kind = mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED | _MAP_FIXED
    for number, opened in enumerate(sockets):
        place = start + number * ring_bytes
        if map_at(place, ring_bytes, access, kind, opened.fileno(), 0) != place:
            raise CaptureError(f"a ring cannot be mapped: {os.strerror(ctypes.get_errno())}")
    return stretch
