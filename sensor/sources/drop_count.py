"""What a pcapng capture says of packets that it lacks.

A packet block may tell how many were lost before it (`epb_dropcount`), and a
statistics block how many an interface and the system lost since the capture
began (`isb_ifdrop`, `isb_osdrop`). Where there are both, none counts twice.
Format: draft-ietf-opsawg-pcapng, sections 4.3 and 4.6.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sensor.kernel import kernel, outlined
from sensor.packet.batch import Bytes
from sensor.sources.interface import Interfaces
from sensor.sources.word import word16, word32

#: Shortest option that holds a count.
COUNT_OPTION_BYTES = 12
_DROPS_BEFORE_PACKET = 4
_INTERFACE_DROPS = 5
_SYSTEM_DROPS = 7
#: Options looked at in one block; the standard knows about 15.
_OPTIONS_CAP = 32
#: Largest count taken at its word, and largest sum: far from where int64 ends.
_COUNT_CAP, _SUM_CAP = 2**48, 2**62


@kernel
def _count_option(data: Bytes, at: int, end: int, code: int, big_endian: bool) -> np.int64:  # noqa: FBT001  (a kernel's argument)
    """Return the number that the first option `code` between `at` and `end` holds; 0 when there is none."""
    count = np.int64(0)
    for _ in range(_OPTIONS_CAP):
        if end - at < COUNT_OPTION_BYTES:
            break
        found = word16(data, at, big_endian)
        length = word16(data, at + 2, big_endian)
        if found == 0:
            break
        if found == code and length == 8:
            first = np.int64(word32(data, at + 4, big_endian))
            second = np.int64(word32(data, at + 8, big_endian))
            high = first if big_endian else second
            low = second if big_endian else first
            count = np.int64(_COUNT_CAP) if high >= 2**16 else np.int64(high * 2**32 + low)
            break
        at += 4 + (length + 3) // 4 * 4
    return count


@outlined
def drops_before_packet(data: Bytes, at: int, end: int, big_endian: bool) -> np.int64:  # noqa: FBT001  (a kernel's argument)
    """Return how many packets the options of a packet block, from `at` to `end`, say were lost before it."""
    return _count_option(data, at, end, _DROPS_BEFORE_PACKET, big_endian)


@outlined
def drops_so_far(data: Bytes, at: int, end: int, big_endian: bool) -> np.int64:  # noqa: FBT001  (a kernel's argument)
    """Return how many packets the options of a statistics block say were lost since the beginning."""
    interface_drops = _count_option(data, at, end, _INTERFACE_DROPS, big_endian)
    return np.int64(interface_drops + _count_option(data, at, end, _SYSTEM_DROPS, big_endian))


@kernel
def add_drops(count: np.int64, interfaces: Interfaces, index: int, tally: npt.NDArray[np.void]) -> None:
    """Count packets that interface `index` lost."""
    interfaces[index]["dropped"] = min(interfaces[index]["dropped"] + count, np.int64(_SUM_CAP))
    tally[0]["frames_dropped"] = min(tally[0]["frames_dropped"] + count, np.int64(_SUM_CAP))


@kernel
def raise_drops(total: np.int64, interfaces: Interfaces, index: int, tally: npt.NDArray[np.void]) -> None:
    """Count what interface `index` lost beyond what is counted already, when `total` is its sum so far."""
    if index < interfaces.shape[0] and total > interfaces[index]["dropped"]:
        add_drops(np.int64(total - interfaces[index]["dropped"]), interfaces, index, tally)
