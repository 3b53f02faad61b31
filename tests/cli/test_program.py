from __future__ import annotations

import json
import subprocess
import sys

import pytest


@pytest.mark.parametrize("command", ["", "run", "replay", "flows", "check", "version"])
def test_help_teaches(sensor, command: str):
    answer = sensor(*command.split(), "--help")
    assert answer.returncode == 0
    assert "Usage" in answer.stdout
    if command in ("run", "replay", "flows", "check"):
        assert "Examples" in answer.stdout
        assert f"sensor {command} " in answer.stdout


def test_help_loads_nothing_heavy():
    show = (
        "import sys\n"
        "from sensor.cli.program import app\n"
        "try:\n    app(['replay', '--help'])\n"
        "except SystemExit:\n    pass\n"
        "print([m for m in ('numba', 'numpy', 'river', 'scapy', 'requests') if m in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", show], capture_output=True, text=True, check=True, timeout=60
    )
    assert answer.stdout.splitlines()[-1] == "[]"


def test_version(sensor):
    assert json.loads(sensor("version", "--json").stdout)["sensor"]
    assert sensor("version").stdout.startswith("sensor ")


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["replay"], ["replay", "x", "--speed", "fast"], ["replay", "x", "--fail-on", "odd"]],
)
def test_wrong_usage_is_2(sensor, arguments: list[str]):
    answer = sensor(*arguments)
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert "Traceback" not in answer.stderr


def test_a_defect_is_one_line_too():
    code = (
        "import sys, sensor.cli.version as v\n"
        "def broken(*a, **k): raise ZeroDivisionError('no')\n"
        "v.importlib.metadata.version = broken\n"
        "sys.argv = ['sensor', 'version']\n"
        "from sensor.cli.program import main\nmain()"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert answer.returncode == 1
    assert answer.stderr == "sensor: defect: ZeroDivisionError: no (SENSOR_TRACEBACK=1 shows where)\n"
