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

_SECOND = 10**9
_NAME = b"\x03www\x07example\x03org\x00"
DNS_QUERY = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + _NAME + struct.pack("!HH", 28, 1)
DNS_ANSWER = (
    struct.pack("!6H", 7, 0x8183, 1, 1, 0, 0)
    + _NAME
    + struct.pack("!HH", 28, 1)
    + struct.pack("!HHHIH", 0xC00C, 1, 1, 60, 4)
    + bytes(4)
)


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
    talks.append(
        [
            there._replace(hosts=(src, dst), step=step)
            for src in range(4)
            for dst in range(4)
            for step in (1, 9)
        ]
    )
    for number, talk in enumerate(talks):
        yield bytes([number & 15, number & 7]) + b"".join(packet.bytes() for packet in talk)


def claim() -> Iterator[bytes]:
    """Yield first bytes of protocols, with replies where they have some."""
    for tcp, port, request, reply in _greetings():
        yield claims.head(port, tcp=tcp, request_bytes=len(request)) + request + reply
        yield claims.head(port, tcp=tcp, request_bytes=len(request), missing=99) + request


def _greetings() -> Iterator[tuple[bool, int, bytes, bytes]]:
    yield False, 53, DNS_QUERY, DNS_ANSWER
    yield (
        True,
        53,
        struct.pack("!H", len(DNS_QUERY)) + DNS_QUERY,
        struct.pack("!H", len(DNS_ANSWER)) + DNS_ANSWER,
    )
    yield False, 5353, DNS_QUERY, b""
    yield False, 5355, DNS_QUERY, b""
    netbios = (
        struct.pack("!6H", 1, 0x0110, 1, 0, 0, 0)
        + b"\x20"
        + b"FH"
        + b"CA" * 15
        + struct.pack("!BHH", 0, 32, 1)
    )
    yield False, 137, netbios, b""
    yield True, 443, client_hello(), server_hello()
    yield True, 443, client_hello()[:60], b"\x15\x03\x03\x00\x02\x02\x28"
    datagram = client_hello()[5:]
    dtls = (
        datagram[:4] + b"\0\0\0\0\0" + datagram[1:4] + b"\xfe\xfd" + datagram[6:38] + b"\0\0" + datagram[39:]
    )
    yield False, 443, b"\x16\xfe\xfd" + bytes(8) + struct.pack("!H", len(dtls)) + dtls, b""
    yield False, 443, b"\xc3\0\0\0\x01\x08" + bytes(8) + b"\0\0\x44\xd0" + bytes(30), b""
    agent = b"User-Agent: test/1.0\r\n"
    request = b"GET /a?b=c HTTP/1.1\r\nHost: example.org:8080\r\n" + agent + b"\r\n"
    yield True, 80, request, b"HTTP/1.1 404 Not Found\r\nServer: test\r\n\r\n"
    yield True, 8080, b"POST http://[::1]/ HTTP/1.0\nhost:\tx\n\n", b"HTTP/1.0 200\r\n"
    yield True, 80, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0\0\x06\x04\0\0\0\0\0"
    yield (
        False,
        1900,
        b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nST: x\r\n\r\n",
    )
    yield True, 22, b"SSH-2.0-client_1\r\n", b"SSH-2.0-server_1 comment\r\n"
    for transport in (True, False):
        sip = b"REGISTER sip:x SIP/2.0\r\n" + agent + b"\r\n"
        yield transport, 5060, sip, b"SIP/2.0 401 No\r\nServer: s\r\n\r\n"
    yield True, 554, b"OPTIONS rtsp://h/ RTSP/1.0\r\n" + agent + b"\r\n", b"RTSP/1.0 200 OK\r\n\r\n"
    cookie = b"Cookie: mstshash=user\r\n\x01\0\x08\0\x03\0\0\0"
    yield (
        True,
        3389,
        struct.pack("!BBHBBHHB", 3, 0, 11 + len(cookie), 6 + len(cookie), 0xE0, 0, 0, 0) + cookie,
        b"",
    )
    yield False, 69, b"\0\x01file\0octet\0", b"\0\x03\0\x01x"
    yield True, 25, b"EHLO x\r\n", b"220 mail ESMTP\r\n"
    yield True, 21, b"USER a\r\n", b"220 FTP\r\n"
    yield True, 110, b"USER a\r\n", b"+OK POP3\r\n"
    yield True, 143, b"a CAPABILITY\r\n", b"* OK IMAP4\r\n"
    smb = b"\xfeSMB\x40\0" + bytes(58)
    yield True, 445, struct.pack("!I", len(smb)) + smb, b"\0\0\0\x24\xffSMB" + bytes(32)
    yield True, 502, b"\0\x01\0\0\0\x06\x01\x03\0\0\0\x01", b"\0\x01\0\0\0\x05\x01\x03\x02\0\0"
    yield True, 20000, b"\x05\x64\x05\xc0\x01\0\0\x04\xe9\x21", b""
    yield True, 102, b"\x03\0\0\x16\x11\xe0\0\0\0\x01\0\xc1\x02\x01\0\xc2\x02\x01\x02\xc0\x01\x0a", b""
    yield True, 44818, b"\x65\0\x04\0" + bytes(20) + b"\x01\0\0\0", b""
    yield False, 47808, b"\x81\x0b\0\x08\x01\x20\xff\xff", b""
    yield True, 4840, b"HELF\x20\0\0\0" + bytes(24), b""
    yield True, 2404, b"\x68\x04\x07\0\0\0", b"\x68\x04\x0b\0\0\0"
    yield True, 1883, b"\x10\x0e\0\x04MQTT\x04\x02\0\x3c\0\x02id", b"\x20\x02\0\0"
    yield False, 161, b"\x30\x26\x02\x01\x01\x04\x06public\xa0\x19" + bytes(25), b""
    yield False, 123, b"\x23" + bytes(47), b"\x24" + bytes(47)
    yield False, 67, (b"\x01\x01\x06\0" + bytes(232) + b"\x63\x82\x53\x63\x35\x01\x01\xff"), b""
    yield False, 547, b"\x01\0\0\x01\0\x01\0\x04\0\0\0\0", b""
    yield False, 514, b"<34>1 2020-01-01T00:00:00Z h a - - - x", b""
    yield False, 1812, b"\x01\x01\0\x14" + bytes(16), b""
    yield False, 3478, b"\0\x01\0\0\x21\x12\xa4\x42" + bytes(12), b""
    yield True, 6881, b"\x13BitTorrent protocol" + bytes(48), b""
    yield False, 6881, b"d1:ad2:id20:", b""
    yield True, 23, b"\xff\xfd\x18\xff\xfb\x1f", b"\xff\xfb\x01"
    yield True, 5900, b"RFB 003.008\n", b"RFB 003.008\n"
    yield True, 3306, b"\x20\0\0\x01" + bytes(32), b"\x4a\0\0\0\x0a8.0.1\0" + bytes(60)
    yield True, 5432, b"\0\0\0\x08\x04\xd2\x16\x2f", b"N"
    yield True, 1433, b"\x12\x01\0\x2f\0\0\x01\0" + bytes(39), b""
    yield True, 6379, b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n"
    yield True, 6667, b"NICK a\r\nUSER a 0 * :a\r\n", b":s NOTICE * :x\r\n"
    yield False, 51820, b"\x01\0\0\0" + bytes(144), b"\x02\0\0\0" + bytes(88)
    yield False, 1194, b"\x38" + bytes(13), b"\x40" + bytes(25)
    yield True, 88, b"\0\0\0\x20\x6a\x1e\x30\x1c\xa1\x03\x02\x01\x05\xa2\x03\x02\x01\x0a" + bytes(18), b""
    yield (
        True,
        389,
        b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\0\x80\0",
        b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\0",
    )
    yield True, 135, b"\x05\0\x0b\x03\x10\0\0\0\x48\0\0\0" + bytes(60), b""


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
