"""The programs that are measured on an interface: how each is started, and how to learn what it received.

All of them do there what they do by default, and get the same buffer where
they let it be set. Flow timeouts and table sizes are those of `programs.py`.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

INTERFACE = "span0"
SNAPLEN = 65_535
BUFFER_BYTES = 64 << 20

#: Prints every second what its meter, one process beside this one, has processed.
_NFSTREAM = """
import sys
from nfstream import NFStreamer
options = dict(n_meters=1, idle_timeout=60, active_timeout=300, performance_report=1)
for flow in NFStreamer(
    source=sys.argv[1],
    statistical_analysis=True,
    n_dissections=0,
    snapshot_length=int(sys.argv[2]),
    socket_buffer_size=int(sys.argv[3]),
    **options,
):
    pass
"""

#: Dissects each packet, keeps none, and prints how many there were when it is told to end.
_SCAPY = """
import signal, sys, threading
from scapy.all import AsyncSniffer, conf
conf.bufsize = int(sys.argv[2])
done, count = threading.Event(), 0
def see(packet):
    global count
    count += 1
signal.signal(signal.SIGINT, lambda *_: done.set())
sniffer = AsyncSniffer(iface=sys.argv[1], prn=see, store=False)
sniffer.start()
done.wait()
sniffer.stop()
print("packets", count)
"""


@dataclass(frozen=True, slots=True)
class Listener:
    """One line of the table.

    Parameters
    ----------
    name
        As in the table.
    command
        Given a scratch folder, the command line. It ends in order at SIGINT.
    received
        Given the scratch folder, in which `log` is what it printed: how many packets it took in.
    buffer
        What the kernel may keep for it, in words.
    absent
        Why it cannot run here; empty when it can.
    late
        It counts, or tells of, its last packets only when a later one comes.
    ask
        Given the scratch folder, a command that is run before the end; what it prints goes to `answer`.
    """

    name: str
    command: Callable[[Path], list[str]]
    received: Callable[[Path], int]
    buffer: str = f"{BUFFER_BYTES >> 20} MiB"
    absent: str = ""
    late: bool = False
    ask: Callable[[Path], list[str]] | None = None


def listeners(nfstream_python: str) -> list[Listener]:
    """Return all listeners, the sensor first. `nfstream_python` is a Python with nfstream, or empty."""
    python = nfstream_python
    nfstream = [python, "-u", "-c", _NFSTREAM, INTERFACE, str(SNAPLEN), str(BUFFER_BYTES)]
    scapy = [sys.executable, "-c", _SCAPY, INTERFACE, str(BUFFER_BYTES)]
    return [
        _sensor(1),
        _sensor(2),
        Listener("tcpdump -w /dev/null", _tcpdump, _in_log(r"(\d+) packets? captured"), **_of("tcpdump")),
        Listener(
            "softflowd",
            _softflowd,
            _softflowd_count,
            ask=lambda scratch: ["softflowctl", "-c", str(scratch / "control"), "statistics"],
            **_of("softflowd", "softflowctl"),
        ),
        Listener("argus", _argus, _argus_count, buffer="libpcap's own, 2 MiB", **_of("argus", "ra")),
        Listener(
            "nfstream, statistics, no nDPI",
            lambda _: nfstream,
            _nfstream_count,
            absent="" if python else "no nfstream (see --nfstream-python)",
            late=True,
        ),
        Listener(
            "scapy AsyncSniffer",
            lambda _: scapy,
            _in_log(r"packets (\d+)"),
            buffer=f"a socket's, {_socket_buffer() >> 10} KiB",
        ),
    ]


def _of(*tools: str) -> Mapping[str, str]:
    missing = [tool for tool in tools if not shutil.which(tool)]
    return {"absent": f"{', '.join(missing)} is not installed" if missing else ""}


def _found(name: str, pattern: str) -> Callable[[Path], int]:
    """Return a reader of the last number that matches in a file of the scratch folder."""

    def received(scratch: Path) -> int:
        found = re.findall(pattern, (scratch / name).read_text(errors="replace"))
        if not found:
            raise RuntimeError(f"it did not say what it received: {(scratch / 'log').read_text()[-400:]}")
        return int(found[-1].replace(",", ""))

    return received


def _in_log(pattern: str) -> Callable[[Path], int]:
    return _found("log", pattern)


def _sensor(workers: int) -> Listener:
    sizes = f"capture.snaplen={SNAPLEN}", f"capture.ring_bytes={BUFFER_BYTES // workers}"
    options = [word for key in (f"capture.workers={workers}", *sizes) for word in ("--set", key)]

    def command(scratch: Path) -> list[str]:
        sinks = json.dumps([{"type": "jsonl", "path": str(scratch / "alerts")}])
        start = [sys.executable, "-m", "sensor", "run", "-i", INTERFACE]
        return [*start, *options, "--set", f"sinks={sinks}"]

    name = f"sensor run, {workers} worker{'s' * (workers > 1)}"
    buffer = f"{BUFFER_BYTES // workers >> 20} MiB" + " each" * (workers > 1)
    return Listener(name, command, _in_log(r" ([0-9,]+) packets,"), buffer)


def _tcpdump(scratch: Path) -> list[str]:
    del scratch
    sizes = ["-s", str(SNAPLEN), "-B", str(BUFFER_BYTES >> 10)]
    return ["tcpdump", "-i", INTERFACE, "-n", "-Z", "root", *sizes, "-w", "/dev/null"]


def _softflowd(scratch: Path) -> list[str]:
    # -6: IPv6 flows too. Nothing listens where it exports to: it only has to export.
    files = ["-p", str(scratch / "pid"), "-c", str(scratch / "control")]
    timeouts = [word for name in ("tcp", "udp", "general") for word in ("-t", f"{name}=60")]
    limits = ["-m", "262144", "-t", "maxlife=300", *timeouts, "-B", str(BUFFER_BYTES), "-C", str(SNAPLEN)]
    return ["softflowd", "-i", INTERFACE, "-d", "-6", "-v", "9", "-n", "127.0.0.1:9", *files, *limits]


def _softflowd_count(scratch: Path) -> int:
    """Return what libpcap took in for it; some of the last ones it may not have asked for yet."""
    seen = _found("answer", r"Packets received by libpcap: (\d+)")(scratch)
    return seen - _found("answer", r"Packets dropped by libpcap: (\d+)")(scratch)


def _nfstream_count(scratch: Path) -> int:
    """Return what its meter took in, with the packets that it keeps no flow for."""
    return sum(_found("log", rf'"packets_{word}": (\d+)')(scratch) for word in ("processed", "ignored"))


def _argus(scratch: Path) -> list[str]:
    return ["argus", "-i", INTERFACE, "-s", str(SNAPLEN), "-w", str(scratch / "argus.out")]


def _argus_count(scratch: Path) -> int:
    """Add up the packets of argus's records."""
    command = ["ra", "-r", str(scratch / "argus.out"), "-n", "-s", "pkts", "-", "not", "man"]
    counted = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return sum(int(word) for word in counted.stdout.split() if word.isdigit())


def _socket_buffer() -> int:
    return int(Path("/proc/sys/net/core/rmem_max").read_text())
