"""What the first payload of a direction claims, in plain Python: bytes in, a dict out."""

import re

from naive import hello, http, names
from naive.magic import BEARS, NAMED

TCP, UDP = 6, 17
DNS_LIKE = {"DNS", "MDNS", "LLMNR", "NBNS"}

TCP_ASKED = {
    "FTP": [21],
    "TELNET": [23],
    "SMTP": [25, 465, 587, 2525],
    "DNS": [53],
    "KERBEROS": [88],
    "S7COMM": [102],
    "POP3": [110],
    "SMB": [139],
    "IMAP": [143],
    "LDAP": [389, 3268],
    "MODBUS": [502],
    "SYSLOG": [514],
    "OPENVPN": [1194],
    "TDS": [1433],
    "MQTT": [1883],
    "IEC104": [2404],
    "MYSQL": [3306],
    "RDP": [3389],
    "POSTGRESQL": [5432],
    "REDIS": [6379],
    "IRC": [*range(6660, 6670), 7000],
    "DNP3": [20000],
    "ENIP": [44818],
}
UDP_ASKED = {
    "DNS": [53],
    "DHCP": [67, 68],
    "TFTP": [69],
    "KERBEROS": [88],
    "NTP": [123],
    "NBNS": [137],
    "SNMP": [161, 162],
    "LDAP": [389],
    "SYSLOG": [514],
    "DHCPV6": [546, 547],
    "OPENVPN": [1194],
    "RADIUS": [1645, 1646, 1812, 1813],
    "MDNS": [5353],
    "LLMNR": [5355],
    "DNP3": [20000],
    "ENIP": [44818],
    "BACNET": [47808],
}
TEXTS = ("name", "target", "agent", "server", "method", "alpn", "ja4")
NUMBERS = (
    *("dns_type", "dns_answers", "dns_rcode", "tls_offered", "tls_version", "tls_cipher"),
    *("http_status", "filled"),
)


def blank():
    return {"application": "UNKNOWN", "flags": set(), **dict.fromkeys(TEXTS, ""), **dict.fromkeys(NUMBERS, 0)}


def ssh(payload, reverse, claim):
    if not re.match(rb"SSH-\d", payload) or len(payload) < 6:
        return None
    line, feed, _ = payload[:255].partition(b"\n")
    field, room = ("server", 48) if reverse else ("agent", 96)
    if feed and not claim[field]:
        text, cut = names.printable(line.removesuffix(b"\r"), room)
        claim.update({field: text, "filled": 1})
        claim["flags"] |= {f"{field.upper()}_CUT"} if cut else set()
    return "SSH"


def target(raw, claim):
    if "QUERY" not in claim["flags"]:
        claim["flags"] |= {"QUERY"}
        claim["filled"] = 1
        claim["target"], cut = names.printable(raw, 96)
        claim["flags"] |= {"TARGET_CUT"} if cut else set()


def rdp(payload, size, on_port, claim):
    if len(payload) < 7 or payload[:2] != b"\x03\0" or payload[5] >> 4 not in (13, 14):
        return None
    length = int.from_bytes(payload[2:4], "big")
    if not 7 <= length <= size or payload[4] + 5 > length:
        return None
    # Of "Cookie: mstshash=" the words that the sensor looks at.
    if not re.match(rb"Cook.{4}mstshash.", payload[11:], re.DOTALL):
        return "RDP" if on_port else None
    line, end, _ = payload[28 : 11 + 128].partition(b"\r")
    if end:
        target(line, claim)
    return "RDP"


def tftp(payload, claim):
    if len(payload) < 6 or payload[:2] not in (b"\0\1", b"\0\2"):
        return None
    match = re.match(rb"([^\0-\x1f]+)\0([nomNOM])", payload[2 : 2 + 514], re.DOTALL)
    if not match or len(match[1]) >= 512:
        return None
    target(match[1], claim)
    return "TFTP"


def by_port(asked, payload, size, proto, claim):
    if asked == "RDP":
        return rdp(payload, size, True, claim)
    if asked == "TFTP":
        return tftp(payload, claim)
    if asked in DNS_LIKE:
        if proto == TCP:
            if len(payload) < 14:
                return None
            size = int.from_bytes(payload[:2], "big")
            payload = payload[2 : 2 + size]
        return asked if names.dns(payload, size, is_netbios=asked == "NBNS", claim=claim) else None
    return asked if BEARS[asked](payload, size, proto == TCP) else None


def read(payload, size, proto, ports, reverse, claim):  # noqa: C901  (the order of questions)
    """Return the name of the application of one payload of `size` bytes, and write into the dict."""
    if not payload or proto not in (TCP, UDP):
        return "UNKNOWN"
    found, capital = None, payload[:1].isalpha() and payload[:1].isupper()
    if 20 <= payload[0] <= 23:
        if proto == TCP:
            found = "TLS" if hello.tls(payload, claim) else None
        else:
            found = "DTLS" if hello.dtls(payload, size, claim) else None
    elif capital:
        found = (ssh(payload, reverse, claim) if proto == TCP else None) or http.http(payload, claim)
        if found == "HTTP" and proto == UDP and 1900 in ports:
            found = "SSDP"
    table = TCP_ASKED if proto == TCP else UDP_ASKED
    for port in reversed(ports):
        asked = next((name for name, listed in table.items() if port in listed), None)
        if asked and not found:
            found = by_port(asked, payload, size, proto, claim)
    if not found:
        checks = (name for name, (protos, check) in NAMED.items() if proto in protos and check(payload, size))
        found = next(checks, None)
    if not found and proto == TCP:
        found = rdp(payload, size, False, claim)
    if claim["application"] == "UNKNOWN":
        claim["application"] = found or "UNKNOWN"
    return found or "UNKNOWN"
