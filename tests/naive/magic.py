"""What single payloads have to look like, protocol by protocol, as predicates in plain Python.

Each takes the captured payload, its size on the wire, and whether it came over
TCP. Where bytes that are needed were not captured, the answer is no.
"""

import re
import struct

TCP, UDP = 6, 17


def needs(count):
    """Say no for payloads of which fewer than `count` bytes were captured."""

    def decorate(check):
        return lambda p, size, *stream: len(p) >= count and bool(check(p, size, *stream))

    return decorate


def big(raw):
    return int.from_bytes(raw, "big")


def little(raw):
    return int.from_bytes(raw, "little")


def folded(raw):
    return bytes(byte | 0x20 for byte in raw)


def begins(words):
    """Match the first four bytes with bit 0x20 set, as capitals have it not."""
    return lambda p: folded(p[:4]) in {word.encode() for word in words}


REPLY = re.compile(rb"[1-5]\d\d[ -]")
SMTP, FTP = begins(["ehlo", "helo", "lhlo"]), begins(["user", "auth", "feat", "syst", "host", "opts", "quit"])
POP3 = begins(["user", "capa", "auth", "apop", "stls", "quit", "+ok ", "-err"])
IMAP = begins(["capa", "logi", "star", "auth", "noop", "sele", "logo", "id ("])
IRC = begins(["nick", "user", "pass", "cap ", "ping", "noti", "join", "erro"])
REDIS = begins(["ping", "info", "auth", "quit", "echo", "get ", "set ", "conf"])


def second(p):
    """Return the bytes behind the first space, when four of them are there and it comes soon."""
    found = re.match(rb"[^\0-\x20]{0,79} ", p, re.DOTALL)
    return p[found.end() :] if found and len(p) - found.end() >= 4 else b""


@needs(4)
def imap(p, _size, _stream):
    if p[:2] == b"* ":
        return folded(p[2:4]) in (b"ok", b"pr", b"by")
    return second(p) and IMAP(second(p))


@needs(4)
def irc(p, _size, _stream):
    if p[:1] == b":":
        rest = second(p)
        return rest and (re.match(rb"\d\d\d", rest) if rest[:1].isdigit() else IRC(rest))
    return IRC(p)


@needs(4)
def syslog(p, _size, _stream):
    found = re.match(rb"<(\d{1,3})>", p)
    return found and int(found[1]) <= 191


def element(p, at):
    """Return (inside, behind) of a BER element, or None."""
    if len(p) < at + 2:
        return None
    length = p[at + 1]
    if length < 0x80:
        return at + 2, at + 2 + length
    width = {0x81: 1, 0x82: 2, 0x84: 4}.get(length)
    if not width or len(p) < at + 2 + width:
        return None
    value = big(p[at + 2 : at + 2 + width])
    return (at + 2 + width, at + 2 + width + value) if value < 1 << 24 else None


def kerberos(p, size, stream):
    at = 4 if stream else 0
    found = element(p, at)
    if not found or p[at] not in (0x6A, 0x6B, 0x6C, 0x6D, 0x6E, 0x6F, 0x7E):
        return False
    return big(p[:4]) == found[1] - 4 if stream else found[1] == size


def ldap(p, _size, _stream):
    found = element(p, 0)
    if not found or len(p) < found[0] + 7 or p[0] != 0x30 or p[found[0]] != 2:
        return False
    width = p[found[0] + 1]
    at = found[0] + 2 + width
    return 1 <= width <= 4 and at + 2 <= min(len(p), found[1]) and p[at] >> 6 == 1 and p[at] & 31 <= 25


def snmp(p, size, _stream):
    found = element(p, 0)
    if not found or len(p) < found[0] + 4 or p[0] != 0x30 or found[1] != size:
        return False
    head = p[found[0] : found[0] + 4]
    return head in (b"\2\1\0\x04", b"\2\1\1\x04", b"\2\1\3\x30")


