"""A live sensor that stands still while a flood comes: it says what it lost, and sees the flood anyhow."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from craft_capture import Captured, pcap_bytes
from flooded import attempts
from lab.network import missing_tools
from lab.test_live import SETTLE_SECS, Notified, start_sensor
from lab.wire import Wire
from receivers import wait_until

REASON = missing_tools("tcpreplay")
pytestmark = [pytest.mark.lab, pytest.mark.skipif(bool(REASON), reason=REASON or "the lab can run")]

VICTIM = "10.20.0.10"
#: A ring of eight blocks: some thousand packets.
SMALL_RING = ("--set", "capture.ring_bytes=1048576", "--set", "capture.block_bytes=131072")
FLOOD, LOOPS = 20_000, 3
CALM_RATE = 2_000


class Floods:
    """A sensor with a small ring on one end of a cable, and floods from the other."""

    def __init__(self, wire: Wire, folder: Path) -> None:
        self._switch = wire.network.hosts["switch"]
        self._alerts, self._log, self._capture = (
            folder / name for name in ("alerts.jsonl", "run.log", "flood.pcap")
        )
        frames = [
            Captured(number * 1000, one.tobytes()) for number, one in enumerate(attempts(FLOOD, VICTIM))
        ]
        self._capture.write_bytes(pcap_bytes(frames))
        config = folder / "sensor.yaml"
        config.write_text(yaml.safe_dump({"sinks": [{"type": "jsonl", "path": str(self._alerts)}]}))
        self._notified = Notified(folder / "notify")
        self._running = start_sensor(wire.sensor, config, self._notified, self._log, *SMALL_RING, "-F", "tcp")

    def send(self, *options: str) -> None:
        self._switch.run(
            *("tcpreplay", "-q", "-K", *options, "-i", "mirror0", str(self._capture)), timeout=60
        )

    def send_while_it_stands_still(self) -> None:
        """Let a flood come while the sensor does not run, and the kernel has nowhere to put it."""
        self._running.send_signal(signal.SIGSTOP)
        try:
            self.send("-t", "-l", str(LOOPS))
        finally:
            self._running.send_signal(signal.SIGCONT)

    def statistics(self) -> tuple[int, int]:
        """Have the sensor log its statistics; return packets received, and dropped by the kernel."""
        before = len(self._lines())
        self._running.send_signal(signal.SIGUSR1)
        assert wait_until(lambda: len(self._lines()) > before, 10), self._log.read_text()
        return self._counts(self._lines()[-1])

    def end(self) -> tuple[int, int]:
        """End the sensor; return what `statistics` does, at the end."""
        self._running.send_signal(signal.SIGTERM)
        assert self._running.wait(30) == 0, self._log.read_text()
        self._notified.close()
        return self._counts(self._lines()[-1])

    def told(self, kind: str) -> list[dict]:
        """Return the alerts of a kind so far."""
        lines = self._alerts.read_text().splitlines() if self._alerts.exists() else []
        return [one for one in map(json.loads, lines) if one["rule"]["id"] == kind]

    def _lines(self) -> list[str]:
        return [line for line in self._log.read_text().splitlines() if " packets, " in line]

    @staticmethod
    def _counts(line: str) -> tuple[int, int]:
        received = int(re.findall(r" ([0-9,]+) packets,", line)[0].replace(",", ""))
        return received, sum(int(count) for count in re.findall(r"kernel_drops ([0-9]+)", line))


@pytest.fixture
def floods(tmp_path: Path) -> Iterator[Floods]:
    with Wire() as wire:
        yield Floods(wire, tmp_path)


def test_what_was_lost_is_told_once_and_the_flood_is_seen_all_the_same(floods):
    floods.send_while_it_stands_still()
    assert wait_until(lambda: floods.told("sensor_blind"), 10)
    received, dropped = floods.statistics()
    print(received, dropped)  # noqa: T201  (the figures, for whoever runs this with -s)
    assert received + dropped == FLOOD * LOOPS
    assert dropped > FLOOD
    (blind,) = floods.told("sensor_blind")
    lost, seen = (
        int(number.replace(",", ""))
        for number in re.findall(r"([0-9,]+) of ([0-9,]+) packets lost", blind["message"])[0]
    )
    assert (lost, seen) == (dropped, received + dropped)
    assert blind["sensor"]["features"][0]["value"] == dropped

    floods.send_while_it_stands_still()
    time.sleep(SETTLE_SECS)
    received, dropped_in_all = floods.end()
    assert received + dropped_in_all == 2 * FLOOD * LOOPS
    assert dropped_in_all > dropped + FLOOD
    assert floods.told("sensor_blind") == [blind]
    assert floods.told("flood")
    assert {alert["sensor"]["entity"] for alert in floods.told("flood")} == {VICTIM}
    assert max(alert["sensor"].get("sampling", 1) for alert in floods.told("flood")) == 64


def test_without_loss_nothing_is_told_of_the_sensor(floods):
    floods.send("-p", str(CALM_RATE), "-L", str(5 * CALM_RATE))
    time.sleep(SETTLE_SECS)
    received, dropped = floods.end()
    assert (received, dropped) == (5 * CALM_RATE, 0)
    assert floods.told("sensor_blind") == []
    assert floods.told("flood")
    assert {alert["sensor"].get("sampling", 1) for alert in floods.told("flood")} == {1}


def test_a_flood_at_full_speed_is_told_whether_or_not_the_sensor_keeps_up(floods):
    floods.send("-t", "-l", "30")
    time.sleep(SETTLE_SECS)
    received, dropped = floods.end()
    samplings = {alert["sensor"].get("sampling", 1) for alert in floods.told("flood")}
    print(received, dropped, samplings, [one["message"] for one in floods.told("sensor_blind")])  # noqa: T201
    assert received + dropped == 30 * FLOOD
    assert {alert["sensor"]["entity"] for alert in floods.told("flood")} == {VICTIM}
    assert dropped or not floods.told("sensor_blind")
