r"""DNS and what is built like it: mDNS, LLMNR, the NetBIOS name service.

In: one message. Out: the first question's name and type, and of a response its
code and its answer count.

Rules: the port says which of them it may be, the header has to bear it out:
known operation, and counts that the message has room for. A
name is written in lower case, for names are compared so (RFC 4343), without the
last dot ("." alone is the root); a dot inside a label becomes ``\x2e``, every
other byte is as in `packet.text`. A name that does not hold together (a label
of a reserved kind, more than 255 bytes, pointers in a ring) is absent and the
claim is `MALFORMED`.
"""

from __future__ import annotations

from sensor.kernel import Int, Row, kernel, outlined
from sensor.packet.application import Application
from sensor.packet.batch import Bytes
from sensor.packet.claim import ClaimFlag
from sensor.packet.text import hex_digit, lower, put, put_escaped
from sensor.packet.wire import be16, signed, u8

#: Pointers of one name. Compression saves one a name; more is play.
MAX_POINTERS = 16
#: Bytes of a name on the wire (RFC 1035, 2.3.4), without the last length byte.
MAX_NAME_BYTES = 254

_HEADER = 12
_WHOLE, _CUT, _BAD = 0, 1, 2
_DOT = 0x2E
_NETBIOS_LABEL = 32

_UNKNOWN = int(Application.UNKNOWN)
_NBNS = int(Application.NBNS)

_QUERY = int(ClaimFlag.QUERY)
_RESPONSE = int(ClaimFlag.RESPONSE)
_NAME_CUT = int(ClaimFlag.NAME_CUT)
_MALFORMED = int(ClaimFlag.MALFORMED)


@kernel
def follow(data: Bytes, message: Int, at: Int, end: Int) -> Int:
    """Return where the pointer at `at` points (RFC 1035, 4.1.4); -1 into the header, -2 not captured."""
    if at + 2 > end:
        return -2
    offset = be16(data, at) & 0x3FFF
    return message + offset if offset >= _HEADER else signed(-1)


@outlined
def name_end(data: Bytes, message: Int, at: Int, end: Int) -> tuple[Int, Int]:
    """Return (offset behind the name at `at`, whether it is whole, cut off or bad).

    At most 127 labels and `MAX_POINTERS` pointers are walked.
    """
    used, pointers, behind = signed(0), signed(0), signed(-1)
    while at < end:
        length = u8(data, at)
        if length == 0:
            return (at + 1 if behind < 0 else behind), _WHOLE
        if length >= 0xC0:
            to = follow(data, message, at, end)
            pointers += 1
            if to == -2:
                return at, _CUT
            if to < 0 or pointers > MAX_POINTERS:
                return at, _BAD
            if behind < 0:
                behind = at + 2
            at = to
            continue
        used += length + 1
        if length > 63 or used > MAX_NAME_BYTES:
            return at, _BAD
        at += length + 1
    return at, _CUT


@kernel
def is_netbios(data: Bytes, at: Int) -> bool:
    """Return whether the 32 bytes at `at` are a NetBIOS name: half-bytes as A to P (RFC 1001, 14.1)."""
    for i in range(_NETBIOS_LABEL):  # noqa: SIM110  (kernels have no generators)
        if not 0x41 <= u8(data, at + i) <= 0x50:
            return False
    return True


@kernel
def netbios_byte(data: Bytes, at: Int) -> Int:
    """Return the byte that two letters stand for."""
    return (u8(data, at) - 0x41) << 4 | u8(data, at + 1) - 0x41


@kernel
def put_netbios(data: Bytes, at: Int, text: Bytes) -> Int:
    """Write a NetBIOS name without its padding, then its suffix as ``<xx>``; return the bytes used."""
    last = 15
    while last > 0 and netbios_byte(data, at + 2 * last - 2) in (0x20, 0x00):
        last -= 1
    used = signed(0)
    for i in range(last):
        used = put(text, used, lower(netbios_byte(data, at + 2 * i)))
    suffix = netbios_byte(data, at + 30)
    text[used] = 0x3C
    text[used + 1] = hex_digit(suffix >> 4)
    text[used + 2] = hex_digit(suffix & 15)
    text[used + 3] = 0x3E
    return used + 4


