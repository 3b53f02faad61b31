"""The flow key of a packet: who talks to whom, in either direction, as one keyed hash.

The key is (address, port) of both ends with the smaller end first, the
protocol, the IP version and, if wanted, the VLAN id and the tunnel's id. ICMP
has no ports: as in the Community ID specification (v1), a request's type stands
with its reply's type, so that echo request and echo reply share a flow; any
other ICMP message has its type and code for ports and goes one way, never a
flow's reverse. A later fragment whose ports are not known shares a flow of its
own with those of the same datagram.
"""

from __future__ import annotations

import enum
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from sensor.kernel import Int, Row, kernel, record_dtype
from sensor.packet.columns import DecodeError, FragmentFlag, PacketKind, Packets
from sensor.siphash import SipState, sip_absorb, sip_finish, sip_start


class KeyCause(enum.IntEnum):
    """Why a packet has no flow; 0 when it has one."""

    NONE = 0
    ARP = 1
    OTHER = 2  # a protocol without flows: LLDP, STP ...
    UNDECODED = 3  # no whole IP header
    DUPLICATE = 4  # the mirror sent it twice
    ELSEWHERE = 5  # another meter's: see `KEY_SETTINGS`


class KeyMark(enum.IntEnum):
    """What kind of key it is; keys of two kinds are never equal."""

    TWO_WAY = 0
    ONE_WAY = 1  # ICMP without a counterpart: the sender is part of the key
    FRAGMENTS = 2  # later fragments of one datagram; its identification stands for the ports


#: What the table needs to know of a packet beside its `PACKET` row.
KEY = record_dtype(
    [
        ("src_port", np.uint16),  # ICMP: type. `FRAGMENTS`: high half of the identification
        ("dst_port", np.uint16),  # ICMP: the counterpart's type, or the code. `FRAGMENTS`: low half
        ("vlan", np.uint16),  # 0 when the VLAN id is not part of the key
        ("mark", np.uint8),  # KeyMark
        ("cause", np.uint8),  # KeyCause
    ]
)

#: One row: the secret, what belongs to the key, and which keys are this meter's.
KEY_SETTINGS = record_dtype(
    [
        ("k0", np.uint64),
        ("k1", np.uint64),
        ("share", np.uint16),  # number of this meter, and of how many; packets without flow are number 0's
        ("shares", np.uint16),
        ("vlan_in_key", np.uint8),
        ("tunnel_in_key", np.uint8),
    ]
)

KeySettings: TypeAlias = npt.NDArray[np.void]


class Keys(NamedTuple):
    """Keys of a few packets. The words are apart, so that the processor hashes several at a time."""

    rows: npt.NDArray[np.void]  # KEY, shape (n,)
    hashes: npt.NDArray[np.uint64]  # shape (n,); meaningless where there is a cause
    ends: npt.NDArray[np.uint64]  # shape (n,): the first word to hash, of IPv4
    rest: npt.NDArray[np.uint64]  # shape (n,): the last word to hash
    slots: npt.NDArray[np.int64]  # shape (n,): where the flow probably is, -1: nowhere; see `fetch`


def new_keys(count: int) -> Keys:
    """Return room for so many keys."""
    hashes, ends, rest = (np.zeros(count, np.uint64) for _ in range(3))
    return Keys(np.zeros(count, KEY), hashes, ends, rest, np.zeros(count, np.int64))


_ICMP = 1
_ICMPV6 = 58

#: Request and reply types, as in the Community ID specification.
ICMP_PAIRS = ((8, 0), (13, 14), (15, 16), (10, 9), (17, 18))
ICMPV6_PAIRS = ((128, 129), (133, 134), (135, 136), (130, 131), (139, 140), (144, 145))


def counterparts(pairs: tuple[tuple[int, int], ...]) -> npt.NDArray[np.int16]:
    """Return the type that answers each ICMP type, -1 where there is none; int16, shape (256,)."""
    table = np.full(256, -1, np.int16)
    for request, reply in pairs:
        table[request] = reply
        table[reply] = request
    return table


#: Protocols whose first bytes are ports, or ICMP's type: TCP, UDP, DCCP, SCTP, UDP-Lite ...
_HAS_PORTS = np.zeros(256, np.bool_)
_HAS_PORTS[[_ICMP, 6, 17, 33, _ICMPV6, 132, 136]] = True

