"""Measure the sensor beside other programs, on one capture, in one run: `python tests/bench/bench.py`.

The same traffic is generated as whole frames and as their first 96 bytes. Each
program then runs as a whole process on one and the same core, start-up
included, with the capture in the page cache. Packets a second are the capture's
packets by elapsed time; on a busy machine the column by processor time says more.
Tables under pressure and long runs are measured when they are asked for.
"""

# ruff: noqa: T201  (a command line prints)

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import flatness
import generate
import pressure
import stages
from programs import Program, install_nfstream, programs

_WARM_UP_PACKETS = 20_000
_PRESSURE_PACKETS = 3_000_000
#: Whole frames, and their first 96 bytes.
SHAPES = ("full", "cut")
_LONGER = 10  # how much longer the long capture of the memory test is
_LAUNCH = str(Path(__file__).with_name("launch.py"))


@dataclass(frozen=True, slots=True)
class Run:
    """What one program took."""

    name: str
    packets: int
    wall: float  # seconds
    cpu: float  # seconds, user and system, child processes included
    peak_bytes: int  # of its largest process

    @property
    def rate(self) -> float:
        return self.packets / self.wall

    @property
    def cpu_rate(self) -> float:
        return self.packets / self.cpu


def run(program: Program, capture: Path, packets: int) -> Run:
    """Run `program` once on `capture`.

    Raises
    ------
    RuntimeError
        It ended with an error.
    """
    with tempfile.TemporaryDirectory(dir=capture.parent) as folder:
        command = program.command(capture, Path(folder))
        _read_into_page_cache(capture)
        log = Path(folder) / "log"
        launch = [sys.executable, "-S", _LAUNCH, str(log), *command]
        used = json.loads(subprocess.run(launch, check=True, stdout=subprocess.PIPE).stdout)
        if used.pop("exit"):
            raise RuntimeError(f"it failed: {log.read_text(errors='replace')[-400:]}")
    return Run(program.name, packets, **used)


def _read_into_page_cache(path: Path) -> None:
    with path.open("rb", buffering=0) as file:
        while file.read(1 << 24):
            pass


