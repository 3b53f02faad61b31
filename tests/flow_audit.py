"""Checks of every link in the flow table."""

from sensor.flow.table import NEVER


def audit(meter):
    table = meter._table
    state = table.state[0]
    slots, lists = table.slots, table.lists
    listed = [slot for which in range(3) for slot in audit_list(table, which)]
    free = []
    at = int(state["free"])
    while at >= 0:
        free.append(at)
        at = int(slots[at]["chain_next"])
    assert sorted(listed + free) == list(range(state["used"]))
    assert len(listed) == state["active"] == meter.active <= len(slots)
    chained = [slot for bucket, first in enumerate(table.heads) for slot in audit_chain(table, bucket, first)]
    assert sorted(chained) == sorted(listed)
    due = [table.flows[ends["oldest"]]["end"] + ends["timeout"] for ends in lists if ends["oldest"] >= 0]
    assert state["next_due"] <= min(due, default=NEVER)
    counters = meter.counters()
    exported = counters["flows_exported"]
    assert counters["flows_started"] == exported + meter.active


def audit_list(table, which):
    order = []
    newer = -1
    at = int(table.lists[which]["newest"])
    while at >= 0:
        link = table.slots[at]
        assert link["newer"] == newer
        assert link["list"] == which
        order.append(at)
        newer = at
        at = int(link["older"])
    assert table.lists[which]["oldest"] == newer
    ends = [int(table.flows[slot]["end"]) for slot in order]
    assert ends == sorted(ends, reverse=True)
    return order


def audit_chain(table, bucket, first):
    chain = []
    previous = -1
    at = int(first)
    while at >= 0:
        link = table.slots[at]
        assert link["chain_previous"] == previous
        assert int(link["hash"]) % len(table.heads) == bucket
        chain.append(at)
        previous = at
        at = int(link["chain_next"])
    return chain
