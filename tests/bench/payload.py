"""What the generated packets carry: the first bytes say which protocol it is, the rest is noise."""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt
import traffic

_NOISE = np.random.default_rng(7).integers(0, 256, 1 << 20, np.uint8)
_NAME = b"\x04host\x07example\x03com\x00"


def _client_hello() -> bytes:
    """Return a TLS client hello up to the length of the record; what follows is padding or more packets."""
    ciphers = bytes.fromhex("130113021303c02bc02fc02cc030cca9cca8009c009d002f0035")
    name = b"www.example.com"
    server = struct.pack("!HHHBH", 0, len(name) + 5, len(name) + 3, 0, len(name)) + name
    versions = bytes.fromhex("002b0003020304")
    body = b"\x03\x03" + bytes(range(32)) + b"\x00" + struct.pack("!H", len(ciphers)) + ciphers + b"\x01\x00"
    extensions = server + versions
    body += struct.pack("!H", len(extensions)) + extensions
    shake = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + struct.pack("!H", len(shake)) + shake


def _dns(answers: int) -> bytes:
    """Return a DNS message of type A: a question, and answers if there are any."""
    flags = 0x8180 if answers else 0x0100
    answer = b"\xc0\x0c" + struct.pack("!HHIH4s", 1, 1, 300, 4, bytes((10, 1, 0, 1)))
    question = _NAME + struct.pack("!HH", 1, 1)
    return struct.pack("!HHHHHH", 0x1234, flags, 1, answers, 0, 0) + question + answers * answer


_HELLO = _client_hello()
# Without an end: what stands behind it would be read as a second request.
_REQUEST = b"GET /index.html HTTP/1.1\r\nHost: www.example.com\r\nAccept: */*\r\nCookie: "
_RESPONSE = b"HTTP/1.1 200 OK\r\nServer: example\r\nContent-Type: application/octet-stream\r\n\r\n"
_BANNER = b"SSH-2.0-OpenSSH_9.6\r\n"
_TIME = b"\x23\x00\x06\xec" + bytes(44)


def fill(rows: traffic.Rows, size: int, begin: int) -> npt.NDArray[np.uint8]:
    """Return (n, `size`) bytes: noise everywhere, from `begin` on the rows' application data."""
    offset = int(rows["seq"][0]) % 1024
    count = len(rows) * size
    reach = -(-(count + offset) // len(_NOISE))
    noise = np.tile(_NOISE, reach) if reach > 1 else _NOISE
    block = noise[offset : offset + count].reshape(len(rows), size).copy()
    kind, number, reverse = rows["kind"], rows["number"], rows["reverse"] == 1
    secure = (kind == traffic.HTTPS) & (rows["payload"] > 0)
    hello = secure & (number == 3)
    _put(block, begin, b"\x17\x03\x03", secure)
    block[secure, begin + 3 : begin + 5] = _words(rows["payload"][secure] - np.uint16(5))
    _put(block, begin, _HELLO, hello)
    web = kind == traffic.HTTP
    block[web, begin:] = ord("a")
    _put(block, begin, _REQUEST, web & ~reverse & (number >= 3))
    _put(block, begin, _RESPONSE, web & (number == 4))
    _put(block, begin, _BANNER, (kind == traffic.SSH) & (number < 5))
    _put(block, begin, _TIME, kind == traffic.NTP)
    quic = kind == traffic.QUIC
    block[quic, begin] = 0x40 | (block[quic, begin] & 0x3F)
    _put(block, begin, _dns(0), (kind == traffic.DNS) & ~reverse)
    for answers in range(1, 5):
        chosen = (kind == traffic.DNS) & reverse & (1 + rows["client_port"] % 4 == answers)
        _put(block, begin, _dns(answers), chosen)
    named = kind == traffic.DNS
    block[named, begin : begin + 2] = _words(rows["client_port"][named])
    return block


def _put(block: npt.NDArray[np.uint8], begin: int, text: bytes, chosen: npt.NDArray[np.bool_]) -> None:
    """Write `text` at `begin` of the chosen rows, as far as it fits."""
    room = block.shape[1] - begin
    at = np.flatnonzero(chosen)
    block[at, begin : begin + min(len(text), room)] = np.frombuffer(text[:room], np.uint8)


def _words(values: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint8]:
    """Return 16-bit values as big-endian bytes, shape (n, 2)."""
    return values.astype(">u2").view(np.uint8).reshape(-1, 2)
