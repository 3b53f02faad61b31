"""What flows begin with, protocol by protocol: what the initiator sends first, and what comes back."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

_NAME = b"\x03www\x07example\x03org\x00"
DNS_QUERY = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + _NAME + struct.pack("!HH", 28, 1)
DNS_ANSWER = (
    struct.pack("!6H", 7, 0x8183, 1, 1, 0, 0)
    + _NAME
    + struct.pack("!HH", 28, 1)
    + struct.pack("!HHHIH", 0xC00C, 1, 1, 60, 4)
    + bytes(4)
)


class Greeting(NamedTuple):
    """First bytes of one flow."""

    tcp: bool
    port: int  # the server's
    request: bytes
    reply: bytes = b""


def _extension(kind: int, body: bytes) -> bytes:
    return struct.pack("!HH", kind, len(body)) + body


def _handshake(kind: int, body: bytes) -> bytes:
    message = bytes([kind]) + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + struct.pack("!H", len(message)) + message


def client_hello() -> bytes:
    """Return a TLS client's hello with a name, ALPN, versions and signature algorithms."""
    extensions = _extension(0x0A0A, b"")
    extensions += _extension(0, struct.pack("!HBH", 14, 0, 11) + b"example.org")
    extensions += _extension(16, struct.pack("!H", 12) + b"\x02h2\x08http/1.1")
    extensions += _extension(43, b"\x04\x03\x04\x03\x03")
    extensions += _extension(13, b"\x00\x04\x04\x03\x08\x04")
    ciphers = b"\x0a\x0a\x13\x01\x13\x02\xc0\x2f"
    body = b"\x03\x03" + bytes(32) + b"\0" + struct.pack("!H", len(ciphers)) + ciphers + b"\x01\0"
    return _handshake(1, body + struct.pack("!H", len(extensions)) + extensions)


def server_hello() -> bytes:
    """Return a TLS server's hello."""
    extensions = _extension(43, b"\x03\x04") + _extension(16, b"\0\x03\x02h2")
    body = b"\x03\x03" + bytes(32) + b"\0\x13\x01\0" + struct.pack("!H", len(extensions)) + extensions
    return _handshake(2, body)


def _names_and_keys() -> Iterator[Greeting]:
    """Yield DNS and its kin, TLS, DTLS and QUIC."""
    yield Greeting(False, 53, DNS_QUERY, DNS_ANSWER)
    yield Greeting(
        True,
        53,
        struct.pack("!H", len(DNS_QUERY)) + DNS_QUERY,
        struct.pack("!H", len(DNS_ANSWER)) + DNS_ANSWER,
    )
    yield Greeting(False, 5353, DNS_QUERY)
    yield Greeting(False, 5355, DNS_QUERY)
    netbios = (
        struct.pack("!6H", 1, 0x0110, 1, 0, 0, 0)
        + b"\x20"
        + b"FH"
        + b"CA" * 15
        + struct.pack("!BHH", 0, 32, 1)
    )
    yield Greeting(False, 137, netbios)
    yield Greeting(True, 443, client_hello(), server_hello())
    yield Greeting(True, 443, client_hello()[:60], b"\x15\x03\x03\x00\x02\x02\x28")
    datagram = client_hello()[5:]
    dtls = (
        datagram[:4] + b"\0\0\0\0\0" + datagram[1:4] + b"\xfe\xfd" + datagram[6:38] + b"\0\0" + datagram[39:]
    )
    yield Greeting(False, 443, b"\x16\xfe\xfd" + bytes(8) + struct.pack("!H", len(dtls)) + dtls)
    yield Greeting(False, 443, b"\xc3\0\0\0\x01\x08" + bytes(8) + b"\0\0\x44\xd0" + bytes(30))


