"""The stage between records and models: keeps the hosts, gives the matrices."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sensor.feature import activity, table, usual, window
from sensor.feature.row import HOST_ROW, HostWindow
from sensor.feature.schema import HOST_FEATURES
from sensor.flow.record import FlowEvents, Flows
from sensor.packet.columns import Packets
from sensor.settings import FeatureSettings

#: How long a failed connection and a login are remembered (half-life, seconds).
_FAILED_HALF_LIFE_SECS = 600.0
_LOGIN_HALF_LIFE_SECS = 300.0


class Extractor:
    """Per-host activity over windows of packet time.

    Parameters
    ----------
    settings
        Window length, table size, half-life of a host's history.
    flow_slots
        Capacity of the meter whose events are observed.
    key
        128-bit secret of the hash tables, as two words.
    """

    def __init__(self, settings: FeatureSettings, flow_slots: int, key: tuple[int, int]) -> None:
        columns = len(HOST_FEATURES)
        self._table = table.host_table(settings.hosts, flow_slots, key)
        self._moments = np.zeros((settings.hosts, 2, columns), np.float32)
        self._rows = np.zeros(settings.hosts, HOST_ROW)
        self._x = np.zeros((settings.hosts, columns))
        self._usual = np.zeros((settings.hosts, columns))
        self._floors = np.log1p([feature.floor for feature in HOST_FEATURES])
        halves = settings.window_secs / np.array([_FAILED_HALF_LIFE_SECS, _LOGIN_HALF_LIFE_SECS])
        self._damping = 0.5**halves
        self._weight = 1.0 - 0.5 ** (settings.window_secs / settings.half_life_secs)

    def start(self, index: int) -> None:
        """Begin the window number `index` (windows since the epoch)."""
        self._table.state[table.WINDOW] = index

    def observe(self, packets: Packets, events: FlowEvents) -> None:
        """Take in packets of the current window and the meter's events for them, row by row."""
        activity.observe(self._table, packets, events)

    def mark_odd(self, flows: Flows) -> None:
        """Count the flows that the flow models found odd at their initiators."""
        window.mark_odd(self._table, flows)

    def close(self, *, one_way: bool = False) -> HostWindow:
        """End the current window and return its rows; they are borrowed until the next call.

        Parameters
        ----------
        one_way
            Whether the mirror shows one direction of the traffic only: then
            nothing is said of missing answers (`unanswered_*`, `refused_out`,
            `failed_damped`, `half_open_in` are 0), and a host that sends four
            packets a flow or more is taken for real without being answered.
        """
        count = window.close(self._table, self._damping, self._rows, self._x, int(one_way))
        rows, x, upper = self._rows[:count], self._x[:count], self._usual[:count]
        usual.expect(self._table, rows, x, self._floors, self._moments, upper)
        return HostWindow(rows, x, upper, self._table.rows["windows"][rows["slot"]])

    def learn(self, closed: HostWindow, accepted: npt.NDArray[np.bool_]) -> None:
        """Take the accepted rows of the window just closed into their hosts' history."""
        usual.learn(self._table, closed.rows, closed.x, accepted, self._moments, self._weight)

    @property
    def idle(self) -> bool:
        """Whether no host was active in the current window."""
        return int(self._table.state[table.TOUCHED]) == 0

    @property
    def hosts(self) -> int:
        """How many hosts the table holds."""
        return int(self._table.state[table.HOSTS])

    def counters(self) -> dict[str, int]:
        """Return what the host table took in and had to forget."""
        state = self._table.state
        return {
            "hosts": int(state[table.HOSTS]),
            "hosts_created": int(state[table.CREATED]),
            "hosts_evicted": int(state[table.EVICTED]),
            "hosts_evicted_active": int(state[table.EVICTED_ACTIVE]),
            "chain_walk_limit": int(state[table.WALK_LIMIT]),
        }
