"""IP fragments, never reassembled: a small table gives later ones their first one's ports.

In: a decoded row that is a fragment. Out: its ports, where the first fragment
was seen, and `FragmentFlag`s. A later fragment without its first keeps ports 0.

Rules: a datagram is (source, destination, identification), for IPv4 the
protocol too (RFC 791, 3.2; RFC 8200, 4.5), for `LIFETIME` of packet time from
its first packet. The table is of fixed size: a datagram has one place of
`WAYS`, found by a keyed hash, and takes the oldest one's when all are taken. A
fragment repeated at once, byte range for byte range, is a copy and no overlap;
one behind a complete datagram begins another, as it would at the receiver. The
covered ranges are kept exactly, as long as there are at most `MAX_SPANS` of
them; what does not fit is not tracked, so that nothing is called an overlap
that is none.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sensor.kernel import Int, Row, Rows, kernel, outlined, record_dtype
from sensor.packet.columns import DecodeError, FragmentFlag
from sensor.packet.wire import signed
from sensor.siphash import sip_absorb, sip_finish, sip_start

#: Datagrams that are followed at once: 4,096.
SETS = 512
WAYS = 8

#: How long (ns) a datagram is waited for: what receivers commonly wait (Linux: ipfrag_time, 30 s).
LIFETIME = 30_000_000_000

#: Byte ranges of one datagram. Fragments that come in order need one.
MAX_SPANS = 4

#: Below so many bytes of the datagram, a fragment that is not the last is tiny. Whoever must
#: fragment fills the link; no link in use is so narrow (RFC 791 asks every host for 576 bytes).
LEAST_MIDDLE = 400

DATAGRAM = record_dtype(
    [
        ("src_hi", np.uint64),
        ("src_lo", np.uint64),
        ("dst_hi", np.uint64),
        ("dst_lo", np.uint64),
        ("time", np.int64),  # of the packet that began it (ns)
        ("identification", np.int64),  # with protocol and IP version: see `_identity`
        ("total", np.int32),  # bytes of the datagram's payload; -1 until its last fragment is seen
        ("last_start", np.int32),  # range of the fragment seen last
        ("last_end", np.int32),
        ("spans", np.int32),  # how many ranges are covered
        ("src_port", np.uint16),
        ("dst_port", np.uint16),
        ("used", np.uint8),
        ("has_ports", np.uint8),
    ]
)

_NONE = int(DecodeError.NONE)
_PORTS_KNOWN = int(FragmentFlag.PORTS_KNOWN)
_OVERLAP = int(FragmentFlag.OVERLAP)
_TINY = int(FragmentFlag.TINY)
_EARLIEST = np.iinfo(np.int64).min + LIFETIME
_TCP = 6
_KEY_BYTES = np.uint64(40)

#: Counters, in the order of `FragmentTable.totals`.
TOTALS = (
    "fragments",
    "fragments_ports_known",
    "fragments_ports_unknown",
    "fragments_overlap",
    "fragments_tiny",
    "fragments_replaced",
    "fragments_expired",
    "fragments_untracked",
)
_SEEN, _KNOWN, _UNKNOWN, _OVERLAPS, _TINIES, _REPLACED, _EXPIRED, _UNTRACKED = range(len(TOTALS))


class FragmentTable(NamedTuple):
    """Datagrams whose fragments are passing.

    Parameters
    ----------
    datagrams
        `DATAGRAM`, shape (SETS * WAYS,).
    spans
        int32, shape (SETS * WAYS, MAX_SPANS, 2): covered byte ranges (start, end).
    totals
        int64, shape (counters,): see `TOTALS`.
    key
        uint64, shape (2,): the secret of the hash.
    """

    datagrams: Rows
    spans: npt.NDArray[np.int32]
    totals: npt.NDArray[np.int64]
    key: npt.NDArray[np.uint64]


def fragment_table(key: tuple[int, int]) -> FragmentTable:
    """Return an empty table with the 128-bit secret `key`, as two words."""
    return FragmentTable(
        datagrams=np.zeros(SETS * WAYS, DATAGRAM),
        spans=np.zeros((SETS * WAYS, MAX_SPANS, 2), np.int32),
        totals=np.zeros(len(TOTALS), np.int64),
        key=np.array(key, np.uint64),
    )


@kernel
def is_fragment(row: Row) -> bool:
    """Return whether the row is a part of a datagram; IPv6's atomic fragments are whole (RFC 6946)."""
    return row.fragment_offset != 0 or row.more_fragments != 0


@kernel
def _identity(row: Row) -> Int:
    """Return the identification, with the protocol where the two make the key, and the version."""
    protocol = signed(row.protocol) if row.ip_version == 4 else signed(0)
    return signed(row.fragment_id) | protocol << 32 | signed(row.ip_version) << 40


@kernel
def _place(row: Row, identity: Int, table: FragmentTable) -> Int:
    """Return the first index of the set that a datagram belongs to."""
    state = sip_start(table.key[0], table.key[1])
    state = sip_absorb(sip_absorb(state, row.src_hi), row.src_lo)
    state = sip_absorb(sip_absorb(state, row.dst_hi), row.dst_lo)
    digest = sip_finish(sip_absorb(state, np.uint64(identity)), _KEY_BYTES)
    return signed(digest & np.uint64(SETS - 1)) * WAYS


