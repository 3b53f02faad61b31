"""The walk through tunnels once more, plainly: each header takes its bytes off a span, or stops.

Written from the RFCs; the rules that no RFC has (when a datagram on a tunnel's
port is ordinary, what a label stack carries) are those the kernels' docstrings state.
"""

from __future__ import annotations

import struct

import naive.decode as plain

from sensor.packet.columns import DecodeError, PacketKind, TunnelType

SHORT, BAD = DecodeError.TRUNCATED_TUNNEL, DecodeError.BAD_TUNNEL
MANY = DecodeError.TOO_MANY_LAYERS
ORDINARY = -1  # not a tunnel at all
IPV4, IPV6, ARP, MPLS, PPPOE, PBB, NSH = 0x0800, 0x86DD, 0x0806, 0x8847, 0x8864, 0x88E7, 0x894F
LABELS = {MPLS, 0x8848, PPPOE, PBB, NSH}
SPACERS = {0x8909: 8, 0x8926: 6, 0x893F: 8}
PPP = {0x21: IPV4, 0x57: IPV6, 0x281: MPLS, 0x283: 0x8848}
CHAINED = {1: IPV4, 2: IPV6, 3: "ethernet", 4: NSH, 5: MPLS}
INNER_FIELDS = [
    *("src_hi", "src_lo", "dst_hi", "dst_lo", "ip_version", "protocol", "ttl", "ip_bytes", "arp_operation"),
    *("fragment_id", "fragment_offset", "more_fragments", "src_port", "dst_port"),
    *("tcp_seq", "tcp_ack", "tcp_window", "tcp_flags", "payload_bytes", "payload_captured"),
]


class Walk:
    def __init__(self, frame, span):
        self.frame, self.span = frame, span
        self.tunnel, self.id, self.layers, self.labels, self.tags = TunnelType.NONE, 0, 0, 0, 0
        self.macs = self.ip = None
        self.partial = False

    def take(self, size, malformed=BAD):
        return self.span.take(size, SHORT, malformed)

    def peek(self, at, size):
        """Return bytes further on, or None where they were not captured."""
        found = self.span.data[at : at + size]
        return found if len(found) == size else None

    def note(self, kind, number=0):
        self.tunnel, self.id = kind, number


def carried(row):
    """Return what tunnel an IP packet may carry, or None."""
    protocol = row["protocol"]
    if row["kind"] != PacketKind.IP or row["fragment_offset"]:
        return None
    if protocol == 17:
        for port in (row["dst_port"], row["src_port"]):
            if port in UDP:
                return "udp", port
    return ("ip", protocol) if protocol in OVER_IP else None


# Over IP


def read_gre(walk):
    flags, protocol = struct.unpack("!HH", walk.take(4))
    version = flags % 8
    if version > 1 or flags & 0x4000 or (version == 1 and (protocol != 0x880B or not flags & 0x2000)):
        plain.stop(BAD)
    names = [name for name, bit in (("sum", 0x8000), ("key", 0x2000), ("seq", 0x1000)) if flags & bit]
    names += ["ack"] if version and flags & 0x80 else []
    words = dict(zip(names, struct.unpack(f"!{len(names)}I", walk.take(4 * len(names))), strict=True))
    key = words.get("key", 0)
    walk.note(TunnelType.GRE, key % 65536 if version else key)
    if version:
        return "ppp" if "seq" in words else None
    if protocol in (0x88BE, 0x22EB):
        return read_erspan(walk, protocol, "seq" in words)
    if protocol == 0x883E:
        first = walk.peek(0, 1)
        if first is None or first[0] >> 4 != 4:
            walk.take(1) if first is None else walk.take(4)
        return IPV4
    if protocol == 0x8909:
        kind = struct.unpack("!H", walk.take(8)[:2])[0]
        return kind if kind >= 1536 else "llc"
    return {0x6558: "ethernet", 0x880B: "ppp"}.get(protocol, protocol if protocol >= 1536 else None)


def read_erspan(walk, protocol, numbered):
    walk.note(TunnelType.ERSPAN)
    if protocol == 0x88BE and not numbered:
        return "ethernet"
    size, version = (8, 1) if protocol == 0x88BE else (12, 2)
    head = walk.take(size)
    if head[0] >> 4 != version:
        plain.stop(BAD)
    walk.note(TunnelType.ERSPAN, struct.unpack("!H", head[2:4])[0] % 1024)
    if version == 1:
        return "ethernet"
    if head[11] & 1:
        walk.take(8)
    return {0: "ethernet", 2: "any ip"}.get(head[10] >> 2 & 31)


