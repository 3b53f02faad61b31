"""Meters that have the flows among them do what one does."""

import numpy as np
import pytest
from flow_packets import DATA, packet_rows, packets
from hypothesis import given, settings

from sensor.flow.meter import Meter
from sensor.flow.share import join_events

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")
FIRST_SLOT = 1000


def metered(meter, rows):
    """Return all events, and records by what tells them apart."""
    events, flows = [], []
    for step in meter.observe(rows, DATA):
        events.append(step.events.copy())
        flows.append(step.flows.copy())
    flows += [some.copy() for some in meter.flush()]
    rows = [row for some in flows for row in some]
    for row in rows:
        row["flow_id"] = 0
    return np.concatenate(events), sorted(row.item() for row in rows)


@given(batch=packets(max_size=60).filter(len))
@settings(deadline=None)
def test_shares_add_up(batch):
    rows = packet_rows(batch)
    whole = Meter(capacity=100, key=(1, 2))
    events, flows = metered(whole, rows)
    shares = [Meter(capacity=100, key=(1, 2), share=(number, 3)) for number in range(3)]
    results = [metered(meter, rows) for meter in shares]
    joined = results[0][0]
    for number, (others, _) in enumerate(results[1:], 1):
        assert not ((joined["flow"] >= 0) & (others["flow"] >= 0)).any()
        join_events(joined, others, number * FIRST_SLOT)
    for name in ("bits", "reverse", "weight"):
        assert np.array_equal(joined[name], events[name])
    assert np.array_equal(joined["flow"] < 0, events["flow"] < 0)
    assert sorted(row for _, some in results for row in some) == flows
    counted = [meter.counters() for meter in shares]
    assert {name: sum(one[name] for one in counted) for name in counted[0]} == whole.counters()


@pytest.mark.parametrize("share", [(1, 1), (-1, 2), (0, 0), (0, 2000)])
def test_impossible_shares_are_refused(share):
    with pytest.raises(ValueError, match="share must be"):
        Meter(capacity=4, key=(1, 2), share=share)
