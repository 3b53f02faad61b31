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
from sensor.packet.text import copy_text, fold
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
def take_name(data: Bytes, at: Int, after: Int, claim: Row) -> None:
    """Take the first server name (RFC 6066, 3) if it is a host name."""
    if after - at < 6 or claim.name_bytes != 0:
        return
    size = be16(data, at + 3)
    if u8(data, at + 2) == 0 and size > 0 and at + 5 + size <= min(after, at + 2 + be16(data, at)):
        used, cut = copy_text(data, at + 5, at + 5 + size, claim.name)
        fold(claim.name, used)
        claim.name_bytes = used
        claim.claim_flags |= _NAME_CUT * cut


@kernel
def take_alpn(data: Bytes, at: Int, after: Int, claim: Row, scratch: Row) -> None:
    """Take the first protocol of the list (RFC 7301, 3.1); of a server's, it is the only one."""
    if after - at < 3:
        return
    size = u8(data, at + 2)
    if size > 0 and at + 3 + size <= min(after, at + 2 + be16(data, at)):
        scratch.alpn_at = at + 3
        scratch.alpn_bytes = size
        used, _ = copy_text(data, at + 3, at + 3 + size, claim.alpn)
        claim.alpn_bytes = used
        if scratch.client == 0:
            claim.claim_flags |= _ALPN_CHOSEN


@kernel
def take_versions(data: Bytes, at: Int, after: Int, scratch: Row) -> None:
    """Note the highest and lowest number among the versions (RFC 8446, 4.2.1); a server names one."""
    # A client's list has its length before it.
    begin = at + scratch.client
    if after - begin < 2:
        return
    size = after - begin if scratch.client == 0 else min(u8(data, at), after - begin)
    for i in range(size // 2):
        version = be16(data, begin + 2 * i)
        if version != 0 and not is_grease(version):
            scratch.highest = max(scratch.highest, version)
            scratch.lowest = version if scratch.lowest == 0 else min(scratch.lowest, version)


@kernel
def take_extension(data: Bytes, at: Int, after: Int, claim: Row, scratch: Row) -> None:
    """Take in one extension, whose header stands before `at`."""
    kind = be16(data, at - 4)
    if not is_grease(kind) and scratch.extensions < MAX_CODES:
        codes = scratch.codes
        codes[scratch.extensions] = kind
        scratch.extensions += 1
    if kind == _SERVER_NAME and scratch.client == 1:
        scratch.server_name = 1
        take_name(data, at, after, claim)
    elif kind == _ALPN:
        take_alpn(data, at, after, claim, scratch)
    elif kind == _VERSIONS:
        take_versions(data, at, after, scratch)
    elif kind == _SIGNATURES and after - at >= 2:
        # In their order of preference (RFC 8446, 4.2.3).
        scratch.signatures_at = at + 2
        scratch.signatures_bytes = min(be16(data, at), after - at - 2)


@kernel
def extensions(data: Bytes, at: Int, claim: Row, scratch: Row) -> Int:
    """Walk a hello's extensions, whose length field is at `at`; return whether all are there."""
    stop, whole = scratch.hello_stop, scratch.hello_end
    if at == whole:
        return signed(_WHOLE)
    state = short_of(at + 2, stop, whole)
    last = at + 2 if state != _WHOLE else at + 2 + be16(data, at)
    if last > whole:
        state = signed(_BAD)
    at += 2
    for _ in range(MAX_EXTENSIONS):
        if state != _WHOLE or at == last:
            return state
        state = short_of(at + 4, stop, last)
        after = at + 4 if state != _WHOLE else at + 4 + be16(data, at + 2)
        if state == _WHOLE:
            state = short_of(after, stop, last)
        if state == _WHOLE:
            take_extension(data, at + 4, after, claim, scratch)
        at = after
    return state if at == last else signed(_BAD)


@kernel
def client_lists(data: Bytes, scratch: Row) -> tuple[Int, Int]:
    """Walk a client's hello up to its extensions; return (where they are, whether it got there)."""
    at, stop, whole = scratch.hello_at, scratch.hello_stop, scratch.hello_end
    # Behind version and random: session, for DTLS a cookie, ciphers, compression methods.
    need = at + 34
    for field in range(4):
        if field == 1 and u8(data, at) != 0xFE:
            continue
        width = 2 if field == 2 else 1
        state = short_of(need + width, stop, whole)
        if state != _WHOLE:
            return need, state
        size = be16(data, need) if field == 2 else u8(data, need)
        if field == 2:
            scratch.ciphers_at = need + 2
            scratch.ciphers_bytes = size
        need += width + size
    return need, short_of(need, stop, whole)


@kernel
def client_hello(data: Bytes, claim: Row, scratch: Row) -> Int:
    """Read a client's hello (RFC 8446, 4.1.2; RFC 9147, 5.3); return whether all of it is here."""
    claim.claim_flags |= _QUERY
    need, state = client_lists(data, scratch)
    if state != _WHOLE:
        return state
    state = extensions(data, need, claim, scratch)
    version = be16(data, scratch.hello_at)
    # DTLS counts its versions downwards.
    listed = scratch.lowest if version >> 8 == 0xFE else scratch.highest
    if listed > 0:
        claim.tls_offered = listed
    elif state == _WHOLE:
        claim.tls_offered = version
    if state == _WHOLE and scratch.extensions < MAX_CODES:
        fingerprint(data, version, claim, scratch)
    return state


@kernel
def server_hello(data: Bytes, claim: Row, scratch: Row) -> Int:
    """Read a server's hello (RFC 8446, 4.1.3); return whether all of it is here."""
    claim.claim_flags |= _RESPONSE
    at, stop, whole = scratch.hello_at, scratch.hello_stop, scratch.hello_end
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
        claim.claim_flags |= _RETRY
    state = extensions(data, need, claim, scratch)
    if scratch.highest > 0 or state == _WHOLE:
        claim.tls_version = scratch.highest if scratch.highest > 0 else be16(data, at)
        claim.tls_cipher = be16(data, need - 3)
    return state


@outlined
def hello(data: Bytes, claim: Row, scratch: Row) -> None:
    """Read the hello that `packet.tls` found; of several, the first of each side counts.

    Parameters
    ----------
    data
        uint8, shape (bytes,).
    claim
        `CLAIM` row, written.
    scratch
        `CLAIM_SCRATCH` row: whose hello, and where.
    """
    scratch.ciphers_bytes = 0
    scratch.signatures_bytes = 0
    scratch.alpn_bytes = 0
    scratch.extensions = 0
    scratch.highest = 0
    scratch.lowest = 0
    scratch.server_name = 0
    state = signed(_WHOLE)
    if claim.claim_flags & (_QUERY if scratch.client == 1 else _RESPONSE):
        return
    claim.filled = 1
    state = client_hello(data, claim, scratch) if scratch.client == 1 else server_hello(data, claim, scratch)
    if state == _CUT:
        claim.claim_flags |= _SPLIT
    elif state == _BAD:
        claim.claim_flags |= _MALFORMED