def read_etherip(walk):
    if walk.take(2) != b"\x30\0":
        plain.stop(BAD)
    walk.note(TunnelType.ETHER_IP)
    return "ethernet"


def read_ip(walk, kind):
    six = kind == IPV6 and walk.ip is not None and walk.frame[walk.ip] >> 4 == 4
    walk.note(TunnelType.SIX_IN_FOUR if six else TunnelType.IP_IN_IP)
    return kind


def leads_to_ip(head):
    """Return whether 15 bytes look like an Ethernet header before something that is decoded."""
    if head is None:
        return False
    kind, version = struct.unpack("!H", head[12:14])[0], head[14] >> 4
    if kind in (IPV4, IPV6):
        return version == (4 if kind == IPV4 else 6)
    return kind in {ARP, MPLS, PPPOE, PBB} | plain.TPIDS


def read_labels(walk):
    bottom = False
    while not bottom:
        if walk.labels == 16:
            plain.stop(MANY)
        entry = struct.unpack("!I", walk.take(4))[0]
        bottom = entry >> 8 & 1
        walk.labels += 1
        walk.note(TunnelType.MPLS, entry >> 12)
    if not walk.span.data:
        walk.take(1)
    nibble = walk.span.data[0] >> 4
    if nibble in (4, 6):
        kind = IPV4 if nibble == 4 else IPV6
        cause = why_no_packet(walk.span, kind)
        if cause is None:
            return kind
        if cause == DecodeError.TRUNCATED_NETWORK and walk.span.wire >= 20:
            plain.stop(SHORT)
    if nibble == 0 and leads_to_ip(walk.peek(4, 15)):
        walk.take(4)
        return "ethernet"
    if leads_to_ip(walk.peek(0, 15)):
        return "ethernet"
    if len(walk.span.data) < 19 and len(walk.span.data) < walk.span.wire:
        plain.stop(SHORT)
    return None


def read_pppoe(walk):
    form, code, session, length = struct.unpack("!BBHH", walk.take(6))
    if form != 0x11:
        plain.stop(BAD)
    walk.note(TunnelType.PPPOE, session)
    walk.span.limit(length)
    return None if code else "ppp"


def read_pbb(walk):
    walk.note(TunnelType.PBB, struct.unpack("!I", walk.take(4))[0] % (1 << 24))
    return "ethernet"


def read_nsh(walk):
    head = walk.take(8)
    size = head[1] % 64 * 4
    if head[0] >> 6 or size < 8:
        plain.stop(BAD)
    walk.take(size - 8)
    walk.note(TunnelType.NSH, int.from_bytes(head[4:7], "big"))
    return CHAINED.get(head[3])


def read_session(walk):
    """Look for a frame behind L2TPv3's cookie and sublayer."""
    for skip in (0, 4, 8, 12):
        if leads_to_ip(walk.peek(skip, 15)):
            walk.take(skip)
            return "ethernet"
        head = walk.peek(skip, 5)
        if head is None:
            continue
        first, kind, version = head[:2].hex(), head[2:4].hex(), head[4] >> 4
        if first in ("0f00", "8f00") and (kind, version) in (("0800", 4), ("86dd", 6)):
            walk.take(skip + 4)
            return IPV4 if version == 4 else IPV6
        if first == "ff03" and (kind, version) in (("0021", 4), ("0057", 6)):
            walk.take(skip)
            return "ppp"
    if len(walk.span.data) < min(walk.span.wire, 27):
        plain.stop(SHORT)
    return None


def read_l2tp_ip(walk):
    session = struct.unpack("!I", walk.take(4))[0]
    walk.note(TunnelType.L2TP, session)
    return read_session(walk) if session else None


# Over UDP: what is wrong here makes the datagram an ordinary one


def demand(holds):
    if not holds:
        plain.stop(ORDINARY)


def read_vxlan(walk):
    flags, more, _, vni = struct.unpack("!BBHI", walk.take(8, ORDINARY))
    head = struct.pack("!BBH", flags, more, _)
    demand(head == b"\x08\0\0\0" or (flags == 0x88 and more | 0x48 == 0x48))
    walk.note(TunnelType.VXLAN, vni >> 8)
    return "ethernet"


def read_gpe(walk):
    flags, zeros, following, vni = struct.unpack("!BHBI", walk.take(8, ORDINARY))
    demand(flags >> 3 == 1 and zeros == 0)
    walk.note(TunnelType.VXLAN, vni >> 8)
    if flags & 1:
        return None
    return CHAINED.get(following) if flags & 4 else "ethernet"


