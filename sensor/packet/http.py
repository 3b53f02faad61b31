"""HTTP/1 and what is written like it: SSDP, SIP, RTSP. The first line, and a few headers.

In: one segment or datagram that begins with a capital letter. Out: method,
target, status, Host, User-Agent, Server.

Rules: the version at the end of the request line, or at the start of the status
line, says which protocol it is, on any port. A line counts when its end is in
this segment; of a request line that goes on in the next, only the method, and
what of the target already fills its field. Headers are matched without regard
to case (RFC 9110, 5.1), the first of a name counts, and `HEAD_BYTES` are looked
at. The Host is written in lower case (RFC 9110, 4.2.3).
"""

from __future__ import annotations

from sensor.kernel import Int, Row, kernel, outlined
from sensor.packet.application import Application
from sensor.packet.batch import Bytes
from sensor.packet.claim import METHOD_ROOM, TARGET_ROOM, ClaimFlag
from sensor.packet.text import copy_text, fold, is_digit, is_upper, word
from sensor.packet.wire import be16, be32, signed, u8

#: Bytes of a head that are looked at. A request that needs more is seen as far as that.
HEAD_BYTES = 4096
MAX_HEADERS = 64
#: Lines of mail, chat and file transfer end within 512 bytes (RFC 5321, 4.5.3.1; RFC 2812, 2.3).
LONG_LINE = 200

_UNKNOWN = int(Application.UNKNOWN)
_HTTP = int(Application.HTTP)
_SIP = int(Application.SIP)
_RTSP = int(Application.RTSP)

_QUERY = int(ClaimFlag.QUERY)
_RESPONSE = int(ClaimFlag.RESPONSE)
_NAME_CUT = int(ClaimFlag.NAME_CUT)
_TARGET_CUT = int(ClaimFlag.TARGET_CUT)
_AGENT_CUT = int(ClaimFlag.AGENT_CUT)
_SERVER_CUT = int(ClaimFlag.SERVER_CUT)

_SPACE, _TAB, _CR, _LF, _COLON, _SLASH, _DOT = 0x20, 0x09, 0x0D, 0x0A, 0x3A, 0x2F, 0x2E
_HTTP_WORD, _RTSP_WORD, _SIP_WORD = word(b"HTTP"), word(b"RTSP"), word(b"SIP/")
_RTSP_VERSION, _SIP_VERSION = word(b"/1.0"), word(b"/2.0")
_GET = word(b"GET ")
#: Methods that are believed without the version behind them: RFC 9110 (9.3) and PATCH, four bytes of each.
_METHODS = tuple(
    word(name) for name in (b"GET ", b"PUT ", b"HEAD", b"POST", b"OPTI", b"DELE", b"PATC", b"TRAC")
)
_URL = word(b"http")
_HOST, _USER, _AGENT, _NT = word(b"host"), word(b"user"), word(b"-age"), word(b"nt")
_SERV, _ER = word(b"serv"), word(b"er")
# Set these bits, and four letters (or a hyphen and three) are in lower case.
_LETTERS, _HYPHEN_LETTERS, _TWO_LETTERS = 0x20202020, 0x00202020, 0x2020


@kernel
def line_end(data: Bytes, at: Int, stop: Int) -> Int:
    """Return where the line at `at` has its line feed, or -1."""
    for i in range(at, stop):
        if u8(data, i) == _LF:
            return i
    return signed(-1)


@kernel
def without_return(data: Bytes, at: Int, feed: Int) -> Int:
    """Return where a line ends: before the carriage return, if there is one."""
    return feed - 1 if feed > at and u8(data, feed - 1) == _CR else feed


@kernel
def version_at(data: Bytes, at: Int, size: Int) -> Int:
    """Return whose version the `size` bytes are (``HTTP/1.1``, ``SIP/2.0``, ``RTSP/1.0``), or 0."""
    if size == 8 and be32(data, at) == _HTTP_WORD and u8(data, at + 4) == _SLASH:
        dotted = u8(data, at + 6) == _DOT and is_digit(u8(data, at + 5)) and is_digit(u8(data, at + 7))
        return _HTTP if dotted else _UNKNOWN
    if size == 7 and be32(data, at) == _SIP_WORD and be32(data, at + 3) == _SIP_VERSION:
        return _SIP
    if size == 8 and be32(data, at) == _RTSP_WORD and be32(data, at + 4) == _RTSP_VERSION:
        return _RTSP
    return _UNKNOWN