def compare(wanted: list[Program], capture: Path, packets: int, options: argparse.Namespace) -> list[Run]:
    """Run all programs; of several runs the one with the median time counts."""
    found = []
    for program in wanted:
        if program.absent:
            print(f"{program.name}: skipped, {program.absent}")
            continue
        part, count = capture, packets
        if 0 < program.most_packets < packets:
            part, count = capture.with_name("part.pcap"), program.most_packets
            generate.head_of(capture, count, part)
        try:
            tries = [run(program, part, count) for _ in range(options.runs)]
        except RuntimeError as error:
            print(f"{program.name}: left out, {error}")
            continue
        found.append(sorted(tries, key=lambda one: one.wall)[(len(tries) - 1) // 2])
        print_run(found[-1], found[0])
    return found


def print_head(packets: int) -> None:
    print(f"\n{packets:,} packets; every program on one core, whole process, capture in the page cache")
    columns = (
        f"{'packets':>12}{'seconds':>9}{'packets/s':>13}{'sensor/it':>11}{'per CPU s':>13}{'peak MB':>9}"
    )
    print(f"{'program':<34}{columns}")


def print_run(one: Run, sensor: Run) -> None:
    ratio = f"{sensor.rate / one.rate:.2f}"
    print(
        f"{one.name:<34}{one.packets:>12,}{one.wall:>9.2f}{one.rate:>13,.0f}{ratio:>11}"
        f"{one.cpu_rate:>13,.0f}{one.peak_bytes / 1e6:>9.0f}",
        flush=True,
    )


def memory(sensor: Program, long: Run, capture: Path) -> dict[str, float]:
    """Run the sensor on the first tenth of the same time line; say how much more the whole needed."""
    packets = long.packets // _LONGER
    short_capture = capture.with_name("short.pcap")
    generate.head_of(capture, packets, short_capture)
    short = run(sensor, short_capture, packets)
    growth = 100.0 * (long.peak_bytes / short.peak_bytes - 1.0)
    print(
        f"\nmemory: {short.peak_bytes / 1e6:.0f} MB at the peak for {short.packets:,} packets, "
        f"{long.peak_bytes / 1e6:.0f} MB for {long.packets:,} of the same hosts: {growth:+.1f} %"
    )
    return {"short_bytes": short.peak_bytes, "long_bytes": long.peak_bytes, "growth_percent": growth}


def warm_up(sensor: Program, capture: Path) -> None:
    """Let the sensor compile its kernels, once for this machine and these sources."""
    head = capture.with_name("head.pcap")
    generate.head_of(capture, _WARM_UP_PACKETS, head)
    first = run(sensor, head, _WARM_UP_PACKETS)
    again = run(sensor, head, _WARM_UP_PACKETS)
    times = f"{first.wall:.1f} s at first, {again.wall:.1f} s from then on"
    print(f"sensor replay of {_WARM_UP_PACKETS:,} packets, mostly start-up: {times}")


def generated(folder: Path, shape: str, options: argparse.Namespace) -> Path:
    """Write the capture of one shape."""
    capture = folder / f"{shape}.pcap"
    started = time.monotonic()
    generate.write_capture(
        capture, options.packets, seed=options.seed, hosts=options.hosts, whole=shape == "full"
    )
    seconds = time.monotonic() - started
    size = f"{options.packets:,} packets, {capture.stat().st_size:,} bytes"
    print(f"\n{capture}: {size}, generated in {seconds:.0f} s")
    return capture


def measure_shape(capture: Path, wanted: list[Program], options: argparse.Namespace) -> dict[str, Any]:
    """Measure all programs on one capture, then the sensor's memory and its stages."""
    warm_up(wanted[0], capture)
    print_head(options.packets)
    found = compare(wanted, capture, options.packets, options)
    report: dict[str, Any] = {"runs": [asdict(one) | {"packets_per_second": one.rate} for one in found]}
    if found and found[0].name == wanted[0].name:
        report["memory"] = memory(wanted[0], found[0], capture)
    if not options.no_stages:
        print()
        report["stages"] = stages.table(str(capture), options.runs)
        stages.print_stages(report["stages"])
    return report


def bench(folder: Path, options: argparse.Namespace) -> None:
    python = options.nfstream_python
    if not python and options.install_nfstream:
        python = install_nfstream(folder / "nfstream")
    wanted = programs(python, options.slow_packets)
    report: dict[str, Any] = {}
    for shape in options.shape:
        capture = generated(folder, shape, options)
        report[shape] = measure_shape(capture, wanted, options)
        if options.flatness and shape == options.shape[-1]:
            print("\none engine, the capture again and again")
            report["flatness"] = flatness.measure(str(capture), options.flatness)
            for row in report["flatness"]:
                flatness.print_mark(row)
        if not options.keep:
            capture.unlink()
    report["pressure"] = under_pressure(options)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")


def under_pressure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Do the runs of tables under pressure that were asked for."""
    found = []
    for flows in options.flows:
        found += pressure.measure("concurrent", packets=_PRESSURE_PACKETS, flows=flows)
    if options.collisions:
        found += pressure.measure("collisions", packets=_PRESSURE_PACKETS)
    if options.spoofed:
        found += pressure.measure("spoofed", packets=options.spoofed)
    if found:
        print("\ntables under pressure, packets made in memory")
    for row in found:
        pressure.print_run(row)
    return found


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packets", type=int, default=3_000_000, help="in the capture (default %(default)s)")
    parser.add_argument("--quick", action="store_true", help="500,000 packets, the median of 3 runs")
    parser.add_argument("--runs", type=int, default=1, help="of each program; the median counts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hosts", type=int, default=2_000)
    parser.add_argument(
        "--shape", choices=SHAPES, help="whole frames, or their first 96 bytes alone (default: both)"
    )
    parser.add_argument(
        "--flows",
        type=int,
        action="append",
        default=[],
        help="a flow table that holds so many; may be repeated",
    )
    parser.add_argument("--collisions", action="store_true", help="flows whose keys collide in the table")
    parser.add_argument(
        "--spoofed", type=int, default=0, metavar="N", help="so many flows of made-up senders"
    )
    parser.add_argument(
        "--flatness", type=int, default=0, metavar="N", help="cost and memory from a million to N packets"
    )
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)), help="the core to run on")
    parser.add_argument("--slow-packets", type=int, default=20_000, help="what scapy is given of the capture")
    parser.add_argument(
        "--nfstream-python",
        default=os.environ.get("NFSTREAM_PYTHON", ""),
        help="a Python that has nfstream (or NFSTREAM_PYTHON in the environment)",
    )
    parser.add_argument(
        "--install-nfstream", action="store_true", help="install it for this run (200 MB) if there is none"
    )
    parser.add_argument("--no-stages", action="store_true", help="leave the sensor's stages out")
    parser.add_argument("--keep", type=Path, help="keep the captures in this folder")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    options = parser.parse_args(arguments)
    options.shape = [options.shape] if options.shape else list(SHAPES)
    if options.quick:
        options.packets, options.runs = 500_000, max(options.runs, 3)
    return options


def main() -> None:
    options = parse(sys.argv[1:])
    os.sched_setaffinity(0, {options.core})  # inherited by all that is started from here
    folder = options.keep or Path(tempfile.mkdtemp(prefix="sensor-bench-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        bench(folder, options)
    finally:
        if not options.keep:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
