"""Alerts on standard output: a table for people, or JSON lines."""

from __future__ import annotations

from collections.abc import Callable

from sensor.alert.alert import Observer
from sensor.printer import Printer
from sensor.sinks.settings import JsonlSettings, TableSettings

_STANDARD_OUTPUT = "-"


def standard_output(
    seen_by: Observer, *, as_json: bool, before: Callable[[], None] = lambda: None
) -> Printer:
    """Return what writes alerts to standard output; `before` is called ahead of each."""
    settings: JsonlSettings | TableSettings = TableSettings(type="table", name="standard-output")
    if as_json:
        settings = JsonlSettings(type="jsonl", name="standard-output", path=_STANDARD_OUTPUT)
    return Printer(settings.build(seen_by), before)
