"""Alerts on standard output, written by the loop itself and not by a thread.

A reader that went away then ends the program, as in every Unix pipeline, and
lines never cross a progress bar.
"""

from __future__ import annotations

from collections.abc import Callable

from sensor.alert.alert import Alert
from sensor.errors import DeliveryError, SensorError
from sensor.sinks.sink import Sink


class ReaderGoneError(SensorError):
    """Nobody reads standard output any more: the program ends like others do after SIGPIPE."""

    exit_code = 141  # 128 + SIGPIPE


class Printer:
    """Hands alerts to `sink` at once.

    Parameters
    ----------
    sink
        One that writes to standard output.
    before
        Called before each alert; a progress bar clears its line here.
    """

    def __init__(self, sink: Sink, before: Callable[[], None] = lambda: None) -> None:
        self.name = sink.name
        self._sink = sink
        self._before = before
        self._sent = 0

    def put(self, alert: Alert) -> None:
        """Write `alert`.

        Raises
        ------
        ReaderGoneError
            Nobody reads standard output any more.
        DeliveryError
            It cannot be written to for another reason.
        """
        self._before()
        try:
            self._sink.send(alert)
        except DeliveryError as error:
            if isinstance(error.__cause__, BrokenPipeError):
                raise ReaderGoneError("standard output was closed") from error
            raise
        self._sent += 1

    def counters(self) -> dict[str, int]:
        """Return how many alerts were written."""
        return {"sent": self._sent}

    def close(self) -> None:
        """Close the sink."""
        self._sink.close()
