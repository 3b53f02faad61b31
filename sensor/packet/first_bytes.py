"""The first payload packet of a flow's direction: which protocol it claims, and what it says.

In: the `PACKET` row of the packet and the bytes. Out: an `Application`, and the
flow's `CLAIM` row. Each packet is read by itself: what a segment does not hold
whole is absent.
"""

from __future__ import annotations

from sensor.kernel import Int, Row, outlined
from sensor.packet.application import Application
from sensor.packet.batch import Bytes

_UNKNOWN = int(Application.UNKNOWN)


@outlined
def read_claim(data: Bytes, packet: Row, reverse: Int, claim: Row, scratch: Row) -> Int:
    """Read the first payload of one direction of a flow.

    Parameters
    ----------
    data
        uint8, shape (bytes,): the batch's bytes.
    packet
        `PACKET` row with payload, of TCP or UDP.
    reverse
        0: sent by the flow's initiator; 1: by its responder.
    claim
        The flow's `CLAIM` row: blank for the first call, the same for the reply.
    scratch
        `CLAIM_SCRATCH` row.

    Returns
    -------
    application
        `Application` of this packet by itself; `claim.application` is the
        flow's: the first that was not unknown.
    """
    return _UNKNOWN
