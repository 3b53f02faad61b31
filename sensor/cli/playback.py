"""One replay: its source, its outlets, and what is shown while it runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sensor.alert.alert import Observer
from sensor.app import observer, run_replay, start_deliveries
from sensor.cli.output import standard_output
from sensor.cli.progress import Progress
from sensor.config.models import Config
from sensor.errors import CaptureError, SensorError
from sensor.line import Outlet
from sensor.signals import Signals
from sensor.sinks.settings import JsonlSettings
from sensor.sources.capture_file import CaptureFiles
from sensor.sources.paced import Paced
from sensor.sources.source import Source
from sensor.telemetry import Snapshot
from sensor.warm_up import kernels_are_kept, warm_up


@dataclass(frozen=True, slots=True)
class Playback:
    """What a replay was asked to do.

    Parameters
    ----------
    config
        Validated.
    captures
        File names; ``-`` is standard input.
    factor
        How many times faster than real time; None for no pause at all.
    output
        File for alerts as JSON lines, written anew; empty for none.
    send
        Whether the configuration's sinks get the alerts too.
    as_json
        Alerts on standard output as JSON lines instead of a table.
    quiet
        No progress.
    """

    config: Config
    captures: Sequence[str]
    factor: float | None
    output: str
    send: bool = field(kw_only=True)
    as_json: bool = field(kw_only=True)
    quiet: bool = field(kw_only=True)

    def prepare(self) -> None:
        """Load the kernels, or compile them, and then say why nothing is to be seen yet."""
        if not self.quiet and not kernels_are_kept():
            _say("compiling kernels for this machine: this takes a minute or two, once")
        warm_up(self.config.engine_settings())

    def run(self, signals: Signals) -> Snapshot:
        """Play everything and return the last counters.

        Raises
        ------
        SensorError
            No file could be read, or an output cannot be opened.
        """
        files = CaptureFiles(self.captures)
        source: Source = files if self.factor is None else Paced(files, self.factor)
        progress = Progress(files.progress, shown=not self.quiet)
        # Not the file's name: the same packets give the same bytes, however they are cut into files.
        seen_at = self.config.capture.interface or "replay"
        outlets = self._outlets(observer(self.config, seen_at), progress)
        told = False
        try:
            return run_replay(
                self.config, source, outlets, signals, lambda line: progress.update(line.packets)
            )
        except CaptureError:
            told = True  # the error names every file and what is wrong with it
            raise
        finally:
            progress.clear()
            for damage in () if told else files.warnings:
                _say(f"warning: {damage}")

    def _outlets(self, seen_by: Observer, progress: Progress) -> list[Outlet]:
        """Return where alerts go; a full queue makes the replay wait, so that none is lost."""
        outlets: list[Outlet] = [standard_output(seen_by, as_json=self.as_json, before=progress.clear)]
        if self.send:
            outlets += start_deliveries(self.config, seen_by, "block")
        if self.output:
            try:
                Path(self.output).write_bytes(b"")
            except OSError as error:
                raise SensorError(f"{self.output}: {error.strerror}") from error
            settings = JsonlSettings(type="jsonl", name="output", path=self.output)
            outlets.append(settings.delivery.build(settings.build(seen_by), "block"))
        return outlets


def _say(text: str) -> None:
    print(f"sensor: {text}", file=sys.stderr, flush=True)  # noqa: T201  (this is the command line)
