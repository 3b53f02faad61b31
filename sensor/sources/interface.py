"""pcapng interface descriptions: link type, and what a tick of its clock is.

Format: draft-ietf-opsawg-pcapng, section 4.2.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from sensor.kernel import kernel
from sensor.sources.walk import BadCaptureError

#: Interfaces of one section whose packets are delivered. A capture of every
#: interface of a large router fits; more would only be memory.
INTERFACES_CAP = 1024

#: Options looked at in one block; the standard knows about 15.
_OPTIONS_CAP = 256

#: Latest time given to a packet, in ns: the year 2116, later than any 32-bit
#: second, and far enough below the end of int64 that a timeout can be added.
TIME_MAX = 2**62 - 1

_SECOND = 1_000_000_000
_MAX_SECONDS = TIME_MAX // _SECOND
_MAX_TICKS = 2**64 - 1
_OPTION_END = 0
_OPTION_RESOLUTION = 9
_OPTION_OFFSET = 14
_DEFAULT_RESOLUTION = 6  # microseconds

#: One described interface.
INTERFACE = np.dtype(
    [
        ("multiplier", np.uint64),  # ns per tick, of a decimal clock of 1 ns or slower
        ("divisor", np.uint64),  # ticks per ns, of a faster one
        ("limit", np.uint64),  # ticks beyond which the time is clamped
        ("offset_ns", np.int64),  # added to every time
        ("snaplen", np.int64),  # 0: none
        ("shift", np.int64),  # ticks per second are 2**shift; -1: decimal clock
        ("dropped", np.int64),  # packets it lost so far, as the capture says
        ("link_type", np.uint16),
    ],
    align=True,
)

Interfaces = npt.NDArray[np.void]
ByteOrder = Literal["little", "big"]


def _options(body: memoryview, order: ByteOrder) -> dict[int, bytes]:
    """Return the first value of each clock option in `body`."""
    found: dict[int, bytes] = {}
    at = 0
    for _ in range(_OPTIONS_CAP):
        if len(body) - at < 4:
            break
        code = int.from_bytes(body[at : at + 2], order)
        length = int.from_bytes(body[at + 2 : at + 4], order)
        if code == _OPTION_END:
            break
        at += 4
        if length > len(body) - at:
            raise BadCaptureError(f"option {code} is longer than its interface description")
        if code in (_OPTION_RESOLUTION, _OPTION_OFFSET):
            found.setdefault(code, body[at : at + length].tobytes())
        at += length + -length % 4
    return found


def parse_interface(body: memoryview, order: ByteOrder) -> Interfaces:
    """Read the body of an interface description block.

    Parameters
    ----------
    body
        Between the block's two lengths.
    order
        Byte order of the section.

    Returns
    -------
    Interfaces
        `INTERFACE`, shape (1,).

    Raises
    ------
    BadCaptureError
        The block is too short, or an option does not fit in it.
    """
    if len(body) < 8:
        raise BadCaptureError("an interface description is too short")
    interface = np.zeros(1, INTERFACE)
    interface["link_type"] = int.from_bytes(body[0:2], order)
    interface["snaplen"] = int.from_bytes(body[4:8], order)
    options = _options(body[8:], order)
    resolution = options.get(_OPTION_RESOLUTION, b"")
    _set_clock(interface, resolution[0] if resolution else _DEFAULT_RESOLUTION)
    offset = options.get(_OPTION_OFFSET, b"")
    if len(offset) == 8:
        seconds = int.from_bytes(offset, order, signed=True)
        # One beyond any time either way, so that no packet's sum is taken for a time.
        interface["offset_ns"] = max(-TIME_MAX - 1, min(TIME_MAX + 1, seconds * _SECOND))
    return interface


def _set_clock(interface: Interfaces, resolution: int) -> None:
    """Set what a tick is. Bit 7 set: 2**-n seconds; clear: 10**-n seconds."""
    exponent = resolution & 0x7F
    interface["multiplier"] = 1
    interface["divisor"] = 1
    interface["shift"] = -1
    interface["limit"] = _MAX_TICKS
    if resolution & 0x80:
        interface["shift"] = exponent
        if exponent < 64:
            interface["limit"] = min((_MAX_SECONDS << exponent) - 1, _MAX_TICKS)
    elif exponent <= 9:
        interface["multiplier"] = 10 ** (9 - exponent)
        interface["limit"] = TIME_MAX // 10 ** (9 - exponent)
    elif 10 ** (exponent - 9) <= _MAX_TICKS:
        interface["divisor"] = 10 ** (exponent - 9)
        interface["limit"] = min((TIME_MAX + 1) * 10 ** (exponent - 9) - 1, _MAX_TICKS)
    else:  # 64 bits of such ticks are less than a nanosecond
        interface["multiplier"] = 0


@kernel
def binary_ns(ticks: np.uint64, shift: int) -> np.int64:
    """Return the ns in `ticks` of 2**-shift seconds, rounded down.

    `ticks` is at most the interface's limit, so the seconds fit. The fraction
    times 1e9 needs up to 94 bits: for shift >= 32 it is made of two halves.
    """
    low_half = np.uint64(0xFFFF_FFFF)
    half = np.uint64(32)
    second = np.uint64(_SECOND)
    seconds = np.uint64(0)
    fraction = ticks
    if shift < 64:
        seconds = ticks >> np.uint64(shift)
        fraction = ticks & ((np.uint64(1) << np.uint64(shift)) - np.uint64(1))
    if shift < 32:
        nanoseconds = (fraction * second) >> np.uint64(shift)
    elif shift < 96:
        high = (fraction >> half) * second
        low = (fraction & low_half) * second
        nanoseconds = (high + (low >> half)) >> np.uint64(shift - 32)
    else:
        nanoseconds = np.uint64(0)
    return np.int64(seconds * second + nanoseconds)


@kernel
def interface_time(interface: np.void, ticks: np.uint64, tally: npt.NDArray[np.void]) -> np.int64:
    """Return the time of a packet in ns since the epoch; one that had to be clamped is counted.

    Parameters
    ----------
    interface
        `INTERFACE`: the packet's.
    ticks
        The 64-bit time stamp of the block.
    tally
        `TALLY`, shape (1,).
    """
    if ticks > interface["limit"]:
        tally[0]["timestamps_clamped"] += 1
        return np.int64(TIME_MAX)
    if interface["shift"] >= 0:
        time = binary_ns(ticks, interface["shift"])
    elif interface["divisor"] > np.uint64(1):
        time = np.int64(ticks // interface["divisor"])
    else:
        time = np.int64(ticks * interface["multiplier"])
    time += interface["offset_ns"]
    clamped = min(max(time, np.int64(0)), np.int64(TIME_MAX))
    if clamped != time:
        tally[0]["timestamps_clamped"] += 1
    return clamped
