"""Frames out of any bytes: one alone, one behind a tunnel's prefix, and several through one decoder.

A frame lies alone in its memory, without a byte before or behind it, so that a
read outside is an error and not a neighbour's byte. It is then decoded again in
the middle of other bytes, which must change nothing but its offset.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import craft
import numpy as np

from sensor.packet.batch import FRAME, PacketBatch
from sensor.packet.columns import PACKET, DecodeError, PacketKind
from sensor.packet.decode import Decoder

ETHERNET = 1
HEAD_BYTES = 3

_BEFORE, _BEHIND = b"\x45\x00\xff" * 7, b"\x06" * 9
_NAMES = PACKET.names or ()
#: Places in the batch's bytes; 0 or -1: none.
_OFFSETS = [name for name in _NAMES if name.endswith("_offset") and name != "fragment_offset"]
_ERRORS, _KINDS = frozenset(DecodeError), frozenset(PacketKind)
_LAST_VLAN = 0x0FFF
_START = 1_000_000_000
_MOST_FRAMES = 48


class Frame(NamedTuple):
    """One frame and what the capture says about it."""

    data: bytes
    link_type: int = ETHERNET
    missing: int = 0  # bytes that were on the wire and not captured
    tagged: bool = False  # the NIC stripped a VLAN tag
    outer: bool = False  # tunnels are not to be looked into
    time: int = _START


def batch(frames: Sequence[Frame], *, alone: bool = True) -> PacketBatch:
    """Return a batch of `frames` with nothing around them, or with other bytes on both sides."""
    before, behind = (b"", b"") if alone else (_BEFORE, _BEHIND)
    rows = np.zeros(len(frames), FRAME)
    at = len(before)
    for i, frame in enumerate(frames):
        tag = (0x2007, 0x8100) if frame.tagged else (0, 0)
        size = len(frame.data)
        rows[i] = (at, frame.time, size, size + frame.missing, frame.link_type, 0, *tag)
        at += size
    data = np.frombuffer(before + b"".join(frame.data for frame in frames) + behind, np.uint8)
    return PacketBatch(data, rows, max((frame.time for frame in frames), default=0))


def values(packets: np.ndarray) -> list[dict[str, int]]:
    """Return rows as plain dicts."""
    return [dict(zip(_NAMES, row, strict=True)) for row in packets.tolist()]


def check_row(row: dict[str, int], start: int, frame: Frame) -> None:
    """Raise AssertionError when a `PACKET` row contradicts itself or its frame, which is at `start`."""
    stop = start + len(frame.data)
    wire = len(frame.data) + frame.missing
    at, captured = row["payload_offset"], row["payload_captured"]
    assert row["error"] in _ERRORS
    assert row["kind"] in _KINDS
    assert (row["wirelen"], row["caplen"]) == (wire, len(frame.data))
    assert at == -1 or start <= at < stop, f"payload at {at} of {start}..{stop}"
    assert captured == 0 if at == -1 else 0 < captured <= stop - at, f"{captured} payload bytes at {at}"
    assert captured <= row["payload_bytes"] <= wire
    assert row["ip_bytes"] <= wire
    assert -1 <= row["outer_offset"] < max(stop, 1)
    assert row["kind"] != PacketKind.IP or row["ip_version"] in (4, 6)
    assert row["vlan"] <= _LAST_VLAN >= row["vlan_inner"]


def decoded(frames: Sequence[Frame], rows_a_batch: int, *, alone: bool = True) -> tuple[list, dict[str, int]]:
    """Return the rows of `frames` and the decoder's counters, `rows_a_batch` frames at a time."""
    outer = bool(frames) and frames[0].outer
    decoder = Decoder(max(1, min(rows_a_batch, len(frames))), tunnels="outer" if outer else "inner")
    shift = 0 if alone else len(_BEFORE)
    rows: list[dict[str, int]] = []
    for first in range(0, len(frames), rows_a_batch):
        some = frames[first : first + rows_a_batch]
        one = batch(some, alone=alone)
        found = values(decoder.decode(one))
        start = shift
        for row, frame in zip(found, some, strict=True):
            check_row(row, start, frame)
            start += len(frame.data)
            for name in _OFFSETS:
                row[name] -= shift if row[name] > 0 else 0
        rows += found
    counters = {name: count for name, count in decoder.counters().items() if count}
    return rows, counters


def one_frame(frame: Frame) -> object:
    """Decode one frame, alone and among other bytes."""
    result = decoded([frame], 1)
    assert decoded([frame], 1, alone=False) == result, "the bytes around a frame change its row"
    return result


def head(link_type: int = ETHERNET, missing: int = 0, *, tagged: bool = False, outer: bool = False) -> bytes:
    """Return the bytes before a frame that say how it was captured, and how it is to be decoded."""
    return struct.pack("<HB", link_type | tagged << 15 | outer << 14, missing)


def frame_of(data: bytes) -> Frame:
    """Return the frame that fuzz bytes stand for: link type and flags, missing bytes, frame."""
    first, missing = struct.unpack("<HB", data[:HEAD_BYTES].ljust(HEAD_BYTES, b"\0"))
    missing = missing if missing < 128 else (missing - 127) * 32
    tagged, outer = bool(first >> 15), bool(first >> 14 & 1)
    return Frame(data[HEAD_BYTES:], first & 0x1FF, missing, tagged=tagged, outer=outer)


