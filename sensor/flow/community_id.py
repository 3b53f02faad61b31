"""Community ID v1: one text for one flow, the same in every tool that knows it.

From the specification of the Corelight project "community-id-spec", version 1:
base64 of SHA-1 over seed, addresses, protocol and ports, the smaller end first.
SHA-1 serves as a checksum here, not as a protection.
"""

from __future__ import annotations

import base64
import hashlib
import struct

import numpy as np

from sensor.flow.key import ICMP_PAIRS, ICMPV6_PAIRS

_ICMP = 1
_ICMPV6 = 58
#: Protocols whose ports, or whose type and code, are part of the identifier: with TCP, UDP, SCTP.
_WITH_PORTS = frozenset((_ICMP, 6, 17, _ICMPV6, 132))
_PAIRED = {
    _ICMP: frozenset(kind for pair in ICMP_PAIRS for kind in pair),
    _ICMPV6: frozenset(kind for pair in ICMPV6_PAIRS for kind in pair),
}
_SEED = struct.pack("!H", 0)


def community_id(flow: np.void) -> str:
    """Return the Community ID of a `FLOW` row, e.g. ``1:LQU9qZlK+B5F3KDmev6m5PMibrg=``.

    The seed is 0, as by default everywhere. ICMP flows hold type and
    counterpart in their ports (`flow.key`), which is what the specification
    hashes.
    """
    return community_id_of(
        address_bytes(int(flow["src_hi"]), int(flow["src_lo"]), int(flow["ip_version"])),
        address_bytes(int(flow["dst_hi"]), int(flow["dst_lo"]), int(flow["ip_version"])),
        int(flow["protocol"]),
        int(flow["src_port"]),
        int(flow["dst_port"]),
    )


def community_id_of(src: bytes, dst: bytes, protocol: int, src_port: int, dst_port: int) -> str:
    """Return the Community ID of a flow.

    Parameters
    ----------
    src, dst
        Addresses in network order, 4 or 16 bytes.
    protocol
        IANA number.
    src_port, dst_port
        Ports; for ICMP and ICMPv6 the type, and the counterpart's type or the code.
    """
    a, b = src + struct.pack("!H", src_port), dst + struct.pack("!H", dst_port)
    one_way = protocol in _PAIRED and src_port not in _PAIRED[protocol]
    if a > b and not one_way:
        a, b = b, a
    message = _SEED + a[:-2] + b[:-2] + bytes((protocol, 0))
    if protocol in _WITH_PORTS:
        message += a[-2:] + b[-2:]
    digest = hashlib.sha1(message, usedforsecurity=False).digest()
    return "1:" + base64.b64encode(digest).decode("ascii")


def address_bytes(hi: int, lo: int, ip_version: int) -> bytes:
    """Return an address in network order: 4 bytes for IP version 4, else 16."""
    if ip_version == 4:
        return (lo & 0xFFFF_FFFF).to_bytes(4, "big")
    return ((hi << 64) | lo).to_bytes(16, "big")
