"""First line and headers of HTTP, SIP and RTSP in plain Python, with regular expressions."""

import re

from naive.names import printable

HEAD = 4096
VERSION = re.compile(rb"(HTTP)/\d\.\d|(SIP)/2\.0|(RTSP)/1\.0")
KNOWN = (b"GET ", b"PUT ", b"HEAD", b"POST", b"OPTI", b"DELE", b"PATC", b"TRAC")
HEADERS = {b"host": ("name", 255), b"user-agent": ("agent", 96), b"server": ("server", 48)}


def keep(claim, field, room, raw, *, whole):
    text, cut = printable(raw, room)
    if whole or cut:
        claim[field] = text
        claim["flags"] |= {f"{field.upper()}_CUT"} if cut else set()


def headers(head, claim, *, request):
    """Read header lines; the last may not be whole."""
    lines = head.split(b"\n")
    for number, line in enumerate(lines[:64]):
        whole = number < len(lines) - 1
        text = line.removesuffix(b"\r") if whole else line
        if not text:
            return
        name, colon, value = text.partition(b":")
        if not colon or len(text) < 6 or name.lower() not in HEADERS:
            continue
        if name.lower() != b"server" and not request:
            continue
        field, room = HEADERS[name.lower()]
        if claim[field]:
            continue
        value = value.strip(b" \t")
        keep(claim, field, room, value, whole=whole)
        if field == "name":
            claim["name"] = claim["name"].lower()


def response(payload, claim):
    match = re.match(rb"(HTTP/\d\.\d|SIP/2\.0|RTSP/1\.0) ", payload)
    if not match:
        return None
    protocol = match[1].split(b"/")[0].decode()
    if "RESPONSE" in claim["flags"]:
        return protocol
    claim["flags"] |= {"RESPONSE"}
    claim["filled"] = 1
    code = re.match(rb"(\d{3})[^\d]", payload[match.end() :], re.DOTALL)
    if code:
        claim["http_status"] = int(code[1])
    _, feed, rest = payload[:HEAD].partition(b"\n")
    if feed:
        headers(rest, claim, request=False)
    return protocol


def request(payload, claim):
    match = re.match(rb"([A-Z_-]{1,16}) ", payload)
    if not match:
        return None
    line, feed, rest = payload[:HEAD].partition(b"\n")
    target = re.match(rb" *", payload[match.end() : HEAD]).end() + match.end()
    if feed:
        line = line[:-1] if line.endswith(b"\r") and len(line) > target else line
        before, _, last = line[target:].rpartition(b" ")
        version = VERSION.fullmatch(last)
        protocol, wanted = (version[0].split(b"/")[0].decode(), before) if version else (None, b"")
        if version and b" " not in line[target:]:
            wanted = b""
        if (
            not version
            and payload[:4] == b"GET "
            and payload[target : target + 1] == b"/"
            and b" " not in line[target:]
        ):
            protocol, wanted = "HTTP", line[target:]
    else:
        known = payload[:4] in KNOWN or len(payload) - target >= 200
        begin = payload[target : target + 4]
        protocol = "HTTP" if known and (begin[:1] == b"/" or begin == b"http") else None
        wanted = b"" if b" " in payload[: min(HEAD, target + 96)][target:] else payload[target:HEAD]
    if not protocol or "QUERY" in claim["flags"]:
        return protocol
    claim["flags"] |= {"QUERY"}
    claim["filled"] = 1
    claim["method"] = printable(match[1], 16)[0]
    keep(claim, "target", 96, wanted.rstrip(b" "), whole=bool(feed))
    if feed:
        headers(rest, claim, request=True)
    return protocol


def http(payload, claim):
    if len(payload) < 9:
        return None
    return response(payload, claim) or request(payload, claim)
