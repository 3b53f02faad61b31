"""One cable between two namespaces: a live source at one end, a raw socket at the other."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Self

import numpy as np
from lab.network import Host, Network, inside

from sensor.sources.af_packet import AfPacket

BROADCAST, OTHER, SENDER = b"\xff" * 6, b"\x02\0\0\0\0\x99", b"\x02\0\0\0\0\x01"
_TUNSETIFF, _TUNSETLINK, _IFF_TUN_NO_PI = 0x400454CA, 0x400454CD, 0x1001


class Wire:
    """`span0` in `sensor` is where sources listen; `send` puts a frame on the other end.

    `options` are those of every source that is opened here, unless told otherwise.
    """

    def __init__(self, **options: object) -> None:
        self._options = {"ring_bytes": 8 << 20, "poll_secs": 0.05, **options}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self.network = stack.enter_context(Network({}))
            with inside(self.network.hosts["switch"]):
                self._sender = stack.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
                self._sender.bind(("mirror0", 0))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def sensor(self) -> Host:
        return self.network.sensor

    def send(self, data: bytes) -> None:
        self._sender.send(data)

    def open(self, interface: str = "span0", **options: object) -> AfPacket:
        """Open a source in the sensor's namespace; it is closed with the wire at the latest."""
        with inside(self.sensor):
            source = AfPacket(interface, **{**self._options, **options})
        self._stack.callback(source.close)
        return source

    @contextlib.contextmanager
    def tunnel(self, device_type: int = 65534) -> Iterator[int]:
        """A tun device `tun7` in the sensor's namespace: yields the descriptor to write its packets to."""
        with inside(self.sensor):
            tun = os.open("/dev/net/tun", os.O_RDWR)
        try:
            fcntl.ioctl(tun, _TUNSETIFF, struct.pack("16sH22x", b"tun7", _IFF_TUN_NO_PI))
            fcntl.ioctl(tun, _TUNSETLINK, device_type)
            self.sensor.sysctl("net.ipv6.conf.tun7.disable_ipv6", "1")
            self.sensor.ip("link", "set", "tun7", "up")
            yield tun
        finally:
            os.close(tun)


def frame(payload: bytes, *, to: bytes = OTHER, ethertype: bytes = b"\x88\xb5", tags: bytes = b"") -> bytes:
    """Return an Ethernet frame of the first local experimental type, unless told otherwise."""
    return to + SENDER + tags + ethertype + payload


def udp(
    port: int,
    tags: bytes = b"",
    *,
    source: tuple[str, int] = ("10.0.0.1", 1),
    to: str = "10.0.0.2",
    payload: bytes = bytes(8),
) -> bytes:
    """Return a frame with a UDP datagram from `source` to `port` of `to`."""
    length = 8 + len(payload)
    addresses = socket.inet_aton(source[0]) + socket.inet_aton(to)
    header = struct.pack("!BBHHHBBH8s", 0x45, 0, 20 + length, 0, 0, 64, 17, 0, addresses)
    datagram = struct.pack("!HHHH", source[1], port, length, 0) + payload
    return frame(header + datagram, ethertype=b"\x08\0", tags=tags)


def collect(source: AfPacket, seconds: float = 1.0) -> list[tuple[bytes, np.void]]:
    """Close the source after a while and return what came: (frame bytes, row) pairs, in order."""
    timer = threading.Timer(seconds, source.close)
    timer.start()
    got: list[tuple[bytes, np.void]] = []
    for batch in source:
        got += [(batch.data[row["offset"] :][: row["caplen"]].tobytes(), row.copy()) for row in batch.frames]
    timer.join()
    return got


def balanced(counters: dict[str, int]) -> bool:
    """Say whether every packet that the kernel saw is accounted for."""
    parts = ("packets", "outgoing_packets", "malformed_packets", "kernel_drops")
    return counters["kernel_packets"] == sum(counters[name] for name in parts)
