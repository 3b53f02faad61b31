"""First payloads of many protocols, as plain bytes, and builders of those that tests vary."""

import struct
from typing import NamedTuple

import craft
import numpy as np


def vector(data, width):
    """Return `data` behind its length in `width` bytes."""
    return len(data).to_bytes(width, "big") + data


def np_bytes(data):
    """Return bytes as kernels take them."""
    return np.frombuffer(data, np.uint8)


def shorts(codes):
    return b"".join(struct.pack(">H", code) for code in codes)


def extension(kind, body):
    return struct.pack(">H", kind) + vector(body, 2)


def server_name(name):
    return extension(0, vector(b"\0" + vector(name, 2), 2))


def alpn(*names):
    return extension(16, vector(b"".join(vector(name, 1) for name in names), 2))


def versions(*codes):
    return extension(43, vector(shorts(codes), 1))


def signatures(*codes):
    return extension(13, vector(shorts(codes), 2))


CIPHERS = (0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F)
EXTENSIONS = (
    server_name(b"www.Example.org"),
    extension(0x2A2A, b""),
    alpn(b"h2", b"http/1.1"),
    versions(0x3A3A, 0x0304, 0x0303),
    signatures(0x0403, 0x0804, 0x0401),
    extension(10, vector(shorts([29, 23]), 2)),
    extension(21, bytes(9)),
)


def client_hello(ciphers=CIPHERS, extensions=EXTENSIONS, version=0x0303, session=bytes(8)):
    """Return the body of a client's hello; of DTLS when the version is one of its versions."""
    body = struct.pack(">H", version) + bytes(range(32)) + vector(session, 1)
    body += vector(b"cookie", 1) if version >> 8 == 0xFE else b""
    body += vector(shorts(ciphers), 2) + b"\1\0"
    return body + (vector(b"".join(extensions), 2) if extensions is not None else b"")


def server_hello(cipher=0x1301, extensions=(), version=0x0303, random=bytes(range(32))):
    body = struct.pack(">H", version) + random + vector(bytes(4), 1) + struct.pack(">HB", cipher, 0)
    return body + (vector(b"".join(extensions), 2) if extensions is not None else b"")


def record(body, kind=1, *, handshake=True):
    """Return a TLS record of a handshake message."""
    message = bytes([kind]) + vector(body, 3) if handshake else body
    return b"\x16\x03\x01" + vector(message, 2)


def datagram_record(body, kind=1, version=0xFEFD):
    """Return a DTLS record of a handshake message in one fragment."""
    message = bytes([kind]) + len(body).to_bytes(3, "big") + bytes(5) + vector(body, 3)
    return b"\x16" + struct.pack(">H", version) + bytes(8) + vector(message, 2)


def wire_name(*labels):
    return b"".join(vector(label, 1) for label in labels) + b"\0"


NAME = wire_name(b"www", b"Example", b"org")


def question(name=NAME, kind=1, flags=0x0100, counts=(1, 0, 0, 0), tail=b""):
    """Return a DNS message with one question."""
    return struct.pack(">6H", 0x1234, flags, *counts) + name + struct.pack(">HH", kind, 1) + tail


def netbios_label(name, suffix=0x20):
    raw = name.ljust(15)[:15] + bytes([suffix])
    return b"".join(bytes([0x41 + (byte >> 4), 0x41 + (byte & 15)]) for byte in raw)


ANSWER = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1"
REPLY = question(flags=0x8180, counts=(1, 1, 0, 0), tail=ANSWER)
REQUEST = (
    b"GET /index.html?q=%20a HTTP/1.1\r\nHost: Example.ORG:8080\r\nAccept: */*\r\n"
    b"User-Agent: probe/1.0 (test)\r\n\r\n"
)
STATUS = b"HTTP/1.1 404 Not Found\r\nDate: now\r\nServer: nginx/1.25\r\nContent-Length: 0\r\n\r\n"
COOKIE = b"Cookie: mstshash=someone\r\n\1\0\x08\0\3\0\0\0"


def tpkt(body):
    return b"\3\0" + struct.pack(">H", len(body) + 4) + body


def transport_request(tail, kind=0xE0):
    return tpkt(vector(bytes([kind, 0, 0, 0, 1, 0]) + tail, 1))


def ber(tag, body):
    size = bytes([len(body)]) if len(body) < 128 else b"\x82" + struct.pack(">H", len(body))
    return bytes([tag]) + size + body


