"""Live capture from an interface, through rings that the kernel writes.

One batch is one or several blocks of a ring, or of several rings, merged by
time. They go back to the kernel when the next batch is asked for, so a slow
consumer makes the kernel drop, and count, packets; nothing queues without
bound. Each batch says how many were dropped before it, and how far the consumer
is behind (`Overload`). At the end the intake is stopped first and the rings
emptied, so that ``packets + outgoing_packets + malformed_packets +
kernel_drops == kernel_packets`` exactly.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence

import numpy as np

from sensor.errors import CaptureError, ConfigError
from sensor.packet.batch import PacketBatch
from sensor.sources.bpf import compile_filter
from sensor.sources.intake import Intake
from sensor.sources.overload import Overload
from sensor.sources.own_traffic import Endpoint, addresses_of, own_addresses, own_traffic, without
from sensor.sources.ring_memory import RingSize
from sensor.sources.ring_reader import RingReader

_MIB = 1 << 20
#: Seconds between two looks at the interface's index.
TICK_SECS = 1.0
#: Seconds between two readings of the kernel's statistics, at least.
STATISTICS_SECS = 0.1
#: For how long a look at the rings is put off while packets of one wait for those of another.
_ORDER_POLL_MS = 10
#: Longest wait for the kernel to hand over its last block, in block timeouts.
_LAST_BLOCK_TIMEOUTS = 10
#: More rings than that no reader can follow.
_MOST_WORKERS = 16
#: A clock that steps back by less is waited for: packets count at the latest time seen.
_CLOCK_STEP_NS = 10_000_000_000


class AfPacket:
    """Packets of one network interface, as they arrive.

    Parameters
    ----------
    interface
        Its name. It may be down, and may go down and up; when it is deleted
        the iteration ends with a `CaptureError`; likewise when the clock is
        set back by more than 10 s.
    bpf
        Filter expression as for tcpdump; empty for everything.
    promiscuous
        Receive frames that are for others too, as a mirror port needs.
    outgoing
        Deliver also what this host sends. Wrong on a mirror port, and always
        left out on loopback, where each packet would be seen twice.
    snaplen
        Bytes kept of each packet.
    ring_bytes, block_bytes
        Size of each ring and of its blocks. Rings are halved while memory is
        short, and all take a quarter of the machine's at most; the counter
        `ring_bytes` says what there is in all. A block is a multiple of the
        page size.
    block_timeout_secs
        After this long the kernel hands over a block that is not full.
    lag_secs
        How far an idle clock stays behind the wall clock, more than twice the
        block timeout: the kernel's timer may pass twice before a block goes.
    poll_secs
        Longest wait for packets before an empty batch moves the clock.
    workers
        Rings, 1 to 16, that the kernel fills side by side. A flow's packets, of
        both directions, go to the same one; a batch holds those of all rings in
        order of time. For that, packets of one ring may wait up to `lag_secs`
        for those of the others, but fill no more than an eighth of it.

    Raises
    ------
    ConfigError
        The filter, the block size, the lag or the number of workers is wrong.
    CaptureError
        There is no such interface; exit code 77 when the permission is missing.
    """

    def __init__(  # noqa: PLR0913  (each is one key of the configuration)
        self,
        interface: str,
        *,
        bpf: str = "",
        promiscuous: bool = True,
        outgoing: bool = False,
        snaplen: int = 65_535,
        ring_bytes: int = 64 * _MIB,
        block_bytes: int = _MIB,
        block_timeout_secs: float = 0.1,
        lag_secs: float = 0.5,
        poll_secs: float = 0.25,
        workers: int = 1,
    ) -> None:
        if lag_secs <= 2 * block_timeout_secs:
            raise ConfigError(
                f"lag_secs {lag_secs} has to be more than twice block_timeout_secs {block_timeout_secs}"
            )
        if not 1 <= workers <= _MOST_WORKERS:
            raise ConfigError(f"workers {workers} has to be 1 to {_MOST_WORKERS}")
        self.name = interface
        self._bpf, self._snaplen = bpf, snaplen
        self._lag_ns, self._poll_ms = int(lag_secs * 1e9), max(int(poll_secs * 1000), 1)
        self._last_wait_secs = _LAST_BLOCK_TIMEOUTS * block_timeout_secs + lag_secs * (workers > 1)
        self._closing = self._iterating = self._draining = self._released = False
        self._owner = threading.RLock()  # over filters and release; re-entered by a signal handler
        size = RingSize(ring_bytes, block_bytes, max(int(block_timeout_secs * 1000), 1))
        outgoing = outgoing and interface != "lo"
        with contextlib.ExitStack() as undo:
            self._intake = Intake(interface, workers, size, outgoing=outgoing, promiscuous=promiscuous)
            undo.callback(self._intake.abandon)
            program = compile_filter(bpf, self._intake.link_type, snaplen)
            memory = np.frombuffer(self._intake.memory, np.uint8)
            self._reader = RingReader(memory, workers, block_bytes, self._intake.link_type, outgoing=outgoing)
            self._overload = Overload()
            self._now = self._reported = 0
            self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            undo.callback(os.close, self._wake)
            self._intake.begin(program)
            undo.pop_all()
        self._tick_due = self._statistics_due = time.monotonic()

    def __iter__(self) -> Iterator[PacketBatch]:
        """Yield batches until `close` is called; what the ring holds by then comes first.

        Raises
        ------
        CaptureError
            The interface was deleted, or replaced by another of its name.
        """
        with self._owner:
            if self._released or self._iterating:
                return
            self._iterating = True
        try:
            gone = yield from self._capture()
            yield from self._drain()
        finally:
            self._release()
        if gone:
            raise CaptureError(f"interface {self.name!r} was removed or replaced")

    def _capture(self) -> Generator[PacketBatch, None, bool]:
        """Yield batches while the source is open; return whether the interface is gone."""
        idle_since = time.monotonic()
        while not self._closing:
            # Read before the rings: whatever came earlier than this less the lag has been handed over.
            clock = time.time_ns()
            moment = time.monotonic()
            if moment >= self._statistics_due:
                self._statistics_due = moment + STATISTICS_SECS
                self._intake.read_statistics()
            rows = self._reader.read(clock - self._lag_ns)
            if rows:
                yield self._batch(rows)
                idle_since = time.monotonic()
            elif moment - idle_since >= self._poll_ms / 1000:
                self._now = max(self._now, clock - self._lag_ns)
                yield self._batch(0)
                idle_since = moment
            else:
                self._wait()
            if time.monotonic() >= self._tick_due and not self._tick():
                return True
        return False

    def _batch(self, rows: int) -> PacketBatch:
        """Return the first frames, and what is known of those that are missing."""
        reader, dropped = self._reader, sum(self._intake.dropped)
        lost, self._reported = dropped - self._reported, dropped
        self._now = max(self._now, reader.time)
        sampling = self._overload.update(reader.waiting, reader.blocks, self._now)
        return PacketBatch(reader.data, reader.frames[:rows], self._now, lost, sampling)

    def _wait(self) -> None:
        """Wait until there are packets, an error, or the poll time is over."""
        ordering = self._reader.ordering
        if self._intake.wait(self._wake, _ORDER_POLL_MS if ordering else self._poll_ms, packets=not ordering):
            self._tick_due = 0.0

    def _tick(self) -> bool:
        """Look at the clock and say whether the interface is still the one that was opened."""
        self._tick_due = time.monotonic() + TICK_SECS
        behind = self._now - time.time_ns()
        if behind > _CLOCK_STEP_NS:
            # Capture time cannot go back: until the clock had caught up, nothing would be judged.
            raise CaptureError(
                f"the clock was set back by {behind // 1_000_000_000} s; start anew to go by the new time"
            )
        with self._owner:
            return self._intake.check()

    def _drain(self) -> Iterator[PacketBatch]:
        """Stop the intake and yield what the kernel has taken in, its half-filled last blocks included."""
        with self._owner:
            self._draining = True
            self._intake.shut()
        deadline = time.monotonic() + self._last_wait_secs
        while True:
            self._intake.read_statistics()
            rows = self._reader.read(time.time_ns() - self._lag_ns)
            if rows:
                yield self._batch(rows)
            elif self._intake.delivered() <= self._reader.walked() or time.monotonic() > deadline:
                break
            else:
                time.sleep(_ORDER_POLL_MS / 1000)
        if sum(self._intake.dropped) > self._reported:
            yield self._batch(0)

    def counters(self) -> Mapping[str, int]:
        """Return what was read and what was lost; the kernel's own counts are up to `STATISTICS_SECS` old.

        Beside the sums there are ``packets_ring_<n>`` and ``drops_ring_<n>`` when there are several rings.
        """
        return {**self._reader.counters(), **self._intake.counters(), **self._overload.counters()}

    def exclude(self, endpoints: Sequence[Endpoint]) -> list[Endpoint]:
        """Leave out this host's own traffic with `endpoints` from now on, and with no others.

        Names are resolved and addresses looked up now; that may take a while,
        and may be done by another thread than the one that iterates.

        Returns
        -------
        list
            Those whose name cannot be resolved: their traffic is seen.

        Raises
        ------
        ConfigError
            The filter gets too long for the kernel, or libpcap is not installed; nothing changes.
        """
        receivers = [(one, addresses_of(one)) for one in endpoints]
        unwanted = own_traffic(receivers, own_addresses() if receivers else ())
        program = compile_filter(without(self._bpf, unwanted), self._intake.link_type, self._snaplen)
        with self._owner:
            if not self._draining and not self._released:
                self._intake.filter(program)
        return [one for one, addresses in receivers if not addresses]

    def close(self) -> None:
        """End the iteration soon: from any thread, from a signal handler, and as often as you like.

        The iterating thread still gets what the ring holds, and then gives the
        ring back; without an iteration it is given back here.
        """
        self._closing = True
        with self._owner:
            if not self._iterating:
                self._release()
            elif not self._released:
                os.eventfd_write(self._wake, 1)

    def _release(self) -> None:
        """Close sockets, rings and wake-up; the counters stay readable."""
        with self._owner:
            if self._released:
                return
            self._released = True
        self._reader.release()
        os.close(self._wake)
        # Unmapped, and the sockets with it, as soon as nobody holds the last batch any more.
        self._intake.close()
