"""Checks of every link in the host table."""

from sensor.feature.table import HOSTS, TOUCHED, WINDOW


def audit(table):
    """Return the slots of both lists, oldest first."""
    rows = table.rows
    held = int(table.state[HOSTS])
    orders = []
    for standing in range(2):
        order, newer = [], -1
        at = int(table.lists[standing, 0])
        while at >= 0:
            assert rows[at]["newer"] == newer
            assert rows[at]["standing"] == standing
            order.append(at)
            assert len(order) <= held
            newer, at = at, int(rows[at]["older"])
        assert table.lists[standing, 1] == newer
        orders.append(order[::-1])
    slots = sorted(orders[0] + orders[1])
    assert slots == list(range(held))
    chained = []
    for bucket, first in enumerate(table.heads):
        at = int(first)
        while at >= 0:
            assert int(rows[at]["hash"]) % len(table.heads) == bucket
            chained.append(at)
            assert len(chained) <= held
            at = int(rows[at]["chain"])
    assert sorted(chained) == slots
    touched = table.touched[: table.state[TOUCHED]].tolist()
    assert len(set(touched)) == len(touched)
    window = table.state[WINDOW]
    assert set(touched) == {slot for slot in slots if rows[slot]["window"] == window}
    assert [int(rows[slot]["touch"]) for slot in touched] == list(range(len(touched)))
    return orders
