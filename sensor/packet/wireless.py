"""IEEE 802.11 frames, and the headers that capture programs put before them.

In: ``data[at:end]``. Out: what follows, where, the `DecodeError`, and where the
destination's and the source's MAC address stand (-1: not there).

Rules: only data frames lead on, and only those that are not encrypted; of
several frames sent as one (A-MSDU) the first is decoded.
"""

from __future__ import annotations

from sensor.kernel import Int, kernel
from sensor.packet.batch import Bytes
from sensor.packet.columns import DecodeError
from sensor.packet.ethertype import ETHERNET, LLC, OTHER, WLAN
from sensor.packet.wire import be32, le16, le32, u8

#: Words of radiotap's bitmap; the chain's end is marked in the bitmap itself.
_MOST_BITMAPS = 8

_NONE = int(DecodeError.NONE)
_TRUNCATED = int(DecodeError.TRUNCATED_LINK)
_PROTECTED = int(DecodeError.PROTECTED_LINK)
_UNKNOWN = int(DecodeError.UNKNOWN_LINK_TYPE)

#: How a MAC header is laid out: see `wlan`.
PLAIN, PADDED, SWAPPED = 0, 1, 2

_DATA = 2
_MANAGEMENT = 0


@kernel
def wlan(data: Bytes, at: Int, end: Int, form: Int) -> tuple[Int, Int, Int, Int, Int]:
    """Read an 802.11 MAC header (IEEE 802.11-2020, 9.2.4 and 9.3.2.1).

    Parameters
    ----------
    data, at, end
        Bytes, the frame's first one, and the one behind the last.
    form
        `PLAIN`, `PADDED` to a multiple of 4 bytes (radiotap's flag "datapad"), or `SWAPPED`:
        the two bytes of frame control in the other order, as Cisco's access points send it.

    Returns
    -------
    (what, at, error, dst_at, src_at)
    """
    if at + 24 > end:
        return OTHER, at, _TRUNCATED, -1, -1
    control, flags = u8(data, at), u8(data, at + 1)
    if form == SWAPPED:
        control, flags = flags, control
    if control & 3 != 0:  # another version of the protocol
        return OTHER, at, _NONE, -1, -1
    if control >> 2 & 3 == _MANAGEMENT:
        return OTHER, at, _NONE, at + 4, at + 10
    if control >> 2 & 3 != _DATA:
        return OTHER, at, _NONE, -1, -1
    to_ds, from_ds, quality = flags & 1, flags >> 1 & 1, control >> 7
    fixed = 24 + 6 * (to_ds & from_ds)
    size = fixed + 2 * quality + 4 * (quality & flags >> 7)
    if form == PADDED:
        size = (size + 3) // 4 * 4
    if at + size > end:
        return OTHER, at, _TRUNCATED, -1, -1
    dst = at + 16 if to_ds else at + 4
    src = at + 10
    if from_ds:
        src = at + 24 if to_ds else at + 16
    body = at + size
    if control & 0x40:  # no data: a station that says it sleeps
        return OTHER, body, _NONE, dst, src
    if flags & 0x40:
        return OTHER, body, _PROTECTED, dst, src
    if quality and u8(data, at + fixed) & 0x80:  # A-MSDU: each frame has its own addresses
        if body + 14 > end:
            return OTHER, body, _TRUNCATED, -1, -1
        return LLC, body + 14, _NONE, body, body + 6
    return LLC, body, _NONE, dst, src


@kernel
def is_padded(data: Bytes, at: Int, end: Int) -> bool:
    """Return whether radiotap's flags (its second field) say that the MAC header is padded."""
    first = le32(data, at + 4)
    if first & 2 == 0:
        return False
    field = at + 8
    word = first
    for _ in range(_MOST_BITMAPS):
        if word & 0x8000_0000 == 0 or field + 4 > end:
            break
        word = le32(data, field)
        field += 4
    if first & 1:  # a time stamp of 8 bytes, aligned to 8, stands before the flags
        field = at + (field - at + 7) // 8 * 8 + 8
    return bool(field < end and u8(data, field) & 0x20)


@kernel
def capture_header(data: Bytes, at: Int, end: Int, link_type: Int) -> tuple[Int, Int, Int, Int]:
    """Skip radiotap (127), PPI (192), Prism (119) or AVS (163); return (what, at, error, form)."""
    if link_type == 105:
        return WLAN, at, _NONE, PLAIN
    if at + 8 > end:
        return OTHER, at, _TRUNCATED, PLAIN
    what, form = WLAN, PLAIN
    if link_type == 127:
        size = le16(data, at + 2)
        if size >= 8 and at + size <= end and is_padded(data, at, at + size):
            form = PADDED
    elif link_type == 192:
        size = le16(data, at + 2)
        inner = le32(data, at + 4)
        if inner == 1:
            what = ETHERNET
        elif inner != 105:
            what = OTHER
    elif link_type == 163 or be32(data, at) & 0xFFFF_F000 == 0x8021_1000:  # AVS, also under Prism's number
        size = be32(data, at + 4)
    else:
        size = le32(data, at + 4)
    if size < 8:
        return OTHER, at, _UNKNOWN, PLAIN
    if at + size > end:
        return OTHER, at, _TRUNCATED, PLAIN
    return what, at + size, _NONE, form
