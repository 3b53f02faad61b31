"""TLS and DTLS hellos and JA4 in plain Python, with hashlib."""

import hashlib

from naive.names import printable

RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891")
VERSIONS = {
    0x0304: "13",
    0x0303: "12",
    0x0302: "11",
    0x0301: "10",
    0x0300: "s3",
    0x0002: "s2",
    0xFEFF: "d1",
    0xFEFD: "d2",
    0xFEFC: "d3",
}


class CutError(Exception):
    """The hello goes on beyond what is here."""


class BadError(Exception):
    """Lengths contradict each other."""


class Reader:
    """Takes bytes of a hello that has `whole` bytes, of which `here` are at hand."""

    def __init__(self, here, whole):
        self.here, self.whole, self.at = here, whole, 0

    def take(self, count):
        if self.at + count > self.whole:
            raise BadError
        if self.at + count > len(self.here):
            raise CutError
        taken = self.here[self.at : self.at + count]
        self.at += count
        return taken

    def skip(self, count):
        """Step over bytes; whether they are there shows with the next that are taken."""
        self.at += count

    def number(self, width):
        return int.from_bytes(self.take(width), "big")


def numbers(raw):
    return [int.from_bytes(raw[i : i + 2], "big") for i in range(0, len(raw) - 1, 2)]


def sober(codes):
    """Return the codes that are not GREASE."""
    return [code for code in codes if code not in range(0x0A0A, 0x10000, 0x1010)]


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()[:12] if text else "0" * 12


def hexes(codes):
    return ",".join(f"{code:04x}" for code in codes)


def ends(value):
    """Return the two ALPN characters of JA4."""
    if not value:
        return "00"
    text = value.decode("latin-1")
    if all(c.isascii() and c.isalnum() for c in (text[0], text[-1])):
        return text[0] + text[-1]
    return value.hex()[0] + value.hex()[-1]


def ja4_raw(begin, ciphers, extensions, signatures, alpn):
    """Return (first part, cipher text, extension text) of JA4's raw form."""
    ciphers, extensions, signatures = sober(ciphers), sober(extensions), sober(signatures)
    first = begin
    first += f"{min(len(ciphers), 99):02}{min(len(extensions), 99):02}{ends(alpn)}"
    kept = hexes(sorted(code for code in extensions if code not in (0, 16)))
    if kept and signatures:
        kept += "_" + hexes(signatures)
    return first, hexes(sorted(ciphers)), kept


def walk(reader, client, claim, seen):  # noqa: C901  (one walk, one place)
    """Walk the extensions; `seen` gets what JA4 needs."""
    if reader.at == reader.whole:
        return
    size = reader.number(2)
    if reader.at + size > reader.whole:
        raise BadError
    inner = Reader(reader.here[: reader.at + size], reader.at + size)
    inner.at = reader.at
    for _ in range(256):
        if inner.at == inner.whole:
            return
        kind, length = numbers(inner.take(4))
        body = inner.take(length)
        if len(sober(seen["extensions"])) < 256:
            seen["extensions"].append(kind)
        if kind == 0 and client:
            seen["named"] = True
            length = int.from_bytes(body[3:5], "big")
            fits = len(body) >= 6 and 5 + length <= min(len(body), 2 + int.from_bytes(body[:2], "big"))
            if fits and body[2] == 0 and length and not claim["name"]:
                text, cut = printable(body[5 : 5 + length], 255)
                claim["name"] = text.lower()
                claim["flags"] |= {"NAME_CUT"} if cut else set()
        elif kind == 16 and len(body) >= 3:
            value = body[3 : 3 + body[2]]
            if value and 3 + body[2] <= min(len(body), 2 + int.from_bytes(body[:2], "big")):
                seen["alpn"] = value
                claim["alpn"] = printable(value, 16)[0]
                claim["flags"] |= set() if client else {"ALPN_CHOSEN"}
        elif kind == 43:
            listed = body[1 : 1 + body[0]] if client and body else body
            if len(body) >= (3 if client else 2):
                seen["versions"] += sober(numbers(listed))
        elif kind == 13 and len(body) >= 2:
            seen["signatures"] = body[2 : 2 + int.from_bytes(body[:2], "big")]
    if inner.at != inner.whole:
        raise BadError


