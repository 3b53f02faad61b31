"""Inputs to begin with, made by the tests' own builders: real formats, no real traffic."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Iterator

import claims
import craft
import craft_capture as files
import frames
import meters
import zstandard
from greetings import DNS_QUERY, greetings


def packets() -> Iterator[bytes]:
    """Yield IP packets of every transport, whole and odd."""
    v4, v6 = craft.ipv4, craft.ipv6
    yield v4(craft.tcp(b"GET / HTTP/1.1\r\n", options=b"\x02\x04\x05\xb4"))
    yield v4(craft.udp(DNS_QUERY), proto=craft.UDP)
    yield v4(craft.icmp(b"x"), proto=craft.ICMP)
    yield v4(craft.sctp(b"\0\3\0\4"), proto=craft.SCTP)
    yield v4(craft.dccp(b"d"), proto=craft.DCCP)
    yield v4(craft.udp(b"u"), proto=craft.UDP_LITE)
    yield v4(craft.tcp(b"o"), options=b"\x07\x04\x04\x00")
    yield v4(b"\x06" + craft.auth_header()[1:] + craft.tcp(b"a"), proto=51)
    yield v4(craft.tcp(b"f"), more_fragments=True)
    yield v4(b"later", fragment_offset=1480, proto=craft.UDP)
    yield v4(craft.tcp(b"s"), total_length=0)
    yield v4(b"esp", proto=50)
    yield v6(craft.tcp(b"GET /"))
    yield v6(craft.udp(DNS_QUERY), proto=craft.UDP)
    yield v6(craft.icmpv6(b"x"), proto=craft.ICMPV6)
    options = craft.option_header()
    chain = ((0, options), (43, options), (60, options), (51, craft.auth_header()))
    yield v6(craft.udp(b"c"), proto=craft.UDP, extensions=chain)
    yield v6(craft.udp(b"c"), proto=craft.UDP, extensions=[(60, options)] * 9)
    yield v6(craft.tcp(b"f"), extensions=[(44, craft.fragment_header(more=True))])
    yield v6(b"later", extensions=[(44, craft.fragment_header(1480))])
    yield v6(b"", proto=59)


def frame() -> Iterator[bytes]:
    """Yield frames of every link type, with and without tags."""
    every = list(packets())
    for packet in every:
        yield frames.head() + craft.ethernet(packet)
    v4, v6 = every[1], every[13]
    for packet in (v4, v6):
        yield frames.head(missing=40, tagged=True) + craft.ethernet(packet, vlans=(7, (0x88A8, 9)))
        yield frames.head() + craft.ieee8023(craft.snap(packet), vlans=(3,))
        yield frames.head(113) + craft.linux_cooked(packet)
        yield frames.head(276) + craft.linux_cooked2(packet)
        for order, link_type in (("<", 0), (">", 0), (">", 108)):
            yield frames.head(link_type) + craft.bsd_null(packet, order=order)
        for link_type in (12, 14, 101, 228, 229):
            yield frames.head(link_type) + packet
    yield frames.head() + craft.ethernet(craft.arp(), ethertype=0x0806)
    yield frames.head() + craft.ethernet(v4, vlans=[1] * 9)
    yield frames.head(outer=True) + craft.ethernet(craft.ipv4(v4, proto=4))
    yield from _link_types(v4)


def _link_types(packet: bytes) -> Iterator[bytes]:
    """Yield frames of link types that are not Ethernet's kin."""
    yield frames.head(9) + b"\xff\x03\x00\x21" + packet  # PPP
    yield frames.head(9) + b"\x00\x57" + packet
    yield frames.head(50) + b"\xff\x03\x00\x21" + packet
    yield frames.head(51) + b"\x11\x00" + struct.pack("!HHH", 1, len(packet) + 2, 0x21) + packet
    yield frames.head(104) + b"\x0f\x00\x08\x00" + packet  # C-HDLC
    yield frames.head(107) + b"\x18\x41\x03\xcc" + packet  # frame relay
    yield frames.head(10) + bytes(13) + craft.snap(packet)
    yield frames.head(6) + bytes(14) + craft.snap(packet)
    yield frames.head(100) + craft.snap(packet)
    wlan = b"\x08\x01\0\0" + bytes(18) + b"\x10\0" + craft.snap(packet)
    yield frames.head(105) + wlan
    yield frames.head(105) + b"\x88\x02\0\0" + bytes(18) + b"\x10\0\0\0" + craft.snap(packet)
    yield frames.head(127) + b"\0\0\x08\0\0\0\0\0" + wlan  # radiotap
    yield frames.head(127) + struct.pack("<BBHIB", 0, 0, 9, 2, 0x10) + wlan
    yield frames.head(192) + struct.pack("<BBHI", 0, 0, 8, 105) + wlan  # PPI
    yield frames.head(119) + struct.pack("!II", 0x44, 144).ljust(144, b"\0") + wlan  # Prism
    yield frames.head(163) + struct.pack("!II", 0x80211001, 64).ljust(64, b"\0") + wlan
    yield frames.head(109) + struct.pack("<II", 2, 0) + bytes(4) + packet  # OpenBSD encapsulation
    yield frames.head(117) + struct.pack("BB", 45, 2).ljust(48, b"\0") + packet  # pflog
    yield frames.head(122) + bytes(16) + packet
    yield frames.head(129) + b"\0\0\x08\0" + packet
    yield frames.head(138) + bytes(16) + b"\x08\0" + packet
    yield frames.head(203) + packet
    yield frames.head(226) + struct.pack("!BB", 2, 0).ljust(24, b"\0") + packet
    yield frames.head(240) + craft.ethernet(packet)  # NetAnalyzer: four bytes before
    yield frames.head(240) + bytes(4) + craft.ethernet(packet)
    yield frames.head(253) + bytes(16) + packet
    yield frames.head(158) + craft.ethernet(packet)


