from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from sensor.config.load import load, render
from sensor.config.models import Config
from sensor.errors import ConfigError
from sensor.settings import EngineSettings

EXAMPLE = Path(__file__).resolve().parents[2] / "config.example.yaml"


def refused(path: Path | None = None, *sets: str, **environment: str) -> str:
    with pytest.raises(ConfigError) as raised:
        load(path, sets, environment)
    assert raised.value.exit_code == 78
    assert "\n" not in str(raised.value)
    return str(raised.value)


def written(folder: Path, text: str) -> Path:
    path = folder / "c.yaml"
    path.write_text(text)
    return path


def test_the_example_is_the_default():
    assert load(EXAMPLE, environment={}) == Config()


def leaves(model: type[BaseModel], prefix: str = "") -> list[str]:
    found = []
    for name, field in model.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            found += leaves(section, f"{prefix}{name}.")
        else:
            found.append(prefix + name)
    return found


def test_the_example_has_every_key_with_a_comment():
    lines = EXAMPLE.read_text().splitlines()
    explained, section = set(), ""
    for number, line in enumerate(lines):
        match = re.match(r"^( {0,2})([a-z_]+):(.*)$", line)
        if match is None:
            continue
        section = match[2] if not match[1] else section
        if lines[number - 1].lstrip().startswith("#"):
            explained.add(f"{section}.{match[2]}" if match[1] else match[2])
    assert not set(leaves(Config)) - explained


def test_no_file_is_the_default():
    assert load(environment={}) == Config()
    assert load(environment={}).engine_settings() == EngineSettings()


def test_every_setting_of_the_engine_can_be_configured():
    config = load(
        None,
        [
            "sensor.seed=7",
            "flow.capacity=2048",
            "feature.window_secs=5",
            "model.detectors=[{path: river.anomaly.LODA, parameters: {n_bins: 5}}]",
            "alert.home_networks=[192.0.2.0/24]",
        ],
        {},
    )
    settings = config.engine_settings()
    assert (settings.seed, settings.flow.capacity, settings.feature.window_secs) == (7, 2048, 5.0)
    assert settings.model.detectors == (("river.anomaly.LODA", {"n_bins": 5}),)
    assert settings.alert.home_networks == ("192.0.2.0/24",)


def test_what_is_printed_is_read_back_equal(tmp_path: Path):
    config = load(
        None,
        ["sinks=[{type: jsonl, path: /x}, {type: webhook, url: 'https://a.example/'}]", "alert.p_value=1e-9"],
        {},
    )
    assert load(written(tmp_path, render(config)), environment={}) == config


def test_an_empty_section_is_its_default(tmp_path: Path):
    assert load(written(tmp_path, "flow:\nmodel:\n"), environment={}) == Config()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("flow:\n  capacity: 5", ":2: flow.capacity: input should be greater than or equal to 1024, got 5"),
        ("flow:\n  capcity: 5000", ":2: flow.capcity: unknown key; did you mean capacity?"),
        ("flows:\n  capacity: 5000", ":1: flows: unknown key; did you mean flow?"),
        ("flow:\n  capacity: many", ":2: flow.capacity: input should be a valid integer, got 'many'"),
        ("flow:\n  capacity: 1e9", ":2: flow.capacity: input should be a valid integer, got 1000000000.0"),
        ("flow:\n  capacity: true", ":2: flow.capacity: input should be a valid integer, got True"),
        ("flow:\n  linger_secs: .inf", ":2: flow.linger_secs: input should be a finite number, got inf"),
        ("flow: 3", ":1: flow: should be a mapping of keys, got 3"),
        ("sinks: 3", ":1: sinks: should be a list, got 3"),
        ("sinks:\n  - 3", ":2: sinks.0: should be a mapping of keys, got 3"),
        ("sinks:\n  - type: kafka", ":2: sinks.0: type should be one of jsonl, syslog, table, webhook"),
        ("sinks:\n  - path: /x", ":2: sinks.0: type should be one of jsonl, syslog, table, webhook"),
        ("sinks:\n  - type: jsonl", ":2: sinks.0.path: is required"),
        (
            "sinks:\n  - type: jsonl\n    pth: /x",
            ":3: sinks.0.pth: unknown key; did you mean path? (and 1 more error)",
        ),
        (
            "sinks:\n  - type: table\n  - type: table",
            ":1: sinks: two sinks are called table; give each a name",
        ),
        (
            "logging:\n  level: loud",
            ":2: logging.level: input should be 'debug', 'info', 'warning' or 'error'",
        ),
        (
            "alert:\n  home_networks:\n    - 10.0.0.1/8",
            ":3: alert.home_networks.0: 10.0.0.1/8 has host bits set;",
        ),
        ("capture:\n  block_bytes: 100000", ":1: capture: block_bytes should be a power of two"),
        ("capture:\n  ring_bytes: 1100000", ":1: capture: ring_bytes should be block_bytes times 2 or more"),
        ('sensor:\n  name: "a\\nb"', ":2: sensor.name: string should match pattern"),
        ("model:\n  detectors:\n    - path: loda", ":3: model.detectors.0.path: string should match pattern"),
    ],
)
def test_a_wrong_value_is_one_line_with_place_key_and_what_is_allowed(
    tmp_path: Path, text: str, message: str
):
    path = written(tmp_path, text)
    assert refused(path).startswith(f"{path}{message}")


