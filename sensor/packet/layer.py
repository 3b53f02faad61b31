"""Where the walk through nested headers stands: `LAYER`, and what every tunnel's reader does with it.

A reader (`gre`, `mpls`, `vxlan` ...) is given the bytes and the `LAYER` row,
whose `at` is its header's first byte. It returns a `DecodeError`; without one
it has set `what` follows, `at` where, `tunnel` its own kind and `tunnel_id` its id.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sensor.kernel import Int, Row, kernel, record_dtype
from sensor.packet.columns import DecodeError

#: Tunnels and label stacks, one in another. What is deeper is not looked at.
MAX_LAYERS = 8

#: Labels of all stacks of a frame; segment routing uses up to ten or so.
MAX_LABELS = 16

#: Tags inside tunnels, of all Ethernet headers of a frame.
MAX_INNER_TAGS = 8

#: One row. All are int64, so that offsets never mix signed with unsigned.
LAYER = record_dtype(
    [
        ("what", np.int64),  # what stands at `at`: EtherType, or a code of `ethertype`
        ("at", np.int64),  # offset in data
        ("end", np.int64),  # behind the last captured byte
        ("wire_end", np.int64),  # behind the last byte on the wire
        ("dst_mac", np.int64),  # offset of the MAC addresses met last; -1 none
        ("src_mac", np.int64),
        ("ip", np.int64),  # offset of the IP header met last; -1 none
        ("tunnel", np.int64),  # TunnelType of the tunnel met last
        ("tunnel_id", np.int64),
        ("layers", np.int64),  # tunnels so far
        ("labels", np.int64),
        ("tags", np.int64),
        ("partial", np.int64),  # 1: the IP packet around it is a first fragment, so lengths may exceed it
    ]
)

Layers = npt.NDArray[np.void]

#: Not an error: an ordinary packet on a port that a tunnel also uses.
NOT_A_TUNNEL = -1

_TRUNCATED = int(DecodeError.TRUNCATED_TUNNEL)
_BAD = int(DecodeError.BAD_TUNNEL)


@kernel
def missing(layer: Row, size: Int) -> Int:
    """Return why `size` bytes at `at` are not there: never sent, or not captured."""
    return _BAD if layer.at + size > layer.wire_end else _TRUNCATED


@kernel
def absent(layer: Row, size: Int) -> Int:
    """Return the same for a header over UDP: what is too short for it is an ordinary datagram."""
    return NOT_A_TUNNEL if layer.at + size > layer.wire_end else _TRUNCATED


@kernel
def leads_to(layer: Row, size: Int, what: Int) -> None:
    """Move `size` bytes on, to `what`."""
    layer.at += size
    layer.what = what


@kernel
def is_tunnel(layer: Row, tunnel: Int, tunnel_id: Int) -> None:
    """Note which tunnel the header belongs to."""
    layer.tunnel = tunnel
    layer.tunnel_id = tunnel_id


@kernel
def limit(layer: Row, stop: Int) -> None:
    """Forget what lies at and behind offset `stop`: padding."""
    layer.wire_end = min(layer.wire_end, stop)
    layer.end = min(layer.end, stop)