def _tunnel(name: str, rest: bytes, missing: int = 0) -> bytes:
    return bytes([list(frames.PREFIXES).index(name), missing]) + rest


def tunnel() -> Iterator[bytes]:
    """Yield the headers of tunnels with packets in them."""
    v4, v6 = craft.ipv4(craft.tcp(b"t")), craft.ipv6(craft.udp(b"t"), proto=craft.UDP)
    inner = craft.ethernet(v4)
    label, bottom = b"\x00\x01\x00\x40", b"\x00\x02\x01\x40"
    for name in ("mpls", "mpls_ip", "mpls_udp"):
        yield _tunnel(name, label + bottom + v4)
        yield _tunnel(name, bottom + v6, 9)
        yield _tunnel(name, bottom + bytes(4) + inner)
    yield _tunnel("pppoe", struct.pack("!BBHHH", 0x11, 0, 5, len(v4) + 2, 0x21) + v4)
    yield _tunnel("pppoe", struct.pack("!BBHHH", 0x11, 0, 5, len(v6) + 2, 0x57) + v6)
    yield _tunnel("pbb", struct.pack("!I", 0x00123456) + inner)
    yield _tunnel("nsh", struct.pack("!HBBI", 0x0FC6, 1, 1, 0x1FF).ljust(24, b"\0") + v4)
    yield _tunnel("nsh", struct.pack("!HBBI", 0x0FC2, 2, 3, 0x1FF) + inner)
    for name in ("gre", "gre6"):
        yield _tunnel(name, struct.pack("!HH", 0, 0x0800) + v4)
        yield _tunnel(name, struct.pack("!HHIII", 0xB000, 0x86DD, 0, 7, 1) + v6)
        yield _tunnel(name, struct.pack("!HHI", 0x2000, 0x6558, 0x00ABCD01) + inner)
    yield _tunnel("gre", struct.pack("!HHHHI", 0x3001, 0x880B, len(v4) + 4, 9, 1) + b"\xff\x03\x00\x21" + v4)
    yield _tunnel("gre", struct.pack("!HHIHHI", 0x1000, 0x88BE, 1, 0x1001, 0x0005, 0) + inner)
    yield _tunnel("gre", struct.pack("!HHIHHII", 0x1000, 0x22EB, 1, 0x2001, 0x0005, 0, 0) + inner)
    yield _tunnel("gre", struct.pack("!HHIHHIIII", 0x1000, 0x22EB, 1, 0x2001, 5, 0, 1, 0, 0) + inner)
    yield _tunnel("gre", struct.pack("!HH", 0, 0x88BE) + inner)
    for name in ("vxlan", "vxlan6"):
        yield _tunnel(name, struct.pack("!II", 0x08000000, 0x00012300) + inner)
    yield _tunnel("vxlan_gpe", struct.pack("!II", 0x0C000001, 0x00012300) + v4)
    yield _tunnel("vxlan_gpe", struct.pack("!II", 0x0C000003, 0x00012300) + inner)
    yield _tunnel("geneve", struct.pack("!HHI", 0x0000, 0x6558, 0x00012300) + inner)
    yield _tunnel("geneve", struct.pack("!HHIII", 0x0240, 0x0800, 0x100, 0x01020301, 0) + bytes(0) + v4)
    yield _tunnel("gtp_u", struct.pack("!BBHI", 0x30, 0xFF, len(v4), 77) + v4)
    extended = struct.pack("!BBHIHBBBBBB", 0x34, 0xFF, len(v6) + 8, 77, 0, 0, 0x85, 1, 0, 9, 0)
    yield _tunnel("gtp_u", extended + v6)
    yield _tunnel("l2tp", struct.pack("!HHHH", 0x0002, 1, 2, 0xFF03) + b"\x00\x21" + v4)
    yield _tunnel(
        "l2tp", struct.pack("!HHHHHHH", 0x4A02, len(v4) + 16, 1, 2, 0, 0, 0) + b"\xff\x03\x00\x21" + v4
    )
    yield _tunnel("l2tp", struct.pack("!HHI", 0x0003, 0, 7) + inner)
    yield _tunnel("l2tp_ip", struct.pack("!II", 7, 0) + inner)
    for name in ("ip_in_ip", "four_in_six"):
        yield _tunnel(name, v4)
    for name in ("six_in_four", "six_in_six", "teredo"):
        yield _tunnel(name, v6)
    yield _tunnel("teredo", b"\x00\x01\x00\x00" + bytes(9) + b"\x00\x00" + bytes(6) + v6)
    yield _tunnel("ether_ip", b"\x30\x00" + inner)
    yield _tunnel("capwap", b"\x00\x10\x03\x20" + bytes(4) + b"\x08\x01\0\0" + bytes(20) + craft.snap(v4))
    yield _tunnel("gue", struct.pack("!BBH", 0, 4, 0) + v4)
    yield _tunnel("gue", v4)
    yield _tunnel("nat_t", b"\0\0\0\x01\0\0\0\x01esp")
    yield _tunnel(
        "ip_in_ip", craft.ipv4(craft.ipv4(craft.ipv4(craft.ipv4(v4, proto=4), proto=4), proto=4), proto=4)
    )


