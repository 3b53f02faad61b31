"""ARP packets to the activity of their sender."""

from __future__ import annotations

import numpy as np

from sensor.feature import cardinality
from sensor.feature.address import is_unicast
from sensor.feature.host import enter
from sensor.feature.table import ARP_TARGETS, HostTable
from sensor.kernel import Row, outlined
from sensor.siphash import hash_address

_REQUEST = 1


@outlined
def observe_arp(table: HostTable, packet: Row) -> None:
    """Count an ARP packet at its sender, and what it says of addresses."""
    if not is_unicast(packet.src_hi, packet.src_lo):
        return
    key0, key1 = table.key[0], table.key[1]
    hashed = hash_address(packet.src_hi, packet.src_lo, key0, key1)
    slot = enter(table, packet.src_hi, packet.src_lo, hashed, -1)
    row = table.rows[slot]
    row.packets_out += 1
    row.bytes_out += np.int64(packet.wirelen)
    row.ip_version = 4
    row.mac = packet.src_mac
    if packet.src_mac != np.uint64(0):
        if row.arp_mac != np.uint64(0) and row.arp_mac != packet.src_mac:
            row.binding_changes += 1
        row.arp_mac = packet.src_mac
    if packet.arp_operation == _REQUEST and packet.src_lo != packet.dst_lo:
        hashed = hash_address(packet.dst_hi, packet.dst_lo, key0, key1)
        if row.arp_requests == 0:
            table.registers[slot, ARP_TARGETS] = 0
        row.arp_requests += 1
        cardinality.add(table.registers[slot, ARP_TARGETS], hashed)
        if row.peer_out_votes == 0:
            row.peer_out_hi = packet.dst_hi
            row.peer_out_lo = packet.dst_lo
