"""Captures as a broken mirror port would show them: one direction only, or with packets missing."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from craft_capture import Captured

_IPV4, _TCP, _UDP = 0x0800, 6, 17
_ETHERNET, _CLASSIC_HEADER = 14, 24


class Ends(NamedTuple):
    """Who sent a packet to whom; ports are 0 where there are none."""

    protocol: int
    source: tuple[bytes, int]
    target: tuple[bytes, int]
    payload_bytes: int


def read(path: Path) -> list[Captured]:
    """Return the frames of a little-endian classic capture with microseconds."""
    data, position, frames = path.read_bytes(), _CLASSIC_HEADER, []
    while position < len(data):
        seconds, micros, caplen, wirelen = struct.unpack_from("<IIII", data, position)
        position += 16
        frames.append(Captured(seconds * 10**9 + micros * 1000, data[position : position + caplen], wirelen))
        position += caplen
    return frames


def ends(frame: bytes) -> Ends | None:
    """Return the ends of an IPv4 packet over untagged Ethernet, or None for anything else."""
    if len(frame) < _ETHERNET + 20 or struct.unpack_from("!H", frame, 12)[0] != _IPV4:
        return None
    ip = frame[_ETHERNET:]
    header, protocol, length = 4 * (ip[0] & 15), ip[9], struct.unpack_from("!H", ip, 2)[0]
    ports, payload = (0, 0), length - header
    if protocol in (_TCP, _UDP):
        ports = struct.unpack_from("!HH", ip, header)
        payload -= 4 * (ip[header + 12] >> 4) if protocol == _TCP else 8
    return Ends(protocol, (ip[12:16], ports[0]), (ip[16:20], ports[1]), payload)


def one_direction(frames: Iterable[Captured], *, requests: bool) -> Iterator[Captured]:
    """Yield what goes from those who begin conversations to those who answer, or what comes back.

    What is no IPv4 stays: a mirror shows broadcasts whichever way it looks.
    """
    begun: set[tuple[object, ...]] = set()
    for frame in frames:
        seen = ends(frame.data)
        if seen is None:
            yield frame
            continue
        forward = (seen.protocol, seen.source, seen.target)
        back = (seen.protocol, seen.target, seen.source)
        if back not in begun:
            begun.add(forward)
        if (forward in begun) is requests:
            yield frame


def without(frames: Iterable[Captured], share: float, seed: int = 1) -> Iterator[Captured]:
    """Yield the frames but for a `share` of the TCP segments with data, drawn by `seed`."""
    rng = random.Random(seed)
    for frame in frames:
        if not (_has_segment(frame) and rng.random() < share):
            yield frame


def sent_again(frames: Iterable[Captured], share: float, seed: int = 1) -> list[Captured]:
    """Return the frames and, 0.2 s later, a second time a `share` of the TCP segments with data."""
    rng = random.Random(seed)
    kept = list(frames)
    again = [
        frame._replace(time=frame.time + 200_000_000)
        for frame in kept
        if _has_segment(frame) and rng.random() < share
    ]
    return sorted(kept + again, key=lambda frame: frame.time)


def _has_segment(frame: Captured) -> bool:
    seen = ends(frame.data)
    return seen is not None and seen.protocol == _TCP and seen.payload_bytes > 0
