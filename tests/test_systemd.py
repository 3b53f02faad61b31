from __future__ import annotations

import configparser
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from sensor.systemd import Notifier

UNITS = Path(__file__).resolve().parents[1] / "systemd"
UNIT = UNITS / "sensor@.service"
needs_analyze = pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed"
)


@pytest.mark.parametrize("kind", ["abstract", "file"])
def test_states_arrive_as_one_datagram(tmp_path: Path, kind: str):
    name = f"\0sensor-test-{os.getpid()}" if kind == "abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name)
        manager.settimeout(5)
        notifier = Notifier({"NOTIFY_SOCKET": name.replace("\0", "@")})
        assert notifier.send(READY=1, STATUS="capturing")
        assert manager.recv(1024) == b"READY=1\nSTATUS=capturing"


def test_without_a_manager_nothing_happens(tmp_path: Path):
    assert not Notifier({}).send(READY=1)
    assert not Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).send(READY=1)


def test_the_watchdog_is_for_this_process():
    assert Notifier({"WATCHDOG_USEC": "30000000"}).watchdog_secs == 30.0
    assert Notifier({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}).watchdog_secs == 30.0
    assert Notifier({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}).watchdog_secs == 0.0
    assert Notifier({"WATCHDOG_USEC": "soon"}).watchdog_secs == 0.0


def directives() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        if line and line[0] not in "#[":
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def test_the_unit_says_what_the_program_does():
    unit = directives()
    assert unit["Type"] == ["notify"]
    assert unit["RestartPreventExitStatus"] == ["77 78"]
    assert unit["CapabilityBoundingSet"] == unit["AmbientCapabilities"] == ["CAP_NET_RAW"]
    assert "MemoryDenyWriteExecute" not in unit, "kernels are compiled at run time"
    for command in (*unit["ExecStart"], *unit["ExecStartPre"]):
        assert command.startswith("/opt/span-sensor/bin/sensor ")
        assert "--config /etc/sensor/config.yaml --interface %I" in command


def test_the_unit_is_an_ini_file_without_doubles_that_matter():
    parser = configparser.ConfigParser(strict=False, interpolation=None, allow_no_value=False)
    parser.optionxform = str  # type: ignore[method-assign,assignment]
    parser.read(UNIT)
    assert parser.sections() == ["Unit", "Service", "Install"]
    doubles = {key for key, values in directives().items() if len(values) > 1}
    assert doubles == {"ExecReload", "SystemCallFilter"}


@needs_analyze
def test_systemd_understands_the_unit(tmp_path: Path):
    text = UNIT.read_text().replace("/opt/span-sensor/bin/sensor", shutil.which("true") or "/bin/true")
    (tmp_path / "sensor@.service").write_text(text)
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "sensor@.service")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "sensor@" not in verified.stderr, verified.stderr


@needs_analyze
def test_the_unit_exposes_little():
    answer = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(UNIT)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    match = re.search(r"exposure level for \S+: ([0-9.]+)", answer.stdout)
    if match is None:
        pytest.skip("this systemd-analyze has no offline security check")
    assert float(match[1]) <= 2.0
