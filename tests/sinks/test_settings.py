from __future__ import annotations

import inspect
import json
import subprocess
import sys
from typing import get_args

import pytest
from alert_examples import OBSERVER, PORT_SCAN
from pydantic import TypeAdapter, ValidationError

from sensor.errors import ConfigError
from sensor.formats import ecs
from sensor.sinks.delivery import Delivery
from sensor.sinks.settings import (
    DeliverySettings,
    JsonlSettings,
    SinkSettings,
    SyslogSettings,
    WebhookSettings,
)
from sensor.sinks.shelf import SINKS

ADAPTER = TypeAdapter(SinkSettings)
MODELS = get_args(get_args(SinkSettings)[0])
_OURS = {"type", "delivery"}

SMALLEST = {
    "jsonl": {"path": "-"},
    "webhook": {"url": "https://collector.example/hook"},
    "syslog": {"host": "logs.example"},
    "table": {},
}


def test_every_sink_on_the_shelf_can_be_configured_and_built():
    assert set(SMALLEST) == set(SINKS)
    for kind, keys in SMALLEST.items():
        sink = ADAPTER.validate_python({"type": kind, **keys}).build(OBSERVER)
        assert isinstance(sink, SINKS[kind])
        assert sink.name == kind
        sink.close()


@pytest.mark.parametrize("model", MODELS)
def test_keys_and_defaults_are_the_constructors(model):
    kind = get_args(model.model_fields["type"].annotation)[0]
    parameters = dict(inspect.signature(SINKS[kind]).parameters)
    parameters.pop("observer")
    fields = {name: field for name, field in model.model_fields.items() if name not in _OURS}
    assert fields.keys() == parameters.keys()
    for name, field in fields.items():
        default = parameters[name].default
        if field.is_required():
            assert default is inspect.Parameter.empty
        else:
            assert (field.get_default(call_default_factory=True) or None) == (default or None)


def test_delivery_keys_and_defaults_are_the_constructors():
    parameters = dict(inspect.signature(Delivery).parameters)
    for name in ("sink", "when_full"):
        parameters.pop(name)
    assert {name: field.default for name, field in DeliverySettings.model_fields.items()} == {
        name: parameter.default for name, parameter in parameters.items()
    }


def test_a_delivery_is_built_and_delivers(tmp_path):
    path = tmp_path / "alerts.jsonl"
    configured = ADAPTER.validate_python(
        {"type": "jsonl", "path": str(path), "name": "archive", "delivery": {"queue_alerts": 3}}
    )
    delivery = configured.delivery.build(configured.build(OBSERVER), when_full="block")
    delivery.put(PORT_SCAN)
    delivery.close()
    assert delivery.name == "archive"
    assert path.read_bytes() == ecs.render(PORT_SCAN, OBSERVER) + b"\n"


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "kafka"},
        {"path": "-"},
        {"type": "jsonl"},
        {"type": "jsonl", "path": "-", "colour": True},
        {"type": "jsonl", "path": ""},
        {"type": "table", "name": "Not A Name"},
        {"type": "webhook", "url": "ftp://host/"},
        {"type": "webhook", "url": "https://h/", "timeout_secs": 0},
        {"type": "webhook", "url": "https://h/", "timeout_secs": float("nan")},
        {"type": "webhook", "url": "https://h/", "client_key_file": "k"},
        {"type": "syslog", "host": "a b"},
        {"type": "syslog", "host": "h", "port": 0},
        {"type": "syslog", "host": "h", "transport": "sctp"},
        {"type": "syslog", "host": "h", "facility": "local8"},
        {"type": "syslog", "host": "h", "max_bytes": 480},
        {"type": "syslog", "host": "h", "transport": "tcp", "ca_file": "ca.pem"},
        {"type": "syslog", "host": "h", "transport": "tls", "client_key_file": "k"},
        {"type": "table", "delivery": {"queue_alerts": 0}},
        {"type": "table", "delivery": {"retry_base_secs": 10, "retry_cap_secs": 1}},
        {"type": "table", "delivery": {"when_full": "block"}},
    ],
)
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValidationError):
        ADAPTER.validate_python(wrong)


def test_settings_are_frozen():
    configured = ADAPTER.validate_python({"type": "table"})
    with pytest.raises(ValidationError):
        configured.name = "other"


def test_an_absent_secret_is_found_when_the_sink_is_built(monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    configured = ADAPTER.validate_python(
        {"type": "webhook", "url": "https://h.example/", "secret_file": "${CREDENTIALS_DIRECTORY}/hook"}
    )
    with pytest.raises(ConfigError, match="secret_file"):
        configured.build(OBSERVER)


def test_the_json_schema_names_every_type_and_forbids_the_rest():
    schema = ADAPTER.json_schema()
    assert set(schema["discriminator"]["mapping"]) == set(SINKS)
    definitions = schema["$defs"].values()
    assert all(definition["additionalProperties"] is False for definition in definitions)
    assert json.dumps(schema)


def test_reading_settings_does_not_load_the_http_library():
    program = "import sys, sensor.sinks.settings; sys.exit('requests' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=30, check=False).returncode == 0


@pytest.mark.parametrize(
    ("settings", "endpoint"),
    [
        (WebhookSettings(type="webhook", url="https://siem.example/x"), ("siem.example", 443, "tcp")),
        (WebhookSettings(type="webhook", url="http://[2001:db8::1]:8080/x"), ("2001:db8::1", 8080, "tcp")),
        (
            WebhookSettings(type="webhook", url="https://a.example/", proxy_url="http://proxy.example:3128"),
            ("proxy.example", 3128, "tcp"),
        ),
        (WebhookSettings(type="webhook", url="http://a.example:99999/"), None),
        (WebhookSettings(type="webhook", url="http://:80/"), None),
        (SyslogSettings(type="syslog", host="192.0.2.1"), ("192.0.2.1", 514, "udp")),
        (SyslogSettings(type="syslog", host="a.example", transport="tls"), ("a.example", 6514, "tcp")),
        (
            SyslogSettings(type="syslog", host="a.example", transport="tcp", port=601),
            ("a.example", 601, "tcp"),
        ),
        (JsonlSettings(type="jsonl", path="-"), None),
    ],
)
def test_whom_a_sink_connects_to(settings, endpoint):
    assert settings.endpoint() == endpoint
