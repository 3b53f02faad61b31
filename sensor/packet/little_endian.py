"""Integers whose least significant byte comes first, as Windows and field buses write them.

As in `packet.wire`, the caller has checked the captured length.
"""

from __future__ import annotations

from sensor.kernel import Int, kernel
from sensor.packet.batch import Bytes
from sensor.packet.wire import u8


@kernel
def le16(data: Bytes, at: Int) -> Int:
    """Return the 16 bits at `at`."""
    return u8(data, at + 1) << 8 | u8(data, at)


@kernel
def le32(data: Bytes, at: Int) -> Int:
    """Return the 32 bits at `at`."""
    return le16(data, at + 2) << 16 | le16(data, at)
