"""A TCP or TLS listener that keeps every byte, and can be broken on purpose."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Self

from receivers import LOOPBACK


class StreamReceiver:
    """A TCP or TLS listener that keeps every byte and does nothing else; see `hang_up`."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.received: list[bytearray] = []  # one a connection
        self._tls = tls
        self._open: list[socket.socket] = []
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def hang_up(self) -> None:
        """Close the sending half of every connection, as a receiver does that shuts down."""
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_WR)

    def say(self, words: bytes) -> None:
        for connection in self._open:
            connection.sendall(words)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection: socket.socket) -> None:
        kept = bytearray()
        with connection, contextlib.suppress(OSError):
            stream = self._tls.wrap_socket(connection, server_side=True) if self._tls else connection
            self._open.append(stream)
            self.received.append(kept)
            while piece := stream.recv(65_536):
                kept += piece


def octet_counted(content: bytes) -> Iterator[bytes]:
    """Split a stream into its frames (RFC 6587, 3.4.1); a partial frame is an error."""
    while content:
        length, space, rest = content.partition(b" ")
        assert space
        assert length.isdigit()
        assert len(rest) >= int(length)
        yield rest[: int(length)]
        content = rest[int(length) :]
