from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sensor.engine import EngineStatus
from sensor.heartbeat import Heartbeat
from sensor.systemd import Notifier
from sensor.telemetry import Snapshot

SNAPSHOT = Snapshot(
    packets=1234,
    bytes=99,
    source={"kernel_drops": 7},
    stages={},
    sinks={},
    status=EngineStatus(first=0, last=0, active_flows=5, hosts=6, models={}),
    alerts=2,
)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.setblocking(False)
        yield channel


def heartbeat(folder: Path, dead: list[str]) -> Heartbeat:
    notifier = Notifier({"NOTIFY_SOCKET": str(folder / "notify")})
    return Heartbeat(notifier, lambda: SNAPSHOT, lambda: dead, 60.0)


def test_the_first_beat_says_ready_and_feeds_the_watchdog(tmp_path: Path, manager: socket.socket):
    beating = heartbeat(tmp_path, [])
    beating.beat()
    lines = manager.recv(4096).decode().splitlines()
    assert {"READY=1", "WATCHDOG=1"} < set(lines)
    assert lines[0] == "STATUS=0 packets/s, 1,234 packets, 5 flows, 6 hosts, 2 alerts"
    beating.beat()
    with pytest.raises(BlockingIOError):
        manager.recv(4096)  # not due yet


def test_a_dead_part_starves_the_watchdog(
    tmp_path: Path, manager: socket.socket, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(logging.getLogger("sensor"), "propagate", True)
    heartbeat(tmp_path, ["webhook"]).beat()
    assert "WATCHDOG=1" not in manager.recv(4096).decode()
    assert "webhook died" in caplog.text


def test_statistics_name_the_losses(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(logging.getLogger("sensor"), "propagate", True)
    caplog.set_level(logging.INFO, "sensor")
    heartbeat(tmp_path, []).log_statistics()
    assert "losses since the start: source.kernel_drops 7" in caplog.text
