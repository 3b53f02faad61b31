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
SPACERS = {0x8909: 8, 0x8926: 6, 0x893F: 8}
ETHERNET, SLL, SLL2 = 1, 113, 276
RAW = {12, 14, 101}
WIRELESS = {105, 119, 127, 163, 192}
LINES = {9, 50, 51, 104, 107, 239}
EXTENSIONS = {0, 43, 44, 51, 60, 135, 139, 140}
NULL_IPV6 = {10, 24, 28, 30}
FIXED = {6: 20, 17: 8, 33: 12, 132: 12, 136: 8}  # header bytes of protocols with ports


class Stopped(Exception):  # noqa: N818  (not an error of the program: decoding ends here)
    def __init__(self, code, macs=None):
        self.code, self.macs = code, macs


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


def walk_types(span, kind, row):  # noqa: C901  (one branch a header)
    """Follow tags, SNAP and bridged frames from a type/length field; return what the frame carries."""
    seen_llc = False
    for _ in range(12):
        if kind in TPIDS or kind in SPACERS:
            if kind in TPIDS and row["vlan_tags"] == 8:
                stop(DecodeError.TOO_MANY_LAYERS)
            head = span.take(SPACERS.get(kind, 4), DecodeError.TRUNCATED_LINK)
            if kind in TPIDS:
                note_tag(row, struct.unpack("!H", head[:2])[0])
            kind = struct.unpack("!H", head[-2:])[0]
            if kind < 1536:
                kind = "llc"
        elif kind == "llc" and not seen_llc:
            kind = read_llc(span, DecodeError.TRUNCATED_LINK)
            seen_llc = True
        elif kind == "ethernet":
            head = span.take(14, DecodeError.TRUNCATED_LINK)
            row["dst_mac"], row["src_mac"] = mac(head[:6]), mac(head[6:12])
            kind = struct.unpack("!H", head[12:])[0]
            kind = kind if kind >= 1536 else "llc"
        elif kind == "ppp":
            return read_ppp(span, DecodeError.TRUNCATED_LINK)
        elif kind in ("llc", "other", None):
            return None
        else:
            row["ethertype"] = kind
            return kind
    if kind in TPIDS or kind in SPACERS or kind in ("ethernet", "ppp") or (kind == "llc"):
        stop(DecodeError.TOO_MANY_LAYERS)
    row["ethertype"] = kind or 0
    return kind


def read_llc(span, short):
    if span.take(3, short) != b"\xaa\xaa\x03":
        return None
    return read_snap(span, short)


def read_snap(span, short):
    oui, kind = struct.unpack("!3sH", span.take(5, short))
    if oui == b"\0\x80\xc2" and kind in (1, 7):
        return "ethernet"
    return kind if oui == b"\0\0\0" and kind >= 1536 else None


def read_ppp(span, short):
    if span.data[:2] == b"\xff\3":
        span.take(2, short)
    if span.data == b"\xff":
        stop(short)
    number = span.take(1, short)[0]
    if number % 2 == 0:
        number = number << 8 | span.take(1, short)[0]
    return {0x21: 0x0800, 0x57: 0x86DD, 0x281: 0x8847, 0x283: 0x8848}.get(number)


def read_wlan(span, short, *, swapped=False, padded=False):
    """Return what an 802.11 frame carries, and the offsets of its destination and source address."""
    start = span.start
    if len(span.data) < 24:
        span.take(24, short)
    control, flags = span.data[:2][::-1] if swapped else span.data[:2]
    kind, subtype = control >> 2 & 3, control >> 4
    if control & 3 or kind not in (0, 2):
        return None, None
    if kind == 0:
        return None, (start + 4, start + 10)
    to_ds, from_ds, quality = flags & 1, flags >> 1 & 1, subtype >> 3
    size = 24 + 6 * (to_ds and from_ds) + 2 * quality + 4 * (quality and flags >> 7)
    head = span.take(size + (-size % 4 if padded else 0), short)
    macs = {
        (0, 0): (start + 4, start + 10),
        (0, 1): (start + 4, start + 16),
        (1, 0): (start + 16, start + 10),
        (1, 1): (start + 16, start + 24),
    }[to_ds, from_ds]
    if subtype & 4:
        return None, macs
    if flags & 0x40:
        raise Stopped(DecodeError.PROTECTED_LINK, macs)
    if quality and head[24 + 6 * (to_ds and from_ds)] & 0x80:
        macs = span.start, span.start + 6
        span.take(14, short)
    return "llc", macs


def read_wireless(span, link_type, row, frame):
    """Return what a frame of an 802.11 link type carries, as `walk_types` takes it."""
    short, padded = DecodeError.TRUNCATED_LINK, False
    if link_type != 105:
        if len(span.data) < 8:
            span.take(8, short)
        data = span.data
        size = struct.unpack_from("<H", data, 2)[0]
        if link_type in (119, 163):
            avs = link_type == 163 or struct.unpack(">I", data[:4])[0] >> 12 == 0x80211
            size = struct.unpack_from(">I" if avs else "<I", data, 4)[0]
        inner = struct.unpack_from("<I", data, 4)[0]
        if size < 8:
            stop(DecodeError.UNKNOWN_LINK_TYPE)
        head = span.take(size, short)
        if link_type == 192 and inner != 105:
            return "ethernet" if inner == 1 else None
        padded = link_type == 127 and datapad(head)
    try:
        kind, macs = read_wlan(span, short, padded=padded)
    except Stopped as reason:
        kind, macs = None, reason.macs
        if macs:
            row["dst_mac"], row["src_mac"] = (mac(frame[i : i + 6]) for i in macs)
        raise
    if macs:
        row["dst_mac"], row["src_mac"] = (mac(frame[i : i + 6]) for i in macs)
    return kind


