"""`sensor replay`: run capture files through the sensor."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sensor.cli.options import (
    FLAG,
    Captures,
    ConfigFile,
    Json,
    Quiet,
    Seed,
    Sets,
    SeverityName,
    Verbose,
    Workers,
    log_level,
)
from sensor.cli.started import started_up

if TYPE_CHECKING:
    from sensor.telemetry import Snapshot


def replay(
    captures: Captures,
    *,
    config: ConfigFile = None,
    output: str = typer.Option("", "-o", "--output", metavar="ALERTS.jsonl", help="Write alerts there too."),
    stats: str = typer.Option("", "--stats", metavar="STATS.json", help="Write all counters there."),
    speed: str = typer.Option(
        "max", "--speed", metavar="max|N", help="As fast as it goes, or N times real time."
    ),
    seed: Seed = None,
    workers: Workers = 1,
    sets: Sets = None,
    send: bool = typer.Option(False, "--send", metavar=FLAG, help="Send alerts to the configured sinks too."),
    fail_on: SeverityName | None = typer.Option(
        None, "--fail-on", help="End with 3 after such an alert, or a worse one."
    ),
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Run capture files through the sensor, as if their packets came in now.

    Needs no configuration, no server and no privilege. Alerts are a table on
    standard output; a summary follows on standard error. The sinks of a
    configuration are left alone unless --send is given: a replay must not
    page anybody by accident. Same packets, same configuration, same seed:
    same alerts, whatever --workers says.

    [bold]Examples[/bold]

      sensor replay capture.pcapng

      sensor replay monday.pcap.gz tuesday.pcap.gz -o alerts.jsonl --stats stats.json

      sensor replay capture.pcap --json | jq .message

      sensor replay test.pcap --fail-on high
    """
    from sensor.cli.playback import Playback
    from sensor.cli.settings import read_config
    from sensor.cli.summary import Durations, print_summary, write_stats
    from sensor.log import configure_log
    from sensor.signals import Signals

    factor = _factor(speed)
    settings = read_config(config, sets, seed=seed, workers=workers)
    configure_log(log_level("warning", quiet=quiet, verbose=verbose), settings.logging.format)
    playback = Playback(settings, captures, factor, output, send=send, as_json=as_json, quiet=quiet)
    begun = time.monotonic()
    playback.prepare()
    started_up()
    started = time.monotonic()
    with Signals(service=False) as signals:
        snapshot = playback.run(signals)
    durations = Durations(started - begun, time.monotonic() - started)
    if stats:
        write_stats(Path(stats), snapshot, durations, settings.sensor.seed, captures)
    if not quiet:
        print_summary(snapshot, durations)
    if signals.stop:
        raise typer.Exit(130 if signals.stop == signal.SIGINT else 0)
    if fail_on is not None and _reached(snapshot, fail_on):
        raise typer.Exit(3)


def _factor(speed: str) -> float | None:
    """Return how many times faster than real time, or None for no pause at all."""
    if speed == "max":
        return None
    try:
        factor = float(speed)
    except ValueError:
        factor = 0.0
    if not 0.001 <= factor <= 1e6:
        raise typer.BadParameter(f"should be max, or a number from 0.001 to 1000000, not {speed!r}")
    return factor


def _reached(snapshot: Snapshot, severity: SeverityName) -> bool:
    """Return whether an alert of `severity` or worse was seen."""
    return any(kind.severity.name.lower() in _at_least(severity) for kind in snapshot.kinds.values())


def _at_least(severity: SeverityName) -> list[str]:
    names = [one.value for one in SeverityName]  # in rising order
    return names[names.index(severity.value) :]
