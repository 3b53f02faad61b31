"""The table's own promises: shared memory of directions, collisions, limits."""

import numpy as np
import pytest
from flow_audit import audit_chain
from flow_packets import packet, packet_rows

from sensor.flow.key import KEY
from sensor.flow.record import FLOW
from sensor.flow.table import SIDE, WALK_LIMIT, find, join, new_table, release, take

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")


def key_of(hash_value, p):
    key = np.zeros(1, KEY)
    key["hash"], key["src_port"], key["dst_port"] = hash_value, p["src_port"], p["dst_port"]
    return key[0]


def insert(table, hash_value, p):
    """Put a flow of packet `p` into the table under a hash of our choice."""
    slot = int(take(table, key_of(hash_value, p)))
    for name in ("src_hi", "src_lo", "dst_hi", "dst_lo", "src_port", "dst_port", "protocol", "ip_version"):
        table.flows[slot][name] = p[name]
    join(table, slot, 0, 0)
    return slot


def lookup(table, hash_value, p):
    slot, direction = find(table, packet_rows([p])[0], key_of(hash_value, p))
    return int(slot), int(direction)


def test_sides_are_the_bytes_of_the_record():
    table = new_table(3)
    for number, name in enumerate(SIDE.names):
        table.sides[name][1] = (number + 1, number + 101)
        assert table.flows[name][1] == number + 1, name
        assert table.flows[f"reverse_{name}"][1] == number + 101, name
    assert table.flows[0].item() != table.flows[1].item()
    assert table.flows[0].item() == table.flows[2].item() == np.zeros(1, FLOW)[0].item()


def test_flows_with_one_hash_are_told_apart():
    table = new_table(8)
    many = [packet(src_port=port) for port in (1, 2, 3)] + [packet(src=2, dst=3), packet(protocol=17)]
    slots = [insert(table, 77, p) for p in many]
    assert [lookup(table, 77, p) for p in many] == [(slot, 0) for slot in slots]
    swapped = packet(src=1, dst=0, src_port=80, dst_port=2)
    assert lookup(table, 77, swapped) == (slots[1], 1)
    assert lookup(table, 77, packet(src_port=9)) == (-1, -1)
    assert lookup(table, 78, many[0]) == (-1, -1)
    assert table.state["chain_walk_limit"][0] == 0


def test_a_flow_can_leave_any_place_of_its_chain():
    for gone in range(3):
        table = new_table(4)
        many = [packet(src_port=port) for port in (1, 2, 3)]
        slots = [insert(table, 5, p) for p in many]
        release(table, slots[gone])
        assert audit_chain(table, 5, table.heads[5]) == [s for s in reversed(slots) if s != slots[gone]]
        assert lookup(table, 5, many[gone]) == (-1, -1)
        assert int(take(table, key_of(6, many[gone]))) == slots[gone]


def test_a_walk_ends_at_its_limit_and_is_counted():
    table = new_table(2 * WALK_LIMIT)
    many = [packet(src_port=port) for port in range(1, WALK_LIMIT + 2)]
    slots = [insert(table, 5, p) for p in many]
    assert lookup(table, 5, many[1]) == (slots[1], 0)
    assert table.state["chain_walk_limit"][0] == 0
    assert lookup(table, 5, many[0]) == (-1, -1)
    assert table.state["chain_walk_limit"][0] == 1


def test_a_full_table_has_no_slot():
    table = new_table(2)
    assert [insert(table, 1, packet(src_port=port)) for port in (1, 2)] == [0, 1]
    assert int(take(table, key_of(1, packet()))) == -1


@pytest.mark.parametrize(("capacity", "buckets"), [(1, 2), (3, 8), (4, 8), (262_144, 524_288)])
def test_buckets_are_a_power_of_two_and_at_least_twice_the_flows(capacity, buckets):
    assert new_table(capacity).heads.shape == (buckets,)