_ICMP_COUNTERPART = counterparts(ICMP_PAIRS)
_ICMPV6_COUNTERPART = counterparts(ICMPV6_PAIRS)

_KIND_ARP = int(PacketKind.ARP)
_KIND_OTHER = int(PacketKind.OTHER)
_KIND_IP = int(PacketKind.IP)
_KIND_DUPLICATE = int(PacketKind.DUPLICATE)
_CAUSE_NONE = int(KeyCause.NONE)
_CAUSE_ARP = int(KeyCause.ARP)
_CAUSE_OTHER = int(KeyCause.OTHER)
_CAUSE_UNDECODED = int(KeyCause.UNDECODED)
_CAUSE_DUPLICATE = int(KeyCause.DUPLICATE)
_CAUSE_ELSEWHERE = int(KeyCause.ELSEWHERE)
_TWO_WAY = int(KeyMark.TWO_WAY)
_ONE_WAY = int(KeyMark.ONE_WAY)
_FRAGMENTS = int(KeyMark.FRAGMENTS)
_DECODED = int(DecodeError.NONE)
_TRUNCATED_NETWORK = int(DecodeError.TRUNCATED_NETWORK)
_BAD_IP_VERSION = int(DecodeError.BAD_IP_VERSION)
_BAD_HEADER_LENGTH = int(DecodeError.BAD_IP_HEADER_LENGTH)
_BAD_TOTAL_LENGTH = int(DecodeError.BAD_IP_TOTAL_LENGTH)
_PORTS_KNOWN = int(FragmentFlag.PORTS_KNOWN)

_PORT = np.uint64(0xFFFF)
_LOW_HALF = np.uint64(0xFFFF_FFFF)
_BITS8 = np.uint64(8)
_BITS16 = np.uint64(16)
_BITS32 = np.uint64(32)
_BITS48 = np.uint64(48)
_V4_BYTES = np.uint64(16)
_V6_BYTES = np.uint64(40)


@kernel
def key_packets(packets: Packets, keys: Keys, first: Int, settings: KeySettings) -> None:
    """Fill `keys` from row `first` on for `packets`.

    Parameters
    ----------
    packets
        `PACKET`, shape (n,).
    keys
        At least first + n rows.
    first
        Row of the first packet's key.
    settings
        `KEY_SETTINGS`, shape (1,).
    """
    vlan_in_key = settings[0]["vlan_in_key"] != 0
    others = 0
    count = packets.shape[0]
    for j in range(count):
        packet = packets[j]
        i = first + j
        key = keys.rows[i]
        key["cause"] = cause_of(packet)
        key["vlan"] = packet["vlan"] if vlan_in_key else 0
        _set_ports(packet, key)
        others += packet["ip_version"] != 4
        _set_words(packet, key, keys, i)
    start = sip_start(settings[0]["k0"], settings[0]["k1"])
    last = first + count
    _hash_v4(keys.ends[first:last], keys.rest[first:last], keys.hashes[first:last], start)
    if others > 0:
        for i in range(first, last):
            if packets[i - first]["ip_version"] != 4:
                keys.hashes[i] = _hash_v6(packets[i - first], keys.rows[i], keys.rest[i], start)
    if settings[0]["tunnel_in_key"] != 0:
        for i in range(first, last):
            tunnel = np.uint64(packets[i - first]["tunnel_id"])
            keys.hashes[i] = sip_finish(sip_absorb(sip_absorb(start, keys.hashes[i]), tunnel), _V4_BYTES)
    if settings[0]["shares"] > 1:
        for i in range(first, last):
            # The table uses the low half.
            number = (keys.hashes[i] >> _BITS32) % np.uint64(settings[0]["shares"])
            if keys.rows[i]["cause"] != _CAUSE_NONE:
                number = np.uint64(0)
            if number != np.uint64(settings[0]["share"]):
                keys.rows[i]["cause"] = _CAUSE_ELSEWHERE


