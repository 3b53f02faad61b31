"""Options that several sub-commands share."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer


class SeverityName(enum.StrEnum):
    """What ``--fail-on`` takes."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


#: As `metavar`: typer would show ``<bool>`` where an option takes no value.
FLAG = ""

ConfigFile = Annotated[
    Path | None,
    typer.Option("-c", "--config", envvar="SENSOR_CONFIG", help="Configuration (YAML). None: the defaults."),
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set one key, such as flow.capacity=500000; repeatable."),
]
Interface = Annotated[
    str | None, typer.Option("-i", "--interface", metavar="NAME", help="Interface with the mirrored traffic.")
]
Filter = Annotated[
    str | None, typer.Option("-F", "--bpf", metavar="FILTER", help="Capture filter, as for tcpdump.")
]
Seed = Annotated[int | None, typer.Option("--seed", min=0, metavar="N", help="Seed of every random choice.")]
Workers = Annotated[
    int, typer.Option("--workers", min=1, max=16, metavar="N", help="Threads that meter flows; 1: none.")
]
Json = Annotated[
    bool, typer.Option("--json", metavar=FLAG, help="JSON on standard output, one object a line.")
]
Quiet = Annotated[
    bool, typer.Option("-q", "--quiet", metavar=FLAG, help="No progress, no summary; errors only.")
]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", metavar=FLAG, help="Log details.")]
Captures = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE", help="pcap or pcapng, plain or compressed (.gz, .zst); - is standard input."
    ),
]


def log_level(configured: str, *, quiet: bool, verbose: bool) -> str:
    """Return the log level that the options leave."""
    if quiet:
        return "error"
    return "debug" if verbose else configured