def client_hello(reader, claim):
    datagram = reader.here[:1] == b"\xfe"
    seen = {"extensions": [], "versions": [], "signatures": b"", "alpn": b"", "named": False}
    version = int.from_bytes(reader.here[:2], "big")
    reader.skip(34)
    reader.skip(reader.number(1))
    if datagram:
        reader.skip(reader.number(1))
    listed = reader.number(2)
    ciphers = reader.here[reader.at :][:listed]
    reader.skip(listed)
    reader.skip(reader.number(1))
    reader.take(0)
    try:
        walk(reader, True, claim, seen)
    finally:
        versions = seen["versions"]
        if versions and max(versions):
            claim["tls_offered"] = min(v for v in versions if v) if datagram else max(versions)
    if not claim["tls_offered"]:
        claim["tls_offered"] = version
    if len(sober(seen["extensions"])) < 256 and max(len(ciphers), len(seen["signatures"])) <= 512:
        highest = max(versions, default=0) or version
        begin = f"{'d' if datagram else 't'}{VERSIONS.get(highest, '00')}{'d' if seen['named'] else 'i'}"
        first, second, third = ja4_raw(
            begin,
            numbers(ciphers),
            seen["extensions"],
            numbers(seen["signatures"]),
            seen["alpn"],
        )
        claim["ja4"] = f"{first}_{digest(second)}_{digest(third)}"


def server_hello(reader, claim):
    seen = {"extensions": [], "versions": [], "signatures": b"", "alpn": b"", "named": False}
    head = reader.take(35)
    reader.skip(head[34])
    reader.take(3)
    cipher = int.from_bytes(reader.here[reader.at - 3 : reader.at - 1], "big")
    if head[2:18] == RETRY:
        claim["flags"] |= {"RETRY"}
    try:
        walk(reader, False, claim, seen)
    finally:
        if max(seen["versions"], default=0):
            claim.update(tls_version=max(seen["versions"]), tls_cipher=cipher)
    if not claim["tls_version"]:
        claim.update(tls_version=int.from_bytes(head[:2], "big"), tls_cipher=cipher)


def read(kind, here, whole, claim):
    """Read a hello of type 1 or 2 of which the bytes `here` are at hand."""
    side = {1: "QUERY", 2: "RESPONSE"}[kind]
    if side in claim["flags"]:
        return
    claim["flags"] |= {side}
    claim["filled"] = 1
    try:
        (client_hello if kind == 1 else server_hello)(Reader(here[:whole], whole), claim)
    except CutError:
        claim["flags"] |= {"SPLIT"}
    except BadError:
        claim["flags"] |= {"MALFORMED"}


def tls(payload, claim):
    if len(payload) < 5:
        return False
    kind, version, size = payload[0], payload[1:3], int.from_bytes(payload[3:5], "big")
    if kind not in (20, 21, 22, 23) or not b"\x03\x00" <= version <= b"\x03\x04" or not 0 < size <= 18432:
        return False
    if kind == 22 and len(payload) >= 10 and size > 4 and payload[9] == 3 and payload[5] in (1, 2):
        read(payload[5], payload[9 : 5 + size], int.from_bytes(payload[6:9], "big"), claim)
    return True


def dtls(payload, wire, claim):
    if len(payload) < 13:
        return False
    size = int.from_bytes(payload[11:13], "big")
    if payload[0] not in (20, 21, 22, 23) or payload[1:3] not in (b"\xfe\xff", b"\xfe\xfd", b"\xfe\xfc"):
        return False
    if not size or 13 + size > wire:
        return False
    first = payload[19:22] == bytes(3) and payload[3:5] == bytes(2)
    if payload[0] == 22 and len(payload) >= 26 and size > 12 and first and payload[25] == 0xFE:
        piece = int.from_bytes(payload[22:25], "big")
        if payload[13] in (1, 2):
            here = payload[25 : min(25 + piece, 13 + size)]
            read(payload[13], here, int.from_bytes(payload[14:17], "big"), claim)
    return True
