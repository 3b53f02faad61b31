"""Several meters, each with a share of the flows, as one: their events put together."""

from __future__ import annotations

import numpy as np

from sensor.flow.record import FlowEvents
from sensor.kernel import Int, kernel


@kernel
def join_events(events: FlowEvents, others: FlowEvents, first_slot: Int) -> None:
    """Put another meter's events for the same packets into `events`.

    Parameters
    ----------
    events
        `FLOW_EVENT`, shape (n,): changed where the other meter did something.
    others
        `FLOW_EVENT`, shape (n,): no packet has a flow in both.
    first_slot
        What is added to the other meter's slots, so that each flow has one of its own.
    """
    for i in range(events.shape[0]):
        other = others[i]
        if other.flow >= 0:
            events[i] = other
            events[i].flow = np.int64(other.flow) + first_slot
        elif other.bits != 0:
            events[i] = other
