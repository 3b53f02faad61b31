"""What a packet costs after a million, and after more: `python flatness.py capture.pcap --most 100000000`.

The capture is played again and again through one engine, each time as if it
followed the time before; so nothing but the sensor's own state can grow.
"""

# ruff: noqa: T201  (a command line prints)

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from pressure import memory_bytes

from sensor.engine import Engine
from sensor.packet.batch import PacketBatch
from sensor.settings import EngineSettings
from sensor.sources.capture_file import CaptureFiles
from sensor.warm_up import warm_up

_KEY = (1, 2)
_FIRST = 1_000_000
_STEP = 10
_NS = 1_000_000_000


def endless(path: str) -> Iterator[PacketBatch]:
    """Yield the capture's batches without end, with times that go on."""
    shift, begin = 0, 0
    while True:
        end = 0
        for batch in CaptureFiles([path]):
            begin = begin or int(batch.frames["time"][0])
            batch.frames["time"] += shift
            end = int(batch.frames["time"][-1])
            yield batch._replace(now=end)
        # A tenth of a second passes between the last packet and the first.
        shift = end + _NS // 10 - begin


def marks(path: str, most: int) -> Iterator[dict[str, Any]]:
    """Yield cost and memory at each tenfold number of packets, up to `most`.

    The cost is that of the million packets before the mark, reading included.
    """
    warm_up(EngineSettings())
    engine, done, mark = Engine(EngineSettings(), _KEY), 0, _FIRST
    began, began_at = time.process_time(), 0
    for batch in endless(path):
        engine.process(batch)
        done += len(batch.frames)
        if began_at < mark - _FIRST <= done:
            began, began_at = time.process_time(), done
        if done >= mark:
            cost = (time.process_time() - began) / (done - began_at) * 1e9
            status = engine.status()
            yield {
                "packets": done,
                "ns_per_packet": cost,
                "memory_bytes": memory_bytes(),
                "flows": status.active_flows,
                "hosts": status.hosts,
            }
            mark *= _STEP
            if mark > most:
                return


def measure(path: str, most: int) -> list[dict[str, Any]]:
    """Do the run in a process of its own."""
    command = [sys.executable, __file__, path, "--most", str(most), "--json"]
    found: list[dict[str, Any]] = json.loads(subprocess.run(command, check=True, stdout=-1).stdout)
    return found


def print_mark(row: dict[str, Any]) -> None:
    """Print one line of figures."""
    print(
        f"{row['packets']:>14,} packets: {row['ns_per_packet']:.0f} ns/packet, "
        f"{row['memory_bytes'] / 1e6:.0f} MB, {row['flows']:,} open flows, {row['hosts']:,} hosts",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("capture")
    parser.add_argument("--most", type=int, default=10_000_000, help="packets in all")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = marks(options.capture, options.most)
    if options.json:
        print(json.dumps(list(found)))
        return
    for row in found:
        print_mark(row)


if __name__ == "__main__":
    main()