@needs(6)
def mysql(p, size, _stream):
    length = little(p[:3])
    if p[3] == 0:
        return length + 4 <= size and ((p[4] == 10 and p[5] >= 0x30) or p[4] == 0xFF)
    return p[3] == 1 and length >= 32 and length + 4 == size


def postgresql(p, size, _stream):
    if size == 1:
        return p in (b"S", b"N")
    if len(p) < 8:
        return False
    if p[0] == 0:
        codes = (80877102, 80877103, 80877104, 196608, 196609, 196610)
        return big(p[:4]) == size and big(p[4:8]) in codes
    return p[:1] in (b"R", b"E") and big(p[1:5]) + 1 <= size


@needs(8)
def tds(p, size, _stream):
    kinds = (1, 2, 3, 4, 14, 16, 17, 18)
    return p[0] in kinds and p[1] < 32 and 8 <= big(p[2:4]) <= size and p[7] == 0


@needs(4)
def netbios_session(p, size, _stream):
    length = big(p[2:4])
    return (p[0] == 0x81 and length >= 68 and length + 4 == size) or (p[0], length) in ((0x82, 0), (0x83, 1))


@needs(7)
def s7comm(p, size, _stream):
    length = big(p[2:4])
    if p[:2] != b"\3\0" or not 7 <= length <= size or p[4] + 5 > length:
        return False
    if p[5] >> 4 == 15:
        return p[7:8] == b"\x32"
    if p[5] >> 4 not in (13, 14):
        return False
    items, at = p[: 5 + p[4]], 11
    for _ in range(8):
        if at + 4 > len(items):
            return False
        if items[at] == 0xC2:
            return items[at + 1] == 2 and items[at + 2] in (1, 2, 3)
        at += 2 + items[at + 1]
    return False


@needs(6)
def iec104(p, size, _stream):
    if p[0] != 0x68 or not 4 <= p[1] <= 253 or p[1] + 2 > size:
        return False
    if p[2] % 2 == 0:
        return p[1] > 4
    return p[1] == 4 and (p[2] == 1 or p[2] & 3 == 3) and p[3] == 0


def dhcpv6(p, size, _stream):
    at = 34 if p[0] in (12, 13) else 4
    if p[0] not in range(1, 14) or len(p) < at + 4:
        return False
    option, length = struct.unpack_from(">HH", p, at)
    return option and at + 4 + length <= size


def openvpn(p, size, stream):
    at = 2 if stream else 0
    if len(p) < at + 9 or p[at] not in (0x38, 0x40, 0x50) or size - at < 14:
        return False
    return not stream or big(p[:2]) + 2 <= size


ENIP = (4, 0x63, 0x64, 0x65, 0x66, 0x6F, 0x70, 0x72, 0x73)
RADIUS = (1, 2, 3, 4, 5, 11, 12, 13, 40, 41, 42, 43, 44, 45)