SNMP = ber(0x30, b"\2\1\1" + ber(4, b"public") + ber(0xA0, bytes(12)))
LDAP = ber(0x30, b"\2\1\1" + ber(0x60, b"\2\1\3\4\0\x80\0"))
KERBEROS = ber(0x6A, ber(0x30, bytes(140)))


class Sample(NamedTuple):
    """One payload, how it travels, and what it should be taken for."""

    application: str
    proto: int
    src_port: int
    dst_port: int
    payload: bytes


def tcp(application, port, payload, *, reply=False):
    ports = (port, 40000) if reply else (40000, port)
    return Sample(application, craft.TCP, *ports, payload)


def udp(application, port, payload, *, reply=False):
    ports = (port, 40000) if reply else (40000, port)
    return Sample(application, craft.UDP, *ports, payload)


SAMPLES = [
    udp("DNS", 53, question()),
    udp("DNS", 53, question(wire_name(b"a.b\\c", b"\xff\x00", b"x" * 63), 16)),
    udp("DNS", 53, REPLY, reply=True),
    udp("DNS", 53, question(b"\0", 2)),
    udp("DNS", 53, question(b"\1a\xc0\x20" + bytes(14) + b"\1b\0", 28)),
    tcp("DNS", 53, vector(question(), 2)),
    tcp("DNS", 53, vector(REPLY, 2) + vector(REPLY, 2), reply=True),
    udp("MDNS", 5353, question(wire_name(b"Living Room", b"_http", b"_tcp", b"local"), 12, 0)),
    udp("MDNS", 5353, struct.pack(">6H", 0, 0x8400, 0, 1, 0, 0) + ANSWER, reply=True),
    udp("LLMNR", 5355, question(wire_name(b"PRINTER"), 1, 0)),
    udp("NBNS", 137, question(wire_name(netbios_label(b"WORKGROUP", 0x1D)), 32, 0x0110)),
    udp("NBNS", 137, question(wire_name(netbios_label(b"*".ljust(15, b"\0"), 0), b"SCOPE"), 33, 0)),
    tcp("TLS", 443, record(client_hello())),
    tcp("TLS", 8443, record(client_hello(extensions=None, version=0x0301))),
    tcp("TLS", 443, record(server_hello(extensions=[versions(0x0304)[:2] + b"\0\2\3\4"]), 2), reply=True),
    tcp("TLS", 443, record(server_hello(extensions=[alpn(b"h2")]), 2) + b"\x16\3\3", reply=True),
    tcp("TLS", 443, b"\x15\3\1\0\2\2\x28"),
    udp("DTLS", 4433, datagram_record(client_hello(version=0xFEFD))),
    udp("DTLS", 4433, datagram_record(server_hello(version=0xFEFD), 2), reply=True),
    udp("QUIC", 443, b"\xc3\0\0\0\1\x08" + bytes(8) + b"\x00\0\x44\x9e" + bytes(1178)),
    tcp("HTTP", 80, REQUEST),
    tcp("HTTP", 12345, STATUS, reply=True),
    tcp("HTTP", 80, b"GET /" + b"a" * 300),
    tcp("HTTP", 80, b"GET / HTTP/1.1\r\nUser-Agent: " + b"A" * 200),
    tcp("HTTP", 80, b"GET /old\r\n"),
    tcp("HTTP", 8080, b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n"),
    udp("SSDP", 1900, b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: x\r\n\r\n"),
    udp("SIP", 5060, b"INVITE sip:bob@example.org SIP/2.0\r\nUser-Agent: phone\r\n\r\n"),
    udp("SIP", 5060, b"SIP/2.0 180 Ringing\r\nServer: pbx\r\n\r\n", reply=True),
    tcp("RTSP", 554, b"OPTIONS rtsp://example.org/a RTSP/1.0\r\nCSeq: 1\r\n\r\n"),
    tcp("SSH", 22, b"SSH-2.0-OpenSSH_9.6 Debian-3\r\n"),
    tcp("SSH", 2222, b"SSH-2.0-dropbear\r\n\0\0\0\1", reply=True),
    tcp("SMTP", 25, b"220 mail.example.org ESMTP\r\n", reply=True),
    tcp("SMTP", 587, b"EHLO client\r\n"),
    tcp("FTP", 21, b"220-Welcome\r\n", reply=True),
    tcp("FTP", 21, b"USER anonymous\r\n"),
    tcp("POP3", 110, b"+OK ready\r\n", reply=True),
    tcp("IMAP", 143, b"* OK ready\r\n", reply=True),
    tcp("IMAP", 143, b"a001 LOGIN user pass\r\n"),
    tcp("SMB", 445, b"\0\0\0\x54\xfeSMB" + bytes(80)),
    tcp("SMB", 139, b"\x81\0\0\x44" + bytes(68)),
    tcp("RDP", 3389, transport_request(COOKIE)),
    tcp("RDP", 13389, transport_request(COOKIE)),
    tcp("RDP", 3389, transport_request(b"\2\0\x08\0\1\0\0\0", 0xD0), reply=True),
    tcp("KERBEROS", 88, vector(KERBEROS, 4)),
    udp("KERBEROS", 88, KERBEROS),
    tcp("LDAP", 389, LDAP),
    udp("LDAP", 389, LDAP),
    tcp("DCERPC", 49152, b"\5\0\x0b\3\x10\0\0\0\x48\0\0\0\1\0\0\0" + bytes(56)),
    tcp("MODBUS", 502, b"\0\1\0\0\0\6\1\3\0\0\0\x0a"),
    tcp("DNP3", 20000, b"\5\x64\5\xc0\1\0\0\4\xe9\x21"),
    tcp("S7COMM", 102, transport_request(b"\xc0\1\x0a\xc1\2\1\0\xc2\2\1\2")),
    tcp("S7COMM", 102, tpkt(b"\2\xf0\x80\x32\1\0\0")),
    tcp("ENIP", 44818, b"\x65\0\4\0" + bytes(20) + b"\1\0\0\0"),
    udp("BACNET", 47808, b"\x81\x0b\0\x0c\1\x20\xff\xff\0\xff\x10\x08"),
    tcp("OPCUA", 4840, b"HELF" + struct.pack("<I", 32) + bytes(24)),
    tcp("IEC104", 2404, b"\x68\4\7\0\0\0"),
    tcp("MQTT", 1883, b"\x10\x10\0\4MQTT\4\2\0\x3c\0\4abcd"),
    tcp("MQTT", 1883, b"\x20\2\0\0", reply=True),
    udp("SNMP", 161, SNMP),
    udp("NTP", 123, b"\x23" + bytes(47)),
    udp("DHCP", 67, b"\1\1\6\0" + bytes(232) + b"\x63\x82\x53\x63\x35\1\1\xff"),
    udp("DHCPV6", 547, b"\1\1\2\3\0\1\0\4abcd"),
    udp("TFTP", 69, b"\0\1boot/image.bin\0octet\0"),
    udp("SYSLOG", 514, b"<34>Oct 11 22:14:15 host su: text"),
    udp("RADIUS", 1812, b"\1\7\0\x14" + bytes(16)),
    udp("STUN", 3478, b"\0\1\0\0\x21\x12\xa4\x42" + bytes(12)),
    tcp("BITTORRENT", 6881, b"\x13BitTorrent protocol" + bytes(48)),
    udp("BITTORRENT", 6881, b"d1:ad2:id20:" + bytes(20)),
    tcp("TELNET", 23, b"\xff\xfd\x18\xff\xfd\x20", reply=True),
    tcp("VNC", 5901, b"RFB 003.008\n", reply=True),
    tcp("MYSQL", 3306, b"\x0c\0\0\0\x0a8.0.36\0abcd", reply=True),
    tcp("POSTGRESQL", 5432, struct.pack(">II", 8, 80877103)),
    tcp("POSTGRESQL", 5432, b"N", reply=True),
    tcp("TDS", 1433, b"\x12\1\0\x0c\0\0\0\0abcd"),
    tcp("REDIS", 6379, b"*1\r\n$4\r\nPING\r\n"),
    tcp("IRC", 6667, b"NICK someone\r\nUSER a b c d\r\n"),
    tcp("IRC", 6667, b":irc.example.org NOTICE AUTH :hello\r\n", reply=True),
    udp("WIREGUARD", 51820, b"\1\0\0\0" + bytes(144)),
    udp("OPENVPN", 1194, b"\x38" + bytes(8) + b"\0\0\0\0\0"),
    tcp("UNKNOWN", 443, b"\0\1\2\3hello"),
    udp("UNKNOWN", 53, b"\0\1\2\3hello and more"),
]
