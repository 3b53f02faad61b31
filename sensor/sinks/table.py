"""Alerts for people, on standard output: a coloured table in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import textwrap
from typing import NamedTuple

from rich.console import Console
from rich.text import Text

from sensor.alert.alert import Alert, Observer
from sensor.errors import DeliveryError
from sensor.formats import text
from sensor.sinks.jsonl import write_stdout

_STYLE = {"LOW": "cyan", "MEDIUM": "yellow", "HIGH": "red", "CRITICAL": "bold white on red"}
_TIME_WIDTH = 19  # to the second, which is enough to look at


class _Layout(NamedTuple):
    """Which of `text.cells` are columns, how they are headed, and how wide they are.

    The message comes last and takes what is left of the line; a cell that is
    longer than its column moves its own line only.
    """

    cells: tuple[int, ...]
    headings: tuple[str, ...]
    widths: tuple[int, ...]

    @property
    def indent(self) -> int:
        """Return where the message begins."""
        return sum(self.widths) + len(self.widths)


#: Where the message has `_LEAST_MESSAGE` columns beside the rest; address and port of IPv4 fit.
_WIDE = _Layout(
    (0, 1, 2, 3, 4, 5),
    ("time (UTC)", "severity", "kind", "source", "destination", "message"),
    (_TIME_WIDTH, 8, 18, 21, 21),
)
#: Elsewhere: the message says the kind and the hosts in words.
_NARROW = _Layout((0, 1, 5), ("time (UTC)", "severity", "message"), (_TIME_WIDTH, 8))
_LEAST_MESSAGE = 50


class Table:
    """Standard output.

    In a terminal each alert is a row of a table, with its message wrapped to
    the terminal's width; ``NO_COLOR`` takes the colours away. Elsewhere it is
    one line of plain text.

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
        self._layout: _Layout | None = None  # chosen when the headings are written

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
            if self._layout is None:
                self._layout = _fitting(self._console.width)
                headings = _aligned(self._layout.headings, self._layout)
                self._console.print(Text(headings, style="bold"), soft_wrap=True)
            self._console.print(_row(alert, self._layout, self._console.width), soft_wrap=True)
        except OSError as error:
            raise DeliveryError(f"standard output: {error.strerror}", retry=False) from error

    def close(self) -> None:
        """Do nothing: every line is out already, and standard output is not ours to close."""


def _fitting(width: int) -> _Layout:
    return _WIDE if width >= _WIDE.indent + _LEAST_MESSAGE else _NARROW


def _row(alert: Alert, layout: _Layout, width: int) -> Text:
    """Return the alert's row; `Text` takes cells literally, where markup would let them style it."""
    time, *others = text.cells(alert)
    cells = (time[:_TIME_WIDTH].replace("T", " "), *others)
    *shown, message = (cells[number] for number in layout.cells)
    first, *further = textwrap.wrap(message, max(width - layout.indent, _LEAST_MESSAGE)) or [""]
    indent = " " * layout.indent
    row = Text("\n".join([_aligned((*shown, first), layout), *(indent + line for line in further)]))
    start = _TIME_WIDTH + 1
    row.stylize(_STYLE[cells[1]], start, start + len(cells[1]))
    row.stylize("dim", 0, _TIME_WIDTH)
    return row


def _aligned(cells: tuple[str, ...], layout: _Layout) -> str:
    *columns, message = cells
    return "".join(f"{cell:<{width}} " for cell, width in zip(columns, layout.widths, strict=True)) + message
