"""Small servers that the lab has no packaged program for: NTP, MQTT, and a sink of print jobs.

Run as ``python -m lab.services ntp|mqtt|sink`` inside a namespace; ends when killed.
"""

from __future__ import annotations

import socketserver
import struct
import sys
import time
from collections.abc import Callable

_NTP_EPOCH = 2_208_988_800  # seconds from 1900 to 1970 (RFC 5905, 6)


class _Ntp(socketserver.BaseRequestHandler):
    """Server mode answers, stratum 2 (RFC 5905, 7.3)."""

    def handle(self) -> None:
        query, sock = self.request
        if len(query) < 48:
            return
        now = int((time.time() + _NTP_EPOCH) * 2**32)
        head = struct.pack("!BBbbIII", 0x24, 2, query[2], -20, 0x400, 0x400, 0x0A140001)
        sock.sendto(
            head + struct.pack("!Q", now) + query[40:48] + struct.pack("!QQ", now, now), self.client_address
        )


class _Mqtt(socketserver.BaseRequestHandler):
    """The part of an MQTT 3.1.1 broker that devices which only publish need."""

    def handle(self) -> None:
        while packet := _mqtt_packet(self.request.recv):
            kind, body = packet
            if kind >> 4 == 1:  # CONNECT: accepted
                self.request.sendall(b"\x20\x02\x00\x00")
            elif kind >> 4 == 3 and kind & 0x06:  # PUBLISH, QoS 1: acknowledge its packet id
                topic_bytes = struct.unpack_from("!H", body)[0]
                self.request.sendall(b"\x40\x02" + body[2 + topic_bytes : 4 + topic_bytes])
            elif kind >> 4 == 12:  # PINGREQ
                self.request.sendall(b"\xd0\x00")
            elif kind >> 4 == 14:  # DISCONNECT
                return


def _mqtt_packet(receive: Callable[[int], bytes]) -> tuple[int, bytes] | None:
    """Read one control packet whose remaining length fits in one byte (all that devices here send)."""
    head = receive(1)
    size = receive(1) if head else b""
    if not size or size[0] > 127:
        return None
    body = b""
    while len(body) < size[0]:
        more = receive(size[0] - len(body))
        if not more:
            return None
        body += more
    return head[0], body


class _Sink(socketserver.BaseRequestHandler):
    """A raw-port printer: takes a job to its end and answers with nothing."""

    def handle(self) -> None:
        while self.request.recv(65536):
            pass


class _Threaded(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def main() -> None:
    name = sys.argv[1]
    if name == "ntp":
        server: socketserver.BaseServer = socketserver.UDPServer(("0.0.0.0", 123), _Ntp)  # noqa: S104
    elif name == "mqtt":
        server = _Threaded(("0.0.0.0", 1883), _Mqtt)  # noqa: S104
    elif name == "sink":
        server = _Threaded(("0.0.0.0", int(sys.argv[2])), _Sink)  # noqa: S104
    else:
        raise SystemExit(f"no such service: {name}")
    server.serve_forever()


if __name__ == "__main__":
    main()
