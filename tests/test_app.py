from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import craft
import pytest
from alert_examples import OBSERVER, PORT_SCAN

from sensor.app import Live, observer, repeatable_key, run_replay, secret_key, start_deliveries
from sensor.config.load import load
from sensor.engine import Engine
from sensor.errors import CaptureError, ConfigError, DeliveryError
from sensor.line import Line
from sensor.packet.batch import PacketBatch
from sensor.printer import Printer, ReaderGoneError
from sensor.settings import EngineSettings
from sensor.signals import Signals
from sensor.sinks.jsonl import Jsonl
from sensor.sources.af_packet import AfPacket
from sensor.sources.own_traffic import Endpoint
from sensor.warm_up import warm_up


class Batches:
    """A source of crafted batches that ends with an error, if told so."""

    name = "crafted"

    def __init__(self, batches: list[PacketBatch], error: Exception | None = None) -> None:
        self.batches = batches
        self.error = error
        self.closed = False

    def __iter__(self) -> Iterator[PacketBatch]:
        for batch in self.batches:
            if self.closed:
                return
            yield batch
        if self.error:
            raise self.error

    def counters(self) -> dict[str, int]:
        return {"packets": sum(len(batch.frames) for batch in self.batches)}

    def close(self) -> None:
        self.closed = True


def refused_scan() -> PacketBatch:
    frames = []
    for port in range(1, 2001):
        frames.append(
            craft.ethernet(craft.ipv4(craft.tcp(b"", 40_000, port, craft.SYN), "192.0.2.6", "192.0.2.8"))
        )
        reset = craft.tcp(b"", port, 40_000, craft.RST | craft.ACK, ack=2)
        frames.append(craft.ethernet(craft.ipv4(reset, "192.0.2.8", "192.0.2.6")))
    return craft.batch(frames)


@pytest.fixture(scope="module")
def engine() -> EngineSettings:
    settings = EngineSettings()
    warm_up(settings)
    return settings


def test_the_loop_hands_over_every_alert_and_counts(engine: EngineSettings, tmp_path: Path):
    path = tmp_path / "alerts.jsonl"
    printer = Printer(Jsonl(str(path), observer=OBSERVER))
    line = Line(Batches([refused_scan()]), Engine(engine, (1, 2)), [printer])
    line.run(lambda: True)
    printer.close()
    snapshot = line.snapshot()
    assert snapshot.packets == 4000
    assert snapshot.bytes == int(refused_scan().frames["wirelen"].sum())
    assert snapshot.alerts == len(path.read_text().splitlines()) >= 1
    assert snapshot.sinks == {"jsonl": {"sent": snapshot.alerts}}
    assert "port_scan" in snapshot.kinds


def test_what_was_seen_before_an_error_is_still_reported(engine: EngineSettings, tmp_path: Path):
    path = tmp_path / "alerts.jsonl"
    source = Batches([refused_scan()], CaptureError("gone"))
    line = Line(source, Engine(engine, (1, 2)), [Printer(Jsonl(str(path), observer=OBSERVER))])
    with pytest.raises(CaptureError):
        line.run(lambda: True)
    assert line.snapshot().alerts >= 1


@pytest.mark.usefixtures("engine")
def test_a_request_to_stop_closes_the_source():
    source = Batches([craft.batch([]), refused_scan()])
    with Signals(service=False) as signals:
        config = load(environment={})
        snapshot = run_replay(config, source, [], signals, lambda _: setattr(signals, "stop", 15))
    assert source.closed
    assert snapshot.packets == 0


def test_sinks_start_together_or_not_at_all(tmp_path: Path):
    good, bad = tmp_path / "good.jsonl", tmp_path / "none" / "bad.jsonl"
    config = load(None, [f"sinks=[{{type: jsonl, path: {good}}}, {{type: jsonl, name: b, path: {bad}}}]"], {})
    with pytest.raises(ConfigError, match="No such file"):
        start_deliveries(config, OBSERVER, "drop")
    config = load(None, [f"sinks=[{{type: jsonl, path: {good}}}]"], {})
    (delivery,) = start_deliveries(config, OBSERVER, "block")
    delivery.put(PORT_SCAN)
    delivery.close()
    assert delivery.counters()["sent"] == 1
    assert len(good.read_text().splitlines()) == 1


def test_who_the_alerts_are_from():
    seen_by = observer(load(None, ["sensor.name=edge-1"], {}), "eth1")
    assert (seen_by.name, seen_by.interface) == ("edge-1", "eth1")
    assert observer(load(environment={}), "eth1").name


def test_keys_repeat_in_replay_and_never_live():
    assert repeatable_key(1) == repeatable_key(1) != repeatable_key(2)
    assert secret_key() != secret_key()
    assert all(0 <= word < 2**64 for word in (*repeatable_key(1), *secret_key()))


class Refusing:
    """A sink whose reader is gone, or whose disk is full."""

    name = "refusing"

    def __init__(self, cause: OSError) -> None:
        self.cause = cause

    def send(self, _alert: object) -> None:
        raise DeliveryError("standard output", retry=False) from self.cause

    def close(self) -> None:
        pass


def test_a_printer_tells_a_reader_that_left_from_other_errors():
    with pytest.raises(ReaderGoneError):
        Printer(Refusing(BrokenPipeError())).put(PORT_SCAN)
    with pytest.raises(DeliveryError):
        Printer(Refusing(OSError(28, "No space left on device"))).put(PORT_SCAN)


SINKS = (
    "sinks=[{type: webhook, url: 'https://siem.example/x'}, {type: syslog, host: 192.0.2.9}, {type: table}]"
)


@pytest.fixture
def excluded(monkeypatch):
    """Record what an interface's source is told to leave out; the first name cannot be resolved."""
    calls: list[list[Endpoint]] = []

    def exclude(_source: AfPacket, endpoints: list[Endpoint]) -> list[Endpoint]:
        calls.append(endpoints)
        if not endpoints:
            raise ConfigError("no libpcap")
        return endpoints[:1]

    monkeypatch.setattr(AfPacket, "exclude", exclude)
    return calls


def test_the_connections_to_sinks_are_left_out_of_the_capture(excluded, caplog):
    config = load(None, [SINKS], {})
    live = Live(config, lambda: config, [])
    source = AfPacket.__new__(AfPacket)
    live._exclude_own(source, config)
    live._exclude_own(source, load(None, [], {}))  # a reload: now there are none
    live._excluding.join()
    assert excluded == [[("siem.example", 443, "tcp"), ("192.0.2.9", 514, "udp")], []]
    assert "cannot resolve siem.example" in caplog.text
    assert "no libpcap" in caplog.text


def test_they_are_seen_when_the_configuration_says_so(excluded):
    config = load(None, [SINKS, "capture.exclude_own=false"], {})
    live = Live(config, lambda: config, [])
    live._exclude_own(AfPacket.__new__(AfPacket), config)
    live._exclude_own(Batches([]), load(None, [SINKS], {}))
    assert live._excluding is None
    assert excluded == []