@kernel
def _is_of(datagram: Row, row: Row, identity: Int) -> bool:
    return (
        datagram.used != 0
        and datagram.identification == identity
        and datagram.src_lo == row.src_lo
        and datagram.dst_lo == row.dst_lo
        and datagram.src_hi == row.src_hi
        and datagram.dst_hi == row.dst_hi
    )


@kernel
def _begin(datagram: Row, time: Int) -> None:
    """Forget what is known of a datagram, but for its key."""
    datagram.time = time
    datagram.used = 1
    datagram.has_ports = 0
    datagram.total = -1
    datagram.spans = 0
    datagram.last_start = datagram.last_end = -1


@kernel
def _find(row: Row, table: FragmentTable) -> Int:
    """Return the index of the row's datagram, which is put into the table if it is not there."""
    datagrams, totals = table.datagrams, table.totals
    identity = _identity(row)
    first = _place(row, identity, table)
    alive = max(row.time, _EARLIEST) - LIFETIME
    chosen = first
    for i in range(first, first + WAYS):
        if _is_of(datagrams[i], row, identity):
            if datagrams[i].time >= alive:
                return i
            chosen = i
            break
        # Free places first, then the oldest; of equals the first.
        one, best = datagrams[i], datagrams[chosen]
        if (one.used < best.used) or (one.used == best.used and one.time < best.time):
            chosen = i
    datagram = datagrams[chosen]
    if datagram.used != 0:
        totals[_EXPIRED if datagram.time < alive else _REPLACED] += 1
    datagram.src_hi, datagram.src_lo = row.src_hi, row.src_lo
    datagram.dst_hi, datagram.dst_lo = row.dst_hi, row.dst_lo
    datagram.identification = identity
    _begin(datagram, row.time)
    return chosen


@kernel
def _cover(table: FragmentTable, index: Int, start: Int, end: Int) -> bool:
    """Add the range to those covered; return whether it meets one of them."""
    spans, datagram = table.spans, table.datagrams[index]
    low, high, kept, meets = start, end, 0, False
    for i in range(datagram.spans):
        left, right = signed(spans[index, i, 0]), signed(spans[index, i, 1])
        if right < start or left > end:
            spans[index, kept, 0], spans[index, kept, 1] = left, right
            kept += 1
        else:
            meets = meets or (left < end and start < right)
            low, high = min(low, left), max(high, right)
    if kept < MAX_SPANS:
        spans[index, kept, 0], spans[index, kept, 1] = low, high
        kept += 1
    else:
        table.totals[_UNTRACKED] += 1
    datagram.spans = kept
    return meets


@kernel
def _is_complete(table: FragmentTable, index: Int) -> bool:
    """Return whether all bytes up to the end of the last fragment were seen."""
    datagram = table.datagrams[index]
    if datagram.total < 0 or datagram.spans != 1:
        return False
    return table.spans[index, 0, 0] == 0 and table.spans[index, 0, 1] >= datagram.total


@kernel
def is_tiny(row: Row, size: Int) -> bool:
    """Return whether a fragment with `size` bytes of its datagram is smaller than anyone needs.

    That is: a first one that cuts the transport header, the one behind it (RFC
    1858, 3; RFC 3128), or one that is not the last and is below `LEAST_MIDDLE`.
    """
    if row.more_fragments != 0 and size < LEAST_MIDDLE:
        return True
    if row.protocol != _TCP:
        return row.fragment_offset == 0 and size < 8
    return row.fragment_offset == 8 or (row.fragment_offset == 0 and size < 20)


@outlined
def track(row: Row, size: Int, table: FragmentTable) -> None:
    """Give a fragment its ports and flags, and remember what it covers.

    Parameters
    ----------
    row
        One `PACKET` that is a fragment, decoded; ports and `fragment_flags` are written.
    size
        Bytes of the datagram that it holds, on the wire.
    table
        Updated.
    """
    totals = table.totals
    totals[_SEEN] += 1
    index = _find(row, table)
    datagram = table.datagrams[index]
    start = signed(row.fragment_offset)
    end = start + size
    flags = _TINY if is_tiny(row, size) else 0
    if datagram.last_start != start or datagram.last_end != end:
        if _is_complete(table, index):
            _begin(datagram, row.time)
        if size > 0 and _cover(table, index, start, end):
            flags |= _OVERLAP
        datagram.last_start, datagram.last_end = start, end
    if row.more_fragments == 0:
        datagram.total = end
    if start == 0:
        if datagram.has_ports == 0 and (row.error == _NONE or row.src_port != 0 or row.dst_port != 0):
            datagram.has_ports = 1
            datagram.src_port, datagram.dst_port = row.src_port, row.dst_port
    elif datagram.has_ports:
        row.src_port, row.dst_port = datagram.src_port, datagram.dst_port
        flags |= _PORTS_KNOWN
        totals[_KNOWN] += 1
    else:
        totals[_UNKNOWN] += 1
    totals[_OVERLAPS] += flags & _OVERLAP != 0
    totals[_TINIES] += flags & _TINY != 0
    row.fragment_flags = flags
