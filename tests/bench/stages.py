"""Where the time goes: `python stages.py capture.pcap` runs the line stage by stage in this Python.

Each stage is measured together with those before it, in a process of its own
and with compiled kernels; its own cost is the difference. Then the parts of the
whole engine are timed one by one, those at window ends among them. Times are
processor times, so that another program on the machine shows little.
"""

# ruff: noqa: T201  (a command line prints)

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import generate
import numpy as np

from sensor.engine import Engine
from sensor.feature.extractor import Extractor
from sensor.flow.meter import Meter
from sensor.packet.batch import PacketBatch
from sensor.packet.decode import Decoder
from sensor.settings import EngineSettings
from sensor.sources.capture_file import CaptureFiles
from sensor.warm_up import warm_up

_KEY = (1, 2)
_WARM_UP_PACKETS = 50_000
_NS = 1_000_000_000


def walk(batches: Iterator[PacketBatch]) -> int:
    return sum(len(batch.frames) for batch in batches)


def decode(batches: Iterator[PacketBatch]) -> int:
    decoder = Decoder(16_384)
    return sum(len(decoder.decode(batch)) for batch in batches)


def flow(batches: Iterator[PacketBatch]) -> int:
    decoder, meter, done = Decoder(16_384), _meter(), 0
    for batch in batches:
        for seen in meter.observe(decoder.decode(batch), batch.data):
            done += len(seen.packets)
    return done


def feature(batches: Iterator[PacketBatch]) -> int:
    """Walk, decode, meter, and count at hosts; a window's rows are made when it ends, and not scored."""
    settings = EngineSettings()
    decoder, meter = Decoder(16_384), _meter()
    extractor = Extractor(settings.feature, settings.flow.capacity, _KEY)
    length = int(settings.feature.window_secs * _NS)
    window, done = -1, 0
    for batch in batches:
        packets = decoder.decode(batch)
        while len(packets):
            index = int(packets["time"][0]) // length
            if index != window:
                extractor.close()
                extractor.start(index)
                window = index
            end = int(np.searchsorted(packets["time"], (window + 1) * length))
            for seen in meter.observe(packets[:end], batch.data):
                extractor.observe(seen.packets, seen.events)
                done += len(seen.packets)
            packets = packets[end:]
    return done


def engine(batches: Iterator[PacketBatch]) -> int:
    line = Engine(EngineSettings(), _KEY)
    done = 0
    for batch in batches:
        done += len(batch.frames)
        line.process(batch)
    line.flush()
    return done


STAGES = {stage.__name__: stage for stage in (walk, decode, flow, feature, engine)}


class Stopwatch:
    """Processor time by part, and how often each ran."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.calls: dict[str, int] = {}

    def wrap(self, owner: Any, method: str, name: str) -> None:
        """Replace `owner.method` by one that is timed; a generator is timed while it runs."""
        inner = getattr(owner, method)

        def timed(*arguments: Any, **options: Any) -> Any:
            started = time.process_time()
            result = inner(*arguments, **options)
            self._add(name, started)
            return self._each(name, result) if isinstance(result, Iterator) else result

        setattr(owner, method, timed)

    def _each(self, name: str, items: Iterator[Any]) -> Iterator[Any]:
        while True:
            started = time.process_time()
            item = next(items, None)
            self._add(name, started)
            if item is None:
                return
            yield item

    def _add(self, name: str, started: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - started
        self.calls[name] = self.calls.get(name, 0) + 1


#: Parts of the engine: attribute of its metering or its detection, method, name in the table.
_PARTS = (
    ("_decoder", "decode", "decode"),
    ("_duplicates", "mark", "duplicates"),
    ("_meter", "observe", "meter.observe"),
    ("_extractor", "observe", "extractor.observe"),
    ("_meter", "advance", "window end: meter.advance"),
    ("_flows", "take", "flow rows"),
    ("_flow_model", "screen", "window end: flow model, screen"),
    ("_flow_model", "learn", "window end: flow model, learn"),
    ("_extractor", "mark_odd", "window end: odd flows to hosts"),
    ("_extractor", "close", "window end: host rows"),
    ("_host_model", "screen", "window end: host model, screen"),
    ("_host_model", "detail", "window end: host model, detail"),
    ("_host_model", "expected_upper", "window end: expected upper limits"),
    ("_policy", "judge", "window end: policy"),
    ("_host_model", "learn", "window end: host model, learn"),
    ("_extractor", "learn", "window end: usual for each host"),
)


def parts(path: str) -> dict[str, Any]:
    """Run the whole engine with a stopwatch at each part."""
    _warm_up(engine, path)
    line = Engine(EngineSettings(), _KEY)
    watch = Stopwatch()
    for attribute, method, name in _PARTS:
        half = line._metering if hasattr(line._metering, attribute) else line._detection
        watch.wrap(getattr(half, attribute), method, name)
    done = 0
    for batch in CaptureFiles([path]):
        done += len(batch.frames)
        line.process(batch)
    line.flush()
    windows = line.counters()["feature"]["windows"]
    return {"packets": done, "windows": windows, "seconds": watch.seconds, "calls": watch.calls}


def _meter() -> Meter:
    return Meter(key=_KEY, claims=False)


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _warm_up(stage: Callable[[Iterator[PacketBatch]], int], path: str) -> None:
    """Compile or load all kernels and import River; then run the stage over the capture's beginning."""
    warm_up(EngineSettings())
    with tempfile.TemporaryDirectory() as folder:
        head = Path(folder) / "head.pcap"
        generate.head_of(Path(path), _WARM_UP_PACKETS, head)
        stage(iter(CaptureFiles([str(head)])))


