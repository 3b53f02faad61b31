"""`sensor flows`: capture files to flow records."""

from __future__ import annotations

import typer

from sensor.cli.options import Captures, ConfigFile, Quiet, Seed, Sets


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

    The same flow table as in run and replay, without any model. Parquet needs pyarrow, the extra
    called export.

    [bold]Examples[/bold]

      sensor flows capture.pcap | head

      sensor flows capture.pcap -o flows.parquet

      sensor flows capture.pcap --set flow.idle_timeout_secs=15 -o flows.csv
    """
