"""Which offloads of a cable's end are on, as ethtool set them."""

from __future__ import annotations

import subprocess
import sys

import pytest
from lab.network import Network, inside, missing_tools

from sensor.preflight import _offloads
from sensor.sources import offload
from sensor.sources.offload import receive_offloads

REASON = missing_tools()


@pytest.mark.lab
@pytest.mark.skipif(bool(REASON), reason=REASON or "the lab can run")
def test_what_ethtool_turned_on_is_found_and_its_advice_turns_it_off():
    with Network({}) as network:
        sensor = network.sensor
        with inside(sensor):
            assert receive_offloads("span0") == []  # the lab turns them off
            assert list(_offloads("span0")) == []
        sensor.run("ethtool", "-K", "span0", "gro", "on")
        with inside(sensor):
            assert receive_offloads("span0") == ["gro"]
            assert receive_offloads("absent0") == []
            assert list(_offloads("lo")) == []
            (finding,) = _offloads("span0")
        assert not finding.problem
        command = sensor.argv((sys.executable, "-m", "sensor", "check", "-i", "span0"))
        checked = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
        assert f"interface span0: warning: {finding.warning}\n" in checked.stderr
        sensor.run(*finding.warning.partition("turn it off: ")[2].split())
        with inside(sensor):
            assert receive_offloads("span0") == []


@pytest.mark.parametrize(
    ("gro", "flags", "found"),
    [(0, 0, []), (1, 0, ["gro"]), (1, 0xFFFFFFFF, ["gro", "lro"]), (0, 1 << 15, ["lro"]), (0, 1 << 14, [])],
)
def test_both_are_told_apart(monkeypatch, gro, flags, found):
    monkeypatch.setattr(offload, "_ask", lambda _asked, _name, command: {0x2B: gro, 0x25: flags}[command])
    assert receive_offloads("eth9") == found
