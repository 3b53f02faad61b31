"""The programs that are measured: how each reads a capture, and how to see what it counted.

All of them do their whole work on a capture file: the sensor scores and
alerts, flow meters keep and export flows, tcpdump only copies, cat does not
even look. Timeouts and table sizes are set alike where a program lets them be
set: 60 s idle, 300 s active, 262,144 flows.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

#: Reads flows one by one, as its documentation shows; one meter process, beside the one that asks.
_NFSTREAM = """
import sys
from nfstream import NFStreamer
options = dict(n_meters=1, idle_timeout=60, active_timeout=300)
packets = 0
for flow in NFStreamer(
    source=sys.argv[1],
    statistical_analysis=sys.argv[2] == "1",
    n_dissections=int(sys.argv[3]),
    **options,
):
    packets += flow.bidirectional_packets
print(packets)
"""

#: Dissects each packet; keeps none.
_SCAPY = """
import sys
from scapy.all import PcapReader
print(sum(1 for packet in PcapReader(sys.argv[1])))
"""


@dataclass(frozen=True, slots=True)
class Program:
    """One line of the table.

    Parameters
    ----------
    name
        As in the table.
    command
        Given the capture and a scratch folder, the command line.
    absent
        Why it cannot run here; empty when it can.
    most_packets
        It is given no more of the capture than this, because it is slow; 0: all.
    """

    name: str
    command: Callable[[Path, Path], list[str]]
    absent: str = ""
    most_packets: int = 0


def programs(nfstream_python: str, slow_packets: int) -> list[Program]:
    """Return all programs, the sensor first. `nfstream_python` is a Python with nfstream, or empty."""
    return [
        Program("sensor replay", _sensor),
        Program("cat > /dev/null", _cat),
        Program("tcpdump -w /dev/null", _tcpdump, _missing("tcpdump")),
        Program("softflowd", _softflowd, _missing("softflowd")),
        Program("nfpcapd", _nfpcapd, _missing("nfpcapd")),
        Program("argus", _argus, _missing("argus")),
        *_nfstreams(nfstream_python),
        Program("scapy", _scapy, most_packets=slow_packets),
    ]


def _missing(name: str) -> str:
    return "" if shutil.which(name) else f"{name} is not installed"


def _sensor(capture: Path, scratch: Path) -> list[str]:
    stats = ["--stats", str(scratch / "stats.json")]
    return [
        sys.executable,
        "-m",
        "sensor",
        "replay",
        str(capture),
        *stats,
        "-q",
        "-o",
        str(scratch / "alerts"),
    ]


def _cat(capture: Path, scratch: Path) -> list[str]:
    del scratch
    return ["sh", "-c", 'exec cat "$0" > /dev/null', str(capture)]


def _tcpdump(capture: Path, scratch: Path) -> list[str]:
    del scratch
    return ["tcpdump", "-r", str(capture), "-w", "/dev/null"]


def _softflowd(capture: Path, scratch: Path) -> list[str]:
    # -6: IPv6 flows too; -a: time is the packets'. Nothing listens there: it only has to export.
    files = ["-p", str(scratch / "softflowd.pid"), "-c", "none"]
    timeouts = [word for name in ("tcp", "udp", "general") for word in ("-t", f"{name}=60")]
    limits = ["-m", "262144", "-t", "maxlife=300", *timeouts]
    return [
        "softflowd",
        "-r",
        str(capture),
        "-d",
        "-6",
        "-a",
        "-v",
        "9",
        "-n",
        "127.0.0.1:9",
        *files,
        *limits,
    ]


def _nfpcapd(capture: Path, scratch: Path) -> list[str]:
    folder = scratch / "nfpcapd"
    folder.mkdir(exist_ok=True)
    return ["nfpcapd", "-r", str(capture), "-w", str(folder), "-e", "300,60"]


def _argus(capture: Path, scratch: Path) -> list[str]:
    return ["argus", "-r", str(capture), "-w", str(scratch / "argus.out")]


def _nfstreams(python: str) -> list[Program]:
    absent = "" if python else "no nfstream (see --nfstream-python)"

    def reading(statistics: str, dissections: str) -> Callable[[Path, Path], list[str]]:
        return lambda capture, _: [python, "-c", _NFSTREAM, str(capture), statistics, dissections]

    return [
        Program("nfstream, statistics, no nDPI", reading("1", "0"), absent),
        Program("nfstream, no statistics, no nDPI", reading("0", "0"), absent),
        Program("nfstream, statistics and nDPI", reading("1", "20"), absent),
    ]


def _scapy(capture: Path, scratch: Path) -> list[str]:
    del scratch
    return [sys.executable, "-c", _SCAPY, str(capture)]


def install_nfstream(folder: Path) -> str:
    """Install nfstream from the package index into a new environment; return its Python, or ""."""
    python = folder / "bin" / "python"
    try:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True)
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "nfstream"]
        subprocess.run(command, check=True, capture_output=True, timeout=600)
    except (subprocess.SubprocessError, OSError):
        return ""
    return str(python)
