"""Live capture from an interface, through a ring that the kernel writes.

One batch is one or several blocks of the ring. They go back to the kernel when
the next batch is asked for, so a slow consumer makes the kernel drop, and
count, packets; nothing queues without bound. At the end the intake is stopped
first and the ring emptied, so that ``packets + outgoing_packets +
malformed_packets + kernel_drops == kernel_packets`` exactly.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import threading
import time
from collections.abc import Generator, Iterator, Mapping

import numpy as np

from sensor.errors import CaptureError, ConfigError
from sensor.packet.batch import FRAME, PacketBatch
from sensor.sources import packet_socket
from sensor.sources.bpf import compile_filter, keep_all
from sensor.sources.ring import most_packets, release_blocks, ring_over, walk_blocks
from sensor.sources.window import borrowed

_MIB = 1 << 20
#: Seconds between two looks at the kernel's statistics and at the interface's index.
TICK_SECS = 1.0
#: Fewest rows of a batch array: several blocks of large packets make one batch.
_ROWS = 16_384
#: Share of the ring that one batch may hold: the kernel has the rest to write to meanwhile.
_BATCH_SHARE = 4
#: Longest wait for the kernel to hand over its last block, in block timeouts.
_LAST_BLOCK_TIMEOUTS = 10
_COUNTED = (
    *("packets", "bytes", "truncated_packets", "vlan_packets"),
    *("outgoing_packets", "malformed_packets", "walked_blocks"),
)

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
        Size of the ring and of its blocks. The ring is halved while memory is
        short, and takes a quarter of the machine's at most; the counter
        `ring_bytes` says what there is. A block is a multiple of the page size.
    block_timeout_secs
        After this long the kernel hands over a block that is not full.
    lag_secs
        How far an idle clock stays behind the wall clock, more than twice the
        block timeout: the kernel's timer may pass twice before a block goes.
    poll_secs
        Longest wait for packets before an empty batch moves the clock.

    Raises
    ------
    ConfigError
        The filter, the block size or the lag is wrong.
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
    ) -> None:
        if lag_secs <= 2 * block_timeout_secs:
            raise ConfigError(
                f"lag_secs {lag_secs} has to be more than twice block_timeout_secs {block_timeout_secs}"
            )
        self.name = interface
        self._lag_ns, self._poll_ms = int(lag_secs * 1e9), max(int(poll_secs * 1000), 1)
        self._block_timeout_secs = block_timeout_secs
        self._closing = self._iterating = self._released = False
        self._owner = threading.RLock()  # over who gives the ring back; re-entered by a signal handler
        self._kernel = {"kernel_packets": 0, "kernel_drops": 0, "freezes": 0, "interface_down_events": 0}
        with contextlib.ExitStack() as undo:
            self._socket = undo.enter_context(packet_socket.open_socket())
            link_type = packet_socket.link_type_of(self._socket, interface)
            program = compile_filter(bpf, link_type, snaplen)
            timeout_ms = max(int(block_timeout_secs * 1000), 1)
            self._memory = packet_socket.map_ring(self._socket, ring_bytes, block_bytes, timeout_ms)
            keep_outgoing = outgoing and interface != "lo"
            if not keep_outgoing:
                packet_socket.ignore_outgoing(self._socket)
            packet_socket.attach_filter(self._socket, program)
            self._index = packet_socket.interface_index(self._socket, interface)
            if promiscuous:
                packet_socket.promiscuous(self._socket, self._index)
            memory = np.frombuffer(self._memory, np.uint8)
            self._ring = ring_over(memory, block_bytes, link_type, keep_outgoing=keep_outgoing)
            self._data = borrowed(memory)
            self._ring_bytes = memory.size
            self._frames = np.empty(max(most_packets(block_bytes), _ROWS), FRAME)
            self._now = 0
            self._next_batch()  # nothing is there yet; the kernels are compiled before packets come
            self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            undo.callback(os.close, self._wake)
            packet_socket.bind(self._socket, interface)
            undo.pop_all()
        self._tick_due = time.monotonic() + TICK_SECS

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
        poller = select.poll()
        poller.register(self._socket, select.POLLIN | select.POLLERR)
        poller.register(self._wake, select.POLLIN)
        idle_since = time.monotonic()
        while not self._closing:
            # Read before the ring: whatever came earlier than this less the lag has been handed over.
            clock = time.time_ns()
            batch = self._next_batch()
            if batch is not None:
                yield batch
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since >= self._poll_ms / 1000:
                self._now = max(self._now, clock - self._lag_ns)
                yield PacketBatch(self._data, self._frames[:0], self._now)
                idle_since = time.monotonic()
            elif dict(poller.poll(self._poll_ms)).get(self._socket.fileno(), 0) & select.POLLERR:
                self._tick_due = 0.0 if self._error() else self._tick_due
            if time.monotonic() >= self._tick_due and not self._tick():
                return True
        return False

    def _next_batch(self) -> PacketBatch | None:
        """Give the last batch's blocks back and return the next, or None when no block is ready."""
        release_blocks(self._ring)
        state = self._ring.state[0]
        rows = walk_blocks(self._ring, self._frames, max(int(state["blocks"]) // _BATCH_SHARE, 1))
        if rows == 0:
            return None
        self._now = max(self._now, int(state["time"]))
        return PacketBatch(self._data, self._frames[:rows], self._now)

    def _error(self) -> bool:
        """Take the socket's pending error, count an interface that went down, and say if there was one."""
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code == errno.ENETDOWN:
            self._kernel["interface_down_events"] += 1
        elif code:
            raise CaptureError(f"capture on {self.name!r} failed: {os.strerror(code)}")
        return bool(code)

    def _tick(self) -> bool:
        """Read the kernel's counts and say whether the interface is still the one that was opened."""
        self._tick_due = time.monotonic() + TICK_SECS
        self._read_statistics()
        behind = self._now - time.time_ns()
        if behind > _CLOCK_STEP_NS:
            # Capture time cannot go back: until the clock had caught up, nothing would be judged.
            raise CaptureError(
                f"the clock was set back by {behind // 1_000_000_000} s; start anew to go by the new time"
            )
        return packet_socket.interface_index(self._socket, self.name) == self._index

    def _read_statistics(self) -> None:
        """Add up what the kernel counted. It forgets on reading, so nobody else may read it."""
        seen, dropped, freezes = packet_socket.statistics(self._socket)
        self._kernel["kernel_packets"] += seen
        self._kernel["kernel_drops"] += dropped
        self._kernel["freezes"] += freezes

    def _drain(self) -> Iterator[PacketBatch]:
        """Stop the intake and yield what the kernel has taken in, its half-filled last block included."""
        packet_socket.attach_filter(self._socket, keep_all(0))
        deadline = time.monotonic() + _LAST_BLOCK_TIMEOUTS * self._block_timeout_secs
        while True:
            self._read_statistics()
            batch = self._next_batch()
            if batch is not None:
                yield batch
            elif self._owed() <= 0 or time.monotonic() > deadline:
                return
            else:
                time.sleep(self._block_timeout_secs / 10)

    def _owed(self) -> int:
        """Return how many packets the kernel has put into the ring that were not walked yet."""
        state = self._ring.state[0]
        walked = int(state["packets"] + state["outgoing_packets"] + state["malformed_packets"])
        return self._kernel["kernel_packets"] - self._kernel["kernel_drops"] - walked

    def counters(self) -> Mapping[str, int]:
        """Return what was read and what was lost; the kernel's own counts are up to `TICK_SECS` old."""
        state = self._ring.state[0]
        return {
            **{name: int(state[name]) for name in _COUNTED},
            **self._kernel,
            "ring_bytes": self._ring_bytes,
        }

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
        """Close socket, ring and wake-up; the counters stay readable."""
        with self._owner:
            if self._released:
                return
            self._released = True
        packet_socket.attach_filter(self._socket, keep_all(0))
        self._read_statistics()
        self._ring = self._ring._replace(
            octets=np.empty(0, np.uint8), halves=np.empty(0, np.uint16), words=np.empty(0, np.uint32)
        )
        self._data = np.empty(0, np.uint8)
        os.close(self._wake)
        self._socket.close()
        # Unmapped, and the socket with it, as soon as nobody holds the last batch any more.
        del self._memory
