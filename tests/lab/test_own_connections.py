"""`sensor run` on a port that carries its own alerts too: it does not see them."""

from __future__ import annotations

import re
import signal
import time

import pytest
import yaml
from lab.network import inside, missing_tools
from lab.test_live import SETTLE_SECS, Notified, start_sensor, write_scan
from lab.wire import Wire
from receivers import HttpReceiver, wait_until

REASON = missing_tools("tcpreplay")
pytestmark = [pytest.mark.lab, pytest.mark.skipif(bool(REASON), reason=REASON or "the lab can run")]

OWN, SINK, PROBES = "10.77.0.1", "10.77.0.2", 20_000


@pytest.mark.parametrize("excluded", [True, False])
def test_alerts_on_their_way_are_no_traffic(tmp_path, excluded):
    write_scan(tmp_path / "scan.pcap")
    config, log = tmp_path / "sensor.yaml", tmp_path / "run.log"
    notified = Notified(tmp_path / "notify")
    with Wire() as wire:
        switch = wire.network.hosts["switch"]
        for host, link, address in ((switch, "mirror0", SINK), (wire.sensor, "span0", OWN)):
            host.ip("address", "add", f"{address}/24", "dev", link)
            host.ip("link", "set", link, "arp", "on")
        with inside(switch):
            hook = HttpReceiver(address=SINK)
        try:
            capture = {"exclude_own": excluded}
            sinks = [{"type": "webhook", "url": hook.url}]
            config.write_text(yaml.safe_dump({"capture": capture, "sinks": sinks}))
            running = start_sensor(wire.sensor, config, notified, log, "-F", "tcp")
            time.sleep(2)  # by then the filter stands
            switch.run(
                *("tcpreplay", "-q", "-K", "-t", "-l", str(PROBES // 1000), "-i", "mirror0"),
                str(tmp_path / "scan.pcap"),
            )
            assert wait_until(lambda: hook.requests, SETTLE_SECS + 10), log.read_text()
            time.sleep(1)
            running.send_signal(signal.SIGTERM)
            assert running.wait(30) == 0, log.read_text()
        finally:
            notified.close()
            hook.close()
    last = log.read_text().splitlines()[-1]
    received = int(re.findall(r" ([0-9,]+) packets,", last)[0].replace(",", ""))
    # What the receiver answers comes in at the interface that is watched.
    assert (received > PROBES) is not excluded, last
