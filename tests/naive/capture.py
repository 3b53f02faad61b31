"""Plain readers of capture bytes: Python integers and struct, one record at a time."""

from __future__ import annotations

import struct
from typing import NamedTuple

from delivered import Delivered

TIME_MAX = 2**62 - 1
MAX_BLOCK = 16 * 1024 * 1024
MAX_CAPTURED = 262_144
INTERFACES = 1024

_VARIANTS = {
    0xA1B2C3D4: (1000, 24, 16),
    0xA1B23C4D: (1, 24, 16),
    0xA1B2CD34: (1000, 24, 24),
    0x1C0001AC: (1, 28, 16),
    0x1C0001AB: (1, 28, 16),
}


class Reading(NamedTuple):
    """The whole frames, and whether something is left that is none."""

    frames: list[Delivered]
    damaged: bool


class _Stop(Exception):  # noqa: N818  (not an error: the end of what is whole)
    pass


def read_capture(data: bytes) -> Reading:
    """Read a capture of either format."""
    frames: list[Delivered] = []
    try:
        if data[:4] == b"\x0a\x0d\x0d\x0a":
            _Pcapng(data, frames).read()
        else:
            _read_pcap(data, frames)
    except (_Stop, struct.error):
        return Reading(frames, damaged=True)
    return Reading(frames, damaged=False)


def _read_pcap(data: bytes, frames: list[Delivered]) -> None:
    for sign in "<>":
        (magic,) = struct.unpack_from(f"{sign}I", data)
        if magic in _VARIANTS:
            break
    else:
        raise _Stop
    unit, at, head = _VARIANTS[magic]
    if len(data) < at:
        raise _Stop
    major, minor, _, _, _, link_type = struct.unpack_from(f"{sign}HHiIII", data, 4)
    swapped = major == 543 or (major == 2 and minor < 4)
    while at < len(data):
        seconds, fraction, caplen, wirelen = struct.unpack_from(f"{sign}IIII", data, at)
        if swapped and caplen > wirelen:
            caplen, wirelen = wirelen, caplen
        frame = data[at + head : at + head + caplen]
        if caplen > MAX_CAPTURED or len(data) < at + head + caplen:
            raise _Stop
        time = seconds * 10**9 + fraction * unit
        frames.append(Delivered(time, frame, max(wirelen, caplen), link_type & 0xFFFF))
        at += head + caplen


def exact_time(ticks: int, resolution: int, offset_secs: int) -> int:
    """Return a pcapng time in ns, rounded down and kept within what the sensor can hold."""
    exponent = resolution & 0x7F
    if resolution & 0x80:
        time = (ticks * 10**9) >> exponent
        beyond = ticks >> exponent >= TIME_MAX // 10**9
    else:
        time = ticks * 10**9 // 10**exponent
        beyond = time > TIME_MAX
    return TIME_MAX if beyond else max(0, min(TIME_MAX, time + offset_secs * 10**9))


class _Pcapng:
    def __init__(self, data: bytes, frames: list[Delivered]) -> None:
        self.data = data
        self.frames = frames
        self.sign = "<"
        self.interfaces: list[tuple[int, int, int, int]] = []
        self.last_time = 0

    def read(self) -> None:
        at = 0
        while at < len(self.data):
            kind, _, mark = struct.unpack_from("<II4s", self.data, at)
            if kind == 0x0A0D0D0A:
                if mark not in (b"\x4d\x3c\x2b\x1a", b"\x1a\x2b\x3c\x4d"):
                    raise _Stop
                self.sign = "<" if mark[0] == 0x4D else ">"
            kind, length = struct.unpack_from(f"{self.sign}II", self.data, at)
            if not 12 <= length <= MAX_BLOCK or length % 4 or at + length > len(self.data):
                raise _Stop
            (again,) = struct.unpack_from(f"{self.sign}I", self.data, at + length - 4)
            if again != length:
                raise _Stop
            self.block(kind, self.data[at + 8 : at + length - 4])
            at += length

    def block(self, kind: int, body: bytes) -> None:
        if kind == 0x0A0D0D0A:
            _, major, _, _ = struct.unpack_from(f"{self.sign}IHHq", body)
            if major != 1:
                raise _Stop
            self.interfaces = []
        elif kind == 1:
            self.interface(body)
        elif kind in (2, 6):
            fields = f"{self.sign}IIIII" if kind == 6 else f"{self.sign}H2xIIII"
            index, high, low, caplen, wirelen = struct.unpack_from(fields, body)
            self.packet(index, (high << 32) + low, caplen, wirelen, body[20:])
        elif kind == 3:
            (wirelen,) = struct.unpack_from(f"{self.sign}I", body)
            snaplen = self.interfaces[0][1] if self.interfaces else 0
            self.packet(0, None, min(wirelen, snaplen or wirelen), wirelen, body[4:])

    def interface(self, body: bytes) -> None:
        link_type, _, snaplen = struct.unpack_from(f"{self.sign}HHI", body)
        found: dict[int, bytes] = {}
        at = 8
        for _ in range(256):
            if len(body) - at < 4:
                break
            code, length = struct.unpack_from(f"{self.sign}HH", body, at)
            if code == 0:
                break
            if at + 4 + length > len(body):
                raise _Stop
            found.setdefault(code, body[at + 4 : at + 4 + length])
            at += 4 + (length + 3) // 4 * 4
        resolution = found[9][0] if found.get(9) else 6
        offset = struct.unpack(f"{self.sign}q", found[14])[0] if len(found.get(14, b"")) == 8 else 0
        if len(self.interfaces) < INTERFACES:
            self.interfaces.append((link_type, snaplen, resolution, offset))

    def packet(self, index: int, ticks: int | None, caplen: int, wirelen: int, rest: bytes) -> None:
        if index >= len(self.interfaces):
            return
        link_type, _, resolution, offset = self.interfaces[index]
        if caplen > len(rest):
            raise _Stop
        if ticks is not None:
            self.last_time = exact_time(ticks, resolution, offset)
        frame = Delivered(self.last_time, rest[:caplen], max(wirelen, caplen), link_type, index)
        self.frames.append(frame)
