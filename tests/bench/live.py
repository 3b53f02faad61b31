"""Measure on an interface what programs receive and what they lose: `python tests/bench/live.py`, as root.

A cable is made between two network namespaces. tcpreplay sends a generated
capture into one end, from memory, on one core; the program listens at the other
end, on another core. One program after the other gets the same packets: first
as fast as tcpreplay can send, then at rates between which the highest is sought
that the program takes without losing a packet. What a program received is what
it says itself; what arrived is what the interface counted.

A buffer hides loss: a program that is a little too slow fills it for as long as
it lasts. Send for longer (`--seconds`) to see more of that.
"""

# ruff: noqa: T201  (a command line prints)

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import generate
from listeners import INTERFACE, SNAPLEN, Listener, listeners
from load import processor_secs, wait_until_idle

sys.path.append(str(Path(__file__).parents[1]))

from lab.network import Host, Network, missing_tools, wait_until

#: The first start of the sensor compiles its kernels.
_READY_SECS = 180.0
_STOP_SECS = 30.0
#: Longer than what any program waits between two looks at its counters.
_REPORT_SECS = 1.3
#: The search begins between what was received at full speed, and a little, and this part of it.
_ABOVE, _SPAN = 1.3, 64


@dataclass(frozen=True, slots=True)
class Run:
    """What became of the packets of one sending."""

    sent: int
    seconds: float
    arrived: int  # counted by the interface
    received: int  # counted by the program
    cpu: float  # seconds, user and system, from the first packet to the last

    @property
    def rate(self) -> float:
        return self.sent / self.seconds

    @property
    def lost(self) -> int:
        return max(self.arrived - self.received, 0)


@dataclass(slots=True)
class Result:
    """What one program did."""

    name: str
    buffer: str
    full_speed: Run
    loss_free: float = 0.0  # packets a second; 0: none was found
    at_least: bool = False  # the sender could not send faster
    tries: list[Run] = field(default_factory=list)


class Cable:
    """Two namespaces with a cable between them, and a core for either end."""

    def __init__(self, network: Network, capture: Path, cores: tuple[int, int]) -> None:
        self._sender, self._receiver = network.hosts["switch"], network.sensor
        self._capture = capture
        self._send_on, self._listen_on = (["taskset", "-c", str(core)] for core in cores)

    def send(self, packets: int, rate: int = 0) -> tuple[int, float]:
        """Send so many packets, at so many a second (0: as fast as can be); return how many, and how long."""
        speed = ["--pps", str(rate)] if rate else ["--topspeed"]
        options = [
            "--preload-pcap",
            "--quiet",
            "--no-flow-stats",
            "--loop",
            "100000",
            "--limit",
            str(packets),
        ]
        command = [*self._send_on, "tcpreplay", *options, *speed, "-i", "mirror0", str(self._capture)]
        report = self._sender.run(*command, timeout=300)
        sent = re.search(r"Successful packets: +(\d+)", report)
        seconds = re.search(r"sent in ([\d.]+) seconds", report)
        if not sent or not seconds:
            raise RuntimeError(f"tcpreplay said {report[-400:]}")
        return int(sent.group(1)), max(float(seconds.group(1)), 1e-6)

    def arrived(self) -> int:
        """Return how many packets the interface has received."""
        shown = json.loads(self._receiver.ip("-json", "-s", "link", "show", "dev", INTERFACE))
        return int(shown[0]["stats64"]["rx"]["packets"])

    def _nudge(self) -> int:
        """Send two packets more, with pauses in which a program reports; return how many."""
        for _ in range(2):
            time.sleep(_REPORT_SECS)
            self.send(1)
        time.sleep(_REPORT_SECS)
        return 2

    def measure(self, listener: Listener, packets: int, rate: int = 0) -> Run:
        """Start a program, send to it, and end it.

        Raises
        ------
        RuntimeError
            It did not start, or did not say what it received.
        """
        with tempfile.TemporaryDirectory(dir=self._capture.parent) as folder:
            scratch = Path(folder)
            with _running(self._receiver, [*self._listen_on, *listener.command(scratch)], scratch) as pid:
                used, before = processor_secs(pid), self.arrived()
                sent, seconds = self.send(packets, rate)
                wait_until_idle(pid)
                cpu = processor_secs(pid) - used
                if listener.late:
                    sent += self._nudge()
                arrived = self.arrived() - before
                if listener.ask:
                    answer = self._receiver.run(*listener.ask(scratch))
                    (scratch / "answer").write_text(answer)
            return Run(sent, seconds, arrived, listener.received(scratch), cpu)