def test_an_error_names_where_the_value_came_from(tmp_path: Path):
    path = written(tmp_path, "flow:\n  capacity: 5000\n")
    assert refused(path, "flow.capacity=5").startswith("--set flow.capacity: flow.capacity: input should")
    assert refused(path, SENSOR_FLOW__CAPACITY="5").startswith(
        "environment SENSOR_FLOW__CAPACITY: flow.capacity:"
    )
    assert refused(path, "flow.capacty=5").startswith(
        "--set flow.capacty: flow.capacty: unknown key; did you mean"
    )
    with pytest.raises(ConfigError, match=r"^-i: capture\.interface: string should have at most 15"):
        load(path, environment={}, options={"capture.interface": ("-i", "x" * 16)})


def test_later_layers_win(tmp_path: Path):
    path = written(tmp_path, "flow:\n  capacity: 5000\n  linger_secs: 1\n")
    environment = {"SENSOR_FLOW__CAPACITY": "6000", "SENSOR_CACHE_DIR": "/x", "SENSOR_CONFIG": "y"}
    assert load(path, environment=environment).flow.capacity == 6000
    assert load(path, ["flow.capacity=7000"], environment).flow.capacity == 7000
    config = load(path, ["sensor.seed=2"], environment, options={"sensor.seed": ("--seed", 3)})
    assert (config.sensor.seed, config.flow.linger_secs) == (3, 1.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("flow.capacity", "--set flow.capacity: should be section.key=value"),
        ("=5", "--set =5: should be section.key=value"),
        ("flow.capacity=[", "--set flow.capacity: is not valid YAML"),
        ("sinks.0.path=x", "--set sinks.0.path: sinks: should be a list, got a mapping"),
        ("flow=5", "--set flow: flow: should be a mapping of keys, got 5"),
    ],
)
def test_a_wrong_override(text: str, message: str):
    assert refused(None, text).startswith(message)


def test_an_override_reaches_into_lists(tmp_path: Path):
    path = written(tmp_path, "sinks:\n  - type: jsonl\n    path: /x\n")
    sink = load(path, ["sinks.0.path=/y"], {}).sinks[0]
    assert sink.model_dump()["path"] == "/y"
    assert "there is no item '1'; the list has 1" in refused(path, "sinks.1.path=/y")


def test_a_secret_is_never_shown():
    message = refused(None, "sinks=[{type: webhook, url: 'https://a.example', secret_file: 31337}]")
    assert "secret_file" in message
    assert "31337" not in message
    assert "a value that is not shown" in message


def test_the_schema_knows_every_key():
    schema = Config.model_json_schema()
    assert set(schema["properties"]) == set(Config.model_fields)
    assert all("description" in one for one in schema["$defs"]["FlowConfig"]["properties"].values())