BEARS = {
    "SMTP": needs(4)(lambda p, _s, _t: REPLY.match(p) or SMTP(p)),
    "FTP": needs(4)(lambda p, _s, _t: REPLY.match(p) or FTP(p)),
    "POP3": needs(4)(lambda p, _s, _t: POP3(p) or p[:4] == b"+OK\r"),
    "IMAP": imap,
    "TELNET": needs(4)(lambda p, _s, _t: p[0] == 255 and 250 <= p[1] <= 254),
    "REDIS": needs(4)(
        lambda p, _s, _t: re.match(rb"[*$:][\d-]|[+-][A-Za-z]", p) or (p[0] not in b"*$:+-" and REDIS(p))
    ),
    "IRC": irc,
    "SYSLOG": syslog,
    "KERBEROS": kerberos,
    "LDAP": ldap,
    "SNMP": snmp,
    "MYSQL": mysql,
    "POSTGRESQL": postgresql,
    "TDS": tds,
    "SMB": netbios_session,
    "S7COMM": s7comm,
    "MODBUS": needs(8)(
        lambda p, s, _t: p[2:4] == b"\0\0" and 2 <= big(p[4:6]) <= min(254, s - 6) and p[7] & 127
    ),
    "DNP3": needs(10)(lambda p, _s, _t: p[:2] == b"\x05\x64" and p[2] >= 5),
    "ENIP": needs(24)(
        lambda p, s, _t: little(p[:2]) in ENIP and little(p[2:4]) + 24 <= s and p[20:24] == bytes(4)
    ),
    "BACNET": needs(4)(lambda p, s, _t: p[0] == 0x81 and p[1] <= 12 and big(p[2:4]) == s),
    "IEC104": iec104,
    "MQTT": needs(4)(lambda p, s, _t: p[0] == 0x20 and 2 <= p[1] < 128 and p[1] + 2 <= s and p[2] <= 1),
    "NTP": lambda p, s, _t: 1 <= p[0] >> 3 & 7 <= 4 and p[0] & 7 and s >= (48 if p[0] & 7 < 6 else 8),
    "DHCP": needs(240)(lambda p, _s, _t: p[0] in (1, 2) and p[2] <= 16 and p[236:240] == b"c\x82Sc"),
    "DHCPV6": dhcpv6,
    "RADIUS": needs(20)(lambda p, s, _t: p[0] in RADIUS and big(p[2:4]) == s),
    "OPENVPN": openvpn,
}


def quic(p, size):
    version = big(p[1:5])
    known = version in (1, 0x6B3343CF) or 0xFF000011 <= version <= 0xFF000022
    if len(p) < 7 or p[0] < 128 or not known or p[5] > 20 or len(p) <= 6 + p[5]:
        return False
    second = p[6 + p[5]]
    return second <= 20 and 6 + p[5] + 1 + second + 4 <= size


@needs(16)
def dcerpc(p, size):
    if p[0] != 5 or p[1] > 1 or p[2] > 20 or p[4] not in (0, 16) or p[5] > 3 or p[6:8] != b"\0\0":
        return False
    return 16 <= (little if p[4] else big)(p[8:10]) <= size


#: Over what it comes, and how it is known; the first that fits counts.
NAMED = {
    "STUN": (
        (TCP, UDP),
        needs(20)(
            lambda p, s: (
                p[0] < 4 and p[4:8] == b"\x21\x12\xa4\x42" and p[3] % 4 == 0 and big(p[2:4]) + 20 == s
            )
        ),
    ),
    "BITTORRENT": (
        (TCP, UDP),
        needs(12)(lambda p, _s: p[:12] == b"\x13BitTorrent " or re.match(rb"d1:[ar]d2:i", p)),
    ),
    "QUIC": ((UDP,), quic),
    "WIREGUARD": (
        (UDP,),
        needs(4)(lambda p, s: (p[:4], s) in ((b"\1\0\0\0", 148), (b"\2\0\0\0", 92))),
    ),
    "SMB": ((TCP,), needs(8)(lambda p, _s: p[0] == 0 and p[4] >= 0xFC and p[5:8] == b"SMB")),
    "DCERPC": ((TCP,), dcerpc),
    "MQTT": (
        (TCP,),
        needs(8)(
            lambda p, _s: re.match(rb"\x10[\x80-\xff]{0,3}[\0-\x7f](\x00\x04MQTT|\x00\x06MQIs)", p, re.DOTALL)
        ),
    ),
    "VNC": ((TCP,), needs(12)(lambda p, _s: re.match(rb"RFB \d..\....\n", p[:12], re.DOTALL))),
    "OPCUA": (
        (TCP,),
        needs(8)(lambda p, s: p[:4] in (b"HELF", b"ACKF", b"ERRF", b"RHEF", b"OPNF") and little(p[4:8]) == s),
    ),
}
