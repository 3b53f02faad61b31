"""Text and DNS names in plain Python: bytes in, strings out, whole or not at all."""

import struct


def printable(raw, room, extra=b""):
    """Return (text, cut): printable ASCII, anything else and `extra` as \\xNN, as far as there is room."""
    parts = [
        chr(byte) if 0x20 <= byte < 0x7F and byte not in b"\\" + extra else f"\\x{byte:02x}" for byte in raw
    ]
    text = ""
    for part in parts:
        if len(text) + len(part) > room:
            return text, True
        text += part
    return text, False


class CutError(Exception):
    """The message ends before the name does."""


class BadError(Exception):
    """The name contradicts itself."""


def labels(message, at):
    """Return (labels, offset behind the name)."""
    found, jumps, behind, used = [], 0, None, 0
    while True:
        if at >= len(message):
            raise CutError
        size = message[at]
        if size == 0:
            return found, (at + 1 if behind is None else behind)
        if size >= 192:
            if at + 2 > len(message):
                raise CutError
            jumps += 1
            to = struct.unpack_from(">H", message, at)[0] & 0x3FFF
            if to < 12 or jumps > 16:
                raise BadError
            behind = at + 2 if behind is None else behind
            at = to
            continue
        used += size + 1
        if size > 63 or used > 254:
            raise BadError
        found.append(message[at + 1 : at + 1 + size])
        at += 1 + size


def netbios(label):
    """Return the text of a NetBIOS name, or None when the label is none."""
    if len(label) != 32 or not all(0x41 <= byte <= 0x50 for byte in label):
        return None
    digits = "".join("0123456789abcdef"[byte - 0x41] for byte in label)
    raw = bytes.fromhex(digits)
    return printable(raw[:15].rstrip(b" \0").lower(), 255)[0] + f"<{raw[15]:02x}>"


def presentation(parts, *, is_netbios):
    """Return (name, cut) as a claim holds it."""
    first = netbios(parts[0]) if is_netbios and parts else None
    texts = [first] if first is not None else []
    texts += [printable(part.lower(), 10**6, b".")[0] for part in parts[len(texts) :]]
    if not texts:
        return ".", False
    whole = ".".join(texts)
    if len(whole) <= 255:
        return whole, False
    text, at = "", 0
    while at < len(whole):
        step = 4 if whole[at] == "\\" else 1
        if len(text) + step > 255:
            break
        text += whole[at : at + step]
        at += step
    return text, True


def dns(message, size, *, is_netbios, claim):  # noqa: C901  (one message, one place)
    """Return whether `message`, of `size` bytes on the wire, is one, and write into the claim's dict."""
    if len(message) < 12:
        return False
    flags, questions, *records = struct.unpack_from(">5H", message, 2)
    code = flags >> 11 & 15
    if code not in ((0, 1, 2, 4, 5, 6, 7, 8, 9, 15) if is_netbios else (0, 1, 2, 4, 5, 6)):
        return False
    if questions + sum(records) == 0:
        if not (flags & 0x8000 and flags & 15):
            return False
    elif 12 + 5 * questions + (0 if flags & 0x200 else 11 * sum(records)) > size:
        return False
    claim["filled"] = 1
    if not flags & 0x8000:
        claim["flags"] |= {"QUERY"}
    elif "RESPONSE" not in claim["flags"]:
        claim["flags"] |= {"RESPONSE"}
        claim.update(dns_rcode=flags & 15, dns_answers=records[0])
    if questions and not claim["name"]:
        try:
            parts, behind = labels(message, 12)
        except BadError:
            claim["flags"] |= {"MALFORMED"}
        except CutError:
            if len(message) == size:
                claim["flags"] |= {"MALFORMED"}
        else:
            claim["name"], cut = presentation(parts, is_netbios=is_netbios)
            claim["flags"] |= {"NAME_CUT"} if cut else set()
            if behind + 2 <= len(message):
                claim["dns_type"] = struct.unpack_from(">H", message, behind)[0]
    return True
