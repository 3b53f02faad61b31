"""The sensor's own state becomes incidents, with counts and an end."""

from __future__ import annotations

import json

import pytest
from alert_examples import OBSERVER

from sensor.alert.alert import Alert, Model, ModelState, Status
from sensor.alert.condition import CONDITIONS
from sensor.alert.health import Health, Sight
from sensor.formats import ecs, text

_NS = 1_000_000_000
_START = 1_000 * _NS


def no_model() -> Model:
    return Model(ModelState.COLD, 0, 0)


_SOUND = Sight(
    packets=10_000,
    evictions=0,
    flows=500,
    acks=5_000,
    ack_gaps=0,
    missed_bytes=0,
    one_way=0,
    two_way=200,
    duplicates=0,
    suppressing=0,
)


def windows(health: Health, sights: list[Sight], start: int = _START) -> list[Alert]:
    told: list[Alert] = []
    for number, sight in enumerate(sights, start=1):
        told += health.close(sight, start + number * 10 * _NS, no_model)
    return told


@pytest.fixture
def health() -> Health:
    return Health(seed=1, window_secs=10.0, update_interval_secs=300.0, close_after_secs=60.0)


def kinds(alerts: list[Alert]) -> list[tuple[str, Status]]:
    return [(alert.kind.id, alert.incident.status) for alert in alerts]


def test_a_sound_mirror_says_nothing(health: Health):
    assert windows(health, [_SOUND] * 30) == []
    assert health.quiet


@pytest.mark.parametrize(("lost", "blind"), [(0, False), (100, False), (110, True), (5_000, True)])
def test_more_than_a_hundredth_lost_in_a_second_is_blindness(health: Health, lost: int, blind: bool):  # noqa: FBT001  (a parameter of the test)
    told = []
    for tick in range(11):  # a second of batches, and the first of the next one
        told += health.see(1_000, lost // 10 if tick < 10 else 0, _START + tick * _NS // 10, no_model)
    assert kinds(told) == ([("sensor_blind", Status.OPEN)] if blind else [])
    assert health.counters()["packets_lost"] == lost // 10 * 10
    if blind:
        assert f"{lost // 10 * 10:,} of {10_000 + lost // 10 * 10:,} packets lost" in told[0].message
        assert told[0].time == _START + _NS
        assert (told[0].incident.first, told[0].incident.last) == (_START, _START + _NS)


def test_lasting_blindness_is_one_incident_with_an_end(health: Health):
    told = []
    for second in range(40):
        told += health.see(1_000, 500, _START + second * _NS, no_model)
    told += windows(health, [_SOUND] * 10, _START + 40 * _NS)
    assert kinds(told) == [("sensor_blind", Status.OPEN), ("sensor_blind", Status.CLOSED)]
    assert told[1].incident.count == 39
    assert told[1].incident.id == told[0].incident.id
    assert told[1].id != told[0].id


def test_evictions_are_pressure_told_once_in_the_interval(health: Health):
    told = windows(health, [_SOUND._replace(evictions=7_000, flows=90_000)] * 12)
    assert kinds(told) == [("flow_table_pressure", Status.OPEN)]
    assert "7,000 open flows had to make room for 90,000 new ones" in told[0].message


def test_acks_for_bytes_never_seen_are_loss_before_the_sensor(health: Health):
    told = windows(health, [_SOUND._replace(ack_gaps=100, missed_bytes=146_000)])
    assert kinds(told) == [("capture_loss", Status.OPEN)]
    assert "2.0% of TCP acknowledgements" in told[0].message


def test_few_acks_prove_no_loss(health: Health):
    assert windows(health, [_SOUND._replace(acks=90, ack_gaps=9)] * 3) == []


def test_a_mirror_of_one_direction_is_noticed_and_its_end_too(health: Health):
    told = windows(health, [_SOUND._replace(one_way=25, two_way=1)])
    assert kinds(told) == [("one_way_mirror", Status.OPEN)]
    assert health.one_way
    windows(health, [_SOUND] * 3, _START + 10 * _NS)
    assert not health.one_way


def test_one_way_is_not_told_of_a_few_flows(health: Health):
    windows(health, [_SOUND._replace(one_way=15, two_way=0)])
    assert not health.one_way


def test_it_stays_one_way_without_traffic(health: Health):
    told = windows(health, [_SOUND._replace(one_way=100, two_way=0), *[_SOUND._replace(two_way=0)] * 30])
    assert health.one_way, "silence is no evidence of the other direction"
    assert kinds(told) == [("one_way_mirror", Status.OPEN), ("one_way_mirror", Status.CLOSED)]
    assert health.quiet


def test_copies_are_told_when_they_are_left_out(health: Health):
    sight = _SOUND._replace(duplicates=3_000)
    assert windows(health, [sight]) == []
    told = windows(health, [sight._replace(suppressing=1)] * 6, _START + 10 * _NS)
    assert kinds(told) == [("duplicated_mirror", Status.OPEN)]
    assert "3,000 of 10,000 packets were copies (30.0%)" in told[0].message


def test_a_moment_of_copies_is_not_told(health: Health):
    copies = _SOUND._replace(duplicates=3_000, suppressing=1)
    assert windows(health, [copies, copies, copies, *[_SOUND] * 30, copies, copies]) == []


def test_every_condition_renders_as_what_it_is(health: Health):
    bad = Sight(10_000, 5, 100, 5_000, 500, 1_000_000, 50, 0, 900, suppressing=1)
    told = windows(health, [bad] * 6) + health.see(10, 10, _START, no_model)
    told += health.see(10, 0, _START + _NS, no_model)
    assert {alert.kind.id for alert in told} == set(CONDITIONS)
    for alert in told:
        line = json.loads(ecs.render(alert, OBSERVER))
        assert line["rule"]["category"] == "Sensor health"
        assert line["event"]["category"] == ["network"]
        assert line["sensor"]["entity"] == "sensor"
        assert line["sensor"]["next_step"]
        assert alert.kind.name.encode() in text.render(alert, OBSERVER)
