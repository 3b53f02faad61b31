"""Connections of which the mirror shows one direction only.

An end that acknowledges more and more, or goes on sending new bytes with ACK
set, has a partner that answers; if none of its answers was seen, the mirror
does not show that direction. A scan or a dead host gives no such evidence: it
acknowledges nothing, and what it sends again is not new.
"""

from __future__ import annotations

import numpy as np

from sensor.flow.seen import HALF, LAST_ACK_KNOWN, MODULUS_MASK
from sensor.flow.table import Table
from sensor.kernel import Int, Row, kernel
from sensor.packet.columns import TcpFlag

#: So many packets prove it.
EVIDENCE = 4

_SYN = int(TcpFlag.SYN)
_ACK = int(TcpFlag.ACK)


@kernel
def weigh_one_way(table: Table, slot: Int, packet: Row, new: Int) -> None:
    """Take one packet of a flow whose other direction was never seen; count the flow when it is proof.

    Parameters
    ----------
    table, slot
        The flow.
    packet
        `PACKET` row, decoded, with a TCP header.
    new
        Whether its payload, if any, was not sent before.
    """
    entry = table.entries[slot]
    if np.int64(packet["tcp_flags"]) & (_SYN | _ACK) != _ACK or entry["evidence"] >= EVIDENCE:
        return
    ahead = (np.int64(packet["tcp_ack"]) - np.int64(entry["last_ack"])) & MODULUS_MASK
    known = entry["bits"] & LAST_ACK_KNOWN != 0
    advanced = known and 0 < ahead < HALF
    if advanced or not known:
        entry["last_ack"] = packet["tcp_ack"]
        entry["bits"] |= LAST_ACK_KNOWN
    if advanced or (new and packet["payload_bytes"] != 0):
        entry["evidence"] += 1
        if entry["evidence"] == EVIDENCE:
            table.state[0]["tcp_one_way"] += 1
