"""Real captures of every sort through the engine: none is too odd, and each packet is accounted for."""

from __future__ import annotations

from pathlib import Path

import pytest

from sensor.engine import Engine
from sensor.errors import CaptureError
from sensor.settings import EngineSettings, FeatureSettings, FlowSettings
from sensor.sources.capture_file import CaptureFiles

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
NOT_CAPTURES = {".tsv", ".md", ".py", ".json", ".txt", ".csv"}
SMALL = EngineSettings(flow=FlowSettings(capacity=4096), feature=FeatureSettings(hosts=1024))

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not DATA.is_dir(), reason="the folder of real captures is not here"),
]


def captures() -> list[Path]:
    return sorted(
        path
        for path in DATA.rglob("*")
        if path.is_file() and path.suffix not in NOT_CAPTURES and "labels" not in path.parts
    )


def test_every_packet_of_every_capture_is_accounted_for() -> None:
    unreadable = []
    for path in captures():
        source, engine = CaptureFiles([path]), Engine(SMALL, (1, 2))
        try:
            for batch in source:
                engine.process(batch)
        except CaptureError:
            unreadable.append(path.name)
        finally:
            source.close()
        engine.flush()
        packet, flow = engine.counters()["packet"], engine.counters()["flow"]
        assert packet["frames"] == source.counters()["packets"], path
        assert packet["frames"] == sum(packet[name] for name in packet if name.startswith("kind_")), path
        without = sum(flow[name] for name in flow if name.startswith("packets_without_flow_"))
        assert flow["packets"] == packet["frames"], path
        assert flow["flows_started"] == flow["flows_exported"], path
        assert packet["kind_ip"] >= flow["packets"] - without, path
    assert len(unreadable) <= 1
