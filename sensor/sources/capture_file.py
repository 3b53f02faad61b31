"""Capture files as a source: one or many, classic or pcapng, plain or compressed.

What is whole is delivered; what is not is named in `warnings` and counted, and
the next file is read. Only when no file holds a capture at all is that an error.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sensor.errors import CaptureError
from sensor.packet.batch import FRAME, PacketBatch
from sensor.sources.opening import STDIN, open_window
from sensor.sources.pcap import PcapWalker, pcap_magic
from sensor.sources.pcapng import PcapngWalker, is_pcapng
from sensor.sources.tally import Tally
from sensor.sources.walk import Walker
from sensor.sources.window import Window

#: Packets of one batch: large enough that the cost of a batch is nothing per
#: packet, small enough that its columns stay in a processor's cache.
BATCH_FRAMES = 16_384

#: sysexits.h EX_DATAERR: the input is no capture.
_EXIT_DATA = 65
_MAGIC_BYTES = 4


@dataclass(frozen=True)
class CaptureDamage:
    """A file that was not read, or not to its end.

    Parameters
    ----------
    path
        The file.
    offset
        Byte of the first record not delivered, after decompression.
    reason
        What is wrong with it.
    """

    path: str
    offset: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: offset {self.offset}: {self.reason}"


class CaptureFiles:
    """Packets of capture files, in the order of the files.

    Parameters
    ----------
    paths
        One file, or several to be read one after another; ``-`` is standard input.
    batch_frames
        Most packets in one batch.

    Attributes
    ----------
    name
        The file, or the first of several.
    warnings
        Files that were not read to their end, so far.
    """

    def __init__(self, paths: str | Path | Sequence[str | Path], batch_frames: int = BATCH_FRAMES) -> None:
        listed = [paths] if isinstance(paths, str | Path) else list(paths)
        if not listed:
            raise ValueError("no capture file given")
        if batch_frames < 1:
            raise ValueError(f"batch_frames must be at least 1, not {batch_frames}")
        self._paths = [str(path) for path in listed]
        first = "stdin" if self._paths[0] == STDIN else self._paths[0]
        self.name = first if len(listed) == 1 else f"{first} and {len(listed) - 1} more"
        self.warnings: list[CaptureDamage] = []
        self._frames = np.zeros(batch_frames, FRAME)
        self._tally = Tally()
        lengths = [_file_bytes(path) for path in self._paths]
        self._total = 0 if None in lengths else sum(length or 0 for length in lengths)
        self._done = 0  # bytes of the files before the open one
        self._window: Window | None = None
        self._last_time = 0
        self._dropped = 0  # as the batches so far have said
        self._readable = 0
        self._closed = False

    def __iter__(self) -> Iterator[PacketBatch]:
        """Yield the packets of all files.

        Raises
        ------
        CaptureError
            At the end, when no file held a capture: exit code 65.
        """
        for path in self._paths:
            if self._closed:
                return
            yield from self._read(path)
        if not self._readable and not self._closed:
            reasons = "; ".join(f"{damage.path}: {damage.reason}" for damage in self.warnings)
            raise CaptureError(f"no readable capture: {reasons}", exit_code=_EXIT_DATA)

    def counters(self) -> Mapping[str, int]:
        """Return what was read and what was left out; see `TALLY` for the names."""
        return self._tally.counters()

    def progress(self) -> tuple[int, int]:
        """Return bytes taken from the files so far, and of all files (0 when a pipe is among them)."""
        window = self._window
        return self._done + (window.consumed if window is not None else 0), self._total

    def close(self) -> None:
        """Stop after the batch in hand, and close the file."""
        self._closed = True
        if self._window is not None:
            self._window.close()

    def _damage(self, path: str, offset: int, reason: str) -> None:
        self.warnings.append(CaptureDamage(path, offset, reason))
        self._tally.add("files_damaged")

    def _read(self, path: str) -> Iterator[PacketBatch]:
        """Yield the packets of one file; whatever is wrong with it becomes one warning."""
        self._tally.add("files")
        try:
            window = self._window = open_window(path)
        except OSError as error:
            self._damage(path, 0, error.strerror or str(error))
            return
        try:
            walker = self._walker(path, window)
            if walker is not None:
                yield from self._batches(path, window, walker)
                if lost := self._lost():  # said behind the last packet
                    yield PacketBatch(window.data, self._frames[:0], self._last_time, lost)
                self._readable += walker.readable
        finally:
            # What damage left unread is done with, too.
            self._done += max(window.consumed, _file_bytes(path) or 0)
            self._window = None
            window.close()

    def _walker(self, path: str, window: Window) -> Walker | None:
        """Return the walker for the file's first bytes, or None and a warning."""
        while window.stop < _MAGIC_BYTES and window.more(_MAGIC_BYTES):
            pass
        head = window.data[: min(window.stop, _MAGIC_BYTES)].tobytes()
        if is_pcapng(head):
            return PcapngWalker(self._tally, self._last_time)
        magic = pcap_magic(head)
        if magic is not None:
            return PcapWalker(*magic, self._tally)
        self._damage(path, 0, window.fault or ("no capture file" if head else "the file is empty"))
        return None

    def _batches(self, path: str, window: Window, walker: Walker) -> Iterator[PacketBatch]:
        """Yield what `walker` finds in `window`, until the end or the first damage."""
        while not self._closed:
            filled = walker.fill(window, self._frames)
            if filled.rows:
                frames = self._frames[: filled.rows]
                self._last_time = int(frames["time"][-1])
                yield PacketBatch(window.data, frames, self._last_time, self._lost())
            if filled.damage:
                self._damage(path, window.offset, filled.damage)
                return
            if not filled.need or filled.rows:
                continue  # rows are borrowed until here: only now may the window move
            if not window.more(filled.need):
                self._end(path, window, walker)
                return

    def _lost(self) -> int:
        """Return how many packets the capture says are missing, since this was last asked."""
        dropped = int(self._tally.rows["frames_dropped"][0])
        lost, self._dropped = dropped - self._dropped, dropped
        return lost

    def _end(self, path: str, window: Window, walker: Walker) -> None:
        """Say what is missing, if the input did not end where a record ends."""
        if window.fault:
            self._damage(path, window.offset, window.fault)
        elif not walker.readable:
            self._damage(path, window.offset, "cut inside the file header")
        elif window.position < window.stop:
            self._damage(path, window.offset, "cut inside a record")


def _file_bytes(path: str) -> int | None:
    """Return the length of a file, 0 when there is none to read, None when it has no length (a pipe)."""
    if path == STDIN:
        return None
    try:
        status = os.stat(path)  # noqa: PTH116  (a string is at hand)
    except OSError:
        return 0
    if stat.S_ISREG(status.st_mode):
        return status.st_size
    return 0 if stat.S_ISDIR(status.st_mode) else None
