"""The host table: one row an address, fixed capacity, least recently active first out.

Hosts stand in two lists. PROVISIONAL holds addresses of which no two-way
conversation was seen (any spoofed packet makes one), KNOWN the others. When the
table is full, provisional hosts go first, so that a flood of invented sources
cannot push out the network's own. For the same reason the memories that all
hosts share (`seen`, `repeats`) are there once for each standing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sensor.feature.table import (
    CREATED,
    EVICTED,
    EVICTED_ACTIVE,
    FREE,
    HOSTS,
    KNOWN,
    PROVISIONAL,
    TOUCHED,
    WALK_LIMIT,
    WINDOW,
    HostTable,
)
from sensor.kernel import Int, Rows, kernel
from sensor.siphash import hash_address

#: Longest walk along one bucket's chain; the key is secret, so chains stay short.
_WALK_LIMIT = 64


@kernel
def _unlink(rows: Rows, lists: npt.NDArray[np.int32], slot: Int) -> None:
    row = rows[slot]
    standing = np.int64(row.standing)
    newer, older = np.int64(row.newer), np.int64(row.older)
    if newer >= 0:
        rows[newer].older = older
    else:
        lists[standing, 0] = older
    if older >= 0:
        rows[older].newer = newer
    else:
        lists[standing, 1] = newer


@kernel
def _link(rows: Rows, lists: npt.NDArray[np.int32], slot: Int, standing: Int) -> None:
    """Put `slot` at the newest end of the list `standing`."""
    row = rows[slot]
    newest = lists[standing, 0]
    row.standing = standing
    row.newer = -1
    row.older = newest
    if newest >= 0:
        rows[newest].newer = slot
    else:
        lists[standing, 1] = slot
    lists[standing, 0] = slot


@kernel
def _evict(table: HostTable, kept: Int) -> Int:
    """Forget the least recently active host but `kept`, provisional ones first; return its slot."""
    slot = np.int64(table.lists[PROVISIONAL, 1])
    if slot >= 0 and slot == kept:
        slot = np.int64(table.rows[slot].newer)
    if slot < 0:
        slot = np.int64(table.lists[KNOWN, 1])
        if slot == kept:
            slot = np.int64(table.rows[slot].newer)
    row = table.rows[slot]
    _unlink(table.rows, table.lists, slot)
    bucket = np.int64(row.hash & np.uint64(table.heads.shape[0] - 1))
    current = np.int64(table.heads[bucket])
    if current == slot:
        table.heads[bucket] = row.chain
    else:
        while np.int64(table.rows[current].chain) != slot:
            current = np.int64(table.rows[current].chain)
        table.rows[current].chain = row.chain
    table.state[EVICTED] += 1
    if np.int64(row.window) == table.state[WINDOW]:
        table.state[EVICTED_ACTIVE] += 1
    table.state[HOSTS] -= 1
    return slot


@kernel
def _walk(rows: Rows, heads: npt.NDArray[np.int32], hi: np.uint64, lo: np.uint64, hashed: np.uint64) -> Int:
    """Return the slot of the address, -1 when it is not there, -2 when the chain was too long to tell."""
    slot = np.int64(heads[np.int64(hashed & np.uint64(heads.shape[0] - 1))])
    for _ in range(_WALK_LIMIT):
        if slot < 0:
            return -1
        row = rows[slot]
        if row.lo == lo and row.hi == hi:
            return slot
        slot = np.int64(row.chain)
    return -2


@kernel
def find(table: HostTable, hi: np.uint64, lo: np.uint64) -> Int:
    """Return the slot of the address, or less than 0."""
    return _walk(table.rows, table.heads, hi, lo, hash_address(hi, lo, table.key[0], table.key[1]))


@kernel
def find_or_add(table: HostTable, hi: np.uint64, lo: np.uint64, hashed: np.uint64, kept: Int) -> Int:
    """Return the slot of the address, made if need be: which may evict another host than `kept`.

    `hashed` is the address's keyed hash.
    """
    slot = _walk(table.rows, table.heads, hi, lo, hashed)
    if slot >= 0:
        return slot
    if slot == -2:
        table.state[WALK_LIMIT] += 1
    if table.state[HOSTS] >= table.rows.shape[0]:
        slot = _evict(table, kept)
    else:
        slot = table.state[FREE]
        table.state[FREE] = np.int64(table.rows[slot].chain)
    row = table.rows[slot]
    bucket = np.int64(hashed & np.uint64(table.heads.shape[0] - 1))
    row.hi = hi
    row.lo = lo
    row.hash = hashed
    row.mac = row.arp_mac = np.uint64(0)
    row.window = -1
    row.failed = row.logins = 0.0
    row.windows = row.vlan = row.ip_version = 0
    row.chain = table.heads[bucket]
    table.heads[bucket] = slot
    _link(table.rows, table.lists, slot, PROVISIONAL)
    table.state[HOSTS] += 1
    table.state[CREATED] += 1
    return slot


@kernel
def enter(table: HostTable, hi: np.uint64, lo: np.uint64, hashed: np.uint64, kept: Int) -> Int:
    """Return what `find_or_add` gives, started for this window if need be."""
    slot = find_or_add(table, hi, lo, hashed, kept)
    touch(table, slot)
    return slot


@kernel
def promote(table: HostTable, slot: Int) -> None:
    """Note that the host took part in a two-way conversation."""
    if np.int64(table.rows[slot].standing) == PROVISIONAL:
        _unlink(table.rows, table.lists, slot)
        _link(table.rows, table.lists, slot, KNOWN)


@kernel
def touch(table: HostTable, slot: Int) -> None:
    """Note that the host is active; start its counters for the current window if they do not run."""
    row = table.rows[slot]
    window = table.state[WINDOW]
    # Who goes first matters only where somebody may have to go: while half the table is free,
    # order by window is enough, and spares the neighbours' rows.
    crowded = 2 * table.state[HOSTS] >= table.rows.shape[0]
    if (crowded or row.window != window) and table.lists[np.int64(row.standing), 0] != slot:
        _unlink(table.rows, table.lists, slot)
        _link(table.rows, table.lists, slot, np.int64(row.standing))
    if np.int64(row.window) == window:
        return
    row.window = window
    # A sparse set (Briggs & Torczon, 1993): a slot whose host was evicted keeps its place.
    place = np.int64(row.touch)
    if place >= table.state[TOUCHED] or np.int64(table.touched[place]) != slot:
        row.touch = table.state[TOUCHED]
        table.touched[table.state[TOUCHED]] = slot
        table.state[TOUCHED] += 1
    row.packets_out = row.packets_in = row.bytes_out = row.bytes_in = 0
    row.dns_bytes_out = row.icmp_bytes_out = row.dns_queries = 0
    row.peer_out_hi = row.peer_out_lo = row.peer_in_hi = row.peer_in_lo = np.uint64(0)
    row.out_hi = row.out_lo = row.in_hi = row.in_lo = np.uint64(0)
    row.port_out = row.port_in = 0
    row.peer_out_votes = row.peer_in_votes = row.port_out_votes = row.port_in_votes = 0
    row.flows_out = row.flows_in = row.answered_out = row.answered_in = 0
    row.refused_out = row.syn_in = row.new_peers = row.new_services = 0
    row.repeats_out = row.logins_out = row.binding_changes = row.established_in = 0
    row.odd_flows = row.odd_fragments = row.arp_requests = row.contacts_out = row.contacts_in = 0
    row.out_protocol = row.in_protocol = 0
