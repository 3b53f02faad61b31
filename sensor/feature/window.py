"""Host activity to host rows, at the end of a window."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sensor.feature import cardinality
from sensor.feature.host import find, promote
from sensor.feature.row import HostRows
from sensor.feature.table import (
    ARP_TARGETS,
    KNOWN,
    PEERS_OUT,
    SERVICES_OUT,
    SOURCES_IN,
    TOUCHED,
    WINDOW,
    HostTable,
)
from sensor.flow.record import Flows
from sensor.kernel import Int, Row, kernel

#: Packets a flow, on average, from which a sender whose peers are not seen is taken for real.
_ALIVE_PACKETS = 4


@kernel
def _describe(table: HostTable, slot: Int, out: Row) -> None:
    row = table.rows[slot]
    out.hi, out.lo, out.mac = row.hi, row.lo, row.mac
    out.peer_out_hi, out.peer_out_lo = row.peer_out_hi, row.peer_out_lo
    out.peer_in_hi, out.peer_in_lo = row.peer_in_hi, row.peer_in_lo
    out.out_hi, out.out_lo = row.out_hi, row.out_lo
    out.in_hi, out.in_lo = row.in_hi, row.in_lo
    out.slot = slot
    out.packets_out, out.packets_in = row.packets_out, row.packets_in
    out.bytes_out, out.bytes_in = row.bytes_out, row.bytes_in
    out.peer_out_share = row.peer_out_votes / max(np.int64(row.packets_out), 1)
    out.peer_in_share = row.peer_in_votes / max(np.int64(row.packets_in), 1)
    out.port_in_share = row.port_in_votes / max(np.int64(row.packets_in), 1)
    out.flows_out, out.flows_in = row.flows_out, row.flows_in
    out.port_out, out.port_in = row.port_out, row.port_in
    out.vlan = row.vlan
    out.out_src_port, out.out_dst_port = row.out_src_port, row.out_dst_port
    out.in_src_port, out.in_dst_port = row.in_src_port, row.in_dst_port
    out.out_protocol, out.in_protocol = row.out_protocol, row.in_protocol
    out.ip_version = row.ip_version


@kernel
def _teaches(table: HostTable, slot: Int, one_way: Int) -> bool:
    """Say whether the host is known to be real, and was whole to see in this window.

    An invented sender of SYNs is answered too: it must not teach what is usual.
    Where no answer can be seen, whoever goes on sending counts as real, and is
    kept as such: an invented sender's flows are a packet or two each.
    """
    row = table.rows[slot]
    if one_way != 0 and row.packets_out >= _ALIVE_PACKETS * np.int64(max(row.flows_out, 1)):
        promote(table, slot)
        return True
    return row.packets_out > 0 and row.packets_in > 0 and row.standing == KNOWN


@kernel
def _distinct(registers: npt.NDArray[np.uint8], contacts: float) -> float:
    """Return about how many distinct ones `contacts` were: an estimate may exceed what was counted."""
    return min(cardinality.estimate(registers), contacts) if contacts > 1.0 else contacts


@kernel
def _measure(
    table: HostTable, slot: Int, damping: npt.NDArray[np.float64], x: npt.NDArray[np.float64], one_way: Int
) -> None:
    """Fill `x` with log(1 + value), in the order of `schema.HOST_FEATURES`."""
    row = table.rows[slot]
    registers = table.registers[slot]
    # Of answers that the mirror does not show nothing can be said.
    answers = 0.0 if one_way != 0 else 1.0
    unanswered = answers * max(float(row.flows_out) - float(row.answered_out), 0.0)
    refused = answers * float(row.refused_out)
    failures = unanswered + refused
    _fade(row, table.state[WINDOW], damping, failures)
    x[0] = _distinct(registers[PEERS_OUT], float(row.contacts_out))
    x[1] = _distinct(registers[SERVICES_OUT], float(row.contacts_out))
    x[2] = row.new_peers
    x[3] = row.new_services
    x[4] = unanswered
    x[5] = refused
    # A fading count speaks only while it is fed: what is over must not colour what comes next.
    x[6] = row.failed if failures > 0.0 else 0.0
    x[7] = row.flows_in
    x[8] = _distinct(registers[SOURCES_IN], float(row.contacts_in))
    x[9] = answers * max(float(row.flows_in) - float(row.answered_in), 0.0)
    x[10] = answers * max(float(row.syn_in) - float(row.established_in), 0.0)
    x[11] = row.packets_out
    x[12] = row.packets_in
    x[13] = row.bytes_out
    x[14] = row.bytes_in
    x[15] = row.repeats_out
    x[16] = row.logins if row.logins_out > 0 else 0.0
    x[17] = row.dns_bytes_out
    x[18] = row.dns_queries
    x[19] = row.icmp_bytes_out
    x[20] = _distinct(registers[ARP_TARGETS], float(row.arp_requests))
    x[21] = row.binding_changes
    x[22] = row.odd_fragments
    x[23] = row.odd_flows
    for column in range(x.shape[0]):
        if x[column] != 0.0:
            x[column] = np.log1p(x[column])


@kernel
def _fade(row: Row, window: Int, damping: npt.NDArray[np.float64], failures: float) -> None:
    """Bring the fading counts of the host up to date."""
    passed = float(window - row.failed_window)
    if row.failed != 0.0:
        row.failed *= damping[0] ** passed
    if row.logins != 0.0:
        row.logins *= damping[1] ** passed
    row.failed += failures
    row.logins += float(row.logins_out)
    row.failed_window = window


@kernel
def close(
    table: HostTable,
    damping: npt.NDArray[np.float64],
    rows: HostRows,
    x: npt.NDArray[np.float64],
    one_way: Int,
) -> int:
    """Write a row for each host active in the window, in order of first activity.

    A host that came into an evicted one's slot has its place in that order.

    Parameters
    ----------
    table
        The hosts. Its window is moved on by the caller.
    damping
        float64, shape (2,): what a window leaves of the failed and of the login count.
    rows, x
        Where to write: `HOST_ROW`, shape (hosts,); float64, shape (hosts, features).
    one_way
        1 when the mirror shows one direction only, else 0: then what tells of missing
        answers is 0, and hosts that go on sending are taken for real.

    Returns
    -------
    int
        How many rows were written.
    """
    count = table.state[TOUCHED]
    for place in range(count):
        slot = np.int64(table.touched[place])
        _describe(table, slot, rows[place])
        rows[place].teaches = 1 if _teaches(table, slot, one_way) else 0
        _measure(table, slot, damping, x[place], one_way)
    table.state[TOUCHED] = 0
    return count


@kernel
def mark_odd(table: HostTable, flows: Flows) -> None:
    """Count each of the odd `flows` at its initiator, if that was active in this window."""
    for index in range(flows.shape[0]):
        slot = find(table, flows[index].src_hi, flows[index].src_lo)
        if slot >= 0 and table.rows[slot].window == table.state[WINDOW]:
            table.rows[slot].odd_flows += 1