def _texts() -> Iterator[Greeting]:
    """Yield protocols of text lines."""
    agent = b"User-Agent: test/1.0\r\n"
    request = b"GET /a?b=c HTTP/1.1\r\nHost: example.org:8080\r\n" + agent + b"\r\n"
    yield Greeting(True, 80, request, b"HTTP/1.1 404 Not Found\r\nServer: test\r\n\r\n")
    yield Greeting(True, 8080, b"POST http://[::1]/ HTTP/1.0\nhost:\tx\n\n", b"HTTP/1.0 200\r\n")
    yield Greeting(True, 80, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0\0\x06\x04\0\0\0\0\0")
    yield Greeting(
        False,
        1900,
        b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nST: x\r\n\r\n",
    )
    yield Greeting(True, 22, b"SSH-2.0-client_1\r\n", b"SSH-2.0-server_1 comment\r\n")
    for transport in (True, False):
        sip = b"REGISTER sip:x SIP/2.0\r\n" + agent + b"\r\n"
        yield Greeting(transport, 5060, sip, b"SIP/2.0 401 No\r\nServer: s\r\n\r\n")
    yield Greeting(True, 554, b"OPTIONS rtsp://h/ RTSP/1.0\r\n" + agent + b"\r\n", b"RTSP/1.0 200 OK\r\n\r\n")
    cookie = b"Cookie: mstshash=user\r\n\x01\0\x08\0\x03\0\0\0"
    yield Greeting(
        True,
        3389,
        struct.pack("!BBHBBHHB", 3, 0, 11 + len(cookie), 6 + len(cookie), 0xE0, 0, 0, 0) + cookie,
        b"",
    )
    yield Greeting(False, 69, b"\0\x01file\0octet\0", b"\0\x03\0\x01x")
    yield Greeting(True, 25, b"EHLO x\r\n", b"220 mail ESMTP\r\n")
    yield Greeting(True, 21, b"USER a\r\n", b"220 FTP\r\n")
    yield Greeting(True, 110, b"USER a\r\n", b"+OK POP3\r\n")
    yield Greeting(True, 143, b"a CAPABILITY\r\n", b"* OK IMAP4\r\n")


def _services() -> Iterator[Greeting]:
    """Yield industrial protocols and services of networks."""
    smb = b"\xfeSMB\x40\0" + bytes(58)
    yield Greeting(True, 445, struct.pack("!I", len(smb)) + smb, b"\0\0\0\x24\xffSMB" + bytes(32))
    yield Greeting(True, 502, b"\0\x01\0\0\0\x06\x01\x03\0\0\0\x01", b"\0\x01\0\0\0\x05\x01\x03\x02\0\0")
    yield Greeting(True, 20000, b"\x05\x64\x05\xc0\x01\0\0\x04\xe9\x21")
    yield Greeting(True, 102, b"\x03\0\0\x16\x11\xe0\0\0\0\x01\0\xc1\x02\x01\0\xc2\x02\x01\x02\xc0\x01\x0a")
    yield Greeting(True, 44818, b"\x65\0\x04\0" + bytes(20) + b"\x01\0\0\0")
    yield Greeting(False, 47808, b"\x81\x0b\0\x08\x01\x20\xff\xff")
    yield Greeting(True, 4840, b"HELF\x20\0\0\0" + bytes(24))
    yield Greeting(True, 2404, b"\x68\x04\x07\0\0\0", b"\x68\x04\x0b\0\0\0")
    yield Greeting(True, 1883, b"\x10\x0e\0\x04MQTT\x04\x02\0\x3c\0\x02id", b"\x20\x02\0\0")
    yield Greeting(False, 161, b"\x30\x26\x02\x01\x01\x04\x06public\xa0\x19" + bytes(25))
    yield Greeting(False, 123, b"\x23" + bytes(47), b"\x24" + bytes(47))
    yield Greeting(False, 67, (b"\x01\x01\x06\0" + bytes(232) + b"\x63\x82\x53\x63\x35\x01\x01\xff"))
    yield Greeting(False, 547, b"\x01\0\0\x01\0\x01\0\x04\0\0\0\0")
    yield Greeting(False, 514, b"<34>1 2020-01-01T00:00:00Z h a - - - x")
    yield Greeting(False, 1812, b"\x01\x01\0\x14" + bytes(16))
    yield Greeting(False, 3478, b"\0\x01\0\0\x21\x12\xa4\x42" + bytes(12))


def _others() -> Iterator[Greeting]:
    """Yield what else has a first packet of its own."""
    yield Greeting(True, 6881, b"\x13BitTorrent protocol" + bytes(48))
    yield Greeting(False, 6881, b"d1:ad2:id20:")
    yield Greeting(True, 23, b"\xff\xfd\x18\xff\xfb\x1f", b"\xff\xfb\x01")
    yield Greeting(True, 5900, b"RFB 003.008\n", b"RFB 003.008\n")
    yield Greeting(True, 3306, b"\x20\0\0\x01" + bytes(32), b"\x4a\0\0\0\x0a8.0.1\0" + bytes(60))
    yield Greeting(True, 5432, b"\0\0\0\x08\x04\xd2\x16\x2f", b"N")
    yield Greeting(True, 1433, b"\x12\x01\0\x2f\0\0\x01\0" + bytes(39))
    yield Greeting(True, 6379, b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n")
    yield Greeting(True, 6667, b"NICK a\r\nUSER a 0 * :a\r\n", b":s NOTICE * :x\r\n")
    yield Greeting(False, 51820, b"\x01\0\0\0" + bytes(144), b"\x02\0\0\0" + bytes(88))
    yield Greeting(False, 1194, b"\x38" + bytes(13), b"\x40" + bytes(25))
    yield Greeting(
        True, 88, b"\0\0\0\x20\x6a\x1e\x30\x1c\xa1\x03\x02\x01\x05\xa2\x03\x02\x01\x0a" + bytes(18)
    )
    yield Greeting(
        True,
        389,
        b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\0\x80\0",
        b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\0",
    )
    yield Greeting(True, 135, b"\x05\0\x0b\x03\x10\0\0\0\x48\0\0\0" + bytes(60))


def greetings() -> Iterator[Greeting]:
    """Yield all of them."""
    yield from _names_and_keys()
    yield from _texts()
    yield from _services()
    yield from _others()
