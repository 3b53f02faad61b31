"""Protocols that are spoken in lines of text: SSH, mail, FTP, chat, Redis, syslog; and Telnet.

In: one payload. Out: whether it is what it may be. SSH's banners are kept, of
the others the name alone.

Rules: SSH and VNC (RFB) name themselves, on any port. The others are asked for
by port, and the first word has to be one of theirs, from either side.
"""

from __future__ import annotations

from sensor.kernel import Int, Row, kernel, outlined
from sensor.packet.application import Application
from sensor.packet.batch import Bytes
from sensor.packet.claim import ClaimFlag
from sensor.packet.text import copy_text, is_digit, lower, word
from sensor.packet.wire import be16, be32, signed, u8

#: A banner's longest line (RFC 4253, 4.2).
MAX_BANNER = 255
#: How far the words of a line are looked for: an IMAP tag, an IRC server's name.
MAX_PREFIX = 80

_UNKNOWN = int(Application.UNKNOWN)
_SSH = int(Application.SSH)
_VNC = int(Application.VNC)
_SMTP = int(Application.SMTP)
_FTP = int(Application.FTP)
_POP3 = int(Application.POP3)
_IMAP = int(Application.IMAP)
_TELNET = int(Application.TELNET)
_REDIS = int(Application.REDIS)
_IRC = int(Application.IRC)
_SYSLOG = int(Application.SYSLOG)

_AGENT_CUT = int(ClaimFlag.AGENT_CUT)
_SERVER_CUT = int(ClaimFlag.SERVER_CUT)

_SSH_WORD, _RFB_WORD = word(b"SSH-"), word(b"RFB ")
_SPACE, _HYPHEN, _DOT, _CR, _LF, _COLON = 0x20, 0x2D, 0x2E, 0x0D, 0x0A, 0x3A
_PLUS, _DOLLAR, _ASTERISK, _LESS, _MORE = 0x2B, 0x24, 0x2A, 0x3C, 0x3E
_LETTERS = 0x20202020


def _words(*texts: bytes) -> tuple[int, ...]:
    """Return the words of which a line's first four bytes, in lower case, have to be one."""
    return tuple(word(text) for text in texts)


_SMTP_WORDS = _words(b"ehlo", b"helo", b"lhlo")
_FTP_WORDS = _words(b"user", b"auth", b"feat", b"syst", b"host", b"opts", b"quit")
_POP3_WORDS = _words(b"user", b"capa", b"auth", b"apop", b"stls", b"quit", b"+ok ", b"-err")
_IMAP_WORDS = _words(b"capa", b"logi", b"star", b"auth", b"noop", b"sele", b"logo", b"id (")
_IRC_WORDS = _words(b"nick", b"user", b"pass", b"cap ", b"ping", b"noti", b"join", b"erro")
_REDIS_WORDS = _words(b"ping", b"info", b"auth", b"quit", b"echo", b"get ", b"set ", b"conf")


@kernel
def any_case(data: Bytes, at: Int) -> Int:
    """Return the word at `at`, its letters in lower case (other bytes may change too, none into a letter)."""
    return be32(data, at) | _LETTERS


@outlined
def ssh(data: Bytes, at: Int, end: Int, reverse: Int, claim: Row) -> Int:
    """Read an SSH identification string (RFC 4253, 4.2); the banner counts when its line ends here."""
    if at + 6 > end or be32(data, at) != _SSH_WORD or not is_digit(u8(data, at + 4)):
        return _UNKNOWN
    stop = signed(-1)
    for i in range(at, min(end, at + MAX_BANNER)):
        if u8(data, i) == _LF:
            stop = signed(i)
            break
    if stop < 0:
        return _SSH
    if u8(data, stop - 1) == _CR:
        stop -= 1
    if reverse == 1 and claim.server_bytes == 0:
        used, cut = copy_text(data, at, stop, claim.server)
        claim.server_bytes = used
        claim.filled = 1
        claim.claim_flags |= _SERVER_CUT * cut
    elif reverse == 0 and claim.agent_bytes == 0:
        used, cut = copy_text(data, at, stop, claim.agent)
        claim.agent_bytes = used
        claim.filled = 1
        claim.claim_flags |= _AGENT_CUT * cut
    return _SSH


