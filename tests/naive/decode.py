"""The decoder once more, plainly: bytes, struct and exceptions, one frame at a time.

Written from the RFCs, not from the kernels; what the two disagree about is a
defect of one of them.
"""

from __future__ import annotations

import ipaddress
import struct
from typing import NoReturn

from sensor.packet.columns import DecodeError, PacketKind

TPIDS = {0x8100, 0x88A8, 0x9100, 0x9200}
ETHERNET, SLL, SLL2 = 1, 113, 276
RAW = {12, 14, 101}
EXTENSIONS = {0, 43, 44, 51, 60, 135, 139, 140}
NULL_IPV6 = {10, 24, 28, 30}
FIXED = {6: 20, 17: 8, 33: 12, 132: 12, 136: 8}  # header bytes of protocols with ports


class Stopped(Exception):  # noqa: N818  (not an error of the program: decoding ends here)
    def __init__(self, code):
        self.code = code


class Span:
    """Bytes of one layer: what was captured, and how long it was on the wire."""

    def __init__(self, data, wire, start=0):
        self.data, self.wire, self.start = data, wire, start

    def take(self, size, short, malformed=None):
        """Cut `size` bytes off the front, or stop with the code that says why they are missing."""
        if size > len(self.data):
            never_sent = malformed is not None and size > self.wire
            stop(malformed if never_sent else short)
        head, self.data = self.data[:size], self.data[size:]
        self.wire -= size
        self.start += size
        return head

    def limit(self, size):
        """Forget what lies behind `size` bytes: padding."""
        self.data = self.data[:size]
        self.wire = min(self.wire, size)


def stop(code) -> NoReturn:
    raise Stopped(code)


def mac(data):
    return int.from_bytes(data, "big")


def address_words(data):
    value = int(ipaddress.ip_address(data))
    if len(data) == 4:
        value |= 0xFFFF_0000_0000
    return value >> 64, value & (1 << 64) - 1


def put_addresses(row, src, dst):
    row["src_hi"], row["src_lo"] = address_words(src)
    row["dst_hi"], row["dst_lo"] = address_words(dst)


def note_tag(row, tci):
    name = {0: "vlan", 1: "vlan_inner"}.get(row["vlan_tags"])
    if name:
        row[name] = tci % 4096
    row["vlan_tags"] += 1


def walk_types(span, kind, row):
    """Follow tags and SNAP from a type/length field; return the EtherType or None."""
    seen_snap = False
    while True:
        if kind in TPIDS:
            if row["vlan_tags"] == 8:
                stop(DecodeError.TOO_MANY_LAYERS)
            tci, kind = struct.unpack("!HH", span.take(4, DecodeError.TRUNCATED_LINK))
            note_tag(row, tci)
            if kind < 1536:
                kind = "llc"
        elif kind == "llc" and not seen_snap:
            if span.take(3, DecodeError.TRUNCATED_LINK) != b"\xaa\xaa\x03":
                return None
            oui, kind = struct.unpack("!3sH", span.take(5, DecodeError.TRUNCATED_LINK))
            seen_snap = True
            if oui != b"\0\0\0" or kind < 1536:
                return None
        elif kind in ("llc", "other"):
            return None
        else:
            row["ethertype"] = kind
            return kind


def read_cooked(span, link_type, row):
    short = DecodeError.TRUNCATED_LINK
    if link_type == SLL:
        _, hardware, size, addr, kind = struct.unpack("!HHH8sH", span.take(16, short))
    else:
        kind, _, _, hardware, _, size, addr = struct.unpack("!HHIHBB8s", span.take(20, short))
    if size == 6:
        row["src_mac"] = mac(addr[:6])
    if hardware in (770, 803, 824):
        return None
    if kind < 1536:
        kind = "llc" if kind == 4 else "other"
    return walk_types(span, kind, row)


def read_link(span, link_type, row):
    """Return the EtherType of the network layer, or None."""
    short = DecodeError.TRUNCATED_LINK
    if link_type == ETHERNET:
        head = span.take(14, short)
        row["dst_mac"], row["src_mac"] = mac(head[:6]), mac(head[6:12])
        kind = int.from_bytes(head[12:], "big")
        return walk_types(span, kind if kind >= 1536 else "llc", row)
    if link_type in (SLL, SLL2):
        return read_cooked(span, link_type, row)
    if link_type in (0, 108):
        families = {struct.unpack(order + "I", head)[0] for head in [span.take(4, short)] for order in "<>"}
        return {2: 0x0800, **dict.fromkeys(NULL_IPV6, 0x86DD)}.get(min(families))
    if link_type in RAW:
        version = span.data[0] >> 4
        if version not in (4, 6):
            stop(DecodeError.BAD_IP_VERSION)
        return 0x0800 if version == 4 else 0x86DD
    fixed = {228: 0x0800, 229: 0x86DD}
    return fixed[link_type] if link_type in fixed else stop(DecodeError.UNKNOWN_LINK_TYPE)


def read_arp(span, row):
    short, bad = DecodeError.TRUNCATED_NETWORK, DecodeError.BAD_ARP
    _, protocol, hlen, plen, operation = struct.unpack("!HHBBH", span.take(8, short, bad))
    row["kind"], row["arp_operation"] = PacketKind.ARP, operation
    if protocol != 0x0800:
        return
    if plen != 4:
        stop(bad)
    body = span.take(2 * hlen + 8, short, bad)
    put_addresses(row, body[hlen : hlen + 4], body[-4:])