def _piece(control: int, offset: int, body: bytes) -> bytes:
    return bytes([control, offset, len(body)]) + body


def fragment() -> Iterator[bytes]:
    """Yield datagrams in pieces: in order, turned round, overlapping, tiny, two at a time."""
    for wide in (0, 1):
        for proto, body in enumerate((craft.tcp(b"x" * 20), craft.udp(b"y" * 32), craft.icmp(b"z" * 32))):
            first, later = (
                _piece(4 | wide | proto << 4, 0, body[:24]),
                _piece(wide | proto << 4, 3, body[24:]),
            )
            yield first + later
            yield later + first
            yield first + _piece(wide | proto << 4, 2, body[16:])
            yield first + bytes([later[0] | 64]) + later[1:]
            yield (
                first
                + _piece(6 | wide | proto << 4, 0, body[:16])
                + later
                + _piece(2 | wide | proto << 4, 2, body)
            )
        yield _piece(4 | wide, 0, craft.tcp()[:8]) + _piece(wide, 1, craft.tcp()[8:])
    inner = craft.ipv4(craft.udp(b"t" * 9), proto=craft.UDP)
    gre = b"\0\0\x08\0" + inner
    yield _piece(4 | 3 << 4, 0, gre[:24]) + _piece(3 << 4, 3, gre[24:])
    raw = craft.ethernet(craft.ipv4(craft.udp(b"r"), proto=craft.UDP))
    yield bytes([128, len(raw)]) + raw + bytes([128, len(raw)]) + raw


def _frames() -> list[files.Captured]:
    packet = craft.ethernet(craft.ipv4(craft.udp(b"q"), proto=craft.UDP))
    return [files.Captured(10**18 + i * 1001, packet[: 42 - i], 60) for i in range(3)]