@kernel
def is_vnc(data: Bytes, at: Int, end: Int) -> bool:
    """Return whether it is RFB's version message, ``RFB 003.008`` (RFC 6143, 7.1.1)."""
    return bool(
        at + 12 <= end
        and be32(data, at) == _RFB_WORD
        and is_digit(u8(data, at + 4))
        and u8(data, at + 7) == _DOT
        and u8(data, at + 11) == _LF
    )


@kernel
def is_reply(data: Bytes, at: Int) -> bool:
    """Return whether a line begins as replies of SMTP and FTP do: three digits, then a space or a hyphen."""
    first = u8(data, at)
    rest = is_digit(u8(data, at + 1)) and is_digit(u8(data, at + 2))
    return bool(0x31 <= first <= 0x35 and rest and u8(data, at + 3) in (_SPACE, _HYPHEN))


@kernel
def second_word(data: Bytes, at: Int, end: Int) -> Int:
    """Return where a line's second word begins, -1 if it does not have four bytes here."""
    for i in range(at, min(end - 4, at + MAX_PREFIX)):
        byte = u8(data, i)
        if byte == _SPACE:
            return signed(i + 1)
        if byte < _SPACE:
            return signed(-1)
    return signed(-1)


@kernel
def is_imap(data: Bytes, at: Int, end: Int) -> bool:
    """Return whether it is a server's greeting or a client's tagged command (RFC 9051, 7.1, 6)."""
    if be16(data, at) == 0x2A20:  # "* "
        return be16(data, at + 2) | 0x2020 in (0x6F6B, 0x7072, 0x6279)  # OK, PREAUTH, BYE
    command = second_word(data, at, end)
    return bool(command >= 0 and any_case(data, command) in _IMAP_WORDS)


@kernel
def is_irc(data: Bytes, at: Int, end: Int) -> bool:
    """Return whether it is a message of IRC (RFC 2812, 2.3)."""
    begin = signed(at)
    if u8(data, at) == _COLON:
        begin = second_word(data, at, end)
        if begin >= 0 and is_digit(u8(data, begin)):
            return is_digit(u8(data, begin + 1)) and is_digit(u8(data, begin + 2))
    return bool(begin >= 0 and any_case(data, begin) in _IRC_WORDS)


@kernel
def is_redis(data: Bytes, at: Int) -> bool:
    """Return whether it is a command or a reply of Redis (RESP2)."""
    first, second = u8(data, at), u8(data, at + 1)
    if first in (_ASTERISK, _DOLLAR, _COLON):
        return is_digit(second) or second == _HYPHEN
    if first in (_PLUS, _HYPHEN):
        return 0x61 <= lower(second) <= 0x7A
    return any_case(data, at) in _REDIS_WORDS


@kernel
def is_syslog(data: Bytes, at: Int, end: Int) -> bool:
    """Return whether it begins with a priority, ``<0>`` to ``<191>`` (RFC 5424, 6.2.1)."""
    if u8(data, at) != _LESS:
        return False
    value, i = signed(0), signed(at + 1)
    while i < min(end, at + 4) and is_digit(u8(data, i)):
        value = 10 * value + u8(data, i) - 0x30
        i += 1
    return bool(at + 1 < i < end and u8(data, i) == _MORE and value <= 191)


@outlined
def speaks(data: Bytes, at: Int, end: Int, application: Int) -> bool:
    """Return whether a payload is in the language of a text protocol that its port stands for."""
    if at + 4 > end:
        return False
    begin = any_case(data, at)
    if application == _SMTP:
        return is_reply(data, at) or begin in _SMTP_WORDS
    if application == _FTP:
        return is_reply(data, at) or begin in _FTP_WORDS
    if application == _POP3:
        return begin in _POP3_WORDS or be32(data, at) == 0x2B4F4B0D
    if application == _IMAP:
        return is_imap(data, at, end)
    if application == _TELNET:
        # IAC, then SB, WILL, WONT, DO or DONT (RFC 854).
        return bool(u8(data, at) == 0xFF and 0xFA <= u8(data, at + 1) <= 0xFE)
    if application == _REDIS:
        return is_redis(data, at)
    if application == _IRC:
        return is_irc(data, at, end)
    return bool(application == _SYSLOG and is_syslog(data, at, end))
