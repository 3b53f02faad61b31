"""What a running program and all it has started use of the processor."""

from __future__ import annotations

import os
import time
from pathlib import Path

#: A program that has used no more than this for a while is done with what it has.
_IDLE_CPU_SECS, _IDLE_SECS, _IDLE_LOOKS = 0.02, 0.4, 3
_MOST_IDLE_SECS = 15.0
_TICKS = os.sysconf("SC_CLK_TCK")


def processor_secs(leader: int) -> float:
    """Return the processor time of a program and all it has started, seconds: they share its session."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if int(fields[3]) == leader:
            ticks += sum(map(int, fields[11:15]))
    return ticks / _TICKS


def wait_until_idle(leader: int) -> None:
    """Let a program work off what the kernel keeps for it, within a bounded time."""
    deadline, calm, before = time.monotonic() + _MOST_IDLE_SECS, 0, processor_secs(leader)
    while calm < _IDLE_LOOKS and time.monotonic() < deadline:
        time.sleep(_IDLE_SECS)
        now = processor_secs(leader)
        calm = calm + 1 if now - before <= _IDLE_CPU_SECS else 0
        before = now
