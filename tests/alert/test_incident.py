"""Incidents: one opening, updates at their interval, one end."""

from sensor.alert import incident as module
from sensor.alert.alert import Severity
from sensor.alert.incident import IncidentTable, identifier

SECOND = 10**9
HOST, OTHER = (0, 1), (0, 2)


def a_table(seed=1):
    return IncidentTable(seed, update_interval_secs=60.0, close_after_secs=100.0)


def note(table, time, severity=Severity.LOW, host=HOST, kind="flood"):
    """Note a row at `time` seconds; return the incident and whether it is due, and count it as told."""
    found = table.note(host, kind, time * SECOND, severity)
    due = table.is_due(found, severity)
    if due:
        found.messages += 1
        found.told = time * SECOND
    return found, due


def test_tells_at_once_then_at_each_interval():
    table = a_table()
    due = [time for time in range(0, 200, 10) if note(table, time)[1]]
    assert due == [0, 60, 120, 180]
    found = table.find(HOST, "flood")
    assert (found.count, found.first, found.last) == (20, 0, 190 * SECOND)
    assert (len(table), table.opened) == (1, 1)


def test_growing_worse_is_told_at_once_and_once():
    table = a_table()
    note(table, 0)
    assert not note(table, 10)[1]
    assert note(table, 20, Severity.HIGH)[1]
    assert not note(table, 30, Severity.HIGH)[1]
    found, due = note(table, 40, Severity.LOW)
    assert not due
    assert found.severity == Severity.HIGH  # it never becomes less


def test_closes_after_quiet_and_not_before():
    table = a_table()
    note(table, 0)
    note(table, 50)
    note(table, 60, host=OTHER)
    assert table.take_quiet(150 * SECOND - 1) == []
    assert [found.last for found in table.take_quiet(150 * SECOND)] == [50 * SECOND]
    assert table.addresses() == {OTHER}
    assert table.take_quiet(150 * SECOND) == []
    assert len(table.take_quiet(10_000 * SECOND)) == 1
    assert len(table) == 0
    assert table.addresses() == set()


def test_hosts_and_kinds_are_apart():
    table = a_table()
    names = {
        note(table, 0, host=host, kind=kind)[0].id for host in (HOST, OTHER) for kind in ("flood", "upload")
    }
    assert len(names) == len(table) == 4
    assert table.find(HOST, "port_scan") is None


def test_identifiers_depend_on_seed_host_kind_and_time_only():
    one, again = note(a_table(), 5)[0], note(a_table(), 5)[0]
    assert one.id == again.id
    different = [
        note(a_table(2), 5)[0],
        note(a_table(), 6)[0],
        note(a_table(), 5, host=OTHER)[0],
        note(a_table(), 5, kind="upload")[0],
    ]
    assert len({found.id for found in (one, *different)}) == 5
    assert len(one.id) == 32
    assert int(one.id, 16) >= 0


def test_parts_of_an_identifier_cannot_run_together():
    assert identifier("ab", "c") != identifier("a", "bc")
    assert identifier(1, 23) != identifier(12, 3)


def test_a_full_table_refuses_new_incidents_and_counts_them(monkeypatch):
    monkeypatch.setattr(module, "MOST_OPEN", 3)
    table = a_table()
    for number in range(5):
        found = table.note((0, number), "flood", 0, Severity.LOW)
        assert (found is None) == (number >= 3)
    assert (len(table), table.opened, table.refused) == (3, 3, 2)
    assert table.note((0, 0), "flood", SECOND, Severity.LOW).count == 2  # known ones go on
    table.take_quiet(500 * SECOND)
    assert table.note((0, 9), "flood", 500 * SECOND, Severity.LOW) is not None
