"""The flow meter: packets in, flow records out (RFC 7011's metering process, RFC 5103's biflows).

Time is the packets' own. It only moves forward, and it moves *before* a packet
is looked up; so where a batch was cut, and how often an idle source ticks,
cannot be seen in the records nor in their order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from sensor.flow.claims import MOST_CLAIMS
from sensor.flow.expiry import empty, expire, new_buffers
from sensor.flow.key import KeyCause
from sensor.flow.record import FlowEndReason, FlowEvents, Flows
from sensor.flow.table import new_table
from sensor.flow.walk import LATEST, walk
from sensor.flow.wheel import FlowList, new_wheels
from sensor.packet.batch import Bytes
from sensor.packet.claim import Claims
from sensor.packet.columns import Packets

#: Records given out at a time; 6 MB stays in the cache that is shared with the extractor.
RECORD_ROWS = 4096
#: Packets given out at a time.
EVENT_ROWS = 65_536
#: Packets whose keys are hashed, and whose flows are fetched, ahead of the walk: a power of two.
KEY_ROWS = 256
#: Slots are int32, and buckets are twice as many.
MOST_FLOWS = 1 << 29
#: As many meters can have the flows among them.
MOST_SHARES = 1024
#: `FLOW.sampling` has 16 bits.
MOST_SAMPLING = 0xFFFF

#: Fields of the state that are counters by the same name.
_COUNTED = (
    "chain_walk_limit",
    "acks_checked",
    "ack_gaps",
    "missed_bytes",
    "tcp_two_way",
    "tcp_one_way",
    "packets_shed",
    "flows_shed",
    "claims_refused",
)

_Scalar = TypeVar("_Scalar", bound=np.generic)


class Observation(NamedTuple):
    """What the meter made of a stretch of packets. All arrays are borrowed until the next step.

    Parameters
    ----------
    packets
        `PACKET`, shape (n,): the packets done, a slice of those given.
    events
        `FLOW_EVENT`, shape (n,): what each packet did.
    flows
        `FLOW`, shape (m,): the records that left, in order.
    positions
        int64, shape (m,): how many of `packets` were done before each record
        left. A consumer that needs the exact sequence takes that many packets
        first; it is the same wherever batches were cut.
    claims
        `CLAIM`, shape (k,): what the ends of those flows said of themselves;
        ``claim`` of a record is a row of it, or -1.
    """

    packets: Packets
    events: FlowEvents
    flows: Flows
    positions: npt.NDArray[np.int64]
    claims: Claims


class Meter:
    """A table of open flows with a fixed size.

    Parameters
    ----------
    capacity
        How many flows may be open. When a packet needs one more, a flow is
        evicted: a closed one, else an unanswered one, else an answered one; of
        those, about the one seen longest ago.
    idle_timeout_secs
        A flow that was answered ends when nothing came for so long.
    unanswered_timeout_secs
        The same for a flow with packets of one direction only, and for a TCP connection
        that was asked for and accepted, but not completed.
    active_timeout_secs
        A packet on a flow that began this long ago ends its record and begins
        the flow's next one.
    linger_secs
        How long a closed TCP flow waits for late packets.
    activity_gap_secs
        Longer silences are counted as idle periods in the record.
    vlan_in_key
        Whether equal addresses and ports in different VLANs are different flows.
    tunnel_in_key
        The same for packets that came through tunnels with different ids.
    key
        128-bit secret of the table's hash, as two 64-bit words.
    share
        Number i of n: of all flows, those are metered here whose keyed hash is
        i modulo n, and packets without a flow are counted by number 0. Other
        packets move the clock only. All meters need the same `key`; what they
        count adds up.
    claims
        Whether the first payload of each direction is asked what it claims;
        without it `application` and `claims` stay empty.
    """

    def __init__(  # noqa: PLR0913  (one keyword for each configuration key)
        self,
        *,
        capacity: int = 262_144,
        idle_timeout_secs: float = 60.0,
        unanswered_timeout_secs: float = 30.0,
        active_timeout_secs: float = 300.0,
        linger_secs: float = 5.0,
        activity_gap_secs: float = 1.0,
        vlan_in_key: bool = True,
        tunnel_in_key: bool = False,
        key: tuple[int, int],
        share: tuple[int, int] = (0, 1),
        claims: bool = True,
    ) -> None:
        if not 0 < capacity <= MOST_FLOWS:
            raise ValueError(f"capacity must be 1 to {MOST_FLOWS}, not {capacity}")
        if not 0 <= share[0] < share[1] <= MOST_SHARES:
            raise ValueError(f"share must be 0 to n - 1 of n, at most {MOST_SHARES}, not {share}")
        timeouts = [0] * len(FlowList)
        timeouts[FlowList.UNANSWERED] = _nanoseconds(unanswered_timeout_secs)
        timeouts[FlowList.ANSWERED] = _nanoseconds(idle_timeout_secs)
        timeouts[FlowList.CLOSED] = _nanoseconds(linger_secs)
        self._table = new_table(capacity, new_wheels(timeouts))
        lent = min(capacity, MOST_CLAIMS) if claims else 0
        self._buffers = new_buffers(RECORD_ROWS, EVENT_ROWS, KEY_ROWS, lent)
        self._claims = 0
        self._state = self._table.state[0]
        self._state["claims_free"] = lent
        self._state["active_timeout"] = _nanoseconds(active_timeout_secs)
        self._state["activity_gap"] = _nanoseconds(activity_gap_secs)
        settings = self._table.settings[0]
        settings["k0"], settings["k1"] = (np.uint64(word) for word in key)
        settings["share"], settings["shares"] = share
        settings["vlan_in_key"] = vlan_in_key
        settings["tunnel_in_key"] = tunnel_in_key

    @property
    def active(self) -> int:
        """How many flows are open."""
        return int(self._state["active"])

    @property
    def claims(self) -> Claims:
        """`CLAIM`, shape (k,): what ``claim`` of the records given out last is a row of. Borrowed."""
        return self._buffers.pool.given[: self._claims]

    def observe(self, packets: Packets, data: Bytes, sampling: int = 1) -> Iterator[Observation]:
        """Take packets in; nothing happens until the iterator is used up.

        Parameters
        ----------
        packets
            `PACKET`, shape (n,), contiguous, in order of time. A packet that is
            earlier than one before it counts at the latest time seen.
        data
            uint8, shape (bytes,): what the packets' payload offsets point into.
        sampling
            n > 1: there is no time for all; of new flows where they are many,
            one in n is let in (see `shed`), and packets of the others have the
            event `FlowEvent.SHED` and no flow.

        Yields
        ------
        Observation
            One stretch after the other, together all of `packets`.
        """
        packets, data = _read_only(packets), _read_only(data)
        self._state["sampling"] = min(max(sampling, 1), MOST_SAMPLING)
        buffers = self._buffers
        rows = buffers.events.shape[0]
        for first in range(0, len(packets), rows):
            chunk = packets[first : first + rows]
            begin = 0
            while begin < len(chunk):
                end = int(walk(self._table, buffers, chunk, data, begin))
                self._state["packets"] += end - begin
                count = self._take_records()
                records, positions = buffers.records[:count], buffers.positions[:count]
                yield Observation(
                    chunk[begin:end], buffers.events[begin:end], records, positions, self.claims
                )
                begin = end

    def advance(self, now: int) -> Iterator[Flows]:
        """Yield the records of the flows that are due, as far as `now` (ns) goes.

        A flow leaves when the granule of time that it is due in is over (see
        `wheel`), so a whole number of seconds misses none with timeouts below
        1,024 s. Without the records being used up, nothing happens. Time never
        moves back.
        """
        now = min(max(now, int(self._state["now"])), LATEST)
        self._state["now"] = now
        done = now < self._state["next_due"]
        while not done:
            done = bool(expire(self._table, self._buffers, now))
            count = self._take_records()
            if count:
                yield self._buffers.records[:count]

    def flush(self) -> Iterator[Flows]:
        """Yield the records of all open flows, about in order of when they would be due.

        They end as `FlowEndReason.FORCED_END`, those that linger as
        `END_OF_FLOW`, at the latest time seen; those that were due by then as
        they would have.
        """
        done = False
        while not done:
            done = bool(empty(self._table, self._buffers))
            count = self._take_records()
            if count:
                yield self._buffers.records[:count]

    def counters(self) -> dict[str, int]:
        """Return what was counted since the start, by name."""
        state, tally = self._state, self._table.tally[0]
        counts = {
            "packets": int(state["packets"]) - int(tally["without_flow"][KeyCause.ELSEWHERE]),
            "flows_started": int(state["next_flow_id"]) - 1,
            "flows_exported": int(tally["end_reason"].sum()),
            "late_packets": int(state["late_packets"]),
            "fragments_without_ports": int(state["fragments_without_ports"]),
        }
        counts |= {name: int(state[name]) for name in _COUNTED}
        for reason in FlowEndReason:
            counts[f"flows_ended_{reason.name.lower()}"] = int(tally["end_reason"][reason])
        for which in FlowList:
            counts[f"flows_evicted_{which.name.lower()}"] = int(tally["evicted"][which])
        for cause in KeyCause:
            if cause not in (KeyCause.NONE, KeyCause.ELSEWHERE):
                counts[f"packets_without_flow_{cause.name.lower()}"] = int(tally["without_flow"][cause])
        return counts

    def _take_records(self) -> int:
        """Empty the record buffer and return how many rows it held."""
        count = int(self._state["records"])
        self._state["records"] = 0
        self._claims = int(self._state["claims_given"])
        self._state["claims_given"] = 0
        self._state["consumed"] = 0
        return count


def _read_only(array: npt.NDArray[_Scalar]) -> npt.NDArray[_Scalar]:
    """Return a view that kernels cannot write: one kind of array, one compiled kernel."""
    view = array.view()
    view.flags.writeable = False
    return view


def _nanoseconds(seconds: float) -> int:
    """Return `seconds` in ns; a timeout of 0 or less is refused."""
    if not 1e-9 <= seconds <= 1e6:
        raise ValueError(f"a timeout must be 1 ns to a million seconds, not {seconds}")
    return round(seconds * 1e9)
