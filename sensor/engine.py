"""The heart: packets in, alerts out. No I/O, no clock, no threads.

Time is cut into windows of packet time, aligned to the epoch. Flows and hosts
are scored when a window ends, in the order in which they ended and first acted;
so neither the cuts between batches nor idle ticks can be seen in the result:
``process(a + b)`` gives what ``process(a)`` and ``process(b)`` give.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sensor.alert.alert import Alert, Model, ModelState
from sensor.alert.policy import Policy, Scored
from sensor.feature.extractor import Extractor
from sensor.feature.flow import FlowEnds, FlowRows
from sensor.feature.row import HostWindow
from sensor.feature.schema import FLOW_FEATURES, HOST_FEATURES, groups, names
from sensor.flow.community_id import address_bytes, community_id_of
from sensor.flow.meter import Meter
from sensor.flow.record import Flows
from sensor.model.ensemble import Ensemble
from sensor.model.scores import Screened
from sensor.model.settings import Settings
from sensor.packet.batch import Bytes, PacketBatch
from sensor.packet.columns import Packets
from sensor.packet.decode import Decoder
from sensor.settings import EngineSettings, ModelSettings

_NS = 1_000_000_000
#: Rows the decoder starts with; sources' usual batch.
_BATCH_ROWS = 16_384
#: Flow records scored at a time, at most.
_FLOW_ROWS = 65_536
#: Link types that are named in the counters: a capture can claim thousands.
_MOST_LINK_TYPES = 8
#: A flow this rare is odd; how many odd flows are too many is the host model's to say.
_ODD_P = 1e-3
#: The rarity beyond which a value on this network is unexpected, for the words.
_EXPECTED_P = 1e-3


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """What the engine knows about itself. Times are ns since the epoch, 0 before the first packet."""

    first: int
    last: int
    active_flows: int
    hosts: int
    models: dict[str, Model]


class Engine:
    """Turns batches of packets into alerts.

    Parameters
    ----------
    settings
        All that decides the result, beside the packets.
    key
        128-bit secret of the hash tables, as two words. Live it must be random;
        in replay it follows from the seed, so that evictions repeat too.
    """

    def __init__(self, settings: EngineSettings, key: tuple[int, int]) -> None:
        feature, flow = settings.feature, settings.flow
        self._settings = settings
        self._decoder = Decoder(_BATCH_ROWS)
        self._meter = Meter(
            capacity=flow.capacity,
            idle_timeout_secs=flow.idle_timeout_secs,
            unanswered_timeout_secs=flow.unanswered_timeout_secs,
            active_timeout_secs=flow.active_timeout_secs,
            linger_secs=flow.linger_secs,
            vlan_in_key=flow.vlan_in_key,
            key=key,
        )
        self._extractor = Extractor(feature, flow.capacity, key)
        self._policy = Policy(settings.alert, settings.seed, feature.window_secs, _community_id)
        self._flow_model = _ensemble(settings.model, settings.seed, FLOW_FEATURES)
        self._host_model = _ensemble(settings.model, settings.seed + 1, HOST_FEATURES)
        self._window = int(feature.window_secs * _NS)
        self._boundary = 0  # end of the current window; 0 before the first packet
        self._first = 0
        self._flows = FlowRows(_FLOW_ROWS)
        self._odd: list[FlowEnds] = []
        self._windows = 0
        self._odd_flows = 0
        self._lessons_left_out = 0

    def process(self, batch: PacketBatch) -> list[Alert]:
        """Take in a batch and return the alerts of the windows it ended."""
        packets = self._decoder.decode(batch)
        times = packets["time"]
        alerts: list[Alert] = []
        begin = 0
        while begin < len(packets):
            time = int(times[begin])
            if self._boundary == 0:
                self._first = time
                self._start(time)
            alerts += self._advance(time)
            # Times stand far apart in memory: look at them all only where the window ends among them.
            end = int(np.searchsorted(times, self._boundary)) if times[-1] >= self._boundary else len(packets)
            self._observe(packets[begin:end], batch.data)
            begin = end
        if self._boundary:
            self._decoder.advance(batch.now)
            alerts += self._advance(batch.now)
        return alerts

    def flush(self) -> list[Alert]:
        """End all flows and the current window: the input is over."""
        if self._boundary == 0:
            return []
        for flows in self._meter.flush():
            self._keep(flows)
        return self._close()

    def counters(self) -> dict[str, dict[str, int]]:
        """Return what each stage counted, by stage."""
        return {
            "packet": {**self._decoder.counters(), **self._unknown_link_types()},
            "flow": {**self._meter.counters(), "one_way": self._flows.one_way, "odd": self._odd_flows},
            "feature": {**self._extractor.counters(), "windows": self._windows},
            "model": {
                "lessons_left_out": self._lessons_left_out,
                **{f"flow_{name}": count for name, count in self._flow_model.counters().items()},
                **{f"host_{name}": count for name, count in self._host_model.counters().items()},
            },
            "alert": self._policy.counters(),
        }

    def status(self) -> EngineStatus:
        """Return times, sizes and the models' states."""
        return EngineStatus(
            first=self._first,
            last=self._decoder.latest,
            active_flows=self._meter.active,
            hosts=self._extractor.hosts,
            models={"flow": _model(self._flow_model), "host": _model(self._host_model)},
        )

    def _unknown_link_types(self) -> dict[str, int]:
        """Return frames by link type that cannot be decoded, the most frequent ones."""
        types = sorted(self._decoder.unknown_link_types().items(), key=lambda item: (-item[1], item[0]))
        return {f"error_unknown_link_type_{number}": count for number, count in types[:_MOST_LINK_TYPES]}

    def _start(self, time: int) -> None:
        """Begin the window that `time` lies in."""
        index = time // self._window
        self._boundary = (index + 1) * self._window
        self._extractor.start(index)

    def _advance(self, time: int) -> list[Alert]:
        """Close every window that ended at or before `time`."""
        alerts: list[Alert] = []
        while self._boundary <= time:
            alerts += self._close()
            # With nothing open, windows without packets change nothing: go to the one at hand.
            if self._meter.active == 0 and self._policy.quiet:
                self._start(max(time, self._boundary))
            else:
                self._start(self._boundary)
        return alerts

    def _observe(self, packets: Packets, data: Bytes) -> None:
        for observation in self._meter.observe(packets, data):
            self._extractor.observe(observation.packets, observation.events)
            self._keep(observation.flows)

    def _keep(self, flows: Flows) -> None:
        """Keep the records' rows until the window ends, or until there is a full chunk of them."""
        while len(flows):
            flows = self._flows.take(flows)
            if self._flows.is_full:
                self._score_flows()

    def _score_flows(self) -> None:
        """Score the flows kept and learn the ordinary ones."""
        x, ends = self._flows.empty()
        if not len(x):
            return
        seen = self._flow_model.screen(x, _ODD_P)
        teaches = ~(self._is_involved(ends["src_lo"]) | self._is_involved(ends["dst_lo"]))
        self._flow_model.learn(x, seen, self._lessons(teaches))
        odd = ends[seen.p <= _ODD_P]
        self._odd.append(odd)
        self._odd_flows += len(odd)

    def _close(self) -> list[Alert]:
        """End the current window: score its flows and hosts, judge, learn."""
        for flows in self._meter.advance(self._boundary):
            self._keep(flows)
        self._score_flows()
        for odd in self._odd:
            self._extractor.mark_odd(odd)
        self._odd.clear()
        closed = self._extractor.close()
        self._windows += 1
        seen = self._host_model.screen(closed.x, self._settings.model.gate_p)
        alerts, suspicious = self._judge(closed, seen)
        teaches = (closed.rows["teaches"] > 0) & ~suspicious & ~self._is_involved(closed.rows["lo"])
        self._host_model.learn(closed.x, seen, self._lessons(teaches))
        self._extractor.learn(closed, teaches & (seen.p > self._settings.model.gate_p))
        return alerts

    def _judge(self, closed: HostWindow, seen: Screened) -> tuple[list[Alert], npt.NDArray[np.bool_]]:
        """Return the window's alerts, and which of its rows were suspicious (n,); most rows cannot be."""
        rows = self._policy.candidates(closed)
        scores = self._host_model.detail(closed.x, seen, rows)
        scored = Scored(
            p_values=scores.p,
            detector_p=scores.p_by_detector,
            detector_scores=scores.score_by_detector,
            detectors=scores.names,
            feature_p=scores.feature_p,
            expected=self._host_model.expected_upper(_EXPECTED_P),
            model=_model(self._host_model),
        )
        candidates = HostWindow(closed.rows[rows], closed.x[rows], closed.usual[rows], closed.windows[rows])
        alerts, found = self._policy.judge(candidates, scored, self._boundary)
        suspicious = np.zeros(len(closed.x), np.bool_)
        suspicious[rows] = found
        return alerts, suspicious

    def _lessons(self, teaches: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Return at most `lessons_per_window` of the rows that may teach, evenly spread over them.

        What is normal does not need every row of a busy window, and whoever
        sends the most rows must not be able to turn the models over in seconds.
        """
        most = self._settings.model.lessons_per_window
        rows = np.flatnonzero(teaches)
        if len(rows) <= most:
            return teaches
        self._lessons_left_out += len(rows) - most
        chosen = np.zeros_like(teaches)
        chosen[rows[np.arange(most) * len(rows) // most]] = True
        return chosen

    def _is_involved(self, low: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Return which low words of addresses are of hosts in open incidents: these teach nothing."""
        involved = [lo for _, lo in self._policy.involved()]
        return np.isin(low, np.array(involved, np.uint64)) if involved else np.zeros(len(low), np.bool_)


def _ensemble(settings: ModelSettings, seed: int, features: tuple) -> Ensemble:  # type: ignore[type-arg]
    host = features is HOST_FEATURES
    return Ensemble(
        names(features),
        groups(features),
        settings=Settings(
            n_trees=settings.trees,
            height=settings.height,
            window_rows=settings.window_rows,
            scaler_rows=settings.scaler_rows,
            gate_p=settings.gate_p,
            seed=seed,
        ),
        floors=np.log1p([feature.floor for feature in features]) if host else None,
        detectors=settings.detectors,
    )


def _community_id(
    source: tuple[int, int], target: tuple[int, int], protocol: int, ports: tuple[int, int], version: int
) -> str:
    return community_id_of(address_bytes(*source, version), address_bytes(*target, version), protocol, *ports)


def _model(ensemble: Ensemble) -> Model:
    return Model(ModelState(ensemble.state_name), ensemble.generation, ensemble.trained_rows)
