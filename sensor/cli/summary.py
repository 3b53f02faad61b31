"""What a replay came to: for people on standard error, for programs in a file."""

from __future__ import annotations

import json
import resource
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

import sensor
from sensor.alert.alert import Model
from sensor.errors import SensorError
from sensor.telemetry import Snapshot, losses, packets_per_second

_NANOSECONDS = 1_000_000_000


class Durations(NamedTuple):
    """How long it took, in seconds: to load or compile the kernels, and then to run."""

    start_up: float
    run: float


def print_summary(snapshot: Snapshot, durations: Durations) -> None:
    """Write the summary to standard error."""
    console = Console(stderr=True, highlight=False)
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column()
    for name, text in _rows(snapshot, durations):
        grid.add_row(name, text)
    console.print()
    console.print(grid)


def write_stats(
    path: Path, snapshot: Snapshot, durations: Durations, seed: int, captures: Sequence[str]
) -> None:
    """Write all counters to `path` as one JSON object.

    Everything outside ``run`` depends on the packets, the configuration and
    the seed only; ``run`` is about this machine and this time.

    Raises
    ------
    SensorError
        The file cannot be written.
    """
    report = {
        "version": sensor.__version__,
        "seed": seed,
        "captures": list(captures),
        **snapshot.as_dict(),
        "run": {
            "start_up_seconds": round(durations.start_up, 3),
            "seconds": round(durations.run, 3),
            "packets_per_second": round(packets_per_second(None, snapshot, durations.run)),
            "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        },
    }
    try:
        path.write_text(json.dumps(report, indent=2, sort_keys=True) + "\n")
    except OSError as error:
        raise SensorError(f"{path}: {error.strerror}") from error


def _rows(snapshot: Snapshot, durations: Durations) -> list[tuple[str, str]]:
    status = snapshot.status
    span = max(status.last - status.first, 0) / _NANOSECONDS
    rate = packets_per_second(None, snapshot, durations.run)
    rows = [
        ("packets", f"{snapshot.packets:,} ({snapshot.bytes:,} bytes) over {span:,.1f} s of capture"),
        (
            "speed",
            f"{rate:,.0f} packets/s in {durations.run:.1f} s, after {durations.start_up:.1f} s of start-up",
        ),
        ("flows", f"{snapshot.stages.get('flow', {}).get('flows_started', 0):,}"),
        ("hosts", f"{status.hosts:,}"),
    ]
    rows += [(f"{name} model", _model(model)) for name, model in status.models.items()]
    lost = [f"{name} {count:,}" for name, count in losses(snapshot).items()]
    rows.append(("lost", "\n".join(lost) or "nothing"))
    kinds = snapshot.kinds.values()
    incidents = sum(kind.incidents for kind in kinds)
    rows.append(("alerts", f"{_count(snapshot.alerts, 'message')} about {_count(incidents, 'incident')}"))
    for kind in kinds:
        counts = f"{_count(kind.incidents, 'incident')}, {_count(kind.messages, 'message')}"
        rows.append(("", f"{kind.severity.name.lower():<9}{kind.name}: {counts}"))
    return rows


def _model(model: Model) -> str:
    return f"{model.state}, {model.trained_rows:,} rows learned, generation {model.generation}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