@contextmanager
def _running(host: Host, command: list[str], scratch: Path) -> Iterator[int]:
    """Start a program, wait until it captures, and end it in order afterwards."""
    log = scratch / "log"
    process = host.start(*command, log=log)

    def ready() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"it ended at once: {log.read_text(errors='replace')[-400:]}")
        sockets = host.run("cat", "/proc/net/packet").splitlines()[1:]
        return any(line.split()[4] != "0" for line in sockets)  # bound to an interface

    try:
        wait_until(ready, _READY_SECS)
        time.sleep(1.0)
        yield process.pid
        process.send_signal(signal.SIGINT)
        process.wait(_STOP_SECS)
    except (TimeoutError, subprocess.TimeoutExpired) as error:
        raise RuntimeError(f"it did not begin or end in time: {error}") from error
    finally:
        host.stop()


def search(cable: Cable, listener: Listener, result: Result, options: argparse.Namespace) -> None:
    """Look for the highest rate at which nothing is lost, by halving the range of its logarithm."""
    if result.full_speed.lost == 0:
        result.loss_free, result.at_least = result.full_speed.rate, True
        return
    high = min(result.full_speed.rate, _ABOVE * result.full_speed.received / result.full_speed.seconds)
    low = max(high / _SPAN, 100.0)
    for _ in range(options.steps):
        rate = (low * max(high, low)) ** 0.5
        run = cable.measure(listener, max(round(rate * options.seconds), 1000), round(rate))
        result.tries.append(run)
        if run.lost == 0:
            low = rate
            result.loss_free = max(result.loss_free, run.rate)
        else:
            high = rate


def bench(folder: Path, options: argparse.Namespace) -> None:
    capture = folder / "live.pcap"
    generate.write_capture(
        capture, options.capture_packets, seed=options.seed, hosts=options.hosts, whole=options.full
    )
    print(f"{capture.stat().st_size / options.capture_packets - 16:.0f} bytes a packet, snaplen {SNAPLEN:,};")
    print(
        f"sender on core {options.cores[0]}, receiver on core {options.cores[1]}; {options.packets:,} packets"
    )
    print(_HEAD)
    results = []
    begun = time.monotonic()
    for listener in listeners(options.nfstream_python):
        if listener.absent or (options.only and options.only not in listener.name):
            print(f"{listener.name:<31}skipped, {listener.absent or 'not asked for'}")
            continue
        try:
            with Network({}) as network:
                cable = Cable(network, capture, options.cores)
                run = cable.measure(listener, options.packets)
                result = Result(listener.name, listener.buffer, run)
                if time.monotonic() - begun < options.budget:
                    search(cable, listener, result, options)
        except RuntimeError as error:
            print(f"{listener.name:<31}left out, {error}")
            continue
        results.append(result)
        print_result(result)
    if options.json:
        options.json.write_text(json.dumps([_as_json(one) for one in results], indent=2) + "\n")


_HEAD = (
    f"{'program':<31}{'buffer':<24}{'sent/s':>11}{'received':>11}{'lost':>11}{'lost %':>8}{'CPU s':>7}"
    f"{'without loss/s':>16}"
)


def print_result(result: Result) -> None:
    run = result.full_speed
    loss_free = (
        f"{'>= ' if result.at_least else ''}{result.loss_free:,.0f}" if result.loss_free else "not found"
    )
    print(
        f"{result.name:<31}{result.buffer:<24}{run.rate:>11,.0f}{run.received:>11,}{run.lost:>11,}"
        f"{100 * run.lost / max(run.arrived, 1):>8.2f}{run.cpu:>7.2f}{loss_free:>16}",
        flush=True,
    )


def _as_json(result: Result) -> dict[str, object]:
    return asdict(result) | {
        "lost": result.full_speed.lost,
        "lost_in_tries": [one.lost for one in result.tries],
    }


def parse(arguments: list[str]) -> argparse.Namespace:
    cores = sorted(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packets", type=int, default=2_000_000, help="sent at full speed")
    parser.add_argument(
        "--capture-packets", type=int, default=500_000, help="in the capture that is repeated"
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="of sending in each step of the search")
    parser.add_argument("--steps", type=int, default=6, help="of the search, for each program; 0: no search")
    parser.add_argument(
        "--budget", type=float, default=600.0, help="no search is begun after so many seconds"
    )
    parser.add_argument("--full", action="store_true", help="whole frames instead of their first 96 bytes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hosts", type=int, default=2_000)
    parser.add_argument("--only", default="", help="only programs whose name holds this")
    parser.add_argument(
        "--cores", type=int, nargs=2, default=(cores[0], cores[-1]), metavar=("SENDER", "RECEIVER")
    )
    parser.add_argument(
        "--nfstream-python",
        default=os.environ.get("NFSTREAM_PYTHON", ""),
        help="a Python that has nfstream (or NFSTREAM_PYTHON in the environment)",
    )
    parser.add_argument("--json", type=Path, help="write the figures there too")
    return parser.parse_args(arguments)


def main() -> None:
    options = parse(sys.argv[1:])
    if reason := missing_tools("tcpreplay", "taskset"):
        sys.exit(f"live.py: {reason}")
    folder = Path(tempfile.mkdtemp(prefix="sensor-live-"))
    try:
        bench(folder, options)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
