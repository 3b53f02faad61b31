"""Several metering threads on a mirror port find what one finds; replays with them give the same bytes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from lab import attacks
from lab.capture import Recording
from lab.network import missing_tools
from lab.record import TOOLS
from lab.test_live import ATTACKER, SERVER, SETTLE_SECS, Notified, found, start_sensor

REASON = missing_tools(*TOOLS)
pytestmark = [pytest.mark.lab, pytest.mark.skipif(bool(REASON), reason=REASON or "the lab can run")]

SEED = 5


class Sensor:
    """`sensor run` on the mirror port, with so many workers."""

    def __init__(self, host, folder: Path, workers: int) -> None:
        folder.mkdir()
        self.alerts, self.log = folder / "alerts.jsonl", folder / "run.log"
        config = folder / "sensor.yaml"
        sinks = [{"type": "jsonl", "path": str(self.alerts)}]
        config.write_text(yaml.safe_dump({"sensor": {"seed": SEED}, "sinks": sinks}))
        self._notified = Notified(folder / "notify")
        workers_set = ("--set", f"capture.workers={workers}")
        self._running = start_sensor(host, config, self._notified, self.log, *workers_set)

    def end(self) -> list[str]:
        """End it and return the lines of its alerts."""
        self._running.send_signal(signal.SIGTERM)
        assert self._running.wait(30) == 0, self.log.read_text()
        self._notified.close()
        return self.alerts.read_text().splitlines()


def replayed(capture: Path, output: Path, workers: int) -> bytes:
    command = [sys.executable, "-m", "sensor", "replay", str(capture), "-o", str(output), "-q"]
    command += ["--seed", str(SEED), "--workers", str(workers)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return output.read_bytes()


def test_one_worker_and_two_find_the_same_live_and_in_replay(office, tmp_path):
    network, _ = office
    attacker, capture = network.hosts["attacker"], tmp_path / "span.pcap"
    sensors = [Sensor(network.sensor, tmp_path / f"workers{count}", count) for count in (1, 2)]
    with Recording(network.sensor, capture) as recording:
        attacks.syn_scan(attacker, SERVER, ports=1000, rate=150)
        attacks.syn_flood(attacker, SERVER, packets=20_000, rate=2000)
        time.sleep(SETTLE_SECS)
    assert recording.dropped == 0
    one, two = (sensor.end() for sensor in sensors)
    logs = [sensor.log.read_text().splitlines()[-1] for sensor in sensors]
    print(*logs, sep="\n")  # noqa: T201  (the figures, for whoever runs this with -s)
    assert not any("kernel_drops" in line for line in logs)
    assert {("port_scan", ATTACKER), ("flood", SERVER)} <= found(one).keys()
    assert found(one) == found(two)
    assert not any(json.loads(line)["rule"]["id"] == "sensor_blind" for line in one + two)

    again, again_by_two = (replayed(capture, tmp_path / f"again{count}.jsonl", count) for count in (1, 2))
    assert again == again_by_two
    assert found(again.decode().splitlines()) == found(one)
