"""The sensor's own connections, as a part of the capture filter that leaves them out.

A mirror port often carries the sensor's management link too. Its alerts would
then come back as traffic of the network, and each of them could make another.
Left out is what goes between an address of this host and a receiver, in either
direction and with the receiver's port and transport, and nothing else: other
hosts talking to the receiver are seen, and so is this host talking to others.

The filter works in the kernel, which does not count what it leaves out. It
does not see into tunnels or behind a second VLAN tag, and knows fragments
without ports for what they are: these stay.
"""

from __future__ import annotations

import ctypes
import fcntl
import ipaddress
import socket
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

_SIOCGIFCONF = 0x8912  # linux/sockios.h
#: `struct ifreq`: a name of 16 bytes, then a `sockaddr_in`, whose address is 4 bytes in.
_IFREQ_BYTES, _ADDRESS_AT = 40, 20
#: Addresses taken of this host, of each family, and of one receiver's name: a filter is of bounded size.
_MOST_OWN, _MOST_OF_NAME = 64, 16
_INET6 = Path("/proc/thread-self/net/if_inet6")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Endpoint(NamedTuple):
    """A receiver: its name or address, its port, and how it is spoken to."""

    host: str
    port: int
    transport: Literal["tcp", "udp"]


def own_addresses() -> list[Address]:
    """Return the addresses of this host's interfaces, IPv4 first, each family up to a cap."""
    room = ctypes.create_string_buffer(_MOST_OWN * _IFREQ_BYTES)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as asked:
        answer = fcntl.ioctl(asked, _SIOCGIFCONF, struct.pack("iP", len(room), ctypes.addressof(room)))
    used = struct.unpack_from("i", answer)[0]
    found: list[Address] = [
        ipaddress.IPv4Address(room.raw[at : at + 4]) for at in range(_ADDRESS_AT, used, _IFREQ_BYTES)
    ]
    lines = _INET6.read_text().splitlines() if _INET6.exists() else []
    found += [ipaddress.IPv6Address(bytes.fromhex(line.split()[0])) for line in lines[:_MOST_OWN]]
    return list(dict.fromkeys(found))


def addresses_of(endpoint: Endpoint) -> list[Address]:
    """Return what a receiver's name stands for now; nothing when it cannot be resolved."""
    try:
        answers = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # UnicodeError: no name at all
        return []
    texts = (str(answer[4][0]).partition("%")[0] for answer in answers)
    return list(dict.fromkeys(ipaddress.ip_address(text) for text in texts))[:_MOST_OF_NAME]


def own_traffic(receivers: Iterable[tuple[Endpoint, Sequence[Address]]], own: Sequence[Address]) -> str:
    """Return a filter expression that matches packets between this host and receivers.

    Parameters
    ----------
    receivers
        Each with its addresses.
    own
        This host's addresses.

    Returns
    -------
    str
        As for tcpdump; empty when there is nothing to match.
    """
    known = [(address, one) for one, addresses in receivers for address in addresses]
    parts = []
    for version, word in ((4, "ip"), (6, "ip6")):
        ours = [address for address in own if address.version == version]
        theirs = [(address, one) for address, one in known if address.version == version]
        for near, far in (("src", "dst"), ("dst", "src")) if ours and theirs else ():
            here = " or ".join(f"{word} {near} host {address}" for address in ours)
            there = " or ".join(
                f"({word} {far} host {address} and {one.transport} {far} port {one.port})"
                for address, one in theirs
            )
            parts.append(f"(({here}) and ({there}))")
    return " or ".join(parts)


def without(expression: str, unwanted: str) -> str:
    """Return the filter for what matches `expression` (empty: everything) and not `unwanted`."""
    if not unwanted:
        return expression
    return f"({expression}) and not ({unwanted})" if expression.strip() else f"not ({unwanted})"
