"""From a `Config` to running parts: the one place that knows every class.

`run_live` and `run_replay` drive the same `Line`; they differ in the source, in
what happens when an alert finds a full queue, and in what goes on between two
batches.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import signal
import socket
import threading
from collections.abc import Callable, Sequence

import sensor
from sensor.alert.alert import Observer
from sensor.config.models import Config
from sensor.crew import Crew
from sensor.engine import Engine
from sensor.errors import ConfigError, SensorError
from sensor.heartbeat import Heartbeat
from sensor.line import Line, Outlet
from sensor.signals import Signals
from sensor.sinks.delivery import Delivery, WhenFull
from sensor.sources.own_traffic import Endpoint
from sensor.sources.source import Source
from sensor.systemd import Notifier
from sensor.telemetry import Snapshot
from sensor.warm_up import warm_up

_LOG = logging.getLogger(__name__)


def observer(config: Config, interface: str) -> Observer:
    """Return who the alerts are from; `interface` is where the packets were seen."""
    return Observer(config.sensor.name or socket.gethostname(), sensor.__version__, interface)


def secret_key() -> tuple[int, int]:
    """Return a key for the hash tables that nobody outside can know, so that nobody can aim collisions."""
    return secrets.randbits(64), secrets.randbits(64)


def repeatable_key(seed: int) -> tuple[int, int]:
    """Return the key that a replay with `seed` uses: same packets, same evictions."""
    digest = hashlib.sha256(f"span-sensor replay {seed}".encode()).digest()
    return int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:16], "big")


def new_engine(config: Config, key: tuple[int, int]) -> Engine | Crew:
    """Return an engine, with threads when the configuration has more than one worker."""
    settings, workers = config.engine_settings(), config.capture.workers
    return Engine(settings, key) if workers == 1 else Crew(settings, key, workers)


def start_deliveries(config: Config, seen_by: Observer, when_full: WhenFull) -> list[Delivery]:
    """Return a running delivery for each configured sink: all of them, or none.

    Raises
    ------
    ConfigError
        A sink's file cannot be used.
    """
    started: list[Delivery] = []
    try:
        for settings in config.sinks:
            started.append(settings.delivery.build(settings.build(seen_by), when_full))  # noqa: PERF401  (on an error the started ones are closed)
    except SensorError:
        for delivery in started:
            delivery.close(drain_secs=0)
        raise
    return started


class Live:
    """A sensor on an interface.

    Parameters
    ----------
    config
        Validated.
    load
        Reads the configuration again, for SIGHUP.
    printers
        Outlets on standard output; a reload leaves them alone.
    """

    def __init__(self, config: Config, load: Callable[[], Config], printers: Sequence[Outlet]) -> None:
        self._config = config
        self._load = load
        self._printers = tuple(printers)
        self._observer = observer(config, config.capture.interface)
        self._notifier = Notifier()
        self._excluding: threading.Thread | None = None
        self._retired: list[threading.Thread] = []  # sinks that a reload replaced, sending their last alerts

    def run(self, signals: Signals) -> Snapshot:
        """Capture until a signal says stop; return the last counters.

        The kernels are compiled and the engine is made before the ring is
        opened, because packets that came meanwhile would be lost.

        Raises
        ------
        ConfigError
            A sink's file cannot be used.
        CaptureError
            The interface cannot be captured from, or went away.
        """
        from sensor.sources.af_packet import AfPacket  # noqa: PLC0415  (replay needs no packet socket)

        deliveries = start_deliveries(self._config, self._observer, "drop")
        line: Line | None = None
        try:
            settings = self._config.engine_settings()
            _LOG.info("preparing kernels (the first start compiles them, which takes a minute or two)")
            warm_up(settings)
            options = self._config.capture.model_dump(exclude={"interface", "exclude_own"})
            engine = new_engine(self._config, secret_key())  # its tables take a while too
            source = AfPacket(self._config.capture.interface, **options)
            self._exclude_own(source, self._config)
            line = Line(source, engine, [*self._printers, *deliveries])
            _LOG.info("capturing from %s", source.name)
            self._drive(line, signals)
        finally:
            self._notifier.send(STOPPING=1)
            _join(_start_closing(line.outlets if line else deliveries) + self._retired)
        return line.snapshot()

    def _drive(self, line: Line, signals: Signals) -> None:
        heartbeat = Heartbeat(
            self._notifier, line.snapshot, lambda: _dead(line), self._config.logging.statistics_secs
        )

        def after_batch() -> bool:
            if signals.take(signal.SIGHUP):
                self._reload(line)
            if signals.take(signal.SIGUSR1):
                heartbeat.log_statistics()
            heartbeat.beat()
            return not signals.stop

        try:
            line.run(after_batch)
        finally:
            line.source.close()
            heartbeat.log_statistics()

    def _reload(self, line: Line) -> None:
        """Take the sinks of the configuration as it is now; keep the old ones if it is wrong."""
        self._notifier.send(STATUS="reloading")
        try:
            config = self._load()
            fresh = start_deliveries(config, self._observer, "drop")
        except SensorError as error:
            _LOG.error("reload refused, the old configuration stays: %s", error)
            return
        fixed = set(Config.model_fields) - {"sinks"}
        changed = sorted(name for name in fixed if getattr(config, name) != getattr(self._config, name))
        if changed:
            _LOG.warning("reload took the sinks; a restart is needed for: %s", ", ".join(changed))
        old = line.outlets[len(self._printers) :]
        line.outlets = (*self._printers, *fresh)
        self._retired = [thread for thread in self._retired if thread.is_alive()] + _start_closing(old)
        self._exclude_own(line.source, config)
        _LOG.info("reloaded: %d sinks", len(fresh))

    def _exclude_own(self, source: Source, config: Config) -> None:
        """Leave the sinks' connections out of the capture; in a thread, since a name may take seconds."""
        from sensor.sources.af_packet import AfPacket  # noqa: PLC0415  (replay needs no packet socket)

        if not isinstance(source, AfPacket) or not self._config.capture.exclude_own:
            return
        found = [settings.endpoint() for settings in config.sinks]
        endpoints = [Endpoint(*one) for one in found if one]
        before = self._excluding

        def work() -> None:
            if before:
                before.join()  # the newest has the last word
            try:
                unknown = source.exclude(endpoints)
            except ConfigError as error:
                _LOG.warning("the connections to sinks are seen as traffic: %s", error)
                return
            for endpoint in unknown:
                _LOG.warning("cannot resolve %s: the connection to it is seen as traffic", endpoint.host)

        self._excluding = threading.Thread(target=work, name="exclude-own", daemon=True)
        self._excluding.start()


def run_replay(
    config: Config,
    source: Source,
    outlets: Sequence[Outlet],
    signals: Signals,
    after_batch: Callable[[Line], None],
) -> Snapshot:
    """Run `source` to its end or to a signal; return the last counters.

    Raises
    ------
    CaptureError
        The source gave nothing that could be read.
    """
    line = Line(source, new_engine(config, repeatable_key(config.sensor.seed)), outlets)

    def each() -> bool:
        after_batch(line)
        return not signals.stop

    try:
        line.run(each)
    finally:
        source.close()
        _join(_start_closing(outlets))
    return line.snapshot()


def _start_closing(outlets: Sequence[Outlet]) -> list[threading.Thread]:
    """Begin to close all `outlets` at once: each may take the time its last alerts need."""
    threads = [threading.Thread(target=outlet.close, name=f"close-{outlet.name}") for outlet in outlets]
    for thread in threads:
        thread.start()
    return threads


def _join(threads: Sequence[threading.Thread]) -> None:
    for thread in threads:
        thread.join()


def _dead(line: Line) -> list[str]:
    """Return the names of deliveries whose thread ended."""
    return [outlet.name for outlet in line.outlets if isinstance(outlet, Delivery) and not outlet.healthy]
