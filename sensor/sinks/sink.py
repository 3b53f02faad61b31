"""What every sink looks like to `Delivery`."""

from __future__ import annotations

from typing import Protocol

from sensor.alert.alert import Alert


class Sink(Protocol):
    """One destination of alerts."""

    #: Shown in counters and logs.
    name: str

    def send(self, alert: Alert) -> None:
        """Deliver `alert`; return when the receiver has it.

        Raises
        ------
        DeliveryError
            The receiver did not take it; `retry` says whether to try again.
        """
        ...

    def close(self) -> None:
        """Flush and give back files and sockets."""
        ...
