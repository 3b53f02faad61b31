"""The host table against its plain twin: tables so small that every other host costs one its place."""

import numpy as np
import pytest
from host_audit import audit
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from naive.host import NaiveHosts

from sensor.feature import host
from sensor.feature import table as tables
from sensor.feature.table import host_table
from sensor.packet.columns import V4_MAPPED
from sensor.siphash import hash_address

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")
KEY = (3, 4)
NUMBERS = st.integers(0, 19)


def address(number):
    return (0, V4_MAPPED | 0x0A00_0001 + number) if number % 3 else (0x2001_0DB8_0000_0000, number + 1)


def words(number):
    return tuple(np.uint64(word) for word in address(number))


def enter(table, number, kept=-1):
    hashed = np.uint64(hash_address(*words(number), *table.key))
    return int(host.enter(table, *words(number), hashed, kept))


class TableMachine(RuleBasedStateMachine):
    @initialize(capacity=st.integers(2, 16))
    def begin(self, capacity):
        self.table = host_table(capacity, 4, KEY)
        self.twin = NaiveHosts(capacity, KEY)

    @rule(number=NUMBERS)
    def act(self, number):
        slot = enter(self.table, number)
        assert slot == self.twin.enter(address(number)).slot
        self.table.rows[slot]["packets_out"] += 1
        self.twin.slots[slot].count["packets_out"] += 1

    @rule(number=NUMBERS, other=NUMBERS)
    def act_together(self, number, other):
        first = enter(self.table, number)
        second = enter(self.table, other, first)
        one = self.twin.enter(address(number))
        two = self.twin.enter(address(other), one)
        assert (first, second) == (one.slot, two.slot)
        assert (first == second) == (number == other)
        assert self.table.rows[first]["lo"] == address(number)[1]

    @rule(number=NUMBERS)
    def converse(self, number):
        slot = enter(self.table, number)
        host.promote(self.table, slot)
        self.twin.promote(self.twin.enter(address(number)))

    @rule(number=NUMBERS)
    def look_up(self, number):
        held = self.twin.hosts.get(address(number))
        assert host.find(self.table, *words(number)) == (-1 if held is None else held.slot)

    @rule(step=st.integers(1, 1000))
    def next_window(self, step):
        window = self.twin.window + step
        self.table.state[tables.WINDOW] = window
        self.table.state[tables.TOUCHED] = 0
        self.twin.start(window)
        self.twin.active.clear()

    @invariant()
    def links_and_counters_hold(self):
        provisional, known = audit(self.table)
        assert provisional == [entry.slot for entry in self.twin.provisional]
        assert known == [entry.slot for entry in self.twin.known]
        state = self.table.state
        assert state[tables.CREATED] == self.twin.totals["hosts_created"]
        assert state[tables.EVICTED] == self.twin.totals["hosts_evicted"]
        assert state[tables.EVICTED_ACTIVE] == self.twin.totals["hosts_evicted_active"]
        assert state[tables.HOSTS] == state[tables.CREATED] - state[tables.EVICTED]
        assert state[tables.WALK_LIMIT] == 0
        assert self.table.touched[: state[tables.TOUCHED]].tolist() == self.twin.active
        for entry in self.twin.hosts.values():
            row = self.table.rows[entry.slot]
            assert (int(row["hi"]), int(row["lo"])) == entry.address
            assert row["window"] == entry.window
            assert row["packets_out"] == entry.count["packets_out"]


TestTable = TableMachine.TestCase
TestTable.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_a_table_for_one_host_is_refused():
    with pytest.raises(ValueError, match="2 hosts or more"):
        host_table(1, 4, KEY)


def test_provisional_hosts_go_before_known_ones_and_the_least_recent_first():
    table = host_table(3, 4, KEY)
    known = enter(table, 1)
    host.promote(table, known)
    enter(table, 2)
    recent = enter(table, 3)
    enter(table, 2)  # active again: now 3 is the one seen longest ago
    assert enter(table, 4) == recent
    assert host.find(table, *words(3)) == -1
    assert host.find(table, *words(1)) == known
    assert host.find(table, *words(2)) >= 0


def test_the_other_end_of_a_packet_keeps_its_place():
    table = host_table(2, 4, KEY)
    for number in (1, 2):
        host.promote(table, enter(table, number))
    source = enter(table, 3)  # provisional, alone, and so the first to go
    assert enter(table, 4, source) != source
    assert host.find(table, *words(3)) == source
    audit(table)


def test_the_other_end_keeps_its_place_among_known_hosts_too():
    table = host_table(2, 4, KEY)
    oldest = enter(table, 1)
    host.promote(table, oldest)
    host.promote(table, enter(table, 2))
    assert enter(table, 3, oldest) != oldest
    assert host.find(table, *words(1)) == oldest
    assert host.find(table, *words(2)) == -1


def test_a_host_that_returns_starts_afresh():
    table = host_table(2, 4, KEY)
    fields = ("mac", "arp_mac", "vlan", "ip_version", "windows", "packets_out", "peer_out_lo", "out_lo")
    slots = []
    for number in (1, 2, 3, 2, 1):  # 3 takes the slot of 1, and 1 takes it back
        slot = enter(table, number)
        row = table.rows[slot]
        if number != 2:
            slots.append(slot)
            assert [int(row[name]) for name in fields] == [0] * len(fields)
            assert row["failed"] == row["logins"] == 0
            assert row["standing"] == tables.PROVISIONAL
            for name in (*fields, "failed", "logins"):
                row[name] = 7
    assert len(set(slots)) == 1


def test_a_flood_of_new_hosts_leaves_everyone_after_it_a_place():
    table = host_table(4, 4, KEY)
    for number in range(20):
        enter(table, number)
        audit(table)
    assert table.state[tables.TOUCHED] == 4
    assert table.state[tables.EVICTED_ACTIVE] == 16


def test_a_new_window_starts_the_counters_again():
    table = host_table(2, 4, KEY)
    slot = enter(table, 1)
    table.rows[slot]["flows_in"] = 3
    table.rows[slot]["failed"] = 2.0
    enter(table, 1)
    assert table.rows[slot]["flows_in"] == 3
    table.state[tables.WINDOW] = 5
    table.state[tables.TOUCHED] = 0
    assert enter(table, 1) == slot
    assert table.rows[slot]["flows_in"] == 0
    assert table.rows[slot]["failed"] == 2.0  # what fades is kept
