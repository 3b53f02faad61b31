"""What every source looks like to the rest of the program."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from sensor.packet.batch import PacketBatch


class Source(Protocol):
    """Packets, in capture order."""

    #: What the packets came from, for people: an interface or a file name.
    name: str

    def __iter__(self) -> Iterator[PacketBatch]:
        """Yield batches until the input ends (a live source ends when closed)."""
        ...

    def counters(self) -> Mapping[str, int]:
        """Return what was read, and what was lost and why."""
        ...

    def close(self) -> None:
        """Give back files, sockets and memory."""
        ...