def read_geneve(walk):
    head = walk.take(8, ORDINARY)
    kind = struct.unpack("!H", head[2:4])[0]
    demand(head[0] < 64 and head[1] & 63 == 0 and head[7] == 0 and kind >= 1536)
    walk.take(head[0] * 4, ORDINARY)
    walk.note(TunnelType.GENEVE, int.from_bytes(head[4:7], "big"))
    return "ethernet" if kind == 0x6558 else kind


def read_gtp(walk):
    flags, kind, length, teid = struct.unpack("!BBHI", walk.take(8, ORDINARY))
    demand(flags >> 3 == 0b00110 and kind == 255)
    demand(length <= walk.span.wire or walk.partial)
    if flags & 7:
        following = walk.take(4, ORDINARY)[3] if flags & 4 else walk.take(4, ORDINARY)[3] * 0
        for _ in range(4):
            if not following:
                break
            words = walk.take(1, ORDINARY)[0]
            demand(words)
            following = walk.take(words * 4 - 1, ORDINARY)[-1]
        demand(not following)
    walk.note(TunnelType.GTP_U, teid)
    return "any ip"


def read_teredo(walk):
    head = walk.take(2, ORDINARY)
    if head == b"\0\1":
        sizes = walk.take(2, ORDINARY)
        walk.take(sum(sizes) + 9, ORDINARY)
        head = walk.take(2, ORDINARY)
    if head == b"\0\0":
        walk.take(6, ORDINARY)
    else:
        walk.span = plain.Span(head + walk.span.data, walk.span.wire + 2, walk.span.start - 2)
    if len(walk.span.data) < 40:
        walk.take(40, ORDINARY)
    length = struct.unpack("!H", walk.span.data[4:6])[0]
    demand(walk.span.data[0] >> 4 == 6 and (length + 40 <= walk.span.wire or walk.partial))
    walk.note(TunnelType.TEREDO)
    return IPV6


def read_l2tp(walk):
    before = walk.span.wire
    if len(walk.span.data) < 6:
        walk.take(6, ORDINARY)
    flags = struct.unpack("!H", walk.take(2))[0]
    demand(flags < 0x8000)
    if flags == 3 and walk.peek(0, 2) == b"\0\0":
        walk.note(TunnelType.L2TP, struct.unpack("!I", walk.take(6, ORDINARY)[2:])[0])
        return read_session(walk)
    demand(flags & 0x34FF == 2)
    if flags & 0x4000:
        demand(struct.unpack("!H", walk.take(2))[0] <= before or walk.partial)
    walk.note(TunnelType.L2TP, struct.unpack("!H", walk.take(4, ORDINARY)[2:])[0])
    skipped = 4 if flags & 0x0800 else 0
    if flags & 0x0200:
        skipped = struct.unpack("!H", walk.take(skipped + 2, ORDINARY)[-2:])[0]
    walk.take(skipped, ORDINARY)
    if not walk.span.data:
        walk.take(1, ORDINARY)
    return "ppp"


def read_capwap(walk):
    first, _, fragment = struct.unpack("!IHH", walk.take(8, ORDINARY))
    size = (first >> 19 & 31) * 4
    demand(first >> 24 == 0 and first % 8 == 0 and size >= 8)
    walk.take(size - 8, ORDINARY)
    walk.note(TunnelType.CAPWAP, first >> 14 & 31)
    if first & 8 or fragment >> 3:
        return None
    if first & 0x100:
        return "wlan" if first >> 9 & 31 == 1 else None
    return "ethernet"


OVER_IP = {4, 41, 47, 97, 115, 137}
UDP = {
    1701: read_l2tp,
    2152: read_gtp,
    3544: read_teredo,
    4789: read_vxlan,
    4790: read_gpe,
    5247: read_capwap,
    6081: read_geneve,
    6635: read_labels,
    8472: read_vxlan,
}


def read_tunnel(walk, what):
    if walk.layers == 8:
        plain.stop(MANY)
    walk.layers += 1
    if isinstance(what, tuple):
        space, number = what
        if space == "udp":
            return UDP[number](walk)
        by_protocol = {47: read_gre, 97: read_etherip, 115: read_l2tp_ip, 137: read_labels}
        return (
            by_protocol[number](walk) if number in by_protocol else read_ip(walk, {4: IPV4, 41: IPV6}[number])
        )
    return {PPPOE: read_pppoe, PBB: read_pbb, NSH: read_nsh}.get(what, read_labels)(walk)


# Between a tunnel and its packet


