"""JA4: the fingerprint of a TLS client's hello (J. Althouse, FoxIO, 2023).

Source: the "JA4" page of the technical details that FoxIO publishes with JA4.
JA4 alone, the TLS client fingerprint, is under the BSD licence; the other
methods of JA4+ are not, and are not here.

``t13d1516h2_8daaf6152771_e5627efa2ab1``: transport (t TCP, d DTLS), version,
whether there is a server name (d, i), how many ciphers and extensions, first
and last character of the first ALPN value; then digests of the sorted ciphers,
and of the sorted extensions with the signature algorithms in their order.
GREASE values (RFC 8701) are left out everywhere.
"""

from __future__ import annotations

from sensor.kernel import Int, Row, kernel, outlined
from sensor.packet.batch import Bytes
from sensor.packet.claim import CLAIM_SCRATCH, JA4_BYTES
from sensor.packet.sha256 import absorb, finish, start
from sensor.packet.text import hex_digit, is_digit, is_upper, lower
from sensor.packet.wire import be16, signed, u8

#: Ciphers, extensions or signature algorithms of one hello: those with more have no fingerprint.
MAX_CODES = CLAIM_SCRATCH["codes"].shape[0] // 2

_COMMA = 0x2C
_UNDERLINE = 0x5F
_D, _I, _S, _T, _ZERO = 0x64, 0x69, 0x73, 0x74, 0x30
_SERVER_NAME, _ALPN = 0x0000, 0x0010


@kernel
def is_grease(code: Int) -> bool:
    """Return whether a code is one of the sixteen that mean nothing (RFC 8701, 2): 0x0A0A ... 0xFAFA."""
    return bool(code & 0x0F0F == 0x0A0A and code >> 8 == code & 0xFF)


@kernel
def sort_codes(codes: Bytes, count: Int) -> None:
    """Sort the first `count` codes in place (Shell's sort: few steps whatever the order)."""
    gap = signed(57)
    while gap > 0:
        for i in range(gap, count):
            code = codes[i]
            j = i
            while j >= gap and codes[j - gap] > code:
                codes[j] = codes[j - gap]
                j -= gap
            codes[j] = code
        # The gaps are M. Ciura's (2001), from 57 down to 1.
        gap = 23 if gap == 57 else 10 if gap == 23 else 4 if gap == 10 else gap // 4


@outlined
def put_hash(ja4: Bytes, at: Int, count: Int, second: Int, scratch: Row) -> None:
    """Write twelve characters at `at`: of the digest of `count` codes in the scratch, as text.

    A comma stands between two of them, an underline before number `second`; an
    empty first list is written as zeros.
    """
    codes, state = scratch.codes, scratch.state
    start(scratch)
    for i in range(5 * count):
        code, place = signed(codes[i // 5]), i % 5
        byte = hex_digit(code >> (16 - 4 * place) & 15)
        if place == 0:
            byte = signed(_UNDERLINE if i == 5 * second else _COMMA)
        if i > 0:
            absorb(scratch, byte)
    finish(scratch)
    for i in range(12):
        digit = signed(state[i // 8]) >> (28 - 4 * (i % 8)) & 15
        ja4[at + i] = hex_digit(digit) if second > 0 else _ZERO


@kernel
def put_count(ja4: Bytes, at: Int, count: Int) -> None:
    """Write a count as two digits, 99 at most."""
    count = min(count, 99)
    ja4[at] = _ZERO + count // 10
    ja4[at + 1] = _ZERO + count % 10


@kernel
def put_version(ja4: Bytes, version: Int) -> None:
    """Write the two characters of a protocol version; "00" when it is none that has any."""
    first, second = _ZERO, _ZERO
    if 0x0301 <= version <= 0x0304:
        first, second = 0x31, _ZERO + version - 0x0301
    elif version in (0x0300, 0x0002):
        first, second = _S, 0x33 if version == 0x0300 else 0x32
    elif 0xFEFC <= version <= 0xFEFF and version != 0xFEFE:
        first, second = _D, 0x31 if version == 0xFEFF else 0x30 + 0xFEFF - version
    ja4[1] = first
    ja4[2] = second


@kernel
def put_alpn(data: Bytes, at: Int, size: Int, ja4: Bytes) -> None:
    """Write the ends of the first ALPN value: as characters, or of its hexadecimal form."""
    first, last = _ZERO, _ZERO
    if size > 0:
        first, last = u8(data, at), u8(data, at + size - 1)
        plain = is_digit(first) or is_upper(first) or 0x61 <= first <= 0x7A
        if not (plain and (is_digit(last) or 0x61 <= lower(last) <= 0x7A)):
            first, last = hex_digit(first >> 4), hex_digit(last & 15)
    ja4[8] = first
    ja4[9] = last


@kernel
def hash_lists(data: Bytes, ja4: Bytes, scratch: Row) -> None:
    """Write counts and digests of the lists; the codes of the extensions are in the scratch."""
    codes = scratch.codes
    count = scratch.extensions
    put_count(ja4, signed(6), count)
    sort_codes(codes, count)
    kept = signed(0)
    for i in range(count):
        if codes[i] not in (_SERVER_NAME, _ALPN):
            codes[kept] = codes[i]
            kept += 1
    count = kept
    for i in range(scratch.signatures_bytes // 2):
        code = be16(data, scratch.signatures_at + 2 * i)
        if not is_grease(code):
            codes[count] = code
            count += 1
    put_hash(ja4, signed(24), count, kept, scratch)
    count = signed(0)
    for i in range(scratch.ciphers_bytes // 2):
        code = be16(data, scratch.ciphers_at + 2 * i)
        if not is_grease(code):
            codes[count] = code
            count += 1
    put_count(ja4, signed(4), count)
    sort_codes(codes, count)
    put_hash(ja4, signed(11), count, count, scratch)


@outlined
def fingerprint(data: Bytes, version: Int, claim: Row, scratch: Row) -> None:
    """Write the JA4 of a whole hello into the claim.

    Parameters
    ----------
    data
        uint8, shape (bytes,).
    version
        The hello's own protocol version, which counts where no others are listed.
    claim
        `CLAIM` row.
    scratch
        `CLAIM_SCRATCH` row with where things stand in the hello, and its
        extensions' codes. A hello with too many of anything gets no fingerprint.
    """
    ja4 = claim.ja4
    if max(scratch.ciphers_bytes, scratch.signatures_bytes) > 2 * MAX_CODES:
        return
    ja4[0] = _D if version >> 8 == 0xFE else _T
    put_version(ja4, scratch.highest if scratch.highest > 0 else version)
    ja4[3] = _D if scratch.server_name == 1 else _I
    put_alpn(data, scratch.alpn_at, scratch.alpn_bytes, ja4)
    ja4[10] = _UNDERLINE
    ja4[23] = _UNDERLINE
    hash_lists(data, ja4, scratch)
    claim.ja4_bytes = JA4_BYTES