@kernel
def header_kind(data: Bytes, at: Int, stop: Int) -> tuple[Int, Int]:
    """Return (1, 2 or 3 for Host, User-Agent or Server, 0 for any other header; where its colon is)."""
    size = stop - at
    if size < 6:
        return signed(0), at
    begin, kind, colon = be32(data, at) | _LETTERS, signed(0), signed(at)
    if begin == _HOST:
        kind, colon = signed(1), at + 4
    elif begin == _USER and size > 10:
        rest = be32(data, at + 4) | _HYPHEN_LETTERS
        if rest == _AGENT and be16(data, at + 8) | _TWO_LETTERS == _NT:
            kind, colon = signed(2), at + 10
    elif begin == _SERV and size > 6 and be16(data, at + 4) | _TWO_LETTERS == _ER:
        kind, colon = signed(3), at + 6
    return kind if u8(data, colon) == _COLON else signed(0), colon


@kernel
def header(data: Bytes, at: Int, stop: Int, request: Int, whole: Int, claim: Row) -> None:
    """Take one header line, if it is one of those that are kept.

    Of a line that is not `whole`, only what fills the field is sure.
    """
    kind, colon = header_kind(data, at, stop)
    # Of a name that comes twice, the first that is not empty counts.
    if kind == 1 and (request == 0 or claim.name_bytes > 0):
        return
    if kind == 2 and (request == 0 or claim.agent_bytes > 0):
        return
    if kind == 0 or (kind == 3 and claim.server_bytes > 0):
        return
    start = colon + 1
    while start < stop and u8(data, start) in (_SPACE, _TAB):
        start += 1
    while stop > start and u8(data, stop - 1) in (_SPACE, _TAB):
        stop -= 1
    if kind == 1:
        used, cut = copy_text(data, start, stop, claim.name)
        fold(claim.name, used)
        claim.name_bytes = used if whole == 1 or cut == 1 else 0
        claim.claim_flags |= _NAME_CUT * cut
    elif kind == 2:
        used, cut = copy_text(data, start, stop, claim.agent)
        claim.agent_bytes = used if whole == 1 or cut == 1 else 0
        claim.claim_flags |= _AGENT_CUT * cut
    else:
        used, cut = copy_text(data, start, stop, claim.server)
        claim.server_bytes = used if whole == 1 or cut == 1 else 0
        claim.claim_flags |= _SERVER_CUT * cut


@outlined
def headers(data: Bytes, at: Int, stop: Int, request: Int, claim: Row) -> None:
    """Walk the header lines from `at` to the empty line, as far as they are there."""
    for _ in range(MAX_HEADERS):
        feed = line_end(data, at, stop)
        whole = signed(feed >= 0)
        last = without_return(data, at, feed) if feed >= 0 else stop
        if last == at:
            return
        header(data, at, last, request, whole, claim)
        if feed < 0:
            return
        at = feed + 1


@kernel
def digits(data: Bytes, at: Int) -> Int:
    """Return how many of the four bytes at `at` are digits, up to the first that is none."""
    count = signed(0)
    while count < 4 and is_digit(u8(data, at + count)):
        count += 1
    return count


@outlined
def response(data: Bytes, at: Int, end: Int, claim: Row) -> Int:
    """Read a status line and its headers (RFC 9112, 4); return the `Application` or 0."""
    size = signed(7 if be32(data, at) == _SIP_WORD else 8)
    if at + size >= end or u8(data, at + size) != _SPACE:
        return _UNKNOWN
    protocol = version_at(data, at, size)
    if protocol == _UNKNOWN or claim.claim_flags & _RESPONSE:
        return protocol
    claim.claim_flags |= _RESPONSE
    claim.filled = 1
    code = at + size + 1
    # The byte behind shows that there is no fourth digit.
    if code + 4 <= end and digits(data, code) == 3:
        hundreds, tens, ones = u8(data, code) - 48, u8(data, code + 1) - 48, u8(data, code + 2) - 48
        claim.http_status = 100 * hundreds + 10 * tens + ones
    stop = min(end, at + HEAD_BYTES)
    feed = line_end(data, code, stop)
    if feed >= 0:
        headers(data, feed + 1, stop, signed(0), claim)
    return protocol


