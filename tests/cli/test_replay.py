from __future__ import annotations

import gzip
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def played(scan: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess, Path]:
    """One replay that writes everything it can."""
    folder = tmp_path_factory.mktemp("played")
    (folder / "alerts.jsonl").write_text("left by somebody else\n")
    answer = subprocess.run(
        [sys.executable, "-m", "sensor", "replay", scan, "-o", "alerts.jsonl", "--stats", "stats.json"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    return answer, folder


def test_a_replay_needs_nothing_but_the_file(played):
    answer, folder = played
    assert answer.returncode == 0, answer.stderr
    assert "port_scan" in answer.stdout
    assert "192.0.2.66" in answer.stdout
    assert "\x1b" not in answer.stdout + answer.stderr, "no colours where there is no terminal"
    alerts = [json.loads(line) for line in (folder / "alerts.jsonl").read_text().splitlines()]
    assert len(alerts) == len(answer.stdout.splitlines())
    assert alerts[0]["source"]["ip"] == "192.0.2.66"
    assert alerts[0]["observer"]["ingress"]["interface"]["name"] == "replay"


def test_the_summary_is_on_standard_error(played):
    answer, _ = played
    for word in ("packets", "6,120", "flows", "hosts", "model", "lost", "alerts", "Port scan", "packets/s"):
        assert word in answer.stderr


def test_the_statistics_are_whole(played):
    stats = json.loads((played[1] / "stats.json").read_text())
    assert stats["packets"] == stats["source"]["packets"] == stats["stages"]["packet"]["frames"] == 6120
    assert stats["alerts"]["kinds"]["port_scan"]["incidents"] >= 1
    assert stats["sinks"]["output"]["sent"] == stats["alerts"]["messages"]
    assert set(stats["run"]) == {"start_up_seconds", "seconds", "packets_per_second", "peak_memory_bytes"}
    assert stats["status"]["last"] - stats["status"]["first"] == pytest.approx(59e9, rel=0.01)


def test_the_same_again_is_the_same(played, scan: Path, sensor, tmp_path: Path):
    answer = sensor("replay", scan, "--json", "--stats", "again.json", "-q")
    assert answer.returncode == 0
    assert answer.stdout == (played[1] / "alerts.jsonl").read_text()
    assert answer.stderr == ""
    first, second = (
        json.loads(path.read_text()) for path in (played[1] / "stats.json", tmp_path / "again.json")
    )
    for stats in (first, second):
        del stats["run"], stats["sinks"]
    assert first == second


def test_standard_input_and_compression(scan: Path, tmp_path: Path, played):
    packed = tmp_path / "scan.pcap.gz"
    packed.write_bytes(gzip.compress(scan.read_bytes()))
    with packed.open("rb") as stream:
        answer = subprocess.run(
            [sys.executable, "-m", "sensor", "replay", "-", "-q"],
            stdin=stream,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
    assert answer.returncode == 0
    assert len(answer.stdout.splitlines()) == len(played[0].stdout.splitlines())


@pytest.mark.parametrize(("severity", "code"), [("low", 3), ("critical", 0)])
def test_fail_on(scan: Path, sensor, severity: str, code: int):
    assert sensor("replay", scan, "-q", "--fail-on", severity).returncode == code


def test_nothing_readable_is_65(sensor, tmp_path: Path):
    (tmp_path / "text.pcap").write_text("hello, this is no capture")
    answer = sensor("replay", "missing.pcap", "text.pcap", "-q")
    assert answer.returncode == 65
    assert "Traceback" not in answer.stderr
    (line,) = answer.stderr.splitlines()
    assert line.startswith("sensor: no readable capture: missing.pcap: No such file")
    assert "text.pcap: " in line


def test_damage_is_a_warning(scan: Path, sensor, tmp_path: Path):
    (tmp_path / "cut.pcap").write_bytes(scan.read_bytes()[:-10])
    answer = sensor("replay", "cut.pcap", "-q")
    assert answer.returncode == 0
    assert "sensor: warning: cut.pcap: offset " in answer.stderr


def test_an_output_that_cannot_be_written_is_one_line(scan: Path, sensor):
    answer = sensor("replay", scan, "-q", "-o", "no/such/folder.jsonl")
    assert answer.returncode == 1
    assert answer.stderr.splitlines()[-1] == "sensor: no/such/folder.jsonl: No such file or directory"


def test_configured_sinks_are_for_send_only(scan: Path, sensor, tmp_path: Path):
    sink = "sinks=[{type: jsonl, path: sent.jsonl}]"
    sensor("replay", scan, "-q", "--set", sink)
    assert not (tmp_path / "sent.jsonl").exists()
    answer = sensor("replay", scan, "-q", "--json", "--set", sink, "--send")
    assert (tmp_path / "sent.jsonl").read_text() == answer.stdout != ""


def test_a_reader_that_leaves_ends_it_quietly(scan: Path, tmp_path: Path):
    with subprocess.Popen(
        [sys.executable, "-m", "sensor", "replay", str(scan), "--json", "-q"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
    ) as process:
        process.stdout.close()
        stderr = process.stderr.read().decode()
        assert process.wait(300) == 141
    assert stderr == ""


def interrupted(scan: Path, folder: Path, number: signal.Signals) -> subprocess.CompletedProcess:
    """Start a replay in real time, ask it to stop after its first alert window, and return the end."""
    with subprocess.Popen(
        [sys.executable, "-m", "sensor", "replay", str(scan), "--speed", "4", "-o", "alerts.jsonl"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        text=True,
    ) as process:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not (
            (folder / "alerts.jsonl").exists() and (folder / "alerts.jsonl").stat().st_size
        ):
            time.sleep(0.1)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess([], process.returncode, out, err)


@pytest.mark.usefixtures("played")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_an_interrupted_replay_still_sums_up(scan: Path, tmp_path: Path, number: signal.Signals, code: int):
    answer = interrupted(scan, tmp_path, number)
    assert answer.returncode == code
    assert "alerts" in answer.stderr
    assert "Traceback" not in answer.stderr
    packets = re.search(r"^packets +([0-9,]+)", answer.stderr, re.MULTILINE)
    assert packets
    assert 0 < int(packets[1].replace(",", "")) < 6120


@pytest.mark.usefixtures("played")
def test_a_terminal_gets_a_table_and_no_colour_when_asked(scan: Path, tmp_path: Path):
    shown = {}
    for name, value in (("NO_COLOR", "1"), ("COLORTERM", "truecolor")):
        outer, inner = pty.openpty()
        environment = {key: text for key, text in os.environ.items() if key != "NO_COLOR"}
        with subprocess.Popen(
            [sys.executable, "-m", "sensor", "replay", str(scan)],
            stdout=inner,
            stderr=subprocess.DEVNULL,
            cwd=tmp_path,
            env={**environment, name: value, "TERM": "xterm-256color"},
        ) as process:
            os.close(inner)
            parts = []
            while True:
                try:
                    part = os.read(outer, 65536)
                except OSError:  # the other end is closed
                    break
                parts.append(part)
            process.wait(60)
        os.close(outer)
        shown[name] = b"".join(parts).decode()
    assert "severity" in shown["NO_COLOR"]
    assert "\x1b[3" not in shown["NO_COLOR"]
    assert "\x1b[" in shown["COLORTERM"]


@pytest.mark.usefixtures("played")
def test_a_replay_never_loads_scapy(scan: Path):
    """Its licence is another one, and it takes a second to load."""
    code = (
        "import sys, sensor.__main__ as m\n"
        f"sys.argv = ['sensor', 'replay', {str(scan)!r}, '-q']\n"
        "try:\n    m.main()\nfinally:\n    print('scapy' in sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300
    )
    assert answer.stdout.splitlines()[-1] == "False"
