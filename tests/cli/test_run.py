"""A live sensor in a namespace of its own: packets in at one end of a veth pair, the sensor at the other."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import craft
import pytest
from lab.network import missing_tools, sh

pytestmark = pytest.mark.lab

#: Sends length-prefixed frames from standard input, a few at a time.
SEND = """
import socket, struct, sys, time
data = sys.stdin.buffer.read()
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
link.bind(("v1", 0))
at = count = 0
while at < len(data):
    size = struct.unpack_from("!I", data, at)[0]
    link.send(data[at + 4 : at + 4 + size])
    at += 4 + size
    count += 1
    if count % 50 == 0:
        time.sleep(0.01)
"""


@pytest.fixture
def namespace() -> Iterator[str]:
    if reason := missing_tools():
        pytest.skip(reason)
    name = f"run{os.getpid()}"
    sh("ip", "netns", "add", name)
    try:
        sh("ip", "-n", name, "link", "add", "v0", "type", "veth", "peer", "name", "v1")
        for end in ("v0", "v1"):
            sh("ip", "-n", name, "link", "set", end, "up")
        yield name
    finally:
        sh("ip", "netns", "del", name)


def scan_from(attacker: str) -> bytes:
    """Return 2,000 connection attempts of `attacker`, all refused, for `SEND`."""
    frames = []
    for port in range(1, 2001):
        probe = craft.tcp(b"", 40_000, port, craft.SYN)
        refusal = craft.tcp(b"", port, 40_000, craft.RST | craft.ACK, ack=2)
        frames.append(craft.ethernet(craft.ipv4(probe, attacker, "192.0.2.80")))
        frames.append(craft.ethernet(craft.ipv4(refusal, "192.0.2.80", attacker)))
    return b"".join(len(frame).to_bytes(4, "big") + frame for frame in frames)


def send(namespace: str, frames: bytes) -> None:
    subprocess.run(
        ["ip", "netns", "exec", namespace, sys.executable, "-c", SEND], input=frames, check=True, timeout=60
    )


def wait_for(condition: Callable[[], object], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"no {what} within {seconds} s"
        time.sleep(0.1)


class Service:
    """`sensor run` as systemd would run it."""

    def __init__(self, namespace: str, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "config.yaml"
        self.configure("alerts.jsonl")
        self._manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._manager.bind(str(folder / "notify"))
        self._manager.setblocking(False)
        self._told: list[str] = []
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *("ip", "netns", "exec", namespace, sys.executable, "-m", "sensor", "run"),
                    *("-c", str(self.config), "-i", "v0", "--set", "feature.window_secs=2"),
                ],
                env={**os.environ, "NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "30000000"},
                stdout=log,
                stderr=log,
            )

    def configure(self, output: str) -> None:
        self.config.write_text(f"sinks:\n  - type: jsonl\n    path: {self.folder / output}\n")

    def told(self) -> list[str]:
        """Return the lines that the service manager got so far."""
        while True:
            try:
                self._told += self._manager.recv(4096).decode().splitlines()
            except BlockingIOError:
                return self._told

    def alerts(self, output: str) -> list[dict]:
        path = self.folder / output
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def logged(self, text: str) -> bool:
        return text in self.log.read_text()

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        self._manager.close()


@pytest.fixture
def service(namespace: str, tmp_path: Path) -> Iterator[Service]:
    running = Service(namespace, tmp_path)
    try:
        wait_for(lambda: "READY=1" in running.told() or running.process.poll() is not None, 400, "READY")
        assert running.process.poll() is None, running.log.read_text()
        yield running
    finally:
        running.end()


def test_a_service_detects_reloads_reports_and_ends(namespace: str, service: Service):
    send(namespace, scan_from("192.0.2.66"))
    wait_for(lambda: service.alerts("alerts.jsonl"), 30, "alert")
    assert service.alerts("alerts.jsonl")[0]["source"]["ip"] == "192.0.2.66"
    assert service.alerts("alerts.jsonl")[0]["observer"]["ingress"]["interface"]["name"] == "v0"
    assert "WATCHDOG=1" in service.told()
    assert any(line.startswith("STATUS=") and "packets/s" in line for line in service.told())

    service.config.write_text("sinks: [{type: jsonl}]\n")
    service.process.send_signal(signal.SIGHUP)
    wait_for(lambda: service.logged("reload refused, the old configuration stays"), 10, "refusal")
    assert service.logged("config.yaml:1: sinks.0.path: is required")

    service.configure("second.jsonl")
    service.process.send_signal(signal.SIGHUP)
    wait_for(lambda: service.logged("reloaded: 1 sinks"), 10, "reload")
    before = len(service.alerts("alerts.jsonl"))
    send(namespace, scan_from("192.0.2.67"))
    wait_for(lambda: service.alerts("second.jsonl"), 30, "alert in the new file")
    assert len(service.alerts("alerts.jsonl")) == before

    service.process.send_signal(signal.SIGUSR1)
    wait_for(lambda: service.logged("losses since the start"), 10, "statistics")

    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(30) == 0
    assert "STOPPING=1" in service.told()
    counted = re.findall(r" ([0-9,]+) packets,", service.log.read_text())[-1]
    assert int(counted.replace(",", "")) >= 8000, "both scans; IPv6 adds a few of its own"


def test_an_interface_that_is_deleted_ends_the_service(namespace: str, service: Service):
    sh("ip", "-n", namespace, "link", "del", "v0")
    assert service.process.wait(30) == 1
    assert service.log.read_text().splitlines()[-1].startswith("sensor: interface 'v0' was removed")
