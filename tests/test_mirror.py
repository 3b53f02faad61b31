"""Whole and broken mirror ports: what is told of them, and that it is not taken for attacks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from craft import batch
from craft_capture import Captured
from mirrored import one_direction, read, sent_again, without

from sensor.alert.alert import Alert, Status
from sensor.engine import Engine
from sensor.errors import CaptureError
from sensor.settings import EngineSettings, FeatureSettings, FlowSettings
from sensor.sources.capture_file import CaptureFiles

OFFICE = Path(__file__).resolve().parents[1] / "pcaps" / "office.pcap"
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
#: Of ordinary size for what is ordinary traffic of a dozen hosts.
SETTINGS = EngineSettings(flow=FlowSettings(capacity=8_192), feature=FeatureSettings(hosts=1_024))
ABOUT_THE_MIRROR = {"capture_loss", "one_way_mirror", "duplicated_mirror", "sensor_blind"}


def alerts_of(frames: Iterable[Captured], settings: EngineSettings = SETTINGS) -> list[Alert]:
    engine, kept, alerts = Engine(settings, (1, 2)), list(frames), []
    for first in range(0, len(kept), 512):
        part = kept[first : first + 512]
        alerts += engine.process(
            batch(
                [frame.data for frame in part],
                [frame.time for frame in part],
                wirelens=[frame.on_wire for frame in part],
            )
        )
    return alerts + engine.flush()


def kinds(alerts: list[Alert]) -> set[str]:
    return {alert.kind.id for alert in alerts}


def denser(frames: list[Captured], times: int) -> list[Captured]:
    """Return the same traffic in a fraction of the time, as that of a larger office would be."""
    start = frames[0].time
    return [frame._replace(time=start + (frame.time - start) // times) for frame in frames]


@pytest.fixture(scope="module")
def office() -> list[Captured]:
    return read(OFFICE)


def test_a_whole_mirror_gives_no_alert(office):
    assert alerts_of(office) == []


@pytest.mark.parametrize("requests", [True, False])
def test_one_direction_is_told_and_nothing_else_is_made_of_it(office, requests):
    shown = list(one_direction(office, requests=requests))
    assert 0.4 < len(shown) / len(office) < 0.6
    alerts = alerts_of(shown)
    assert kinds(alerts) == {"one_way_mirror"}
    assert len({alert.incident.id for alert in alerts}) == 1


@pytest.mark.parametrize("times", [5, 20])
def test_no_more_is_made_of_it_in_a_larger_office(office, times):
    busy = denser(office, times)
    assert alerts_of(busy) == []
    for requests in (True, False):
        assert kinds(alerts_of(one_direction(busy, requests=requests))) == {"one_way_mirror"}


@pytest.mark.parametrize("share", [0.05, 0.2])
@pytest.mark.parametrize(("times", "soon"), [(1, 600), (10, 60)])
def test_lost_segments_are_told_and_nothing_else_is_made_of_them(office, share, times, soon):
    alerts = alerts_of(without(denser(office, times), share))
    assert kinds(alerts) == {"capture_loss"}
    assert alerts[0].incident.status is Status.OPEN
    assert alerts[0].time < office[0].time + soon * 10**9


def test_segments_sent_again_are_no_loss(office):
    again = list(sent_again(office, 0.05))
    assert len(again) > 1.01 * len(office)
    assert alerts_of(again) == []


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="the folder of real captures is not here")
def test_ordinary_captures_are_of_whole_mirrors():
    rows = [line.split("\t") for line in (DATA / "MANIFEST.tsv").read_text().splitlines()[1:]]
    paths = [DATA / row[0] for row in rows if row[1] == "benign"]
    assert len(paths) > 100
    settings = replace(SETTINGS, feature=FeatureSettings(hosts=4_096))
    for path in paths:
        source, engine, alerts = CaptureFiles([path]), Engine(settings, (1, 2)), []
        try:
            for one in source:
                alerts += engine.process(one)
        except CaptureError:
            continue
        finally:
            source.close()
        assert not kinds(alerts + engine.flush()) & ABOUT_THE_MIRROR, path