def datapad(head):
    """Return radiotap's flag that the MAC header is padded to 4 bytes."""
    bitmaps = 1
    while bitmaps < 9 and head[bitmaps * 4 + 3] & 0x80 and bitmaps * 4 + 8 <= len(head):
        bitmaps += 1
    at = 4 + 4 * bitmaps
    if head[4] & 1:
        at += -at % 8 + 8
    return bool(head[4] & 2) and at < len(head) and bool(head[at] & 0x20)


def read_line(span, link_type):  # noqa: PLR0911  (one return a link type)
    """Return what a serial line's frame carries, as `walk_types` takes it."""
    short = DecodeError.TRUNCATED_LINK
    if link_type in (9, 50) and (span.data[:3].hex(), len(span.data) >= 4) != ("0f0008", True):
        return "ppp"
    if link_type == 51:
        return 0x8864
    if link_type in (9, 50, 104):
        head = span.take(4, short)
        if head[:2] == b"\xff\3":
            span.data, span.wire, span.start = head + span.data, span.wire + 4, span.start - 4
            return "ppp"
        return typed(head[2:])
    if link_type == 107:
        return read_frame_relay(span, short)
    head = span.take(4, short)
    family = {2: 0x0800, **dict.fromkeys(NULL_IPV6, 0x86DD)}.get(head[0])
    for _ in range(32):
        if len(span.data) < 4:
            span.take(4, short)
        size, kind = struct.unpack("<HH", span.data[:4])
        if size < 4:
            return None
        if kind & 0x7FFF == 9:
            span.take(4, short)
            return family
        span.take(size + -size % 4, short)
    return None


def typed(data):
    kind = struct.unpack("!H", data)[0]
    return kind if kind >= 1536 else None


def read_frame_relay(span, short):
    for _ in range(4):
        if span.take(1, short)[0] & 1:
            break
    head = span.data[:2] if len(span.data) >= 2 else span.take(2, short)
    if head[0] != 3:
        return typed(span.take(2, short))
    span.take(1 if head[1] else 2, short)
    nlpid = span.take(1, short)[0]
    return read_snap(span, short) if nlpid == 0x80 else {0xCC: 0x0800, 0x8E: 0x86DD, 0xCF: "ppp"}.get(nlpid)


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


def read_link(span, link_type, row, frame):  # noqa: PLR0911  (one return a link type)
    """Return the EtherType of the network layer, or None."""
    short = DecodeError.TRUNCATED_LINK
    if link_type in WIRELESS:
        return walk_types(span, read_wireless(span, link_type, row, frame), row)
    if link_type in LINES:
        kind = walk_types(span, read_line(span, link_type), row)
        if link_type not in (104, 107):
            row["ethertype"] = 0
        return kind
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
    row["network_offset"] = span.start - 40
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


def read_packet(span, kind, row):
    """Read from the network header to the payload; whatever stops it is the row's error."""
    try:
        if kind == 0x0806:
            read_arp(span, row)
            return
        read_ipv4(span, row) if kind == 0x0800 else read_ipv6(span, row)
        read_transport(span, row)
        row["payload_bytes"], row["payload_captured"] = span.wire, len(span.data)
        row["payload_offset"] = span.start if span.data else -1
    except Stopped as reason:
        row["error"] = reason.code


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


def decode(frame, link_type=1, wirelen=None, stripped=None, tunnels="inner"):
    """Return one `PACKET` row as a dict, without its time; offsets count from the frame's start.

    `stripped` is the TCI of a tag that the NIC took off. Fragments are not
    followed: every one is the first of its datagram.
    """
    wire = max(len(frame), len(frame) if wirelen is None else wirelen)
    names = (
        "src_hi src_lo dst_hi dst_lo src_mac dst_mac ip_bytes payload_bytes payload_captured tcp_seq tcp_ack "
        "fragment_id src_port dst_port tcp_window ethertype vlan vlan_inner fragment_offset arp_operation "
        "network_offset vlan_tags kind error ip_version protocol ttl tcp_flags more_fragments tunnel "
        "tunnel_id tunnel_layers"
    )
    row = dict.fromkeys(names.split(), 0)
    row.update(wirelen=wire, caplen=len(frame), payload_offset=-1, outer_offset=-1, network_offset=-1)
    span = Span(frame, wire)
    if stripped is not None:
        note_tag(row, stripped)
    kind, at = None, 0
    try:
        if not frame:
            stop(DecodeError.EMPTY_FRAME)
        kind = read_link(span, link_type, row, frame)
        at = span.start
        if kind in (0x0806, 0x0800, 0x86DD):
            read_packet(span, kind, row)
        else:
            row["kind"] = PacketKind.OTHER
    except Stopped as reason:
        row["error"] = reason.code
    if not row["error"]:
        carried = tunnel.carried(row) or (kind if kind in tunnel.LABELS else None)
        if carried is not None:
            outer, inner = tunnel.follow(
                frame, span, row, carried, at if row["kind"] == PacketKind.IP else None
            )
            row = inner if tunnels == "inner" else outer
    return {name: int(value) for name, value in row.items()}


from naive import tunnel  # noqa: E402  (the two read one another's headers)
