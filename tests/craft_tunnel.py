"""Builders of tunnel headers: each puts one before its payload; see `craft`."""

from __future__ import annotations

import struct

PROTOCOLS = {"ip": 4, "ipv6": 41, "gre": 47, "etherip": 97, "l2tp": 115, "mpls": 137}


def kind_of(payload: bytes) -> int:
    """Return the EtherType of an IP packet."""
    return {4: 0x0800, 6: 0x86DD}[payload[0] >> 4]


def gre(
    payload: bytes,
    protocol: int | None = None,
    *,
    key: int | None = None,
    sequence: int | None = None,
    checksum: int | None = None,
    flags: int = 0,
) -> bytes:
    """Return a GRE header (RFC 2890) before `payload`; `flags` are further bits."""
    fields = b""
    for bit, value in (
        (0x8000, None if checksum is None else checksum << 16),
        (0x2000, key),
        (0x1000, sequence),
    ):
        if value is not None:
            flags |= bit
            fields += struct.pack("!I", value)
    return struct.pack("!HH", flags, kind_of(payload) if protocol is None else protocol) + fields + payload


def pptp(payload: bytes, call: int = 7, sequence: int | None = 1, acknowledgment: int | None = None) -> bytes:
    """Return PPTP's GRE (RFC 2637) before a PPP frame."""
    fields = struct.pack("!HH", len(payload), call)
    flags = 0x2001
    for bit, value in ((0x1000, sequence), (0x0080, acknowledgment)):
        if value is not None:
            flags |= bit
            fields += struct.pack("!I", value)
    return struct.pack("!HH", flags, 0x880B) + fields + payload


def ppp(
    payload: bytes, protocol: int | None = None, *, address: bool = True, compressed: bool = False
) -> bytes:
    """Return a PPP frame (RFC 1661), its protocol in one byte when `compressed`."""
    number = {4: 0x0021, 6: 0x0057}[payload[0] >> 4] if protocol is None else protocol
    head = bytes([number]) if compressed else struct.pack("!H", number)
    return (b"\xff\x03" if address else b"") + head + payload


def erspan(
    frame: bytes, version: int = 2, session: int = 5, *, platform: bool = False, kind: int = 0
) -> bytes:
    """Return GRE and ERSPAN type I, II or III before an Ethernet frame."""
    if version == 1:
        return gre(frame, 0x88BE)
    if version == 2:
        return gre(struct.pack("!HHI", 0x1000, session, 0) + frame, 0x88BE, sequence=9)
    head = struct.pack("!HHIHH", 0x2000, session, 1, 0, kind << 10 | platform)
    return gre(head + bytes(8 * platform) + frame, 0x22EB, sequence=9)


def mpls(payload: bytes, *labels: int, word: bool = False) -> bytes:
    """Return a label stack, and a control word when it is a pseudowire's."""
    last = len(labels) - 1
    stack = b"".join(struct.pack("!I", one << 12 | (i == last) << 8 | 64) for i, one in enumerate(labels))
    return stack + bytes(4 * word) + payload


def pppoe(payload: bytes, session: int = 9, code: int = 0, length: int | None = None) -> bytes:
    """Return a PPPoE header (RFC 2516) before a PPP frame without address."""
    return struct.pack("!BBHH", 0x11, code, session, len(payload) if length is None else length) + payload


def vxlan(frame: bytes, vni: int = 3, first: int = 0x0800_0000) -> bytes:
    return struct.pack("!II", first, vni << 8) + frame


def geneve(payload: bytes, vni: int = 3, protocol: int = 0x6558, options: bytes = b"") -> bytes:
    return struct.pack("!BBHI", len(options) // 4, 0, protocol, vni << 8) + options + payload


def gtp_u(
    payload: bytes, teid: int = 3, *, kind: int = 255, extensions: tuple[bytes, ...] = (), flags: int = 0
) -> bytes:
    """Return a GTP-U header; each extension is its content, whose length makes 2 a multiple of 4."""
    rest = b""
    if extensions or flags & 7:
        flags |= 4 if extensions else 0
        rest = bytes(3)
        for content in extensions:
            rest += b"\x85" + bytes([(len(content) + 2) // 4]) + content
        rest += b"\0"
    return struct.pack("!BBHI", 0x30 | flags, kind, len(rest) + len(payload), teid) + rest + payload


def l2tp(payload: bytes, session: int = 3, *, flags: int = 0x4002, extra: bytes = b"") -> bytes:
    """Return an L2TP version 2 data header (RFC 2661)."""
    body = struct.pack("!HH", 1, session) + extra + payload
    return struct.pack("!H", flags) + (struct.pack("!H", len(body) + 4) if flags & 0x4000 else b"") + body


def l2tp3(payload: bytes, session: int = 3, cookie: bytes = b"", *, udp: bool = False) -> bytes:
    """Return an L2TP version 3 data header (RFC 3931)."""
    return (struct.pack("!HH", 3, 0) if udp else b"") + struct.pack("!I", session) + cookie + payload


def teredo(payload: bytes, *, authentication: bytes | None = None, origin: bool = False) -> bytes:
    head = b""
    if authentication is not None:
        head = struct.pack("!HBB", 1, len(authentication), 0) + authentication + bytes(9)
    return head + (struct.pack("!HHI", 0, 1, 2) if origin else b"") + payload


def pbb(frame: bytes, service: int = 3) -> bytes:
    return struct.pack("!I", service) + frame


def nsh(payload: bytes, following: int, path: int = 3, context: bytes = bytes(16)) -> bytes:
    return struct.pack("!BBBBI", 0, 2 + len(context) // 4, 1, following, path << 8 | 255) + context + payload


def capwap(frame: bytes, *, native: int = 0, flags: int = 0, radio: int = 1) -> bytes:
    """Return a CAPWAP data header (RFC 5415, 4.3); `native` is the binding of a radio's own frame."""
    first = 2 << 19 | radio << 14 | native << 9 | (native != 0) << 8 | flags
    return struct.pack("!II", first, 0) + frame


def wlan(body: bytes, ds: int = 1, *, quality: bool = False, flags: int = 0, subtype: int = 0) -> bytes:
    """Return an 802.11 data frame; `ds` holds the bits to-DS and from-DS, address n is six bytes n."""
    control = bytes([0x08 | subtype << 4 | quality << 7, ds | flags])
    addresses = b"".join(bytes([i] * 6) for i in (1, 2, 3))
    tail = (b"\x04" * 6 if ds == 3 else b"") + (b"\0\0" if quality else b"")
    return control + bytes(2) + addresses + bytes(2) + tail + body
