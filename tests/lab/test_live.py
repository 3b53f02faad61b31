"""`sensor run` on the mirror port: it finds live what a replay finds, and every receiver has it all."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from craft import SYN, ethernet, ipv4, tcp
from craft_capture import Captured, pcap_bytes
from lab import attacks
from lab.capture import Recording
from lab.network import inside, missing_tools
from lab.office import HOSTS
from lab.record import TOOLS
from lab.wire import Wire
from receivers import LOOPBACK, HttpReceiver, Rsyslog, wait_until

REASON = missing_tools(*TOOLS, "rsyslogd", "tcpreplay")
pytestmark = [pytest.mark.lab, pytest.mark.skipif(bool(REASON), reason=REASON or "the lab can run")]

SERVER = HOSTS["server"].split("/")[0]
ATTACKER = HOSTS["attacker"].split("/")[0]
#: Longer than a window of packet time and the ring's delay together.
SETTLE_SECS = 14.0


class Notified:
    """What the service manager would be told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)

    def has(self, word: str) -> bool:
        try:
            while True:
                self.lines += self._socket.recv(4096).decode().splitlines()
        except BlockingIOError:
            return any(line.startswith(word) for line in self.lines)

    def close(self) -> None:
        self._socket.close()


def write_config(path: Path, alerts: Path, hook: HttpReceiver, syslog: Rsyslog) -> None:
    sinks = [
        {"type": "jsonl", "path": str(alerts)},
        {"type": "webhook", "url": hook.url},
        {"type": "syslog", "host": LOOPBACK, "port": syslog.port, "transport": "tcp"},
    ]
    path.write_text(yaml.safe_dump({"sensor": {"seed": 5}, "sinks": sinks}))


def found(lines: list[str]) -> dict[tuple[str, str], str]:
    """Return the identifier of each opened incident by (kind, host)."""
    documents = [json.loads(line) for line in lines]
    return {
        (document["rule"]["id"], document["sensor"]["entity"]): document["sensor"]["incident"]["id"]
        for document in documents
        if document["sensor"]["incident"]["state"] == "open"
    }


def start_sensor(sensor, config: Path, notified: Notified, log: Path, *extra: str) -> subprocess.Popen[bytes]:
    """Start `sensor run` on the mirror port and wait until it captures."""
    running = sensor.start(
        *(sys.executable, "-m", "sensor", "run", "-i", "span0", "-c", str(config), *extra),
        log=log,
        env={"NOTIFY_SOCKET": str(notified.path)},
    )
    assert wait_until(lambda: notified.has("READY=1"), 120), log.read_text()
    return running


def write_scan(path: Path) -> None:
    """A thousand probes of one host by another, as a capture for tcpreplay."""
    frames = [
        ethernet(ipv4(tcp(flags=SYN, dst_port=port), src=ATTACKER, dst=SERVER)) for port in range(1, 1001)
    ]
    path.write_bytes(pcap_bytes([Captured(number * 1000, frame) for number, frame in enumerate(frames)]))


def test_a_million_packets_at_full_speed_are_received_or_counted_and_their_alert_arrives(tmp_path):
    config, alerts, log = tmp_path / "sensor.yaml", tmp_path / "alerts.jsonl", tmp_path / "run.log"
    write_scan(tmp_path / "scan.pcap")
    notified = Notified(tmp_path / "notify")
    with Wire() as wire:
        with inside(wire.sensor):
            hook, syslog = HttpReceiver(), Rsyslog(tmp_path / "rsyslog", "tcp")
        try:
            write_config(config, alerts, hook, syslog)
            running = start_sensor(wire.sensor, config, notified, log, "-F", "tcp")
            send = ("tcpreplay", "-q", "-K", "-t", "-l", "1000", "-i", "mirror0", str(tmp_path / "scan.pcap"))
            report = wire.network.hosts["switch"].run(*send, timeout=120)
            time.sleep(SETTLE_SECS)
            running.send_signal(signal.SIGTERM)
            assert running.wait(30) == 0, log.read_text()
            lines = alerts.read_text().splitlines()
            by_syslog = syslog.messages(at_least=len(lines))
        finally:
            notified.close()
            syslog.stop()
            hook.close()
    last = log.read_text().splitlines()[-1]
    print(report, last)  # noqa: T201  (the figures, for whoever runs this with -s)
    received = int(re.findall(r" ([0-9,]+) packets,", last)[0].replace(",", ""))
    dropped = sum(int(count.replace(",", "")) for count in re.findall(r"kernel_drops ([0-9,]+)", last))
    assert received + dropped == 1_000_000
    assert ATTACKER in {host for _, host in found(lines)}
    assert len(hook.requests) == len(by_syslog) == len(lines)


def test_live_and_replay_find_the_same_and_receivers_hold_every_alert(office, tmp_path):
    network, folder = office
    sensor, attacker = network.sensor, network.hosts["attacker"]
    config, alerts, capture = tmp_path / "sensor.yaml", tmp_path / "alerts.jsonl", tmp_path / "span.pcap"
    notified = Notified(tmp_path / "notify")
    with inside(sensor):
        hook, syslog = HttpReceiver(), Rsyslog(tmp_path / "rsyslog", "tcp")
    try:
        write_config(config, alerts, hook, syslog)
        running = start_sensor(sensor, config, notified, tmp_path / "run.log")
        with Recording(sensor, capture) as recording:
            attacks.syn_scan(attacker, SERVER, ports=1000, rate=150)
            attacks.syn_flood(attacker, SERVER, packets=20_000, rate=2000)
            attacks.ssh_brute_force(attacker, SERVER, folder, tries=100, wait_secs=3)
            time.sleep(SETTLE_SECS)
        assert recording.dropped == 0
        running.send_signal(signal.SIGTERM)
        assert running.wait(30) == 0, (tmp_path / "run.log").read_text()
        lines = alerts.read_text().splitlines()
        by_syslog = syslog.messages(at_least=len(lines))
    finally:
        notified.close()
        syslog.stop()
        hook.close()
        sensor.processes[:] = [process for process in sensor.processes if process.poll() is None]

    identifiers = sorted(json.loads(line)["event"]["id"] for line in lines)
    assert sorted(json.loads(request.body)["event"]["id"] for request in hook.requests) == identifiers
    assert len(by_syslog) == len(identifiers)
    assert all(any(name in json.dumps(message) for message in by_syslog) for name in identifiers)

    again = tmp_path / "again.jsonl"
    subprocess.run(
        [sys.executable, "-m", "sensor", "replay", str(capture), "-c", str(config), "-o", str(again), "-q"],
        check=True,
        capture_output=True,
        timeout=120,
    )
    live, replayed = found(lines), found(again.read_text().splitlines())
    assert live == replayed
    assert ("port_scan", ATTACKER) in live
    assert ("flood", SERVER) in live
    assert ("brute_force", ATTACKER) in live
