"""The metering process (RFC 5470): frames in, packets, events and flow records out, window by window.

The half of the engine that touches every byte and decides nothing. Windows of
packet time are cut here, so that whoever judges needs no look at the packets'
times, and so that several of these may share the work of one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from sensor.alert.health import NOTHING_SEEN, Sight
from sensor.flow.meter import Meter
from sensor.flow.record import FLOW, FLOW_EVENT, FlowEvents, Flows
from sensor.kernel import read_only
from sensor.packet.batch import PacketBatch
from sensor.packet.claim import Claims
from sensor.packet.columns import PACKET, PacketKind, Packets
from sensor.packet.decode import Decoder
from sensor.packet.duplicate import Duplicates
from sensor.settings import EngineSettings

_NS = 1_000_000_000
#: Rows the decoder starts with; sources' usual batch.
_BATCH_ROWS = 16_384
#: Link types that are named in the counters: a capture can claim thousands.
_MOST_LINK_TYPES = 8
_NO_PACKETS = np.zeros(0, PACKET)
_NO_EVENTS = np.zeros(0, FLOW_EVENT)
_NO_FLOWS = np.zeros(0, FLOW)


class Observed(NamedTuple):
    """Packets of one window and what they did. Arrays are borrowed until the next step.

    Parameters
    ----------
    window
        Index of the window, in windows since the epoch.
    packets
        `PACKET`, shape (n,).
    events
        `FLOW_EVENT`, shape (n,).
    flows
        `FLOW`, shape (m,): the records that left.
    claims
        `CLAIM`, shape (k,): what ``claim`` of the records is a row of.
    """

    window: int
    packets: Packets
    events: FlowEvents
    flows: Flows
    claims: Claims


class WindowEnd(NamedTuple):
    """A window is over: nothing more comes for it.

    Parameters
    ----------
    window
        Index of the window.
    following
        The next window that anything can be in.
    sight
        What the window says of the mirror.
    sampling
        The highest of the batches that its packets came in.
    """

    window: int
    following: int
    sight: Sight
    sampling: int


Part = Observed | WindowEnd


class Metering:
    """Decoder and meter, cut at windows of packet time that are aligned to the epoch.

    Parameters
    ----------
    settings
        All that decides the result, beside the packets.
    key
        128-bit secret of the hash tables, as two words.
    share
        Which of the flows are metered here: number i of n shares.
    claims
        Whether first bytes are read: nobody who judges needs what they claim.

    Attributes
    ----------
    capacity
        How many flows may be open.
    first
        Time of the first packet, ns; 0 before it.
    """

    def __init__(
        self,
        settings: EngineSettings,
        key: tuple[int, int],
        share: tuple[int, int] = (0, 1),
        *,
        claims: bool = False,
    ) -> None:
        packet, flow = settings.packet, settings.flow
        shares = share[1]
        self.capacity = -(-flow.capacity // shares)
        self._decoder = Decoder(_BATCH_ROWS, tunnels=packet.tunnels, key=key, buffers=2 if shares > 1 else 1)
        self._duplicates = Duplicates(packet.duplicates, packet.duplicate_window_secs, key)
        self._meter = Meter(
            capacity=self.capacity,
            idle_timeout_secs=flow.idle_timeout_secs,
            unanswered_timeout_secs=flow.unanswered_timeout_secs,
            active_timeout_secs=flow.active_timeout_secs,
            linger_secs=flow.linger_secs,
            vlan_in_key=flow.vlan_in_key,
            tunnel_in_key=flow.tunnel_in_key,
            key=key,
            share=share,
            claims=claims,
        )
        self._length = int(settings.feature.window_secs * _NS)
        self._window = -1  # index of the current window; -1 before the first packet
        self._seen = NOTHING_SEEN
        self._packets = self._copies = 0  # of the windows that are over, and of the current one so far
        self._sampling = 1  # the highest of the current window
        self.first = 0

    @property
    def latest(self) -> int:
        """Largest time so far (ns); 0 before the first packet."""
        return self._decoder.latest

    @property
    def active(self) -> int:
        """How many flows are open."""
        return self._meter.active

    def take(self, batch: PacketBatch) -> Iterator[Part]:
        """Take in a batch; nothing happens until the iterator is used up."""
        packets = self._decoder.decode(batch)
        copies = self._duplicates.mark(read_only(batch.data), read_only(batch.frames), packets)
        times = packets["time"]
        begin = 0
        while begin < len(packets):
            time = int(times[begin])
            if self._window < 0:
                self.first = time
                self._window = time // self._length
            yield from self._advance(time)
            boundary = (self._window + 1) * self._length
            # Times stand far apart in memory: look at them all only where the window ends among them.
            end = int(np.searchsorted(times, boundary)) if times[-1] >= boundary else len(packets)
            self._packets += end - begin
            if copies:
                self._copies += int(np.count_nonzero(packets["kind"][begin:end] == PacketKind.DUPLICATE))
            self._sampling = max(self._sampling, batch.sampling)
            for seen in self._meter.observe(packets[begin:end], batch.data, batch.sampling):
                yield Observed(self._window, seen.packets, seen.events, seen.flows, seen.claims)
            begin = end
        if self._window >= 0:
            self._decoder.advance(batch.now)
            yield from self._advance(batch.now)

    def flush(self) -> Iterator[Part]:
        """End all flows and the current window: the input is over."""
        if self._window < 0:
            return
        for flows in self._meter.flush():
            yield self._records(flows)
        yield self._end_of(self._window, self._window + 1)

    def counters(self) -> dict[str, dict[str, int]]:
        """Return what decoder and meter counted."""
        types = sorted(self._decoder.unknown_link_types().items(), key=lambda item: (-item[1], item[0]))
        named = {f"error_unknown_link_type_{number}": count for number, count in types[:_MOST_LINK_TYPES]}
        packet = {**self._decoder.counters(), **named, **self._duplicates.counters()}
        return {"packet": packet, "flow": self._meter.counters()}

    def _advance(self, time: int) -> Iterator[Part]:
        """End every window that is over at `time` (ns)."""
        at = time // self._length
        while self._window < at:
            for flows in self._meter.advance((self._window + 1) * self._length):
                yield self._records(flows)
            ended = self._window
            # With nothing open, windows without packets hold nothing: go to the one at hand.
            self._window = at if self._meter.active == 0 else ended + 1
            yield self._end_of(ended, self._window)

    def _end_of(self, window: int, following: int) -> WindowEnd:
        sampling, self._sampling = self._sampling, 1
        return WindowEnd(window, following, self._sight(), sampling)

    def _sight(self) -> Sight:
        """Return what was counted since it was asked before; the decoder is ahead of the window."""
        flow = self._meter.counters()
        now = Sight(
            packets=self._packets,
            evictions=flow["flows_evicted_unanswered"] + flow["flows_evicted_answered"],
            flows=flow["flows_started"],
            acks=flow["acks_checked"],
            ack_gaps=flow["ack_gaps"],
            missed_bytes=flow["missed_bytes"],
            one_way=flow["tcp_one_way"],
            two_way=flow["tcp_two_way"],
            duplicates=self._copies,
            suppressing=0,
        )
        before, self._seen = self._seen, now
        since = Sight(*(later - earlier for later, earlier in zip(now, before, strict=True)))
        return since._replace(suppressing=int(since.duplicates > 0))

    def _records(self, flows: Flows) -> Observed:
        return Observed(self._window, _NO_PACKETS, _NO_EVENTS, flows, self._meter.claims)
