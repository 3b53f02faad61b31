"""The ways to a syslog receiver: UDP (RFC 5426), TCP with octet counting (RFC 6587), TLS (RFC 5425).

Syslog has no answers. A stream's write succeeds as soon as the kernel has the
bytes, even when the receiver has gone; a connection is therefore looked at
before every message, and a message is lost without notice only when the
receiver goes away in the moment between.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl

from sensor.errors import ConfigError
from sensor.sinks.credential import locate

#: How long a TLS 1.3 receiver gets to refuse this sensor's certificate. It does so only
#: after its side of the handshake (RFC 8446, 4.4.2.4), when writing already works.
_REFUSAL_SECS = 1.0
_GOODBYE_SECS = 1.0
_DISCARD_BYTES = 4096
_DISCARD_READS = 16


def tls_context(
    ca_file: str | None, client_cert_file: str | None, client_key_file: str | None
) -> ssl.SSLContext:
    """Return a context that verifies the receiver's certificate and name.

    Parameters
    ----------
    ca_file
        Trusted certificates; None for the system's.
    client_cert_file, client_key_file
        This sensor's certificate; the key may stand in the same file.

    Raises
    ------
    ConfigError
        A file cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=str(locate(ca_file, "ca_file")) if ca_file else None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if client_cert_file:
            key = str(locate(client_key_file, "client_key_file")) if client_key_file else None
            context.load_cert_chain(str(locate(client_cert_file, "client_cert_file")), key)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(
            f"ca_file, client_cert_file or client_key_file: {error.strerror or error}"
        ) from error
    return context


def connect(host: str, port: int, timeout_secs: float, tls: ssl.SSLContext | None) -> socket.socket:
    """Return a connected TCP or TLS socket.

    Raises
    ------
    OSError
        There is no connection, the certificate is wrong, or the receiver refuses ours.
    """
    plain = socket.create_connection((host, port), timeout_secs)
    try:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if tls is None:
            return plain
        wrapped = tls.wrap_socket(plain, server_hostname=host)
    except OSError:
        plain.close()
        raise
    try:
        if wrapped.version() == "TLSv1.3":
            select.select([wrapped], [], [], min(_REFUSAL_SECS, timeout_secs))
            check_open(wrapped)
    except OSError:
        wrapped.close()
        raise
    return wrapped


def connect_udp(host: str, port: int) -> socket.socket:
    """Return a UDP socket with `host` as its peer, so that ICMP errors reach the next send.

    Raises
    ------
    OSError
        The host has no address or no route.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    datagram = socket.socket(family, kind, protocol)
    try:
        datagram.connect(address)
    except OSError:
        datagram.close()
        raise
    return datagram


def check_open(stream: socket.socket) -> None:
    """Return when the peer has not closed its side, without waiting.

    What a receiver says (TLS session tickets, banners) is read and ignored,
    else it would hide the end that follows it.

    Raises
    ------
    OSError
        The peer closed or broke the connection.
    """
    timeout = stream.gettimeout()
    stream.settimeout(0)
    try:
        for _ in range(_DISCARD_READS):
            if not stream.recv(_DISCARD_BYTES):
                raise ConnectionResetError("the receiver closed the connection")
    except (BlockingIOError, ssl.SSLWantReadError):
        pass  # nothing to read: still open
    finally:
        stream.settimeout(timeout)


def say_goodbye(stream: socket.socket) -> None:
    """Close a stream in order; TLS receivers log an error without the closing alert (RFC 5425, 4.4)."""
    with contextlib.suppress(OSError, ValueError):  # the peer may be gone: nothing depends on it
        stream.settimeout(_GOODBYE_SECS)
        if isinstance(stream, ssl.SSLSocket):
            stream.unwrap().shutdown(socket.SHUT_RDWR)
        else:
            stream.shutdown(socket.SHUT_RDWR)
    stream.close()