def measure(stage: Callable[[Iterator[PacketBatch]], int], path: str) -> dict[str, float]:
    """Run one stage over a little of the capture, then time it over the whole."""
    _warm_up(stage, path)
    before = _peak_bytes()
    started, cpu = time.monotonic(), time.process_time()
    packets = stage(iter(CaptureFiles([path])))
    used = time.process_time() - cpu
    wall = time.monotonic() - started
    return {
        "packets": packets,
        "cpu": used,
        "wall": wall,
        "before_bytes": before,
        "peak_bytes": _peak_bytes(),
    }


def table(path: str, runs: int) -> list[dict[str, Any]]:
    """Measure all stages, each in a process of its own; return the fastest run of each."""
    rows = []
    for name in STAGES:
        tries = [json.loads(_child(path, name)) for _ in range(runs)]
        best = min(tries, key=lambda row: row["cpu"])
        rows.append({"stage": name, **best})
    return rows


def _child(path: str, stage: str) -> bytes:
    command = [sys.executable, __file__, path, "--stage", stage]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def print_stages(rows: list[dict[str, Any]]) -> None:
    columns = f"{'packets/s':>14}{'ns/packet':>12}{'of it own':>12}{'peak MB':>10}{'packets/s, wall':>18}"
    print(f"{'stage':<10}{columns}")
    before = 0.0
    for row in rows:
        total = row["cpu"] / row["packets"] * 1e9
        rates = row["packets"] / row["cpu"], row["packets"] / row["wall"]
        memory = row["peak_bytes"] / 1e6
        print(
            f"{row['stage']:<10}{rates[0]:>14,.0f}{total:>12.0f}{total - before:>12.0f}"
            f"{memory:>10.0f}{rates[1]:>18,.0f}"
        )
        before = total


def print_parts(found: dict[str, Any]) -> None:
    print(f"\n{'part of the engine':<38}{'ns/packet':>10}{'calls':>8}{'ms/window':>12}")
    for name, seconds in sorted(found["seconds"].items(), key=lambda item: -item[1]):
        per_packet = seconds / found["packets"] * 1e9
        per_window = seconds / found["windows"] * 1e3
        print(f"{name:<38}{per_packet:>10.1f}{found['calls'][name]:>8}{per_window:>12.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("capture")
    parser.add_argument("--runs", type=int, default=1, help="the fastest of so many")
    parser.add_argument("--stage", choices=[*STAGES, "parts"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage == "parts":
        print_parts(parts(options.capture))
    elif options.stage:
        print(json.dumps(measure(STAGES[options.stage], options.capture)))
    else:
        print_stages(table(options.capture, options.runs))
        print(_child(options.capture, "parts").decode(), end="")


if __name__ == "__main__":
    main()
