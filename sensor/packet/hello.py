"""The hellos of TLS and DTLS: what a client asks for in the clear, and what the server chose.

In: one hello, as far as it is there. Out: server name, ALPN, versions, cipher,
and the client's JA4.

Rules: an extension that is there whole is sure, for none may come twice (RFC
8446, 4.2); what the rest of the hello might change (a version, JA4) is absent,
and the claim is `SPLIT`. A hello whose lengths contradict each other is
`MALFORMED` and gives nothing from there on.
"""

from __future__ import annotations

from sensor.kernel import Int, Row, kernel, outlined
from sensor.packet.batch import Bytes
from sensor.packet.claim import ClaimFlag
from sensor.packet.ja4 import MAX_CODES, fingerprint, is_grease
from sensor.packet.text import copy_text, note
from sensor.packet.wire import be16, be32, signed, u8

_QUERY = int(ClaimFlag.QUERY)
_RESPONSE = int(ClaimFlag.RESPONSE)
_NAME_CUT = int(ClaimFlag.NAME_CUT)
_SPLIT = int(ClaimFlag.SPLIT)
_ALPN_CHOSEN = int(ClaimFlag.ALPN_CHOSEN)
_MALFORMED = int(ClaimFlag.MALFORMED)
_RETRY = int(ClaimFlag.RETRY)

_WHOLE, _CUT, _BAD = 0, 1, 2
#: Extensions that are walked; some 60 are registered.
MAX_EXTENSIONS = 256

_SERVER_NAME, _SIGNATURES, _ALPN, _VERSIONS = 0, 13, 16, 43
#: First bytes of the "random" that makes a server's hello a request for another (RFC 8446, 4.1.3).
_RETRY_RANDOM = 0xCF21AD74, 0xE59A6111, 0xBE1D8C02, 0x1E65B891


@kernel
def short_of(need: Int, stop: Int, whole: Int) -> Int:
    """Return why bytes up to `need` are not there: beyond the hello itself, or beyond this segment."""
    if need > whole:
        return _BAD
    return _CUT if need > stop else _WHOLE


@kernel
def client_name(data: Bytes, at: Int, after: Int, claim: Row) -> None:
    """Take the first server name (RFC 6066, 3) if it is a host name."""
    if after - at < 6 or claim.name_bytes != 0:
        return
    size = be16(data, at + 3)
    if u8(data, at + 2) == 0 and size > 0 and at + 5 + size <= min(after, at + 2 + be16(data, at)):
        used, cut = copy_text(data, at + 5, at + 5 + size, claim.name, 1)
        claim.name_bytes = used
        if cut == 1:
            note(claim, _NAME_CUT)


@kernel
def first_alpn(data: Bytes, at: Int, after: Int, claim: Row, scratch: Row) -> None:
    """Take the first protocol of the list (RFC 7301, 3.1)."""
    if after - at < 3:
        return
    size = u8(data, at + 2)
    if at + 3 + size <= min(after, at + 2 + be16(data, at)):
        scratch.alpn_at = at + 3
        scratch.alpn_bytes = size
        used, _ = copy_text(data, at + 3, at + 3 + size, claim.alpn, 0)
        claim.alpn_bytes = used


