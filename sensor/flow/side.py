"""One direction of a flow: its sums, as `record` defines them."""

from __future__ import annotations

import numpy as np

from sensor.kernel import Int, Row, kernel
from sensor.packet.batch import Bytes

_SECONDS_PER_NS = 1e-9
_BITS8 = np.uint64(8)
#: Bytes of the first payload that a record keeps.
_HALF_BYTES = 8


@kernel
def add_packet(side: Row, edge: Row, packet: Row, time: Int) -> None:
    """Add one packet's length and arrival to its direction.

    Parameters
    ----------
    side, edge
        `SIDE` and `EDGE` rows.
    packet
        `PACKET` row.
    time
        When it came, ns; not before the direction's last.
    """
    length = packet["ip_bytes"]
    count = side["packets"]
    if count == 0:
        edge["length_min"] = length
        edge["length_max"] = length
        side["first"] = time
    else:
        edge["length_min"] = min(edge["length_min"], length)
        edge["length_max"] = max(edge["length_max"], length)
        interval = time - side["last"]
        least = side["interval_min"]
        side["interval_min"] = interval if (count == 1) | (interval < least) else least
        side["interval_max"] = max(side["interval_max"], interval)
        seconds = interval * _SECONDS_PER_NS
        side["interval_squares"] += seconds * seconds
    side["packets"] = count + 1
    side["last"] = time
    side["bytes"] += np.uint64(length)
    side["payload_bytes"] += np.uint64(packet["payload_bytes"])
    size = np.float64(length)
    side["length_squares"] += size * size


@kernel
def add_first_payload(side: Row, packet: Row, data: Bytes) -> None:
    """Keep the first 16 payload bytes; bytes that were not captured are zero.

    Parameters
    ----------
    side
        `SIDE` row that has no payload yet.
    packet
        `PACKET` row with payload.
    data
        uint8, shape (bytes,): the batch's bytes, what `payload_offset` points into.
    """
    side["first_payload_bytes"] = packet["payload_bytes"]
    begin = packet["payload_offset"]
    if begin < 0:
        return
    end = min(begin + np.int64(packet["payload_captured"]), np.int64(data.shape[0]))
    side["first_payload_hi"] = _word(data, begin, end)
    side["first_payload_lo"] = _word(data, begin + _HALF_BYTES, end)


@kernel
def _word(data: Bytes, begin: Int, end: Int) -> np.uint64:
    """Return 8 bytes from `begin`, big-endian, zeros from `end` on."""
    word = np.uint64(0)
    for i in range(begin, begin + _HALF_BYTES):
        word = word << _BITS8
        if i < end:
            word |= np.uint64(data[i])
    return word
