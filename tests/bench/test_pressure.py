"""The benchmark's own packets and figures, in small."""

import argparse

import flatness
import numpy as np
import pressure
import pytest
from generate import write_capture

from sensor.flow.meter import Meter


def options(**values):
    return argparse.Namespace(before=0, **values)


def test_flows_of_the_table_test_stay_open():
    (found,) = pressure.concurrent(options(flows=500, packets=20_000))
    assert found["open"] >= 495
    assert found["walk_limit"] == 0


def test_numbered_flows_are_different_ones():
    meter = Meter(capacity=200_000, key=(1, 2))
    pressure.observe(meter, pressure.ordered(np.arange(120_000), reverse=False, start=0))
    assert meter.active == 120_000
    pressure.observe(meter, pressure.ordered(np.arange(120_000), reverse=True, start=10**9))
    assert meter.active == 120_000


def test_chosen_flows_share_buckets(monkeypatch):
    monkeypatch.setattr(pressure, "_CANDIDATES", 1 << 16)
    monkeypatch.setattr(pressure, "_FULL_BUCKETS", 4)
    assert len(pressure.colliding((1, 2), 1 << 10)) > 4 * (1 << 6)  # more than their share


def test_answered_flows_survive_made_up_ones():
    (found,) = pressure.spoofed(options(packets=300_000))
    assert found["survivors"] == found["answered"]
    assert found["evicted"] > 0


def test_a_capture_is_played_on_in_time(tmp_path):
    path = tmp_path / "traffic.pcap"
    write_capture(path, 1000)
    times, frames = [], 0
    for batch in flatness.endless(str(path)):
        times += batch.frames["time"].tolist()
        frames += len(batch.frames)
        if frames >= 3000:
            break
    assert times == sorted(times)
    assert times[1000] - times[999] == pytest.approx(1e8)
    assert times[1001] - times[1000] == times[1] - times[0]
