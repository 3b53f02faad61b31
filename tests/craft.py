"""Builders of raw frames for every test: plain bytes, correct lengths and checksums.

Builders nest from the inside out::

    frame = ethernet(ipv4(tcp(b"GET /", dst_port=80), src="10.0.0.1", dst="10.0.0.2", proto=TCP))
    packets = batch([frame], [1_000_000_000])

Each argument that a header derives (a length, a checksum) can be forced, so
that wrong frames are as easy to make as right ones.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence

import numpy as np

from sensor.packet.batch import FRAME, PacketBatch

ICMP = 1
TCP = 6
UDP = 17
DCCP = 33
ICMPV6 = 58
SCTP = 132
UDP_LITE = 136

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << bit for bit in range(8))

SRC_MAC = "02:00:00:00:00:01"
DST_MAC = "02:00:00:00:00:02"
SRC = "10.0.0.1"
DST = "10.0.0.2"
SRC6 = "2001:db8::1"
DST6 = "2001:db8::2"

#: VLAN tags, outermost first: an id (802.1Q), or a pair (TPID, TCI).
Tags = Sequence[int | tuple[int, int]]

#: Where checksums that cover a pseudo-header stand, by protocol.
_CHECKSUM_AT = {TCP: 16, UDP: 6, ICMPV6: 2, DCCP: 6, UDP_LITE: 6}


def mac(text: str) -> bytes:
    """Return the six bytes of ``aa:bb:cc:dd:ee:ff``."""
    return bytes.fromhex(text.replace(":", ""))


def address(text: str) -> bytes:
    """Return the 4 or 16 bytes of an IP address."""
    return ipaddress.ip_address(text).packed


def words(text: str) -> tuple[int, int]:
    """Return an address as the two words that `PACKET` and `FLOW` rows hold (IPv4 mapped)."""
    parsed = ipaddress.ip_address(text)
    value = int(parsed) if parsed.version == 6 else int(parsed) | 0xFFFF_0000_0000
    return value >> 64, value & 0xFFFF_FFFF_FFFF_FFFF


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def crc32c(data: bytes) -> int:
    """Return the CRC that SCTP carries (RFC 9260, appendix A)."""
    crc = 0xFFFF_FFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F6_3B78 if crc & 1 else 0)
    return crc ^ 0xFFFF_FFFF


def _ethertype_of(payload: bytes) -> int:
    """Guess the EtherType of an IP packet; anything else has to be named."""
    return {4: 0x0800, 6: 0x86DD}[payload[0] >> 4]


def tags(vlans: Tags, ethertype: int) -> bytes:
    """Return what stands between the MAC addresses and the payload: tags, then the EtherType."""
    pairs = [(0x8100, tag) if isinstance(tag, int) else tag for tag in vlans]
    return b"".join(struct.pack("!HH", *pair) for pair in pairs) + struct.pack("!H", ethertype)


def ethernet(
    payload: bytes,
    src: str = SRC_MAC,
    dst: str = DST_MAC,
    ethertype: int | None = None,
    vlans: Tags = (),
    *,
    pad: bool = False,
) -> bytes:
    """Return an Ethernet II frame; `pad` fills it to the 60 bytes that the wire wants."""
    kind = _ethertype_of(payload) if ethertype is None else ethertype
    frame = mac(dst) + mac(src) + tags(vlans, kind) + payload
    return frame.ljust(60, b"\0") if pad else frame


def ieee8023(
    payload: bytes, src: str = SRC_MAC, dst: str = DST_MAC, vlans: Tags = (), length: int | None = None
) -> bytes:
    """Return an IEEE 802.3 frame, whose type field is a length; `payload` starts with LLC."""
    return mac(dst) + mac(src) + tags(vlans, len(payload) if length is None else length) + payload


def snap(payload: bytes, ethertype: int | None = None, oui: int = 0) -> bytes:
    """Return an LLC header with a SNAP extension before `payload`."""
    kind = _ethertype_of(payload) if ethertype is None else ethertype
    return b"\xaa\xaa\x03" + oui.to_bytes(3, "big") + struct.pack("!H", kind) + payload


def linux_cooked(payload: bytes, src: str = SRC_MAC, ethertype: int | None = None, vlans: Tags = ()) -> bytes:
    """Return a Linux cooked capture v1 frame (LINKTYPE 113)."""
    kind = _ethertype_of(payload) if ethertype is None else ethertype
    head = struct.pack("!HHH", 0, 1, 6) + mac(src) + b"\0\0"
    return head + tags(vlans, kind) + payload


def linux_cooked2(payload: bytes, src: str = SRC_MAC, ethertype: int | None = None) -> bytes:
    """Return a Linux cooked capture v2 frame (LINKTYPE 276)."""
    kind = _ethertype_of(payload) if ethertype is None else ethertype
    return struct.pack("!HHIHBB", kind, 0, 2, 1, 0, 6) + mac(src) + b"\0\0" + payload


def bsd_null(payload: bytes, family: int | None = None, order: str = "<") -> bytes:
    """Return a BSD loopback frame (LINKTYPE 0; with order ``>`` also LINKTYPE 108)."""
    chosen = {4: 2, 6: 30}[payload[0] >> 4] if family is None else family
    return struct.pack(order + "I", chosen) + payload


def arp(
    operation: int = 1,
    src: str = SRC,
    dst: str = DST,
    src_mac: str = SRC_MAC,
    dst_mac: str = "00:00:00:00:00:00",
) -> bytes:
    """Return an ARP packet for IPv4 over Ethernet (RFC 826)."""
    head = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation)
    return head + mac(src_mac) + address(src) + mac(dst_mac) + address(dst)


def _with_checksum(payload: bytes, proto: int, pseudo: bytes) -> bytes:
    """Fill the transport checksum where it is zero; `pseudo` holds the two addresses."""
    at = _CHECKSUM_AT.get(proto)
    if at is None or len(payload) < at + 2 or payload[at : at + 2] != b"\0\0":
        return payload
    if len(pseudo) == 8:
        pseudo += struct.pack("!BBH", 0, proto, len(payload))
    else:
        pseudo += struct.pack("!II", len(payload), proto)
    return payload[:at] + struct.pack("!H", checksum(pseudo + payload) or 0xFFFF) + payload[at + 2 :]


def ipv4(
    payload: bytes = b"",
    src: str = SRC,
    dst: str = DST,
    proto: int = TCP,
    *,
    ttl: int = 64,
    identification: int = 1,
    fragment_offset: int = 0,
    more_fragments: bool = False,
    options: bytes = b"",
    total_length: int | None = None,
    header_words: int | None = None,
    version: int = 4,
) -> bytes:
    """Return an IPv4 packet (RFC 791); `fragment_offset` in bytes, a multiple of 8."""
    options += b"\0" * (-len(options) % 4)
    whole = fragment_offset == 0 and not more_fragments
    body = _with_checksum(payload, proto, address(src) + address(dst)) if whole else payload
    size = 20 + len(options)
    length = size + len(body) if total_length is None else total_length
    first = version << 4 | (size // 4 if header_words is None else header_words)
    bits = more_fragments << 13 | fragment_offset // 8
    head = struct.pack("!BBHHHBBH", first, 0, length, identification, bits, ttl, proto, 0)
    head += address(src) + address(dst) + options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body


def ipv6(
    payload: bytes = b"",
    src: str = SRC6,
    dst: str = DST6,
    proto: int = TCP,
    *,
    hop_limit: int = 64,
    extensions: Sequence[tuple[int, bytes]] = (),
    payload_length: int | None = None,
    version: int = 6,
) -> bytes:
    """Return an IPv6 packet (RFC 8200).

    `extensions` are pairs (type, header); the first byte of each header (next
    header) is filled in here. See `option_header`, `fragment_header`, `auth_header`.
    """
    whole = all(kind != 44 or head[2:4] == b"\0\0" for kind, head in extensions)
    body = _with_checksum(payload, proto, address(src) + address(dst)) if whole else payload
    kinds = [kind for kind, _ in extensions] + [proto]
    for (_, head), following in reversed(list(zip(extensions, kinds[1:], strict=True))):
        body = bytes([following]) + head[1:] + body
    length = len(body) if payload_length is None else payload_length
    head = struct.pack("!IHBB", version << 28, length, kinds[0], hop_limit)
    return head + address(src) + address(dst) + body


def option_header(data: bytes = b"") -> bytes:
    """Return a hop-by-hop, routing or destination header of 8, 16 ... bytes that holds `data`."""
    size = max(8, (2 + len(data) + 7) // 8 * 8)
    return (bytes([0, size // 8 - 1]) + data).ljust(size, b"\0")


def fragment_header(offset: int = 0, *, more: bool = False, identification: int = 1) -> bytes:
    """Return an IPv6 fragment header; `offset` in bytes, a multiple of 8."""
    return struct.pack("!BBHI", 0, 0, offset | more, identification)


def auth_header(size: int = 24) -> bytes:
    """Return an authentication header (RFC 4302) of `size` bytes, a multiple of 4, 12 at least."""
    return (bytes([0, size // 4 - 2, 0, 0]) + struct.pack("!II", 1, 1)).ljust(size, b"\0")


def tcp(
    payload: bytes = b"",
    src_port: int = 40000,
    dst_port: int = 80,
    flags: int = ACK,
    *,
    seq: int = 1,
    ack: int = 0,
    window: int = 64240,
    options: bytes = b"",
    header_words: int | None = None,
) -> bytes:
    """Return a TCP segment (RFC 9293); the IP builder fills the checksum."""
    options += b"\0" * (-len(options) % 4)
    header = (20 + len(options)) // 4 if header_words is None else header_words
    fields = (src_port, dst_port, seq, ack, header << 4, flags, window, 0, 0)
    return struct.pack("!HHIIBBHHH", *fields) + options + payload


def udp(payload: bytes = b"", src_port: int = 40000, dst_port: int = 53, length: int | None = None) -> bytes:
    """Return a UDP datagram (RFC 768); the IP builder fills the checksum."""
    return (
        struct.pack("!HHHH", src_port, dst_port, 8 + len(payload) if length is None else length, 0) + payload
    )


def icmp(payload: bytes = b"", kind: int = 8, code: int = 0, rest: bytes = b"\0\1\0\1") -> bytes:
    """Return an ICMP message (RFC 792), an echo request by default."""
    message = struct.pack("!BBH", kind, code, 0) + rest + payload
    return message[:2] + struct.pack("!H", checksum(message)) + message[4:]


def icmpv6(payload: bytes = b"", kind: int = 128, code: int = 0, rest: bytes = b"\0\1\0\1") -> bytes:
    """Return an ICMPv6 message (RFC 4443); the IP builder fills the checksum."""
    return struct.pack("!BBH", kind, code, 0) + rest + payload


def sctp(payload: bytes = b"", src_port: int = 40000, dst_port: int = 36412, tag: int = 1) -> bytes:
    """Return an SCTP packet (RFC 9260) whose chunks are `payload`."""
    head = struct.pack("!HHII", src_port, dst_port, tag, 0)
    return head[:8] + struct.pack("<I", crc32c(head + payload)) + payload


def dccp(payload: bytes = b"", src_port: int = 40000, dst_port: int = 5001) -> bytes:
    """Return a DCCP-Data packet with the 16-byte generic header (RFC 4340, 5.1)."""
    return struct.pack("!HHBBHB", src_port, dst_port, 4, 0, 0, 0x05) + bytes(7) + payload


def batch(
    frames: Sequence[bytes],
    times: Sequence[int] | None = None,
    link_type: int | Sequence[int] = 1,
    wirelens: Sequence[int] | None = None,
) -> PacketBatch:
    """Return a batch of `frames`; without `times` (ns) they are 1 ms apart from the epoch's second 1."""
    moments = [1_000_000_000 + 1_000_000 * i for i in range(len(frames))] if times is None else list(times)
    rows = np.zeros(len(frames), FRAME)
    sizes = np.array([len(frame) for frame in frames], np.int64)
    rows["offset"] = np.cumsum(sizes) - sizes
    rows["time"] = moments
    rows["caplen"] = sizes
    rows["wirelen"] = sizes if wirelens is None else wirelens
    rows["link_type"] = link_type
    data = np.frombuffer(bytearray(b"".join(frames)), np.uint8)
    return PacketBatch(data, rows, moments[-1] if moments else 0)