def read_between(walk, what):
    if what == "ethernet":
        start = walk.span.start
        head = walk.take(14)
        walk.macs = start, start + 6
        return typed(head[12:])
    if what == "ppp":
        return plain.read_ppp(walk.span, SHORT)
    if what == "any ip":
        if not walk.span.data:
            walk.take(1)
        version = walk.span.data[0] >> 4
        return {4: IPV4, 6: IPV6}.get(version) or plain.stop(DecodeError.BAD_IP_VERSION)
    if what == "wlan":
        head = walk.span.data[:2]
        swapped = len(head) == 2 and head[0] % 16 != 8 and head[1] % 16 == 8
        kind, macs = plain.read_wlan(walk.span, SHORT, swapped=swapped)
        walk.macs = macs or walk.macs
        return kind
    if walk.tags == 8:
        plain.stop(MANY)
    if what == "llc":
        walk.tags += 1
        return plain.read_llc(walk.span, SHORT)
    kind = typed(walk.take(SPACERS.get(what, 4))[-2:])
    walk.tags += 1
    return kind


def typed(data):
    kind = int.from_bytes(data, "big")
    return kind if kind >= 1536 else "llc"


def why_no_packet(span, kind):  # noqa: PLR0911  (one return a header)
    """Return why no whole IP header or ARP packet stands at the span's start, or None."""
    data = span.data
    if kind == ARP:
        whole = len(data) >= 28 and data[:6] == b"\0\1\x08\0\x06\x04"
        return None if whole else DecodeError.BAD_ARP
    if len(data) < (20 if kind == IPV4 else 40):
        return DecodeError.TRUNCATED_NETWORK
    if data[0] >> 4 != (4 if kind == IPV4 else 6):
        return DecodeError.BAD_IP_VERSION
    if kind == IPV6:
        return None
    size, total = data[0] % 16 * 4, struct.unpack("!H", data[2:4])[0]
    if size < 20:
        return DecodeError.BAD_IP_HEADER_LENGTH
    if 0 < total < size:
        return DecodeError.BAD_IP_TOTAL_LENGTH
    return DecodeError.TRUNCATED_NETWORK if len(data) < size else None


def demand_packet(span, kind):
    cause = why_no_packet(span, kind)
    lost = cause == DecodeError.TRUNCATED_NETWORK or (cause == DecodeError.BAD_ARP and len(span.data) < 28)
    if cause is not None:
        plain.stop(SHORT if lost and len(span.data) < span.wire else cause)


def inner_row(walk, kind, row):
    """Return the row of the packet at the span's start; the span is left at its payload."""
    demand_packet(walk.span, kind)
    at = walk.span.start
    row = row | dict.fromkeys(INNER_FIELDS, 0) | {"payload_offset": -1, "error": 0, "ethertype": kind}
    row.update(tunnel=walk.tunnel, tunnel_id=walk.id, tunnel_layers=walk.layers)
    row["outer_offset"] = -1 if walk.ip is None else walk.ip
    if walk.macs:
        row["dst_mac"], row["src_mac"] = (plain.mac(walk.frame[i : i + 6]) for i in walk.macs)
    plain.read_packet(walk.span, kind, row)
    walk.ip = at
    walk.partial = bool(row["more_fragments"])
    return row


def follow(frame, span, row, what, ip_at):
    """Return the rows of the outermost and of the innermost packet.

    `span` stands at the payload of the row's packet, or at the label `what`.
    """
    walk = Walk(frame, span)
    walk.ip, walk.partial = ip_at, bool(row["more_fragments"])
    first = row if row["kind"] == PacketKind.IP else None
    code, done = 0, False
    try:
        while what is not None and not done:
            if what in (IPV4, IPV6, ARP):
                row = inner_row(walk, what, row)
                first = first or row
                what = None if row["error"] else carried(row)
                done = what is None
            elif (
                what in ("ethernet", "ppp", "any ip", "wlan", "llc") or what in plain.TPIDS or what in SPACERS
            ):
                what = read_between(walk, what)
            elif isinstance(what, tuple) or what in LABELS:
                what = read_tunnel(walk, what)
            else:
                what = None
    except plain.Stopped as reason:
        code = reason.code
    if not done and row["kind"] not in (PacketKind.IP, PacketKind.ARP):
        row = row | {"kind": PacketKind.UNDECODED if code else PacketKind.OTHER, "error": max(code, 0)}
    elif code in (SHORT, MANY):
        row = row | {"error": code}
    names = ("tunnel", "tunnel_id", "tunnel_layers", "outer_offset")
    return {**(first or row), **{name: row[name] for name in names}}, row