def read_ipv4(span, row):
    short = DecodeError.TRUNCATED_NETWORK
    if len(span.data) < 20:
        stop(short)
    fields = struct.unpack("!BBHHHBBH4s4s", span.data[:20])
    first, _, total, ident, fragment, ttl, protocol, _, src, dst = fields
    size = first % 16 * 4
    if first // 16 != 4:
        stop(DecodeError.BAD_IP_VERSION)
    if size < 20:
        stop(DecodeError.BAD_IP_HEADER_LENGTH)
    if 0 < total < size:
        stop(DecodeError.BAD_IP_TOTAL_LENGTH)
    span.limit(total or span.wire)
    row["network_offset"] = span.start
    put_addresses(row, src, dst)
    row.update(kind=PacketKind.IP, ip_version=4, ip_bytes=span.wire, ttl=ttl, fragment_id=ident)
    row.update(fragment_offset=fragment % 8192 * 8, more_fragments=fragment >> 13 & 1)
    span.take(size, short)
    return read_extensions(span, protocol, row, {51})


def read_ipv6(span, row):
    head = span.take(40, DecodeError.TRUNCATED_NETWORK)
    first, length, protocol, hops, src, dst = struct.unpack("!IHBB16s16s", head)
    if first >> 28 != 6:
        stop(DecodeError.BAD_IP_VERSION)
    span.limit(0 if (length, protocol) == (0, 59) else length or span.wire)
    row["network_offset"] = span.start
    put_addresses(row, src, dst)
    row.update(kind=PacketKind.IP, ip_version=6, ip_bytes=40 + span.wire, ttl=hops)
    return read_extensions(span, protocol, row, EXTENSIONS)


def read_extensions(span, protocol, row, known):
    short, bad = DecodeError.TRUNCATED_NETWORK, DecodeError.BAD_EXTENSION_HEADER
    count = 0
    while protocol in known and not row["fragment_offset"]:
        count += 1
        if count > 8:
            stop(DecodeError.TOO_MANY_LAYERS)
        head = span.take(8, short, bad)
        if protocol == 44:
            offset, row["fragment_id"] = struct.unpack("!HI", head[2:])
            row["fragment_offset"], row["more_fragments"] = offset // 8 * 8, offset % 2
        else:
            size = (head[1] + 2) * 4 if protocol == 51 else (head[1] + 1) * 8
            span.take(size - 8, short, bad)
        protocol = head[0]
    row["protocol"] = protocol


def read_tcp_fields(data, row):
    for at, form, name in ((4, "!I", "tcp_seq"), (8, "!I", "tcp_ack"), (13, "!B", "tcp_flags")):
        if len(data) >= at + struct.calcsize(form):
            row[name] = struct.unpack_from(form, data, at)[0]
    if len(data) >= 16:
        row["tcp_window"] = struct.unpack_from("!H", data, 14)[0]


def read_ported(span, row):
    short, bad = DecodeError.TRUNCATED_TRANSPORT, DecodeError.BAD_TRANSPORT_HEADER
    protocol, data = row["protocol"], span.data
    if len(data) >= 4:
        row["src_port"], row["dst_port"] = struct.unpack("!HH", data[:4])
    if protocol == 6:
        read_tcp_fields(data, row)
    fixed = FIXED[protocol]
    head = span.take(fixed, short, bad)
    if protocol == 17:
        length = struct.unpack("!H", head[4:6])[0]
        if length < 8 and (length or row["ip_version"] == 4):
            stop(bad)
    if protocol in (6, 33):
        options = (head[12] // 16 if protocol == 6 else head[4]) * 4 - fixed
        if options < 0:
            stop(bad)
        row["payload_bytes"] = max(0, span.wire - options)
        span.take(options, short, bad)


def read_transport(span, row):
    protocol, data = row["protocol"], span.data
    if row["fragment_offset"]:
        return
    if protocol in FIXED:
        read_ported(span, row)
    elif protocol in (1, 58):
        if len(data) >= 2:
            row["src_port"], row["dst_port"] = data[0], data[1]
        span.take(8, DecodeError.TRUNCATED_TRANSPORT, DecodeError.BAD_TRANSPORT_HEADER)


def decode(frame, link_type=1, wirelen=None, stripped=None):
    """Return one `PACKET` row as a dict, without its time; payload_offset counts from the frame's start.

    `stripped` is the TCI of a tag that the NIC took off.
    """
    wire = max(len(frame), len(frame) if wirelen is None else wirelen)
    names = (
        "src_hi src_lo dst_hi dst_lo src_mac dst_mac ip_bytes payload_bytes payload_captured tcp_seq tcp_ack "
        "fragment_id src_port dst_port tcp_window ethertype vlan vlan_inner fragment_offset arp_operation "
        "network_offset vlan_tags kind error ip_version protocol ttl tcp_flags more_fragments"
    )
    row = dict.fromkeys(names.split(), 0)
    row.update(wirelen=wire, caplen=len(frame), payload_offset=-1)
    span = Span(frame, wire)
    if stripped is not None:
        note_tag(row, stripped)
    try:
        if not frame:
            stop(DecodeError.EMPTY_FRAME)
        kind = read_link(span, link_type, row)
        if kind == 0x0806:
            read_arp(span, row)
        elif kind in (0x0800, 0x86DD):
            read_ipv4(span, row) if kind == 0x0800 else read_ipv6(span, row)
            read_transport(span, row)
            row["payload_bytes"], row["payload_captured"] = span.wire, len(span.data)
            row["payload_offset"] = span.start if span.data else -1
        else:
            row["kind"] = PacketKind.OTHER
    except Stopped as reason:
        row["error"] = reason.code
    return {name: int(value) for name, value in row.items()}
