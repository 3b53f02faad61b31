"""Addresses as text, and which of them are ours."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_network

_V4_PREFIX = 0xFFFF


def text(hi: int, lo: int) -> str:
    """Return the address in its usual form (RFC 5952); IPv4-mapped ones as IPv4."""
    if hi == 0 and lo >> 32 == _V4_PREFIX:
        return str(IPv4Address(lo & 0xFFFF_FFFF))
    return str(IPv6Address(hi << 64 | lo))


def mac_text(mac: int) -> str:
    """Return the MAC address with colons, or an empty string for 0."""
    return ":".join(f"{byte:02x}" for byte in mac.to_bytes(6, "big")) if mac else ""


class HomeNetworks:
    """The networks the sensor's owner calls his own.

    Parameters
    ----------
    networks
        In CIDR notation, IPv4 and IPv6.

    Raises
    ------
    ValueError
        One of them is no network.
    """

    def __init__(self, networks: Sequence[str]) -> None:
        self._ranges: list[tuple[int, int]] = []
        for network in map(ip_network, networks):
            first, last = int(network.network_address), int(network.broadcast_address)
            if network.version == 4:
                first, last = first | _V4_PREFIX << 32, last | _V4_PREFIX << 32
            self._ranges.append((first, last))

    def __contains__(self, address: tuple[int, int]) -> bool:
        value = address[0] << 64 | address[1]
        return any(first <= value <= last for first, last in self._ranges)

    def direction(self, source: tuple[int, int], destination: tuple[int, int]) -> str:
        """Return ECS `network.direction`: internal, outbound, inbound or external."""
        if source in self:
            return "internal" if destination in self else "outbound"
        return "inbound" if destination in self else "external"
