"""A packet socket with a TPACKET_V3 receive ring, bound to one interface.

Python's `socket` and `mmap` are enough; the numbers below are those of
``linux/if_packet.h``, ``linux/sockios.h`` and ``asm-generic/socket.h``.
`CAP_NET_RAW` is needed to open it and for nothing afterwards.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import socket
import struct
import sys

from sensor.errors import CaptureError, ConfigError
from sensor.sources.bpf import Program

_SOL_PACKET = 263
_PACKET_ADD_MEMBERSHIP = 1
_PACKET_RX_RING = 5
_PACKET_STATISTICS = 6
_PACKET_VERSION = 10
_PACKET_IGNORE_OUTGOING = 23
_TPACKET_V3 = 2
_MR_PROMISC = 1
_SO_ATTACH_FILTER = 26
_SIOCGIFHWADDR = 0x8927
_SIOCGIFINDEX = 0x8933
_ETH_P_ALL = 0x0003
#: The ring wants a frame size that divides its blocks; with version 3 it has no other meaning.
_RING_FRAME_BYTES = 2048
#: Largest share of the machine's memory that a ring may take: one in this many.
_MEMORY_SHARE = 4
#: Device type (ARPHRD_*) to LINKTYPE_*: Ethernet, loopback (with Ethernet headers), bare IP (tun, WireGuard).
_LINK_TYPES = {1: 1, 772: 1, 65534: 101}

_NO_PERMISSION = (
    "capturing needs CAP_NET_RAW: run as a service with `AmbientCapabilities=CAP_NET_RAW`"
    " (sensor@.service has it), or `setcap cap_net_raw=ep {python}`, or run as root"
)


class _Program(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = (("instructions", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def open_socket() -> socket.socket:
    """Return a packet socket that receives nothing yet.

    Raises
    ------
    CaptureError
        With exit code 77 when the permission is missing.
    """
    try:
        # Protocol 0: nothing arrives before ring and filter stand and the socket is bound.
        return socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    except PermissionError as error:
        raise CaptureError(_NO_PERMISSION.format(python=sys.executable), exit_code=77) from error
    except OSError as error:
        raise CaptureError(f"no packet sockets here: {error.strerror}") from error


def interface_index(opened: socket.socket, name: str) -> int:
    """Return the index of an interface of the socket's own network, or 0 when there is none of that name."""
    try:
        answer = fcntl.ioctl(opened.fileno(), _SIOCGIFINDEX, struct.pack("16si20x", name.encode()[:15], 0))
    except OSError:
        return 0
    index: int = struct.unpack_from("=i", answer, 16)[0]
    return index


def link_type_of(opened: socket.socket, interface: str) -> int:
    """Return the LINKTYPE_* of the frames of an interface.

    Raises
    ------
    CaptureError
        The interface does not exist, or its device type is none of those known.
    """
    if not interface_index(opened, interface):
        present = ", ".join(name for _, name in socket.if_nameindex()) or "none"
        raise CaptureError(f"no interface {interface!r} here; there are: {present}")
    request = struct.pack("16sH22x", interface.encode()[:15], 0)
    answer = fcntl.ioctl(opened.fileno(), _SIOCGIFHWADDR, request)
    device_type = struct.unpack_from("=H", answer, 16)[0]
    if device_type not in _LINK_TYPES:
        known = ", ".join(str(number) for number in sorted(_LINK_TYPES))
        raise CaptureError(
            f"interface {interface!r} has device type {device_type} (ARPHRD); known are {known}"
        )
    return _LINK_TYPES[device_type]


def map_ring(opened: socket.socket, ring_bytes: int, block_bytes: int, block_timeout_ms: int) -> mmap.mmap:
    """Give the socket a ring and map it; half the size, again and again, while there is no memory for it.

    It never takes more than a quarter of the machine's memory.

    Raises
    ------
    ConfigError
        The kernel does not take this block size.
    CaptureError
        There is no memory for even two blocks.
    """
    opened.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V3)
    # More than that could starve the machine before the kernel says no.
    most_bytes = os.sysconf("SC_PHYS_PAGES") * mmap.PAGESIZE // _MEMORY_SHARE
    blocks = max(min(ring_bytes, most_bytes) // block_bytes, 2)
    while True:
        frames = blocks * (block_bytes // _RING_FRAME_BYTES)
        request = (block_bytes, blocks, _RING_FRAME_BYTES, frames, block_timeout_ms, 0, 0)
        try:
            opened.setsockopt(_SOL_PACKET, _PACKET_RX_RING, struct.pack("=7I", *request))
        except OSError as error:
            if error.errno == errno.ENOMEM and blocks > 2:
                blocks = max(blocks // 2, 2)
                continue
            if error.errno == errno.EINVAL:
                raise ConfigError(
                    f"the kernel refuses a ring of {blocks} blocks of {block_bytes} bytes"
                ) from error
            raise CaptureError(f"no ring of {blocks * block_bytes} bytes: {error.strerror}") from error
        return mmap.mmap(
            opened.fileno(), blocks * block_bytes, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE
        )


def attach_filter(opened: socket.socket, program: Program) -> None:
    """Set, or replace, the filter; what it does not keep is neither delivered nor counted."""
    code = ctypes.create_string_buffer(program.tobytes())
    opened.setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_FILTER, bytes(_Program(program.size, ctypes.addressof(code)))
    )


def ignore_outgoing(opened: socket.socket) -> None:
    """Ask the kernel to leave out what this host sends (Linux 4.20; older ones: the walk leaves it out)."""
    with contextlib.suppress(OSError):
        opened.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)


def promiscuous(opened: socket.socket, index: int) -> None:
    """Receive frames that are for others, until the socket is closed."""
    opened.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, struct.pack("=iHH8x", index, _MR_PROMISC, 0))


def bind(opened: socket.socket, interface: str) -> None:
    """Begin to receive: every protocol, of this interface alone."""
    try:
        opened.bind((interface, _ETH_P_ALL))
    except OSError as error:
        raise CaptureError(f"cannot capture on {interface!r}: {error.strerror}") from error


def statistics(opened: socket.socket) -> tuple[int, int, int]:
    """Return packets seen (dropped ones among them), dropped, and ring freezes since the last call."""
    return struct.unpack("=3I", opened.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 12))
