"""How single values are written, the same way in every format.

Names of hosts and services come from the network: whoever sends packets
chooses them. Every text therefore leaves as printable ASCII of bounded length,
so that no format's escaping has to face a control character, a line separator
or half of a surrogate pair.
"""

from __future__ import annotations

import ipaddress
import math
import re
from datetime import UTC, datetime, timedelta

#: Longest text that may come from the network: a DNS name's limit (RFC 1035, 2.3.4).
TEXT_BYTES = 255
#: Longest sentence: this sensor's own words around such texts.
SENTENCE_BYTES = 1024
#: Longest identifier: all of them are this sensor's own.
ID_BYTES = 64
#: Stands where a receiver insists on an address and the alert has none.
UNSPECIFIED = "0.0.0.0"  # noqa: S104  (written into a field, nothing listens on it)

_CUT = "..."
_LONG_MAX = 2**63 - 1  # the largest value of a receiver's signed 64-bit field
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIRST_MICROS = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
_LAST_MICROS = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
_MAC_SEPARATORS = re.compile(r"[:.\-]")
_MAC = re.compile(r"[0-9A-Fa-f]{12}", re.ASCII)


def printable(text: str, limit: int = TEXT_BYTES) -> str:
    r"""Return `text` as printable ASCII, at most `limit` bytes.

    Other characters become ``\xNN``, one for each byte of their UTF-8 form; a
    byte that was smuggled in as a lone surrogate (PEP 383) becomes that byte.
    The backslash itself stays, so that the function is idempotent: a stage
    that already wrote its texts this way is not escaped twice. A longer text
    ends in ``...``, and never in half of an escape.

    >>> printable("caf\xe9\r\n")
    'caf\\xc3\\xa9\\x0d\\x0a'
    """
    if len(text) <= limit and text.isascii() and text.isprintable():
        return text
    pieces: list[str] = []
    size = kept = 0  # `kept` pieces fit together with the mark of a cut
    for character in text:
        piece = character if " " <= character <= "~" else _escape(character)
        size += len(piece)
        if size > limit:
            return "".join(pieces[:kept]) + _CUT[:limit]
        pieces.append(piece)
        if size <= limit - len(_CUT):
            kept = len(pieces)
    return "".join(pieces)


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))


def utc(time_ns: int) -> str:
    """Return ns since the epoch as RFC 3339 UTC text with microseconds.

    Times before year 1 or after year 9999, which only a broken clock writes,
    become that limit.

    >>> utc(1_700_000_000_123_456_789)
    '2023-11-14T22:13:20.123456Z'
    """
    micros = min(max(int(time_ns) // 1000, _FIRST_MICROS), _LAST_MICROS)
    moment = _EPOCH + micros * _MICROSECOND
    return moment.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def real(value: float) -> float | None:
    """Return `value` with six significant digits, or None when it is not finite.

    The sign of zero is dropped: alerts that compare equal are written equal.
    """
    value = float(value)
    return float(f"{value:.6g}") + 0.0 if math.isfinite(value) else None


def whole(value: int) -> int:
    """Return `value` within 0 and the largest signed 64-bit integer."""
    return min(max(int(value), 0), _LONG_MAX)


def mac(text: str) -> str:
    """Return a hardware address as ECS wants it: upper case with dashes (RFC 7042).

    What is no such address is only made printable.
    """
    digits = _MAC_SEPARATORS.sub("", text)
    if not _MAC.fullmatch(digits):
        return printable(text)
    digits = digits.upper()
    return "-".join(digits[at : at + 2] for at in range(0, 12, 2))


def ip(text: str) -> str | None:
    """Return the address's canonical text (RFC 5952) without a zone, or None when it is none."""
    try:
        return str(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:
        return None


def socket_address(host: str, port: int) -> str:
    """Return ``host:port``, an IPv6 host in brackets; port 0 (unknown) is left out."""
    shown = ip(host) or printable(host) or UNSPECIFIED
    if not port:
        return shown
    return f"[{shown}]:{port}" if ":" in shown else f"{shown}:{port}"
