"""Unix signals as flags that the loop looks at between two batches.

A handler only notes what was asked for; work is done where the state is whole.
"""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Self

_STOP = (signal.SIGINT, signal.SIGTERM)
_SERVICE = (signal.SIGHUP, signal.SIGUSR1)


class Signals:
    """Notes signals between ``with`` and its end.

    Parameters
    ----------
    service
        Whether SIGHUP means "reload" and SIGUSR1 "statistics". A replay leaves
        both to their defaults.
    """

    def __init__(self, *, service: bool) -> None:
        #: The signal that asked for the end; 0 while none did.
        self.stop = 0
        self._noted: set[int] = set()
        self._signals = (*_STOP, *_SERVICE) if service else _STOP
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        """Put the handlers in place (main thread only)."""
        for number in self._signals:
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put back what was there."""
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal() returned

    def take(self, number: signal.Signals) -> bool:
        """Return whether `number` came since it was last asked for."""
        if number not in self._noted:
            return False
        self._noted.discard(number)
        return True

    def _note(self, number: int, _frame: FrameType | None) -> None:
        """Remember `number`; a second request to stop does not wait for the loop."""
        if number not in _STOP:
            self._noted.add(number)
            return
        if self.stop:
            raise KeyboardInterrupt
        self.stop = number
