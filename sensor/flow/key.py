"""The flow key of a packet: who talks to whom, in either direction, as one keyed hash.

The key is (address, port) of both ends with the smaller end first, the
protocol, the IP version and, if wanted, the VLAN id. ICMP has no ports: as in
the Community ID specification (v1), a request's type stands with its reply's
type, so that echo request and echo reply share a flow; any other ICMP message
has its type and code for ports and goes one way, never a flow's reverse.
"""

from __future__ import annotations

import enum

import numpy as np
import numpy.typing as npt

from sensor.kernel import kernel
from sensor.packet.columns import DecodeError, PacketKind, Packets
from sensor.siphash import SipState, sip_absorb, sip_finish, sip_start


class KeyCause(enum.IntEnum):
    """Why a packet has no flow; 0 when it has one."""

    NONE = 0
    ARP = 1
    OTHER = 2  # a protocol without flows: LLDP, STP ...
    UNDECODED = 3  # no whole IP header


#: What the table needs to know of a packet beside its `PACKET` row.
KEY = np.dtype(
    [
        ("hash", np.uint64),
        ("src_port", np.uint16),  # ICMP: type
        ("dst_port", np.uint16),  # ICMP: the counterpart's type, or the code
        ("vlan", np.uint16),  # 0 when the VLAN id is not part of the key
        ("one_way", np.uint8),  # 1: ICMP without a counterpart
        ("cause", np.uint8),  # KeyCause
    ],
    align=True,
)

#: One row: the secret, and what belongs to the key.
KEY_SETTINGS = np.dtype([("k0", np.uint64), ("k1", np.uint64), ("vlan_in_key", np.uint8)], align=True)

Keys = npt.NDArray[np.void]
KeySettings = npt.NDArray[np.void]

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


_ICMP_COUNTERPART = counterparts(ICMP_PAIRS)
_ICMPV6_COUNTERPART = counterparts(ICMPV6_PAIRS)

_KIND_ARP = int(PacketKind.ARP)
_KIND_OTHER = int(PacketKind.OTHER)
_KIND_IP = int(PacketKind.IP)
_CAUSE_NONE = int(KeyCause.NONE)
_CAUSE_ARP = int(KeyCause.ARP)
_CAUSE_OTHER = int(KeyCause.OTHER)
_CAUSE_UNDECODED = int(KeyCause.UNDECODED)
_TRUNCATED_NETWORK = int(DecodeError.TRUNCATED_NETWORK)
_BAD_IP_VERSION = int(DecodeError.BAD_IP_VERSION)
_BAD_HEADER_LENGTH = int(DecodeError.BAD_IP_HEADER_LENGTH)
_BAD_TOTAL_LENGTH = int(DecodeError.BAD_IP_TOTAL_LENGTH)

_LOW_HALF = np.uint64(0xFFFF_FFFF)
_BITS32 = np.uint64(32)
_BITS16 = np.uint64(16)
_BITS48 = np.uint64(48)
_V4_BYTES = np.uint64(16)
_V6_BYTES = np.uint64(40)


@kernel
def key_packets(packets: Packets, keys: Keys, settings: KeySettings) -> None:
    """Fill `keys` for `packets`, row by row.

    Parameters
    ----------
    packets
        `PACKET`, shape (n,).
    keys
        `KEY`, shape (at least n,): overwritten.
    settings
        `KEY_SETTINGS`, shape (1,).
    """
    vlan_in_key = settings[0]["vlan_in_key"] != 0
    start = sip_start(settings[0]["k0"], settings[0]["k1"])
    for i in range(packets.shape[0]):
        packet = packets[i]
        key = keys[i]
        key["cause"] = cause_of(packet)
        if key["cause"] != _CAUSE_NONE:
            continue
        key["vlan"] = packet["vlan"] if vlan_in_key else 0
        _set_ports(packet, key)
        key["hash"] = _hash(packet, key, start)


@kernel
def cause_of(packet: np.void) -> int:
    """Return the `KeyCause` of one `PACKET` row."""
    kind = packet["kind"]
    if kind == _KIND_ARP:
        return _CAUSE_ARP
    if kind == _KIND_OTHER:
        return _CAUSE_OTHER
    version = packet["ip_version"]
    if kind != _KIND_IP or version not in (4, 6):
        return _CAUSE_UNDECODED
    if packet["error"] in (_TRUNCATED_NETWORK, _BAD_IP_VERSION, _BAD_HEADER_LENGTH, _BAD_TOTAL_LENGTH):
        return _CAUSE_UNDECODED
    return _CAUSE_NONE


@kernel
def _set_ports(packet: np.void, key: np.void) -> None:
    """Set the ports of `key`, and whether it goes one way."""
    key["one_way"] = 0
    if packet["fragment_offset"] != 0:
        # Only the first fragment has ports; the others share a flow without.
        key["src_port"] = 0
        key["dst_port"] = 0
        return
    key["src_port"] = packet["src_port"]
    key["dst_port"] = packet["dst_port"]
    protocol = packet["protocol"]
    if protocol in (_ICMP, _ICMPV6):
        kind = packet["src_port"] & 0xFF
        answer = _ICMP_COUNTERPART[kind] if protocol == _ICMP else _ICMPV6_COUNTERPART[kind]
        if answer >= 0:
            key["dst_port"] = answer
        else:
            key["one_way"] = 1


@kernel
def _hash(packet: np.void, key: np.void, start: SipState) -> np.uint64:
    """Return the keyed hash of the canonical key: two words for IPv4, five for IPv6."""
    a_hi, a_lo, a_port = packet["src_hi"], packet["src_lo"], np.uint64(key["src_port"])
    b_hi, b_lo, b_port = packet["dst_hi"], packet["dst_lo"], np.uint64(key["dst_port"])
    larger = a_hi > b_hi or (a_hi == b_hi and (a_lo > b_lo or (a_lo == b_lo and a_port > b_port)))
    if larger and key["one_way"] == 0:
        a_hi, b_hi = b_hi, a_hi
        a_lo, b_lo = b_lo, a_lo
        a_port, b_port = b_port, a_port
    rest = (np.uint64(key["vlan"]) << _BITS16) | np.uint64(packet["protocol"])
    rest |= (a_port << _BITS48) | (b_port << _BITS32)
    if packet["ip_version"] == 4:
        # The high words and the mapped prefix are constant: they need no hashing.
        state = sip_absorb(start, ((a_lo & _LOW_HALF) << _BITS32) | (b_lo & _LOW_HALF))
        return sip_finish(sip_absorb(state, rest), _V4_BYTES)
    state = sip_absorb(sip_absorb(start, a_hi), a_lo)
    state = sip_absorb(sip_absorb(state, b_hi), b_lo)
    return sip_finish(sip_absorb(state, rest), _V6_BYTES)
