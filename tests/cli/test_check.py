from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml


def test_the_effective_configuration_is_printed(sensor):
    answer = sensor("check", "--set", "flow.capacity=5000", SENSOR_SENSOR__NAME="edge")
    effective = yaml.safe_load(answer.stdout)
    assert effective["flow"]["capacity"] == 5000
    assert effective["sensor"]["name"] == "edge"


def test_a_wrong_configuration_is_78_and_one_line(sensor, tmp_path: Path):
    (tmp_path / "c.yaml").write_text("flow:\n  capcity: 5\n")
    answer = sensor("check", "-c", "c.yaml")
    assert answer.returncode == 78
    assert answer.stdout == ""
    assert answer.stderr == "sensor: c.yaml:2: flow.capcity: unknown key; did you mean capacity?\n"
    assert sensor("replay", "x.pcap", "-c", "c.yaml").returncode == 78
    assert sensor("run", "-i", "lo", "-c", "missing.yaml").returncode == 78


def test_the_interface_has_to_be_there(sensor):
    answer = sensor("check", "-q", "-i", "nowhere0")
    assert answer.returncode == 1
    assert "interface nowhere0: there is none; here are: " in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="root is needed to make a network namespace")
def test_an_interface_that_is_down_is_a_problem():
    space = f"sensor-check-{os.getpid()}"
    if not shutil.which("ip") or subprocess.run(["ip", "netns", "add", space], check=False).returncode:
        pytest.skip("network namespaces cannot be made here")
    command = ["ip", "netns", "exec", space, sys.executable, "-m", "sensor", "check", "-q", "-i", "lo"]
    try:  # a new namespace's loopback is down
        down = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        subprocess.run(["ip", "-n", space, "link", "set", "lo", "up"], check=True)
        up = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    finally:
        subprocess.run(["ip", "netns", "del", space], check=True)
    assert down.returncode == 1
    assert down.stderr == "sensor: interface lo: is down, no packet can come; set it up: ip link set lo up\n"
    assert (up.returncode, up.stderr) == (0, "")


@pytest.mark.skipif(os.getuid() != 0, reason="root is needed to give the capability away")
def test_without_the_capability_it_is_77():
    if not shutil.which("setpriv"):
        pytest.skip("setpriv is not installed")
    for command in (["check", "-q", "-i", "lo"], ["run", "-i", "lo"]):
        answer = subprocess.run(
            ["setpriv", "--bounding-set=-net_raw", sys.executable, "-m", "sensor", *command],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert answer.returncode == 77, answer.stderr
        assert "CAP_NET_RAW" in answer.stderr
        assert len(answer.stderr.splitlines()) == 1


def test_sinks_are_looked_at(sensor, tmp_path: Path):
    first_problem = 78 if os.getuid() == 0 else 77  # others lack the permission too, and it comes first
    missing = tmp_path / "nowhere" / "alerts.jsonl"
    answer = sensor("check", "-q", "--set", f"sinks=[{{type: jsonl, path: {missing}}}]")
    assert answer.returncode == first_problem
    assert "sink jsonl:" in answer.stderr
    answer = sensor(
        "check", "-q", "--set", "sinks=[{type: webhook, url: 'https://a.example/', secret_file: /no/such}]"
    )
    assert answer.returncode == first_problem
    assert "sink webhook: secret_file: /no/such" in answer.stderr


def test_checking_writes_nothing(sensor, tmp_path: Path):
    sensor("check", "--set", "sinks=[{type: jsonl, path: alerts.jsonl}]")
    assert list(tmp_path.iterdir()) == []


def test_the_schema_is_json(sensor):
    schema = json.loads(sensor("check", "--schema").stdout)
    assert schema["additionalProperties"] is False


def test_json(sensor):
    answer = json.loads(sensor("check", "--json", "-i", "lo").stdout)
    assert {"subject", "ok", "text"} == set(answer["findings"][0])
    assert answer["config"]["capture"]["interface"] == "lo"
