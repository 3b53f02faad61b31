"""The kernel's side of a capture: packet sockets that share an interface's packets, each with a ring.

Nothing is let in before everything stands: the sockets are opened with a filter
that keeps nothing, bound, and joined; then the real filter is set. So no packet
comes twice, as it would between a socket's binding and its joining.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
from collections.abc import Mapping

from sensor.errors import CaptureError
from sensor.sources import packet_socket
from sensor.sources.bpf import Program, keep_all
from sensor.sources.ring_memory import RingSize, map_rings


class Intake:
    """Sockets on one interface; packets go to one of them by flow.

    Parameters
    ----------
    interface
        Its name.
    workers
        How many sockets, and rings.
    size
        Of each ring.
    outgoing
        Take also what this host sends.
    promiscuous
        Take frames that are for others too.

    Attributes
    ----------
    memory
        All rings, one behind the other.
    link_type
        LINKTYPE_* of the frames.
    dropped
        Packets that the kernel had no room for, by ring.

    Raises
    ------
    ConfigError
        The kernel does not take this block size.
    CaptureError
        There is no such interface or no memory; exit code 77 when the permission is missing.
    """

    def __init__(
        self, interface: str, workers: int, size: RingSize, *, outgoing: bool, promiscuous: bool
    ) -> None:
        self._interface = interface
        self._outgoing = outgoing
        self._shared = workers == 1
        self._filter = keep_all(0)
        self._seen = self._freezes = self._down_events = 0
        self.dropped = [0] * workers
        with contextlib.ExitStack() as undo:
            self._sockets = [undo.enter_context(packet_socket.open_socket()) for _ in range(workers)]
            self.link_type = packet_socket.link_type_of(self._sockets[0], interface)
            self.memory = map_rings(self._sockets, size)
            self._index = packet_socket.interface_index(self._sockets[0], interface)
            for opened in self._sockets:
                if not outgoing:
                    packet_socket.ignore_outgoing(opened)
            if promiscuous:
                packet_socket.promiscuous(self._sockets[0], self._index)
            self.shut()
            undo.pop_all()

    def begin(self, program: Program) -> None:
        """Let in the packets that the filter `program` keeps.

        Raises
        ------
        CaptureError
            The interface cannot be captured from.
        """
        for opened in self._sockets:
            packet_socket.bind(opened, self._interface)
        self.filter(program)

    def filter(self, program: Program) -> None:
        """Replace the filter, without a packet in between that none has seen."""
        self._filter = program
        self._share()
        for opened in self._sockets if self._shared else self._sockets[:1]:
            packet_socket.attach_filter(opened, program)

    def shut(self) -> None:
        """Let no packet in any more."""
        for opened in self._sockets:
            packet_socket.attach_filter(opened, keep_all(0))

    def check(self) -> bool:
        """Share the interface if it could not be yet; say whether it is still the one that was opened."""
        if not self._shared:
            self.filter(self._filter)
        return packet_socket.interface_index(self._sockets[0], self._interface) == self._index

    def _share(self) -> None:
        """Join the sockets. Linux before 6.13 wants the interface up for it: till then the first has all."""
        if self._shared:
            return
        try:
            packet_socket.share(self._sockets, outgoing=self._outgoing)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise CaptureError(
                    f"{len(self._sockets)} workers cannot share {self._interface!r}: {error.strerror}"
                ) from error
        else:
            self._shared = True

    def wait(self, wake: int, timeout_ms: int, *, packets: bool) -> bool:
        """Wait for the descriptor `wake`, and for packets and errors if wanted; say if there was an error.

        Raises
        ------
        CaptureError
            An error that the capture cannot go on after.
        """
        poller = select.poll()
        poller.register(wake, select.POLLIN)
        for opened in self._sockets if packets else ():
            poller.register(opened, select.POLLIN | select.POLLERR)
        return any(event & select.POLLERR for _, event in poller.poll(timeout_ms)) and self._take_errors()

    def _take_errors(self) -> bool:
        """Take the sockets' pending errors, count an interface that went down, and say if there was one."""
        codes = [opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) for opened in self._sockets]
        if codes[0] == errno.ENETDOWN:  # all of them have it, but not at the same moment
            self._down_events += 1
        for code in codes:
            if code not in (0, errno.ENETDOWN):
                raise CaptureError(f"capture on {self._interface!r} failed: {os.strerror(code)}")
        return any(codes)

    def read_statistics(self) -> None:
        """Add up what the kernel counted. It forgets on reading, so nobody else may read it."""
        for number, opened in enumerate(self._sockets):
            seen, dropped, freezes = packet_socket.statistics(opened)
            self._seen += seen
            self.dropped[number] += dropped
            self._freezes += freezes

    def delivered(self) -> int:
        """Return how many packets the kernel has put into the rings, as of the last reading."""
        return self._seen - sum(self.dropped)

    def counters(self) -> Mapping[str, int]:
        """Return what the kernel counted, as of the last reading; several rings' drops also one by one."""
        several = enumerate(self.dropped) if len(self.dropped) > 1 else ()
        return {
            "kernel_packets": self._seen,
            "kernel_drops": sum(self.dropped),
            "freezes": self._freezes,
            "interface_down_events": self._down_events,
            **{f"drops_ring_{number}": dropped for number, dropped in several},
        }

    def close(self) -> None:
        """Let nothing in any more, read the statistics once more and close the sockets."""
        self.shut()
        self.read_statistics()
        self.abandon()

    def abandon(self) -> None:
        """Close the sockets. The memory goes when nobody holds a part of it any more."""
        for opened in self._sockets:
            opened.close()
        del self.memory