@kernel
def offered_versions(data: Bytes, at: Int, after: Int, scratch: Row) -> None:
    """Note the highest and lowest number among the versions (RFC 8446, 4.2.1)."""
    if after - at < 3:
        return
    for i in range(min(u8(data, at), after - at - 1) // 2):
        version = be16(data, at + 1 + 2 * i)
        if not is_grease(version):
            scratch.highest = max(scratch.highest, version)
            scratch.lowest = version if scratch.lowest == 0 else min(scratch.lowest, version)


@kernel
def signature_list(data: Bytes, at: Int, after: Int, scratch: Row) -> None:
    """Note where the signature algorithms are (RFC 8446, 4.2.3)."""
    if after - at >= 2:
        scratch.signatures_at = at + 2
        scratch.signatures_bytes = min(be16(data, at), after - at - 2)


@kernel
def client_extension(data: Bytes, at: Int, after: Int, claim: Row, scratch: Row) -> None:
    """Take in one extension of a client, whose header stands before `at`."""
    kind = be16(data, at - 4)
    if not is_grease(kind):
        codes = scratch.codes
        codes[scratch.extensions] = kind
        scratch.extensions += 1
    if kind == _SERVER_NAME:
        scratch.server_name = 1
        client_name(data, at, after, claim)
    elif kind == _ALPN:
        first_alpn(data, at, after, claim, scratch)
    elif kind == _VERSIONS:
        offered_versions(data, at, after, scratch)
    elif kind == _SIGNATURES:
        signature_list(data, at, after, scratch)


@kernel
def server_extension(data: Bytes, at: Int, after: Int, claim: Row, scratch: Row) -> None:
    """Take in one extension of a server."""
    kind = be16(data, at - 4)
    if kind == _ALPN:
        scratch.alpn_bytes = 0
        first_alpn(data, at, after, claim, scratch)
        if scratch.alpn_bytes > 0:
            note(claim, _ALPN_CHOSEN)
    elif kind == _VERSIONS and after - at == 2:
        scratch.highest = be16(data, at)


@outlined
def extensions(data: Bytes, at: Int, stop: Int, whole: Int, claim: Row, scratch: Row) -> Int:
    """Walk a hello's extensions, a client's when `scratch.client` is 1; return whether all are there.

    `at` is their length field; the hello ends at `whole`, this segment at `stop`.
    """
    if at == whole:
        return _WHOLE
    state = short_of(at + 2, stop, whole)
    if state != _WHOLE:
        return state
    last = at + 2 + be16(data, at)
    at += 2
    if last > whole:
        return _BAD
    for _ in range(MAX_EXTENSIONS):
        state = signed(_WHOLE) if at == last else short_of(at + 4, stop, last)
        if at == last or state != _WHOLE:
            return state
        after = at + 4 + be16(data, at + 2)
        state = short_of(after, stop, last)
        if state != _WHOLE:
            return state
        if scratch.client == 1:
            client_extension(data, at + 4, after, claim, scratch)
        else:
            server_extension(data, at + 4, after, claim, scratch)
        at = after
    return _WHOLE if at == last else _BAD


@kernel
def blank(scratch: Row) -> None:
    """Forget the hello before."""
    scratch.ciphers_bytes = 0
    scratch.signatures_bytes = 0
    scratch.alpn_bytes = 0
    scratch.extensions = 0
    scratch.highest = 0
    scratch.lowest = 0
    scratch.server_name = 0


@kernel
def client_lists(data: Bytes, at: Int, stop: Int, whole: Int, scratch: Row) -> tuple[Int, Int]:
    """Walk a client's hello up to its extensions; return (where they are, whether it got there)."""
    need = at + 35
    state = short_of(need, stop, whole)
    if state == _WHOLE:
        need += u8(data, need - 1) + (1 if u8(data, at) == 0xFE else 0)  # session; DTLS has a cookie too
        state = short_of(need, stop, whole)
    if state == _WHOLE and u8(data, at) == 0xFE:
        need += u8(data, need - 1)
        state = short_of(need, stop, whole)
    if state == _WHOLE:
        state = short_of(need + 2, stop, whole)
    if state == _WHOLE:
        scratch.ciphers_at = need + 2
        scratch.ciphers_bytes = be16(data, need)
        need += 3 + be16(data, need)  # with the length byte of the compression methods
        state = short_of(need, stop, whole)
    if state == _WHOLE:
        need += u8(data, need - 1)
        state = short_of(need, stop, whole)
    return need, state


@outlined
def client_hello(data: Bytes, at: Int, stop: Int, whole: Int, claim: Row, scratch: Row) -> Int:
    """Read a client's hello (RFC 8446, 4.1.2; RFC 9147, 5.3); return whether all of it is here."""
    blank(scratch)
    note(claim, _QUERY)
    claim.filled = 1
    need, state = client_lists(data, at, stop, whole, scratch)
    if state != _WHOLE:
        return state
    state = extensions(data, need, stop, whole, claim, scratch)
    version = be16(data, at)
    # DTLS counts its versions downwards.
    listed = signed(scratch.lowest) if version >> 8 == 0xFE else signed(scratch.highest)
    if listed > 0:
        claim.tls_offered = listed
    elif state == _WHOLE:
        claim.tls_offered = version
    if state == _WHOLE and scratch.extensions <= MAX_CODES:
        fingerprint(data, version, claim, scratch)
    return state


@outlined
def server_hello(data: Bytes, at: Int, stop: Int, whole: Int, claim: Row, scratch: Row) -> Int:
    """Read a server's hello (RFC 8446, 4.1.3); return whether all of it is here."""
    blank(scratch)
    note(claim, _RESPONSE)
    claim.filled = 1
    need = at + 35
    state = short_of(need, stop, whole)
    if state == _WHOLE:
        need += u8(data, need - 1) + 3
        state = short_of(need, stop, whole)
    if state != _WHOLE:
        return state
    first, second, third, fourth = _RETRY_RANDOM
    same = be32(data, at + 2) == first and be32(data, at + 6) == second
    if same and be32(data, at + 10) == third and be32(data, at + 14) == fourth:
        note(claim, _RETRY)
    state = extensions(data, need, stop, whole, claim, scratch)
    if scratch.highest > 0 or state == _WHOLE:
        claim.tls_version = signed(scratch.highest) if scratch.highest > 0 else be16(data, at)
        claim.tls_cipher = be16(data, need - 3)
    return state


@kernel
def hello(data: Bytes, at: Int, stop: Int, whole: Int, claim: Row, scratch: Row) -> None:
    """Read a hello, a client's when `scratch.client` is 1; of several, the first of each side counts."""
    state = signed(_WHOLE)
    if scratch.client == 1:
        if claim.claim_flags & _QUERY == 0:
            state = client_hello(data, at, stop, whole, claim, scratch)
    elif claim.claim_flags & _RESPONSE == 0:
        state = server_hello(data, at, stop, whole, claim, scratch)
    if state == _CUT:
        note(claim, _SPLIT)
    elif state == _BAD:
        note(claim, _MALFORMED)
