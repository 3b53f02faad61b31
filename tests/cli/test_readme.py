"""What the README promises of the bundled capture is what a replay of it gives."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from sensor.alert.condition import CONDITIONS
from sensor.alert.kind import SUBJECTS
from sensor.feature.schema import HOST_FEATURES

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
#: The floors as the table words them.
_PREFIXES = {" kB": 1e3, " MB": 1e6, "": 1.0}


def part(example: object, whole: object) -> bool:
    """Say whether `example` is `whole` with some keys, or the last elements of lists, left out."""
    if isinstance(example, dict):
        return isinstance(whole, dict) and all(
            key in whole and part(value, whole[key]) for key, value in example.items()
        )
    if isinstance(example, list):
        return isinstance(whole, list) and all(part(*pair) for pair in zip(example, whole, strict=False))
    return example == whole


@pytest.fixture(scope="module")
def alerts(tmp_path_factory: pytest.TempPathFactory, run_sensor) -> list[dict]:
    answer = run_sensor(
        tmp_path_factory.mktemp("readme"), "replay", "-q", "--json", ROOT / "pcaps" / "demo.pcap"
    )
    assert answer.returncode == 0, answer.stderr
    return [json.loads(line) for line in answer.stdout.splitlines()]


def test_the_example_is_the_first_alert(alerts: list[dict]):
    (block,) = re.findall(r"```json\n(.*?)```", README, re.DOTALL)
    assert part(json.loads(block), alerts[0])


def test_what_is_found_in_the_demo_is_what_the_table_says(alerts: list[dict]):
    table = README[README.index("| In `pcaps/demo.pcap`") :].partition("\n\n")[0].splitlines()[2:]
    promised = [line.split("|")[2].strip().startswith("yes") for line in table]
    found = {alert["rule"]["id"] for alert in alerts}
    assert found == {"port_scan", "flood", "brute_force"}
    assert promised == [True, True, True, False]
    assert "203.0.113.66" not in json.dumps(alerts), "the beacon is found: say so"


def test_every_kind_is_listed():
    table = README[README.index("| `rule.id` |") :].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", table)) == set(SUBJECTS)


def test_every_condition_of_the_sensor_is_listed():
    table = README[README.index("| About the sensor |") :].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == set(CONDITIONS)


def test_the_floors_are_those_of_the_schema():
    table = README[README.index("| `rule.id` |") :].partition("\n\n")[0].splitlines()[2:]
    floors = {feature.floor for feature in HOST_FEATURES}
    for line in table:
        for floor in line.split("|")[3].split(";"):
            number, prefix = re.fullmatch(r"\s*([\d,]+)( [kM]B)?\s*", floor).groups("")
            assert float(number.replace(",", "")) * _PREFIXES[prefix] in floors, line
