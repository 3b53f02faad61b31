"""The half of the engine that judges: features, models, alerts. It sees every host whole.

Flows and hosts are scored when a window of packet time ends, in the order in
which they ended and first acted.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from sensor.alert.alert import Alert, Model, ModelState
from sensor.alert.health import NOTHING_SEEN, Health, Sight
from sensor.alert.policy import Policy, Scored
from sensor.feature.extractor import Extractor
from sensor.feature.flow import FlowEnds, FlowRows
from sensor.feature.row import HostWindow
from sensor.feature.schema import FLOW_FEATURES, HOST_FEATURES, groups, names
from sensor.flow.community_id import address_bytes, community_id_of
from sensor.flow.record import Flows
from sensor.metering import Observed, Part
from sensor.model.ensemble import Ensemble
from sensor.model.scores import Screened
from sensor.model.settings import Settings
from sensor.settings import EngineSettings, ModelSettings

_NS = 1_000_000_000
#: Flow records scored at a time, at most.
_FLOW_ROWS = 65_536
#: A flow this rare is odd; how many odd flows are too many is the host model's to say.
_ODD_P = 1e-3
#: The rarity beyond which a value on this network is unexpected, for the words.
_EXPECTED_P = 1e-3


class Detection:
    """Turns what the metering gives into alerts.

    Parameters
    ----------
    settings
        All that decides the result, beside the packets.
    key
        128-bit secret of the hash tables, as two words.
    flow_slots
        How many flows the meters hold together; None: as many as the settings say.
    """

    def __init__(
        self, settings: EngineSettings, key: tuple[int, int], *, flow_slots: int | None = None
    ) -> None:
        feature, alert = settings.feature, settings.alert
        self._settings = settings
        self._extractor = Extractor(feature, flow_slots or settings.flow.capacity, key)
        self._policy = Policy(alert, settings.seed, feature.window_secs, _community_id)
        self._health = Health(
            settings.seed, feature.window_secs, alert.update_interval_secs, alert.close_after_secs
        )
        self._flow_model = _ensemble(settings.model, settings.seed, FLOW_FEATURES)
        self._host_model = _ensemble(settings.model, settings.seed + 1, HOST_FEATURES)
        self._length = int(feature.window_secs * _NS)
        self._window = -1
        self._flows = FlowRows(_FLOW_ROWS)
        self._odd: list[FlowEnds] = []
        self._windows = 0
        self._odd_flows = 0
        self._lessons_left_out = 0
        self._sampling = 1  # of the window that ends
        self._latest = 0  # when the latest batch ended (ns)

    @property
    def hosts(self) -> int:
        """How many hosts are known."""
        return self._extractor.hosts

    @property
    def models(self) -> dict[str, Model]:
        """What the models know, by name."""
        return {"flow": _model(self._flow_model), "host": _model(self._host_model)}

    def see(self, seen: int, lost: int, now: int) -> list[Alert]:
        """Note a batch of `seen` packets that ended at `now` (ns), and `lost` ones before it."""
        self._latest = now
        return self._health.see(seen, lost, now, self._host_knowledge)

    def flush(self) -> list[Alert]:
        """Judge the last second: the input is over."""
        return self.see(0, 0, self._latest + _NS)

    def take(self, part: Part) -> list[Alert]:
        """Take in one part; the end of a window may give alerts."""
        if isinstance(part, Observed):
            self._begin(part.window)
            self._extractor.observe(part.packets, part.events)
            self._keep(part.flows)
            return []
        self._begin(part.window)
        self._sampling = part.sampling
        alerts = self._close(part.sight)
        # Where nothing is open, windows without packets change nothing.
        for empty in range(part.window + 1, part.following):
            if self._policy.quiet and self._health.quiet:
                break
            self._begin(empty)
            alerts += self._close(NOTHING_SEEN)
        return alerts

    def counters(self) -> dict[str, dict[str, int]]:
        """Return what each stage counted, by stage."""
        return {
            "flow": {"one_way": self._flows.one_way, "odd": self._odd_flows},
            "feature": {**self._extractor.counters(), "windows": self._windows},
            "model": {
                "lessons_left_out": self._lessons_left_out,
                **{f"flow_{name}": count for name, count in self._flow_model.counters().items()},
                **{f"host_{name}": count for name, count in self._host_model.counters().items()},
            },
            "alert": self._policy.counters(),
            "health": self._health.counters(),
        }

    def _host_knowledge(self) -> Model:
        return _model(self._host_model)

    def _begin(self, window: int) -> None:
        """Begin `window` unless it is the current one."""
        if window != self._window:
            self._window = window
            self._extractor.start(window)

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

    def _close(self, sight: Sight) -> list[Alert]:
        """End the current window: look at the mirror, score flows and hosts, judge, learn."""
        told = self._health.close(sight, self._now, self._host_knowledge)
        self._score_flows()
        for odd in self._odd:
            self._extractor.mark_odd(odd)
        self._odd.clear()
        closed = self._extractor.close(one_way=self._health.one_way)
        self._windows += 1
        seen = self._host_model.screen(closed.x, self._settings.model.gate_p)
        alerts, suspicious = self._judge(closed, seen)
        teaches = (closed.rows["teaches"] > 0) & ~suspicious & ~self._is_involved(closed.rows["lo"])
        self._host_model.learn(closed.x, seen, self._lessons(teaches))
        self._extractor.learn(closed, teaches & (seen.p > self._settings.model.gate_p))
        return told + alerts

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
        alerts, found = self._policy.judge(candidates, scored, self._now)
        suspicious = np.zeros(len(closed.x), np.bool_)
        suspicious[rows] = found
        sampling, self._sampling = self._sampling, 1
        if sampling > 1:
            alerts = [replace(alert, sampling=sampling) for alert in alerts]
        return alerts, suspicious

    @property
    def _now(self) -> int:
        """When the current window ends (ns)."""
        return (self._window + 1) * self._length

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