@kernel
def cause_of(packet: Row) -> Int:
    """Return the `KeyCause` of one `PACKET` row."""
    kind = packet["kind"]
    version = packet["ip_version"]
    error = packet["error"]
    if kind == _KIND_IP and version in (4, 6):
        if error == _DECODED:
            return _CAUSE_NONE
        broken = error in (_TRUNCATED_NETWORK, _BAD_IP_VERSION, _BAD_HEADER_LENGTH, _BAD_TOTAL_LENGTH)
        return _CAUSE_UNDECODED if broken else _CAUSE_NONE
    if kind == _KIND_ARP:
        return _CAUSE_ARP
    if kind == _KIND_OTHER:
        return _CAUSE_OTHER
    return _CAUSE_DUPLICATE if kind == _KIND_DUPLICATE else _CAUSE_UNDECODED


@kernel
def _set_ports(packet: Row, key: Row) -> None:
    """Set the ports of `key`, and its mark."""
    key["mark"] = _TWO_WAY
    key["src_port"] = packet["src_port"]
    key["dst_port"] = packet["dst_port"]
    protocol = packet["protocol"]
    if packet["fragment_offset"] != 0 and packet["fragment_flags"] & _PORTS_KNOWN == 0:
        key["src_port"] = 0
        key["dst_port"] = 0
        if _HAS_PORTS[protocol]:
            # Whose datagram this continues is unknown: nobody's but its own.
            key["mark"] = _FRAGMENTS
            key["src_port"] = packet["fragment_id"] >> 16
            key["dst_port"] = packet["fragment_id"] & 0xFFFF
    elif protocol in (_ICMP, _ICMPV6):
        kind = packet["src_port"] & 0xFF
        answer = _ICMP_COUNTERPART[kind] if protocol == _ICMP else _ICMPV6_COUNTERPART[kind]
        if answer >= 0:
            key["dst_port"] = answer
        else:
            key["mark"] = _ONE_WAY


@kernel
def _set_words(packet: Row, key: Row, keys: Keys, i: Int) -> None:
    """Set the words to hash of the IPv4 key `i`, the smaller end first."""
    source = ((packet["src_lo"] & _LOW_HALF) << _BITS16) | np.uint64(key["src_port"])
    target = ((packet["dst_lo"] & _LOW_HALF) << _BITS16) | np.uint64(key["dst_port"])
    low, high = min(source, target), max(source, target)
    if key["mark"] != _TWO_WAY:
        low, high = source, target
    # The high words and the mapped prefix are constant: they need no hashing.
    keys.ends[i] = ((low >> _BITS16) << _BITS32) | (high >> _BITS16)
    keys.rest[i] = (low << _BITS48) | ((high & _PORT) << _BITS32) | _scope(packet, key)


@kernel
def _scope(packet: Row, key: Row) -> np.uint64:
    """Return what is neither address nor port, in 32 bits."""
    return (
        (np.uint64(key["vlan"]) << _BITS16)
        | (np.uint64(key["mark"]) << _BITS8)
        | np.uint64(packet["protocol"])
    )


@kernel
def _hash_v4(
    ends: npt.NDArray[np.uint64],
    rest: npt.NDArray[np.uint64],
    hashes: npt.NDArray[np.uint64],
    start: SipState,
) -> None:
    """Hash two words a key. Nothing here depends on the row before: the compiler does several at once."""
    for i in range(ends.shape[0]):
        hashes[i] = sip_finish(sip_absorb(sip_absorb(start, ends[i]), rest[i]), _V4_BYTES)


@kernel
def _hash_v6(packet: Row, key: Row, rest: np.uint64, start: SipState) -> np.uint64:
    """Return the keyed hash of a canonical key with whole addresses: five words."""
    a_hi, a_lo, a_port = packet["src_hi"], packet["src_lo"], np.uint64(key["src_port"])
    b_hi, b_lo, b_port = packet["dst_hi"], packet["dst_lo"], np.uint64(key["dst_port"])
    larger = a_hi > b_hi or (a_hi == b_hi and (a_lo > b_lo or (a_lo == b_lo and a_port > b_port)))
    if larger and key["mark"] == _TWO_WAY:
        a_hi, b_hi = b_hi, a_hi
        a_lo, b_lo = b_lo, a_lo
        a_port, b_port = b_port, a_port
    rest = (rest & _LOW_HALF) | (a_port << _BITS48) | (b_port << _BITS32)
    state = sip_absorb(sip_absorb(start, a_hi), a_lo)
    state = sip_absorb(sip_absorb(state, b_hi), b_lo)
    return sip_finish(sip_absorb(state, rest), _V6_BYTES)
