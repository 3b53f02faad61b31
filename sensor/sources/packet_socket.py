"""Packet sockets: opened, set, bound to one interface, and joined to share its packets.

Python's `socket` is enough; the numbers below are those of
``linux/if_packet.h``, ``linux/sockios.h`` and ``asm-generic/socket.h``.
`CAP_NET_RAW` is needed to open it and for nothing afterwards.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import socket
import struct
import sys
from collections.abc import Sequence

from sensor.errors import CaptureError
from sensor.sources.bpf import Program

_SOL_PACKET = 263
_PACKET_ADD_MEMBERSHIP = 1
_PACKET_STATISTICS = 6
_PACKET_FANOUT = 18
_PACKET_IGNORE_OUTGOING = 23
_MR_PROMISC = 1
_FANOUT_HASH = 0
_FANOUT_FLAG_UNIQUE_ID = 0x2000
_FANOUT_FLAG_IGNORE_OUTGOING = 0x4000
_SO_ATTACH_FILTER = 26
_SIOCGIFHWADDR = 0x8927
_SIOCGIFINDEX = 0x8933
_ETH_P_ALL = 0x0003
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


def share(sockets: Sequence[socket.socket], *, outgoing: bool) -> None:
    """Join bound sockets, so that each packet goes to one of them, and both ways of a flow to the same.

    The kernel chooses by a hash of addresses, protocol and ports that is the
    same in both directions (`__skb_get_hash_symmetric`); of fragments, by
    addresses and protocol alone. Two of its options are left alone on purpose.
    To have fragments put together first would hide from the sensor what was on
    the wire. To have a full ring's packets roll over into another one would
    spread a flow over rings; the reader being one for all, it would gain no
    more than the other ring's memory.

    Parameters
    ----------
    sockets
        All bound to the same interface.
    outgoing
        Whether what this host sends is wanted; `ignore_outgoing` does not count
        in a group. Kernels that cannot leave it out deliver it.

    Raises
    ------
    OSError
        EINVAL: the interface is down, and the kernel older than 6.13.
    """
    first, *others = sockets
    for flags in (0,) if outgoing else (_FANOUT_FLAG_IGNORE_OUTGOING, 0):
        try:
            _join(first, (_FANOUT_HASH | _FANOUT_FLAG_UNIQUE_ID | flags) << 16)
            break
        except OSError:
            if not flags:
                raise
    group = first.getsockopt(_SOL_PACKET, _PACKET_FANOUT)  # its number, kind and flags
    for opened in others:
        _join(opened, group)


def _join(opened: socket.socket, group: int) -> None:
    try:
        opened.setsockopt(_SOL_PACKET, _PACKET_FANOUT, group)
    except OSError as error:
        if error.errno != errno.EALREADY:
            raise


def statistics(opened: socket.socket) -> tuple[int, int, int]:
    """Return packets seen (dropped ones among them), dropped, and ring freezes since the last call."""
    return struct.unpack("=3I", opened.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 12))
