"""One thread and one bounded queue for each sink.

The thread that makes alerts only ever puts them into the queue; waiting,
retrying and giving up happen here. Alerts leave in the order they came.

Every alert that was put is in exactly one of the counters `queued`, `sent`,
`rejected`, `gave_up`, `dropped_queue_full` and `abandoned_at_close`. An alert
may reach its receiver and still be tried again, when the answer was lost: the
alert's id tells the receiver.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import Literal, TypedDict

from sensor.alert.alert import Alert
from sensor.errors import DeliveryError
from sensor.sinks.backoff import Backoff
from sensor.sinks.sink import Sink

WhenFull = Literal["drop", "block"]

_GRACE_SECS = 2.0  # for the sink to close, after the time for draining is over
_log = logging.getLogger(__name__)


class DeliveryCounters(TypedDict):
    """What became of the alerts; see the module."""

    queued: int  # waiting, the one being sent included
    sent: int  # the receiver has them
    retried: int  # attempts after a first one, not alerts
    rejected: int  # the receiver does not want them
    gave_up: int  # older than `give_up_secs` and still refused
    dropped_queue_full: int
    abandoned_at_close: int
    last_error: str  # empty while there was none


class Delivery:
    """Hands alerts to one sink.

    Parameters
    ----------
    sink
        Closed by this object, when it is closed.
    queue_alerts
        How many alerts may wait.
    retry_base_secs, retry_cap_secs
        Pause after the first failure, at most; and the limit it doubles up to.
    give_up_secs
        An alert that waited this long is tried once more and then counted `gave_up`.
    drain_secs
        How long `close` goes on delivering.
    when_full
        ``drop``: a full queue takes no more, which is counted: live, packets do not
        wait. ``block``: `put` waits, for a replay that is faster than its sink.
    """

    def __init__(  # noqa: PLR0913  (its parameters are keys of the configuration)
        self,
        sink: Sink,
        *,
        queue_alerts: int = 10_000,
        retry_base_secs: float = 1.0,
        retry_cap_secs: float = 300.0,
        give_up_secs: float = 86_400.0,
        drain_secs: float = 10.0,
        when_full: WhenFull = "drop",
    ) -> None:
        self.sink = sink
        self.name = sink.name
        self._limit = queue_alerts
        self._backoff = Backoff(retry_base_secs, retry_cap_secs)
        self._give_up_secs = give_up_secs
        self._drain_secs = drain_secs
        self._blocks = when_full == "block"
        self._queue: deque[tuple[Alert, float]] = deque()  # with the time it was put
        self._changed = threading.Condition()  # guards everything below and the queue
        self._deadline: float | None = None  # set by close()
        self._dead = False
        self._count = DeliveryCounters(
            queued=0,
            sent=0,
            retried=0,
            rejected=0,
            gave_up=0,
            dropped_queue_full=0,
            abandoned_at_close=0,
            last_error="",
        )
        self._thread = threading.Thread(target=self._run, name=f"delivery-{self.name}", daemon=True)
        self._thread.start()

    @property
    def healthy(self) -> bool:
        """False once the thread ended by an error that nobody foresaw."""
        return not self._dead

    def put(self, alert: Alert) -> None:
        """Queue `alert`; never raises, and waits for room only where `when_full` says so."""
        with self._changed:
            if self._blocks:
                self._changed.wait_for(
                    lambda: len(self._queue) < self._limit or self._dead or self._deadline is not None
                )
            if self._deadline is not None:
                self._count["abandoned_at_close"] += 1
            elif len(self._queue) >= self._limit:
                self._count["dropped_queue_full"] += 1
            else:
                self._queue.append((alert, time.monotonic()))
                self._changed.notify_all()

    def counters(self) -> DeliveryCounters:
        """Return what became of the alerts so far."""
        with self._changed:
            counted = self._count.copy()
            counted["queued"] = len(self._queue)
            return counted

    def close(self, drain_secs: float | None = None) -> None:
        """Deliver what is queued, within a limit, count the rest, and close the sink.

        A pause between two attempts ends at once. A send that does not return
        in time is left behind; its alert counts as abandoned, although it may
        still arrive. Closing twice is fine.

        Parameters
        ----------
        drain_secs
            The limit; None for the constructor's.
        """
        limit = self._drain_secs if drain_secs is None else drain_secs
        with self._changed:
            if self._deadline is None:
                self._deadline = time.monotonic() + limit
            self._changed.notify_all()
        self._thread.join(limit + _GRACE_SECS)
        with self._changed:
            left = len(self._queue)
            self._count["abandoned_at_close"] += left
            self._queue.clear()
        if left:
            _log.warning("%s: %d alerts were not delivered before the end", self.name, left)

    def _run(self) -> None:
        try:
            try:
                while (entry := self._next()) is not None:
                    self._deliver(*entry)
            finally:
                self._close_sink()
        except Exception as defect:  # noqa: BLE001  (top of a thread: recorded, and seen in `healthy`)
            self._die(defect)

    def _next(self) -> tuple[Alert, float] | None:
        """Wait for the oldest alert; None when it is time to end. It stays queued until its fate is known."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._deadline is not None)
            return self._queue[0] if self._queue and not self._is_over() else None

    def _deliver(self, alert: Alert, put_at: float) -> None:
        """Try until the alert is sent, refused for good or too old, or closing takes too long."""
        attempt = 0
        while True:
            try:
                self.sink.send(alert)
            except DeliveryError as error:
                self._note(error, attempt)
                if not error.retry:
                    self._settle("rejected")
                    _log.warning("%s: alert %r rejected: %s", self.name, alert.id, error)
                    return
                if time.monotonic() - put_at >= self._give_up_secs:
                    self._settle("gave_up")
                    _log.warning("%s: gave up alert %r: %s", self.name, alert.id, error)
                    return
                if not self._pause(self._backoff.delay_secs(attempt, error.retry_after_secs)):
                    return
                attempt += 1
            else:
                self._settle("sent")
                if attempt:
                    _log.info("%s: delivers again after %d attempts", self.name, attempt + 1)
                return

    def _note(self, error: DeliveryError, attempt: int) -> None:
        with self._changed:
            self._count["last_error"] = str(error)
        if error.retry and attempt == 0:  # once an outage, not once an attempt
            _log.warning("%s: %s; trying again", self.name, error)

    def _settle(self, fate: Literal["sent", "rejected", "gave_up"]) -> None:
        """Take the oldest alert out of the queue into a counter, unless `close` has counted it already."""
        with self._changed:
            if self._queue:
                self._queue.popleft()
                self._count[fate] += 1
                self._changed.notify_all()

    def _pause(self, delay_secs: float) -> bool:
        """Wait before the next attempt; False when it is time to end.

        The first pause that `close` meets ends at once, because the alert may
        get through now; a later one lasts, within the limit.
        """
        with self._changed:
            closing = self._deadline is not None
            if self._deadline is not None:
                delay_secs = min(delay_secs, max(self._deadline - time.monotonic(), 0.0))
            self._changed.wait_for(lambda: not closing and self._deadline is not None, delay_secs)
            if self._is_over():
                return False
            self._count["retried"] += 1
            return True

    def _is_over(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _die(self, defect: Exception) -> None:
        with self._changed:
            self._dead = True
            self._count["last_error"] = f"{type(defect).__name__}: {defect}"
            self._changed.notify_all()
        _log.error("%s: the delivery thread ended", self.name, exc_info=defect)

    def _close_sink(self) -> None:
        try:
            self.sink.close()
        except OSError as error:  # e.g. the disk refused the last fsync
            with self._changed:
                self._count["last_error"] = f"closing: {error.strerror}"
            _log.error("%s: closing: %s", self.name, error.strerror)
