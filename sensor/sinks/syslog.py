"""Alerts as RFC 5424 syslog messages with an ECS body, over UDP, TCP or TLS."""

from __future__ import annotations

import os
import socket
from typing import Literal

from sensor.alert.alert import Alert, Observer
from sensor.errors import DeliveryError
from sensor.formats import rfc5424
from sensor.sinks.connection import check_open, connect, connect_udp, say_goodbye, tls_context

Transport = Literal["udp", "tcp", "tls"]

#: Registered ports (RFC 5426, RFC 5425); plain TCP has none and uses UDP's by habit (RFC 6587).
DEFAULT_PORT: dict[Transport, int] = {"udp": 514, "tcp": 514, "tls": 6514}
#: What receivers should take at least (RFC 5426, 3.2; RFC 5425, 4.3.1).
DEFAULT_MAX_BYTES: dict[Transport, int] = {"udp": 2048, "tcp": 8192, "tls": 8192}


class Syslog:
    """A syslog receiver.

    Parameters
    ----------
    host
        Name or address; with TLS the certificate must be for it.
    observer
        Written into every alert; its name is the message's HOSTNAME.
    port
        None: 514, with TLS 6514.
    transport
        ``udp``, ``tcp`` (octet counting) or ``tls``.
    facility
        A key of `rfc5424.FACILITIES`.
    timeout_secs
        Limit for connecting and for each send.
    max_bytes
        Longest message, at least 2,048; None: 2,048 over UDP, else 8,192. A
        longer one loses fields in the order of `ecs.SHORTENING`.
    ca_file, client_cert_file, client_key_file
        TLS: whom to trust (None: the system's list), and this sensor's certificate.
    name
        Shown in counters and logs.

    Raises
    ------
    ConfigError
        A certificate file cannot be used.
    """

    def __init__(  # noqa: PLR0913  (its parameters are the keys of the configuration)
        self,
        host: str,
        *,
        observer: Observer,
        port: int | None = None,
        transport: Transport = "udp",
        facility: str = "local0",
        timeout_secs: float = 10.0,
        max_bytes: int | None = None,
        ca_file: str | None = None,
        client_cert_file: str | None = None,
        client_key_file: str | None = None,
        name: str = "syslog",
    ) -> None:
        self.name = name
        self._host = host
        self._port = port or DEFAULT_PORT[transport]
        self._transport = transport
        self._facility = rfc5424.FACILITIES[facility]
        self._timeout_secs = timeout_secs
        self._max_bytes = max_bytes or DEFAULT_MAX_BYTES[transport]
        self._tls = tls_context(ca_file, client_cert_file, client_key_file) if transport == "tls" else None
        self._observer = observer
        self._socket: socket.socket | None = None

    def send(self, alert: Alert) -> None:
        """Hand the alert's message to the network, connecting first where need be.

        Raises
        ------
        DeliveryError
            Always with `retry`: there was no connection, or it broke. Over UDP
            it tells that an earlier message found nobody listening.
        """
        message = rfc5424.render_ecs(alert, self._observer, self._max_bytes, self._facility, os.getpid())
        try:
            if self._transport == "udp":
                self._send_datagram(message)
            else:
                self._send_framed(message)
        except OSError as error:
            self._drop()
            words = error.strerror or str(error) or type(error).__name__
            raise DeliveryError(
                f"{self._transport}://{self._host}:{self._port}: {words}", retry=True
            ) from error

    def close(self) -> None:
        """Close the connection in order."""
        if self._socket is not None and self._transport != "udp":
            say_goodbye(self._socket)
        self._drop()

    def _send_datagram(self, message: bytes) -> None:
        if self._socket is None:
            self._socket = connect_udp(self._host, self._port)
            self._socket.settimeout(self._timeout_secs)
        self._socket.send(message)

    def _send_framed(self, message: bytes) -> None:
        if self._socket is not None:
            try:
                check_open(self._socket)
            except OSError:  # a receiver that was restarted: connect again at once
                self._drop()
        if self._socket is None:
            self._socket = connect(self._host, self._port, self._timeout_secs, self._tls)
        self._socket.sendall(b"%d %b" % (len(message), message))

    def _drop(self) -> None:
        """Forget the connection; half a frame on it cannot be completed."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
