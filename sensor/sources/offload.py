"""What a network card puts together before a capture sees it.

With generic or large receive offload (GRO, LRO) several packets of a TCP
connection arrive as one of up to 64 KiB that was never on the wire: packet
counts, sizes and gaps are then not the network's. Offloads of what this host
sends (TSO, GSO) are none of the sensor's business, which takes what arrives.
Numbers are those of ``linux/ethtool.h`` and ``linux/sockios.h``.
"""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct

_SIOCETHTOOL = 0x8946
_ETHTOOL_GET_FLAGS = 0x25
_ETHTOOL_GET_GRO = 0x2B
_FLAG_LRO = 1 << 15


def receive_offloads(interface: str) -> list[str]:
    """Return which of ``gro`` and ``lro`` are on, in ethtool's words; none where the driver does not say."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as asked:
        gro = _ask(asked, interface, _ETHTOOL_GET_GRO)
        lro = _ask(asked, interface, _ETHTOOL_GET_FLAGS) & _FLAG_LRO
    return [name for name, on in (("gro", gro), ("lro", lro)) if on]


def _ask(asked: socket.socket, interface: str, command: int) -> int:
    """Return the value that the driver answers with, or 0 when it knows no such command."""
    value = ctypes.create_string_buffer(struct.pack("=2I", command, 0), 8)
    request = struct.pack("16sP16x", interface.encode()[:15], ctypes.addressof(value))
    try:
        fcntl.ioctl(asked, _SIOCETHTOOL, request)
    except OSError:
        return 0
    answer: int = struct.unpack_from("=I", value, 4)[0]
    return answer