def frame(data: bytes) -> object:
    """Decode one frame of any link type."""
    return one_frame(frame_of(data))


def _outer(payload: bytes, proto: int, version: int = 4) -> bytes:
    """Return Ethernet and IP whose length is left to the frame, before `payload`."""
    if version == 4:
        return craft.ethernet(craft.ipv4(payload, proto=proto, total_length=0))
    return craft.ethernet(craft.ipv6(payload, proto=proto, payload_length=0))


def _datagram(port: int, version: int = 4) -> bytes:
    return _outer(craft.udp(b"", src_port=49152, dst_port=port, length=0xFFFF), craft.UDP, version)


_EMPTY = b""
#: What stands before a tunnel's own header; the rest of the frame is the fuzzer's.
PREFIXES = {
    "mpls": craft.ethernet(_EMPTY, ethertype=0x8847),
    "pppoe": craft.ethernet(_EMPTY, ethertype=0x8864),
    "pbb": craft.ethernet(_EMPTY, ethertype=0x88E7),
    "nsh": craft.ethernet(_EMPTY, ethertype=0x894F),
    "gre": _outer(_EMPTY, 47),
    "gre6": _outer(_EMPTY, 47, 6),
    "vxlan": _datagram(4789),
    "vxlan6": _datagram(4789, 6),
    "vxlan_gpe": _datagram(4790),
    "geneve": _datagram(6081),
    "gtp_u": _datagram(2152),
    "l2tp": _datagram(1701),
    "l2tp_ip": _outer(_EMPTY, 115),
    "ip_in_ip": _outer(_EMPTY, 4),
    "six_in_four": _outer(_EMPTY, 41),
    "four_in_six": _outer(_EMPTY, 4, 6),
    "six_in_six": _outer(_EMPTY, 41, 6),
    "teredo": _datagram(3544),
    "ether_ip": _outer(_EMPTY, 97),
    "capwap": _datagram(5247),
    "mpls_ip": _outer(_EMPTY, 137),
    "mpls_udp": _datagram(6635),
    "gue": _datagram(6080),
    "nat_t": _datagram(4500),
}
_BY_NUMBER = list(PREFIXES.values())


def tunnel(data: bytes) -> object:
    """Decode one Ethernet frame that begins with a tunnel's prefix: its number, missing bytes, the rest."""
    number, missing = data[:2].ljust(2, b"\0")
    whole = _BY_NUMBER[number % len(_BY_NUMBER)] + data[2:]
    return one_frame(Frame(whole, ETHERNET, missing, outer=number >= 240))


_PROTOCOLS = (craft.TCP, craft.UDP, craft.ICMP, 47)
_SECOND = 10**9


def _fragment(control: int, offset: int, body: bytes) -> bytes:
    """Return one fragment: addresses, identification, protocol and flags by the bits of `control`."""
    proto, more, number = _PROTOCOLS[control >> 4 & 3], bool(control & 4), 1 + (control >> 1 & 1)
    ends = (b"\x0a\0\0\1", b"\x0a\0\0\2") if control & 8 else (b"\x0a\0\0\2", b"\x0a\0\0\1")
    if control & 1:
        wide = b"".join(b"\x20\x01\x0d\xb8".ljust(12, b"\0") + end for end in ends)
        extension = struct.pack("!BBHI", proto, 0, offset * 8 | more, number)
        packet = struct.pack("!IHBB", 6 << 28, 8 + len(body), 44, 64) + wide + extension + body
    else:
        bits = more << 13 | offset
        fields = (0x45, 0, 20 + len(body), number, bits, 64, proto, 0, *ends)
        packet = struct.pack("!BBHHHBBH4s4s", *fields) + body
    return craft.ethernet(packet)


def fragments_of(data: bytes) -> Iterator[Frame]:
    """Yield the frames that fuzz bytes stand for.

    Each begins with a control byte. Its highest bit says that a length and a
    raw Ethernet frame follow; else offset (in 8 bytes), length and payload of
    a fragment follow.
    """
    at, time = 0, _START
    for _ in range(_MOST_FRAMES):
        if at + 3 > len(data):
            return
        control, offset, size = data[at], data[at + 1], data[at + 2]
        time += 31 * _SECOND if control & 64 else _SECOND // 1000
        if control & 128:
            raw = data[at + 2 : at + 2 + offset]
            at += 2 + offset
        else:
            body = data[at + 3 : at + 3 + size % 72]
            raw = _fragment(control, offset, body)
            at += 3 + len(body)
        yield Frame(raw, time=time)


def fragment(data: bytes) -> object:
    """Decode several small frames through one decoder, at once and one by one."""
    frames = list(fragments_of(data))
    result = decoded(frames, max(1, len(frames)))
    single = decoded(frames, 1)
    assert [_unplaced(row) for row in single[0]] == [_unplaced(row) for row in result[0]], "batch cuts show"
    assert single[1] == result[1], "batch cuts show in the counters"
    return result


def _unplaced(row: dict[str, int]) -> dict[str, int]:
    """Return a row with only the signs of its offsets, which depend on the batch."""
    return row | {name: int(row[name] >= 0) for name in _OFFSETS}
