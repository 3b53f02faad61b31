"""What a source delivered, copied out of its borrowed batches so that runs can be compared."""

from __future__ import annotations

from typing import NamedTuple

from sensor.sources.source import Source


class Delivered(NamedTuple):
    """One frame as it came out."""

    time: int
    data: bytes
    wirelen: int
    link_type: int = 1
    interface: int = 0


def delivered(source: Source) -> list[Delivered]:
    """Run `source` to its end and return all frames."""
    rows = []
    for batch in source:
        for frame in batch.frames:
            start = int(frame["offset"])
            data = batch.data[start : start + int(frame["caplen"])].tobytes()
            assert len(data) == frame["caplen"]
            assert frame["vlan_tci"] == 0
            assert frame["vlan_tpid"] == 0
            rows.append(
                Delivered(
                    int(frame["time"]),
                    data,
                    int(frame["wirelen"]),
                    int(frame["link_type"]),
                    int(frame["interface"]),
                )
            )
        if batch.frames.size:
            assert batch.now == rows[-1].time
    return rows
