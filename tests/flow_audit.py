"""Checks of every link in the flow table."""

from sensor.flow.wheel import NEVER


def audit(meter):
    table = meter._table
    state = table.state[0]
    filed = [slot for which in range(3) for slot in audit_wheel(table, which)]
    free = []
    at = int(state["free"])
    while at >= 0:
        free.append(at)
        at = int(table.links[at]["newer"])
    assert sorted(filed + free) == list(range(state["used"]))
    assert len(filed) == state["active"] == meter.active <= len(table.entries)
    assert sorted(audit_cells(table)) == sorted(filed)
    counters = meter.counters()
    exported = counters["flows_exported"]
    assert counters["flows_started"] == exported + meter.active


def audit_wheel(table, which):
    wheel = table.wheels[which]
    state = table.state[0]
    found = []
    for at in range(int(wheel["mask"]) + 1):
        bucket = [int(slot) for slot in audit_bucket(table, which, at)]
        for slot in bucket:
            entry = table.entries[slot]
            assert (entry["list"], entry["bucket"]) == (which, at)
            # It may be due later than where it is filed, and is never due earlier.
            due = int(entry["end"]) + int(wheel["timeout"])
            numbers = range(int(wheel["earliest"]), int(wheel["earliest"]) + int(wheel["mask"]) + 1)
            (number,) = [number for number in numbers if number & int(wheel["mask"]) == at]
            length = int(wheel["granule"])
            assert number <= -(-due // length)
            assert state["now"] < number * length
            assert state["next_due"] <= number * length
        found += bucket
    assert len(found) == wheel["count"]
    if not found and which == 0 and state["active"] == 0:
        assert state["next_due"] <= NEVER
    return found


def audit_bucket(table, which, at):
    order = []
    older = -1
    slot = int(table.buckets[which, at]["oldest"])
    while slot >= 0:
        assert table.links[slot]["older"] == older
        order.append(slot)
        older = slot
        slot = int(table.links[slot]["newer"])
    assert table.buckets[which, at]["newest"] == older
    return order


def audit_cells(table):
    """Return the slots of all cells, each of which can be reached from where its tag points to."""
    last = len(table.cells) - 1
    found = []
    for at, cell in enumerate(int(cell) for cell in table.cells):
        if cell:
            tag, slot = cell >> 32, (cell & 0xFFFF_FFFF) - 1
            assert int(table.entries[slot]["tag"]) == tag
            home = tag & last
            assert all(table.cells[(home + step) & last] for step in range((at - home) & last))
            found.append(slot)
    return found
