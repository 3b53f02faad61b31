"""Alerts for people, on standard output: a coloured table in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.text import Text

from sensor.alert.alert import Alert, Observer
from sensor.errors import DeliveryError
from sensor.formats import text
from sensor.sinks.jsonl import write_stdout

_STYLE = {"LOW": "cyan", "MEDIUM": "yellow", "HIGH": "red", "CRITICAL": "bold white on red"}
_HEADINGS = ("time (UTC)", "severity", "kind", "source", "destination", "message")
_WIDTHS = (23, 8, 18, 21, 21, 0)  # address and port of IPv4 fit; a longer cell moves its own line only


class Table:
    """Standard output.

    In a terminal each alert is a line of a table; ``NO_COLOR`` takes its
    colours away. Elsewhere it is a line of plain text.

    Parameters
    ----------
    observer
        Shown in plain lines.
    name
        Shown in counters and logs.
    """

    def __init__(self, *, observer: Observer, name: str = "table") -> None:
        self.name = name
        self._observer = observer
        self._console = Console(file=sys.stdout, highlight=False) if sys.stdout.isatty() else None
        self._headed = False

    def send(self, alert: Alert) -> None:
        """Print the alert.

        Raises
        ------
        DeliveryError
            Nobody reads standard output any more.
        """
        if self._console is None:
            write_stdout(text.render(alert, self._observer) + b"\n")
            return
        try:
            if not self._headed:
                self._headed = True
                self._console.print(Text(_aligned(_HEADINGS), style="bold"), soft_wrap=True)
            self._console.print(_row(alert), soft_wrap=True)
        except OSError as error:
            raise DeliveryError(f"standard output: {error.strerror}", retry=False) from error

    def close(self) -> None:
        """Do nothing: every line is out already, and standard output is not ours to close."""


def _row(alert: Alert) -> Text:
    """Return the alert's line; `Text` takes cells literally, where markup would let them style it."""
    time, severity, *others = text.cells(alert)
    shown = (time[:23].replace("T", " "), severity, *others)  # milliseconds are enough to look at
    row = Text(_aligned(shown))
    start = _WIDTHS[0] + 1
    row.stylize(_STYLE[severity], start, start + len(severity))
    row.stylize("dim", 0, _WIDTHS[0])
    return row


def _aligned(cells: tuple[str, ...]) -> str:
    return " ".join(cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=True))