@kernel
def method_end(data: Bytes, at: Int, end: Int) -> Int:
    """Return where the space behind a method is, or -1: at most 16 capitals, hyphens, underlines."""
    for i in range(at, min(end, at + METHOD_ROOM + 1)):
        byte = u8(data, i)
        if byte == _SPACE and i > at:
            return i
        if not is_upper(byte) and byte not in (0x2D, 0x5F):
            return signed(-1)
    return signed(-1)


@kernel
def last_space(data: Bytes, at: Int, stop: Int) -> Int:
    """Return where the last space of ``[at, stop)`` is; `at` - 1 if there is none."""
    stop -= 1
    while stop >= at and u8(data, stop) != _SPACE:
        stop -= 1
    return stop


@kernel
def has_space(data: Bytes, at: Int, stop: Int) -> bool:
    """Return whether there is a space in ``[at, stop)``."""
    for i in range(at, stop):  # noqa: SIM110  (kernels have no generators)
        if u8(data, i) == _SPACE:
            return True
    return False


@kernel
def open_line(data: Bytes, at: Int, target: Int, end: Int) -> Int:
    """Return `HTTP` if a request line that goes on in the next segment is surely one.

    That is one with a known method, or one as long as no other protocol's lines.
    """
    if be32(data, at) not in _METHODS and end - target < LONG_LINE:
        return _UNKNOWN
    path = target < end and u8(data, target) == _SLASH
    return _HTTP if path or (target + 4 <= end and be32(data, target) == _URL) else _UNKNOWN


@outlined
def request(data: Bytes, at: Int, end: Int, claim: Row) -> Int:
    """Read a request line and its headers (RFC 9112, 3); return the `Application` or 0."""
    space = method_end(data, at, end)
    if space < 0:
        return _UNKNOWN
    target, stop = space + 1, min(end, at + HEAD_BYTES)
    while target < stop and u8(data, target) == _SPACE:
        target += 1
    feed = line_end(data, target, stop)
    behind = signed(-1)
    if feed < 0:
        protocol = open_line(data, at, target, end)
        # What fills the field is the target's beginning, whatever comes; less might be more.
        room = min(stop, target + TARGET_ROOM)
        if protocol == _HTTP and not has_space(data, target, room):
            behind = stop
    else:
        last = without_return(data, target, feed)
        behind = last_space(data, target, last)
        protocol = version_at(data, behind + 1, last - behind - 1)
        if protocol == _UNKNOWN and be32(data, at) == _GET and u8(data, target) == _SLASH and behind < target:
            protocol, behind = signed(_HTTP), last  # HTTP/0.9
    if protocol == _UNKNOWN or claim.claim_flags & _QUERY:
        return protocol
    claim.claim_flags |= _QUERY
    claim.filled = 1
    while behind > target and u8(data, behind - 1) == _SPACE:
        behind -= 1
    used, _ = copy_text(data, at, space, claim.method)
    claim.method_bytes = used
    used, cut = copy_text(data, target, behind, claim.target)
    if feed >= 0 or cut == 1:
        claim.target_bytes = used
        claim.claim_flags |= _TARGET_CUT * cut
    if feed >= 0:
        headers(data, feed + 1, stop, signed(1), claim)
    return protocol


@outlined
def http(data: Bytes, at: Int, end: Int, claim: Row) -> Int:
    """Read a payload that may begin with a request or status line.

    Parameters
    ----------
    data
        uint8, shape (bytes,).
    at, end
        The payload, as far as it was captured.
    claim
        `CLAIM` row.

    Returns
    -------
    application
        `HTTP` (SSDP too: its port tells), `SIP`, `RTSP` or `UNKNOWN`.
    """
    if at + 9 > end:
        return _UNKNOWN
    if be32(data, at) in (_HTTP_WORD, _SIP_WORD, _RTSP_WORD):
        protocol = response(data, at, end, claim)
        if protocol != _UNKNOWN:
            return protocol
    return request(data, at, end, claim)