@kernel
def put_label(data: Bytes, at: Int, text: Bytes, used: Int) -> Int:
    """Write the label at `at` behind `used` bytes of text; return the bytes used, or -1 - them if full."""
    for i in range(at + 1, at + 1 + u8(data, at)):
        byte = lower(u8(data, i))
        after = put_escaped(text, used, byte) if byte == _DOT else put(text, used, byte)
        if after < 0:
            return -1 - used
        used = after
    return used


@outlined
def put_name(data: Bytes, message: Int, at: Int, claim: Row, netbios: Int) -> None:
    """Write the name at `at`, which `name_end` found whole, into the claim."""
    text = claim.name
    used = signed(0)
    if netbios == 1 and u8(data, at) == _NETBIOS_LABEL and is_netbios(data, at + 1):
        used = put_netbios(data, at + 1, text)
        at += 1 + _NETBIOS_LABEL
    length = u8(data, at)
    while length != 0 and used >= 0:
        if length >= 0xC0:
            at = message + (be16(data, at) & 0x3FFF)
        else:
            if used > 0:
                after = put(text, used, _DOT)
                used = after if after >= 0 else -1 - used
            if used >= 0:
                used = put_label(data, at, text, used)
            at += 1 + length
        length = u8(data, at)
    if used < 0:
        claim.claim_flags |= _NAME_CUT
        used = -1 - used
    if used == 0:
        used = put(text, used, _DOT)
    claim.name_bytes = used


@kernel
def is_message(data: Bytes, at: Int, size: Int, netbios: Int) -> bool:
    """Return whether the 12 bytes at `at` can be the header of `size` bytes of message (RFC 1035, 4.1.1)."""
    flags = be16(data, at + 2)
    operation = flags >> 11 & 15
    questions = be16(data, at + 4)
    records = be16(data, at + 6) + be16(data, at + 8) + be16(data, at + 10)
    # RFC 1002 (4.2.1.1) adds waiting, refreshing and multi-homed registration.
    known = operation <= 6 or (netbios == 1 and operation in (7, 8, 9, 15))
    if operation == 3 or not known:
        return False
    if questions + records == 0:
        # A refusal may consist of the header alone.
        return bool(flags & 0x8000 and flags & 15)
    # A question has at least 5 bytes and a record 11; one that was cut for size may count what it left out.
    if flags & 0x0200:
        records = signed(0)
    return bool(_HEADER + 5 * questions + 11 * records <= size)


@outlined
def dns(data: Bytes, at: Int, end: Int, wire_end: Int, kind: Int, claim: Row) -> Int:
    """Read one DNS message.

    Parameters
    ----------
    data
        uint8, shape (bytes,).
    at, end
        The message, as far as it was captured.
    wire_end
        Where it ended on the wire, as an offset in `data`.
    kind
        `Application` that the port stands for: DNS, MDNS, LLMNR or NBNS.
    claim
        `CLAIM` row; what it holds already is kept.

    Returns
    -------
    application
        `kind`, or `UNKNOWN` when this is no such message.
    """
    netbios = 1 if kind == _NBNS else 0
    if at + _HEADER > end or not is_message(data, at, wire_end - at, netbios):
        return _UNKNOWN
    flags = be16(data, at + 2)
    claim.filled = 1
    if flags & 0x8000 == 0:
        claim.claim_flags |= _QUERY
    elif claim.claim_flags & _RESPONSE == 0:
        claim.claim_flags |= _RESPONSE
        claim.dns_rcode = flags & 15
        claim.dns_answers = be16(data, at + 6)
    if be16(data, at + 4) > 0 and claim.name_bytes == 0:
        behind, state = name_end(data, at, at + _HEADER, end)
        if state == _BAD or (state == _CUT and end == wire_end):
            claim.claim_flags |= _MALFORMED
        if state == _WHOLE:
            put_name(data, at, at + _HEADER, claim, netbios)
            if behind + 2 <= end:
                claim.dns_type = be16(data, behind)
    return kind
