"""`sensor flows`: capture files to flow records."""

from __future__ import annotations

import signal
from pathlib import Path

import typer

from sensor.cli.options import Captures, ConfigFile, Quiet, Seed, Sets
from sensor.cli.started import started_up
from sensor.errors import CaptureError
from sensor.printer import ReaderGoneError

_STANDARD_OUTPUT = Path("/dev/stdout")


def flows(
    captures: Captures,
    *,
    config: ConfigFile = None,
    output: str = typer.Option(
        "-", "-o", "--output", metavar="FILE", help="Ends in .jsonl, .csv or .parquet; - is JSONL on stdout."
    ),
    sets: Sets = None,
    seed: Seed = None,
    quiet: Quiet = False,
) -> None:
    """Write the bidirectional flows of capture files, one record a flow.

    The same flow table as in run and replay, without any model. Parquet needs
    pyarrow, the extra called export.

    [bold]Examples[/bold]

      sensor flows capture.pcap | head

      sensor flows capture.pcap -o flows.parquet

      sensor flows capture.pcap --set flow.idle_timeout_secs=15 -o flows.csv
    """
    from sensor.app import repeatable_key
    from sensor.archive.writer import JsonLinesWriter, open_writer
    from sensor.cli.progress import Progress
    from sensor.cli.settings import read_config
    from sensor.export import FlowExport
    from sensor.signals import Signals
    from sensor.sources.capture_file import CaptureFiles

    settings = read_config(config, sets, seed=seed)
    files = CaptureFiles(captures)
    export = FlowExport(files, settings.engine_settings(), repeatable_key(settings.sensor.seed))
    writer = JsonLinesWriter(_STANDARD_OUTPUT) if output == "-" else open_writer(Path(output))
    progress = Progress(files.progress, shown=not quiet and output != "-")

    def after_batch() -> bool:
        progress.update(export.packets)
        return not signals.stop

    started_up()
    told = False
    try:
        with Signals(service=False) as signals:
            export.run(writer, after_batch)
        writer.close()
    except CaptureError:
        told = True  # the error names every file and what is wrong with it
        raise
    except BrokenPipeError as error:
        raise ReaderGoneError("standard output was closed") from error
    finally:
        progress.clear()
        for damage in () if told else files.warnings:
            typer.echo(f"sensor: warning: {damage}", err=True)
    if not quiet:
        typer.echo(
            f"{export.packets:,} packets, {export.counters()['flow']['flows_started']:,} flows", err=True
        )
    if signals.stop:
        raise typer.Exit(130 if signals.stop == signal.SIGINT else 0)
