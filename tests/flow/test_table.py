"""The table's own promises: shared memory of directions, collisions, limits."""

import numpy as np
import pytest
from flow_audit import audit_cells
from flow_packets import packet, packet_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.flow.entry import EDGE, ENTRY, LINES, SIDE
from sensor.flow.key import KEY
from sensor.flow.record import FLOW
from sensor.flow.table import WALK_LIMIT, find, match, new_table, release, take
from sensor.flow.wheel import new_wheels

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")
OPEN_NAMES = {"handshake_time": "exported", "first": "interval_sum", "no_ack": "ack"}


def small_table(capacity):
    return new_table(capacity, new_wheels([10**9] * 3))


def key_of(p):
    key = np.zeros(1, KEY)
    key["src_port"], key["dst_port"] = p["src_port"], p["dst_port"]
    return key.view(np.recarray)[0]


def insert(table, hash_value, p):
    """Put a flow of packet `p` into the table under a hash of our choice."""
    slot = int(take(table, np.uint64(hash_value)))
    if slot >= 0:
        table.entries[slot]["mark"] = 0
        for name in (
            "src_hi",
            "src_lo",
            "dst_hi",
            "dst_lo",
            "src_port",
            "dst_port",
            "protocol",
            "ip_version",
        ):
            table.entries[slot][name] = p[name]
    return slot


def lookup(table, hash_value, p):
    slot, direction = find(table, packet_rows([p])[0], key_of(p), np.uint64(hash_value))
    return int(slot), int(direction)


def test_a_row_is_seven_lines_and_begins_with_one():
    table = small_table(3)
    assert ENTRY.itemsize == table.entries.strides[0] == LINES * 64 == 448
    assert all(table.entries[i : i + 1].ctypes.data % 64 == 0 for i in range(3))
    assert table.lines.shape == (21, 8)


def test_what_each_packet_needs_stands_in_few_lines():
    begin = {name: field[1] for name, field in ENTRY.fields.items()}
    assert {begin[name] // 64 for name in ("tag", "list", "bits", "src_hi", "dst_lo", "ip_version")} == {0}
    assert {begin[name] // 64 for name in ("end", "start", "idle", "tcp_flags")} == {1}
    per_packet = ("last", "bytes", "payload_bytes", "length_squares", "interval_max", "packets", "psh")
    assert {SIDE.fields[name][1] // 64 for name in per_packet} == {0}


def test_all_names_are_the_same_bytes():
    table = small_table(3)
    for number, (kind, rows) in enumerate(((SIDE, table.sides), (EDGE, table.edges))):
        for at, name in enumerate(kind.names):
            rows[name][1] = (10 * number + at + 1, 10 * number + at + 101)
            record_name = OPEN_NAMES.get(name, name)
            assert table.flows[record_name][1] == 10 * number + at + 1, name
            assert table.flows[f"reverse_{record_name}"][1] == 10 * number + at + 101, name
    for at, name in enumerate(ENTRY.names):
        table.entries[name][1] = at + 1
        if OPEN_NAMES.get(name, name) in FLOW.names:
            assert table.flows[OPEN_NAMES.get(name, name)][1] == at + 1, name
    assert not table.lines[:7].any()
    assert not table.lines[14:].any()


def test_flows_with_one_hash_are_told_apart():
    table = small_table(8)
    many = [packet(src_port=port) for port in (1, 2, 3)] + [packet(src=2, dst=3), packet(protocol=17)]
    slots = [insert(table, 77, p) for p in many]
    assert [lookup(table, 77, p) for p in many] == [(slot, 0) for slot in slots]
    swapped = packet(src=1, dst=0, src_port=80, dst_port=2)
    assert lookup(table, 77, swapped) == (slots[1], 1)
    assert lookup(table, 77, packet(src_port=9)) == (-1, -1)
    assert lookup(table, 78, many[0]) == (-1, -1)
    assert table.state["chain_walk_limit"][0] == 0


def test_a_flow_can_leave_any_place_of_its_run():
    for gone in range(3):
        table = small_table(4)
        many = [packet(src_port=port) for port in (1, 2, 3)]
        slots = [insert(table, 7, p) for p in many]
        assert match(table, slots[gone], packet_rows([many[gone]])[0], key_of(many[gone])) == 0
        release(table, slots[gone])
        assert match(table, slots[gone], packet_rows([many[gone]])[0], key_of(many[gone])) == -1
        assert sorted(audit_cells(table)) == sorted(s for s in slots if s != slots[gone])
        assert lookup(table, 7, many[gone]) == (-1, -1)
        assert insert(table, 6, many[gone]) == slots[gone]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2**32 - 1), st.integers(0, 7)), max_size=60))
@settings(deadline=None)
def test_cells_find_what_is_there_and_nothing_else(steps):
    table, there, port = small_table(8), {}, 0
    for comes, number, which in steps:
        if comes and len(there) < 8:
            port += 1
            p = packet(src_port=port)
            # Half of the tags point to the last two cells: runs go round the end.
            tag = number | 14 if which < 4 else number
            there[port] = (insert(table, tag, p), (tag, p))
        elif there:
            slot, gone = there.pop(sorted(there)[which % len(there)])
            release(table, slot)
            assert lookup(table, *gone) == (-1, -1)
        assert sorted(audit_cells(table)) == sorted(slot for slot, _ in there.values())
        assert all(lookup(table, *key) == (slot, 0) for slot, key in there.values())


def test_a_walk_ends_at_its_limit_and_is_counted():
    table = small_table(2 * WALK_LIMIT)
    many = [packet(src_port=port) for port in range(1, WALK_LIMIT + 2)]
    slots = [insert(table, 5, p) for p in many[:-1]]
    assert lookup(table, 5, many[-2]) == (slots[-1], 0)
    assert table.state["chain_walk_limit"][0] == 0
    assert lookup(table, 5, many[-1]) == (-1, -1)
    assert table.state["chain_walk_limit"][0] == 1
    # The new flow takes the first one's cell; that one is not found any more, and can still leave.
    new = insert(table, 5, many[-1])
    assert lookup(table, 5, many[-1]) == (new, 0)
    assert lookup(table, 5, many[0]) == (-1, -1)
    release(table, slots[0])
    assert lookup(table, 5, many[-1]) == (new, 0)
    assert lookup(table, 5, many[1]) == (slots[1], 0)
    assert table.state["active"][0] == WALK_LIMIT


def test_a_full_table_has_no_slot():
    table = small_table(2)
    assert [insert(table, 1, packet(src_port=port)) for port in (1, 2)] == [0, 1]
    assert insert(table, 1, packet()) == -1


@pytest.mark.parametrize(("capacity", "cells"), [(1, 2), (3, 8), (4, 8), (262_144, 524_288)])
def test_cells_are_a_power_of_two_and_at_least_twice_the_flows(capacity, cells):
    assert small_table(capacity).cells.shape == (cells,)


def test_a_million_flows_fit_into_480_megabytes():
    table = new_table(1_000_000, new_wheels([10**9 * secs for secs in (30, 60, 5)]))
    apart = (table.entries, table.links, table.cells, table.buckets, table.wheels, table.state, table.tally)
    assert sum(array.nbytes for array in apart) <= 480e6
