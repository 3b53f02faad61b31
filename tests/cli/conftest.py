"""The installed command, and a capture that it has something to say about."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import craft
import pytest
from craft_capture import Captured, pcap_bytes

Runner = Callable[..., "subprocess.CompletedProcess[str]"]

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
SCANNED_PORTS = 3000


def scan_frames() -> list[Captured]:
    """A host that asks for names now and then, and one that tries 3,000 ports within 20 seconds."""
    frames = []
    for number in range(60):
        query = craft.udp(b"\0" * 30, 50_000 + number, 53)
        answer = craft.udp(b"\0" * 90, 53, 50_000 + number)
        time = START + number * SECOND
        frames.append(Captured(time, craft.ethernet(craft.ipv4(query, "192.0.2.1", "192.0.2.53", craft.UDP))))
        frames.append(
            Captured(
                time + 5_000_000, craft.ethernet(craft.ipv4(answer, "192.0.2.53", "192.0.2.1", craft.UDP))
            )
        )
    for number in range(SCANNED_PORTS):
        probe = craft.tcp(b"", 40_000, 1 + number, craft.SYN)
        refusal = craft.tcp(b"", 1 + number, 40_000, craft.RST | craft.ACK, ack=2)
        time = START + 20 * SECOND + number * 20 * SECOND // SCANNED_PORTS
        frames.append(Captured(time, craft.ethernet(craft.ipv4(probe, "192.0.2.66", "192.0.2.80"))))
        frames.append(
            Captured(time + 200_000, craft.ethernet(craft.ipv4(refusal, "192.0.2.80", "192.0.2.66")))
        )
    return sorted(frames, key=lambda frame: frame.time)


@pytest.fixture(scope="session")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("captures") / "scan.pcap"
    path.write_bytes(pcap_bytes(scan_frames()))
    return path


@pytest.fixture(scope="session")
def run_sensor() -> Runner:
    """Run the command in the folder that comes first and return what it wrote."""

    def run(folder: Path, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "sensor", *map(str, arguments)],
            cwd=folder,
            env={**os.environ, "COLUMNS": "120", **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    return run


@pytest.fixture
def sensor(tmp_path: Path, run_sensor: Runner) -> Runner:
    """Run the command in a folder of its own and return what it wrote."""
    return functools.partial(run_sensor, tmp_path)
