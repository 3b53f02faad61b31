"""How far a replay is: a bar in a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.text import Text

_REDRAW_SECS = 0.2
_LINE_SECS = 10.0  # where there is no terminal
_BAR_WIDTH = 30
_LEAST_BAR_WIDTH = 5
_ERASE_LINE = "\r\x1b[2K"


class Progress:
    """Shows progress on standard error.

    Alerts go to standard output meanwhile, often to the same terminal: so this
    is one line that is erased before each of them, not a live display.

    Parameters
    ----------
    position
        Gives the bytes read and the bytes there are; 0 when that is unknown.
    shown
        False for no output at all.
    """

    def __init__(self, position: Callable[[], tuple[int, int]], *, shown: bool) -> None:
        self._position = position
        self._console = Console(stderr=True, highlight=False)
        self._shown = shown
        self._drawn = False
        self._started = time.monotonic()
        self._due = self._started + (_REDRAW_SECS if self._console.is_terminal else _LINE_SECS)

    def update(self, packets: int) -> None:
        """Show how far it is after so many packets, when it is time to."""
        now = time.monotonic()
        if not self._shown or now < self._due:
            return
        done, total = self._position()
        seconds = now - self._started
        figures = _figures(packets, seconds, done, total)
        if self._console.is_terminal:
            self._due = now + _REDRAW_SECS
            self.clear()
            # One line and no more: what wraps could not be erased. The last column
            # stays free, because some terminals go on to the next line there.
            room = self._console.width - 1
            bar = min(_BAR_WIDTH, room - len(figures) - 1)
            if total and bar >= _LEAST_BAR_WIDTH:
                self._console.print(ProgressBar(total, min(done, total), width=bar), end="")
                figures = f" {figures}"
            self._console.print(Text(figures[:room]), end="", soft_wrap=True)
            self._drawn = True
        else:
            self._due = now + _LINE_SECS
            print(figures, file=sys.stderr, flush=True)  # noqa: T201  (this is the command line)

    def clear(self) -> None:
        """Erase the bar, so that a line can be written where it was."""
        if self._drawn:
            self._console.file.write(_ERASE_LINE)
            self._console.file.flush()
            self._drawn = False


def _figures(packets: int, seconds: float, done: int, total: int) -> str:
    """Return ``45 %, 1,200,000 packets, 800,000 packets/s, 12 s left``."""
    rate = packets / seconds if seconds > 0 else 0.0
    parts = [f"{packets:,} packets", f"{rate:,.0f} packets/s"]
    if total and done:
        parts.insert(0, f"{100 * min(done / total, 1):.0f} %")
        parts.append(f"{seconds * max(total - done, 0) / done:,.0f} s left")
    return ", ".join(parts)
