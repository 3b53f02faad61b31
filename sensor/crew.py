"""The engine on several cores: meterings that share the flows among them, and one detection.

Every metering thread decodes the whole batch and meters the flows whose keyed
hash is its own; kernels hold no lock, so they run at once. Detection sees the
packets in their order with the events of all, as it would with one: what is
found does not depend on how many there are. While batch n is metered, batch
n - 1 is judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial

import numpy as np

from sensor.alert.alert import Alert
from sensor.alert.health import Sight
from sensor.detection import Detection
from sensor.engine import EngineStatus
from sensor.flow.share import join_events
from sensor.metering import Metering, Observed, Part, WindowEnd
from sensor.packet.batch import PacketBatch
from sensor.packet.claim import claim_rows
from sensor.settings import EngineSettings

#: Nobody judges claims.
_NO_CLAIMS = claim_rows(0)


class Crew:
    """An `Engine` with threads. Alerts come one batch later; `flush` gives the last ones.

    Parameters
    ----------
    settings, key
        As for `Engine`.
    workers
        Metering threads, 2 or more.
    """

    def __init__(self, settings: EngineSettings, key: tuple[int, int], workers: int) -> None:
        self._meterings = [Metering(settings, key, share=(number, workers)) for number in range(workers)]
        self._slots = self._meterings[0].capacity
        self._detection = Detection(settings, key, flow_slots=workers * self._slots)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="metering")
        self._waiting: list[Part] = []
        self._heard: tuple[int, int, int] | None = None  # of the batch that waits: what `see` takes

    def process(self, batch: PacketBatch) -> list[Alert]:
        """Take in a batch, and return the alerts of the batch before it."""
        alerts = self._turn([partial(metering.take, batch) for metering in self._meterings])
        self._heard = len(batch.frames), batch.lost, batch.now
        return alerts

    def flush(self) -> list[Alert]:
        """End all flows and the current window: the input is over."""
        try:
            alerts = self._turn([metering.flush for metering in self._meterings])
            return alerts + self._detection.flush() + self._judge()
        finally:
            self._pool.shutdown()

    def counters(self) -> dict[str, dict[str, int]]:
        """Return what each stage counted, by stage; the meters' counts are added up."""
        metered = [metering.counters() for metering in self._meterings]
        flow = {name: sum(one["flow"][name] for one in metered) for name in metered[0]["flow"]}
        stages = {"packet": metered[0]["packet"], "flow": flow}
        detected = self._detection.counters()
        return {stage: {**stages.get(stage, {}), **detected.get(stage, {})} for stage in stages | detected}

    def status(self) -> EngineStatus:
        """Return times, sizes and the models' states."""
        return EngineStatus(
            first=self._meterings[0].first,
            last=self._meterings[0].latest,
            active_flows=sum(metering.active for metering in self._meterings),
            hosts=self._detection.hosts,
            models=self._detection.models,
        )

    def _turn(self, takes: Sequence[Callable[[], Iterator[Part]]]) -> list[Alert]:
        """Let all meterings work on the next batch, and judge the one before meanwhile."""
        working: list[Future[list[Part]]] = [self._pool.submit(_gather, take) for take in takes]
        try:
            alerts = self._judge()
        finally:
            wait(working)  # the batch is borrowed: none may go on with it, even if another failed
        parts = [future.result() for future in working]
        self._waiting = list(_join(parts, self._slots))
        return alerts

    def _judge(self) -> list[Alert]:
        waiting, self._waiting = self._waiting, []
        heard, self._heard = self._heard, None
        alerts = [alert for part in waiting for alert in self._detection.take(part)]
        return alerts + self._detection.see(*heard) if heard else alerts


def _gather(take: Callable[[], Iterator[Part]]) -> list[Part]:
    """Return all parts with arrays of their own, those of one stretch of packets as one.

    Packets stay borrowed: the decoder has a second buffer for the next batch.
    """
    gathered: list[Part] = []
    stretch: list[Observed] = []
    for part in take():
        if isinstance(part, WindowEnd):
            gathered += [_one(stretch), part] if stretch else [part]
            stretch = []
        else:
            owned = part._replace(events=part.events.copy(), flows=part.flows.copy(), claims=_NO_CLAIMS)
            stretch.append(owned)
    return [*gathered, _one(stretch)] if stretch else gathered


def _one(stretch: list[Observed]) -> Observed:
    first = stretch[0]
    if len(stretch) == 1:
        return first
    packets = [part.packets for part in stretch if len(part.packets)]
    return first._replace(
        packets=np.concatenate(packets) if len(packets) > 1 else (packets or [first.packets])[0],
        events=np.concatenate([part.events for part in stretch]),
        flows=np.concatenate([part.flows for part in stretch]),
    )


def _join(parts: list[list[Part]], slots: int) -> Iterator[Part]:
    """Yield the meterings' parts as one sequence: a window's packets once, with all events, then its end."""
    queues = [list(reversed(some)) for some in parts]
    while any(queues):
        window = min(queue[-1].window for queue in queues if queue)
        observed = [
            (number, queue.pop())
            for number, queue in enumerate(queues)
            if queue and queue[-1].window == window and isinstance(queue[-1], Observed)
        ]
        if observed:
            yield _merged([(number, part) for number, part in observed if isinstance(part, Observed)], slots)
            continue
        popped = [queue.pop() for queue in queues if queue and queue[-1].window == window]
        yield _end([part for part in popped if isinstance(part, WindowEnd)])


def _end(ends: list[WindowEnd]) -> WindowEnd:
    """Return the end of one window; all have decoded the same packets, and metered some of them."""
    counts = (sum(values) for values in zip(*(end.sight for end in ends), strict=True))
    sight = Sight(*counts)._replace(
        **{name: getattr(ends[0].sight, name) for name in ("packets", "duplicates", "suppressing")}
    )
    return WindowEnd(ends[0].window, min(end.following for end in ends), sight, ends[0].sampling)


def _merged(observed: list[tuple[int, Observed]], slots: int) -> Observed:
    """Return one stretch of packets with the events of all meterings, and their records by due time."""
    first = observed[0][1]
    events = first.events
    for number, part in observed[1:]:
        join_events(events, part.events, number * slots)
    flows = np.concatenate([part.flows for _, part in observed])
    return first._replace(events=events, flows=flows[np.argsort(flows["exported"], kind="stable")])