def pcap() -> Iterator[bytes]:
    """Yield classic captures of every variant, plain and compressed."""
    plain = files.pcap_bytes(_frames())
    for magic in (files.MICROSECOND_MAGIC, files.NANOSECOND_MAGIC, files.MODIFIED_MAGIC, files.IXIA_MAGIC):
        for order in ("little", "big"):
            yield files.pcap_bytes(_frames(), order, magic=magic)
    yield files.pcap_header(version=(2, 3)) + struct.pack("<IIII", 1, 2, 60, 4) + b"swap"
    yield files.pcap_header(version=(543, 0)) + struct.pack("<IIII", 1, 2, 60, 4) + b"swap"
    yield plain[:-5]
    yield plain + struct.pack("<IIII", 1, 2, 1 << 30, 4)
    yield gzip.compress(plain, mtime=0)
    yield gzip.compress(plain, mtime=0)[:-9]
    yield gzip.compress(plain[:60], mtime=0) + gzip.compress(plain[60:], mtime=0)
    packed = zstandard.ZstdCompressor(write_checksum=True).compress(plain)
    yield packed
    yield struct.pack("<II", 0x184D2A50, 3) + b"abc" + packed


def pcapng() -> Iterator[bytes]:
    """Yield pcapng captures with every kind of block."""
    for order in ("little", "big"):
        yield files.pcapng_bytes(_frames(), order)
        yield files.pcapng_bytes(_frames(), order, link_types=(1, 101), digits=6)
        head = files.section_header(order)
        described = files.interface_description(order, resolution=0x8A, offset_secs=-5, snaplen=20)
        blocks = [files.packet_block(7, b"old", order), files.simple_packet(b"simple", order, wirelen=60)]
        blocks += [files.block(kind, bytes(8), order) for kind in (4, 5, 10, 0x0BAD, 0x40000BAD, 99)]
        blocks += [files.enhanced_packet(9, b"none", order, interface=3)]
        yield head + described + b"".join(blocks)
        yield head + files.simple_packet(b"no interface", order)
        yield head + described + head + described + files.enhanced_packet(1 << 63, b"late", order)
        yield (
            head + files.interface_description(order) * 9 + files.enhanced_packet(9, b"x", order, interface=8)
        )
        option = files.option(1, b"comment", order)
        yield files.section_header(order, option, major=2)
        yield head + described + files.enhanced_packet(9, b"opt", order, options=option)
    yield gzip.compress(files.pcapng_bytes(_frames()), mtime=0)


def meter() -> Iterator[bytes]:
    """Yield conversations: handshake and end, refused, silent, timed out, evicted, of every protocol."""
    there = meters.Packet(flags=craft.SYN)
    back = meters.Packet(hosts=(1, 0), ports=(0, 1), flags=craft.SYN | craft.ACK)
    ack = there._replace(flags=craft.ACK)
    data = ack._replace(flags=craft.ACK | craft.PSH, payload=20, sequence=1)
    fins = [one._replace(flags=craft.FIN | craft.ACK, sequence=21) for one in (there, back)]
    reset = back._replace(flags=craft.RST | craft.ACK)
    talks = [[there, back, ack, data, data, *fins, ack, there], [there, reset, there], [back, ack, data]]
    talks += [
        [there, back, ack, *(data._replace(step=step, odd=odd) for step in range(16))] for odd in (0, 7)
    ]
    talks += [[data._replace(odd=odd, payload=9), back] for odd in range(10)]
    for protocol in range(2, 8):
        for wide in (False, True):
            ask = meters.Packet(protocol=protocol, wide=wide, flags=8, payload=5)
            answer = ask._replace(hosts=(1, 0), ports=(0, 1), flags=0)
            talks.append(
                [ask, answer, ask._replace(step=10), answer._replace(step=11), ask._replace(flags=128)]
            )
    talks.append([there._replace(hosts=(src, dst), step=9) for src in range(4) for dst in range(4)])
    for number, talk in enumerate(talks):
        yield bytes([number & 15, number & 7]) + b"".join(packet.bytes() for packet in talk)


def claim() -> Iterator[bytes]:
    """Yield first bytes of protocols, whole and not."""
    for greeting in greetings():
        tcp, port, request, reply = greeting
        yield claims.head(port, tcp=tcp, request_bytes=len(request)) + request + reply
        yield claims.head(port, tcp=tcp, request_bytes=len(request), missing=99) + request
