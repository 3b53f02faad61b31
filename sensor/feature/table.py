"""What is kept of each host, and of what all hosts share: one row an address, of fixed number."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sensor.feature import novelty
from sensor.feature.cardinality import REGISTERS
from sensor.kernel import Rows, record_dtype

PROVISIONAL = 0
KNOWN = 1

#: Which registers of a host count what.
PEERS_OUT, SERVICES_OUT, SOURCES_IN, ARP_TARGETS = range(4)

#: Places in `HostTable.state`.
FREE, HOSTS, TOUCHED, WINDOW, CREATED, EVICTED, EVICTED_ACTIVE, WALK_LIMIT = range(8)

#: Packets whose new flows are hashed ahead of the walk.
GROUP = 64

_REPEAT_CELLS = 1 << 15
#: Two cache lines of 64 bytes, which processors fetch together.
_ALIGNMENT_BYTES = 128

#: One host. Counters are of the current window and are reset when it is first touched in one.
HOST = record_dtype(
    [
        # First, in two cache lines, all that every packet touches; the address is read for both ends.
        ("lo", np.uint64),
        ("hi", np.uint64),
        ("window", np.int64),  # index of the window the counters belong to; -1 never
        ("packets_out", np.int64),
        ("bytes_out", np.int64),
        ("peer_out_lo", np.uint64),  # majority candidates (Boyer & Moore, 1981) of this window
        ("peer_out_hi", np.uint64),
        ("peer_out_votes", np.int32),  # at most MOST_VOTES
        ("port_out_votes", np.int32),
        ("packets_in", np.int64),
        ("bytes_in", np.int64),
        ("peer_in_lo", np.uint64),
        ("peer_in_hi", np.uint64),
        ("peer_in_votes", np.int32),
        ("port_in_votes", np.int32),
        ("syn_in", np.int64),
        ("mac", np.uint64),  # last seen beside this address as a source
        ("vlan", np.uint16),
        ("port_out", np.uint16),
        ("port_in", np.uint16),
        ("ip_version", np.uint8),
        ("standing", np.uint8),  # PROVISIONAL or KNOWN
        # Then what new flows touch.
        ("hash", np.uint64),
        ("contacts_out", np.int64),  # packets that began a flow or found no room for one
        ("contacts_in", np.int64),
        ("flows_out", np.int64),  # by weight; 64 bits: an hour's flood is more than 2^31 packets
        ("flows_in", np.int64),
        ("answered_out", np.int64),
        ("answered_in", np.int64),
        ("established_in", np.int64),  # TCP handshakes completed
        ("refused_out", np.int64),
        ("new_peers", np.int64),
        ("new_services", np.int64),
        ("repeats_out", np.int64),
        ("logins_out", np.int64),
        ("out_hi", np.uint64),  # whom the latest flow it opened went to
        ("out_lo", np.uint64),
        ("in_hi", np.uint64),  # whom the latest flow it received came from
        ("in_lo", np.uint64),
        ("out_src_port", np.uint16),  # latest flow it opened
        ("out_dst_port", np.uint16),
        ("in_src_port", np.uint16),  # latest flow it received
        ("in_dst_port", np.uint16),
        ("chain", np.int32),
        ("newer", np.int32),
        ("older", np.int32),
        ("touch", np.int32),  # place in `touched`
        ("out_protocol", np.uint8),
        ("in_protocol", np.uint8),
        ("windows", np.int32),  # windows this host was judged normal in
        # Then what few packets and window ends touch.
        ("dns_queries", np.int64),
        ("dns_bytes_out", np.int64),
        ("icmp_bytes_out", np.int64),
        ("arp_mac", np.uint64),  # last claimed by ARP
        ("arp_requests", np.int64),
        ("binding_changes", np.int64),
        ("odd_fragments", np.int64),
        ("odd_flows", np.int64),
        ("failed_window", np.int64),  # when `failed` was last brought up to date
        ("failed", np.float64),  # damped count
        ("logins", np.float64),
    ]
)

#: Cell of the count-min sketch of connections per (host, service).
REPEAT = record_dtype([("window", np.int64), ("count", np.int32)])

#: Keyed hashes of one packet that begins a flow.
OPENING = record_dtype(
    [
        ("src", np.uint64),  # of the packet's addresses
        ("dst", np.uint64),
        ("pair", np.uint64),  # of initiator and responder
        ("service", np.uint64),  # of both, the responder's port and the protocol
    ]
)


class HostTable(NamedTuple):
    """All host state, flat, so that kernels take it as one argument."""

    rows: Rows  # HOST, (hosts,)
    heads: npt.NDArray[np.int32]  # first slot of each bucket, -1 none
    registers: npt.NDArray[np.uint8]  # (hosts, 4, REGISTERS); cleared at their first use in a window
    flow_hosts: npt.NDArray[np.int32]  # (flow slots, 2): initiator's and responder's host slots
    flow_weights: npt.NDArray[np.uint16]  # (flow slots,): how many flows each stands for
    touched: npt.NDArray[np.int32]  # slots active in this window, in order of first use; each once
    lists: npt.NDArray[np.int32]  # (2, 2): newest and oldest slot of PROVISIONAL and KNOWN
    state: npt.NDArray[np.int64]
    key: npt.NDArray[np.uint64]  # (2,), secret
    seen: npt.NDArray[np.uint64]  # first-seen filters, by standing
    seen_state: npt.NDArray[np.int64]
    repeats: Rows  # REPEAT, (standings, 2, cells)
    openings: Rows  # OPENING, (GROUP,): what begins a flow in the group of packets at hand


def host_table(hosts: int, flow_slots: int, key: tuple[int, int]) -> HostTable:
    """Return an empty table for `hosts` addresses and a meter of `flow_slots` flows.

    Raises
    ------
    ValueError
        If there is no room for both ends of a packet.
    """
    if hosts < 2:
        raise ValueError(f"a host table holds 2 hosts or more, not {hosts}")
    rows = _aligned((hosts,), HOST)
    rows["window"] = -1
    rows["chain"] = np.arange(1, hosts + 1)
    rows["chain"][-1] = -1
    buckets = 1 << (2 * hosts - 1).bit_length()
    repeats = np.zeros((2, 2, _REPEAT_CELLS), REPEAT)
    repeats["window"] = -1
    return HostTable(
        rows=rows,
        heads=np.full(buckets, -1, np.int32),
        registers=_aligned((hosts, 4, REGISTERS), np.dtype(np.uint8)),
        flow_hosts=np.full((flow_slots, 2), -1, np.int32),
        flow_weights=np.ones(flow_slots, np.uint16),
        touched=np.zeros(hosts, np.int32),
        lists=np.full((2, 2), -1, np.int32),
        state=np.zeros(8, np.int64),
        key=np.array(key, np.uint64),
        seen=_aligned((2, 2, novelty.WORDS), np.dtype(np.uint64)),
        seen_state=np.zeros((2, 2), np.int64),
        repeats=repeats,
        openings=np.zeros(GROUP, OPENING),
    )


def _aligned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return zeros that begin at a cache line, so that what fits into one lies in one."""
    count = int(np.prod(shape)) * dtype.itemsize
    memory = np.zeros(count + _ALIGNMENT_BYTES, np.uint8)
    begin = -memory.ctypes.data % _ALIGNMENT_BYTES
    return memory[begin : begin + count].view(dtype).reshape(shape)
