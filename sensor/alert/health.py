"""What the sensor says of itself: that it does not see all, or not all of it right.

A sensor that goes blind in silence is worse than none. What a mirror port, the
switch before it or this machine take away shows in the packets and in counters;
here it becomes an incident like any other, with counts, an end, and what to do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from sensor.alert.alert import Alert, Endpoint, Incident, Model, Network, Reason, Status
from sensor.alert.condition import CONDITIONS, Condition
from sensor.alert.explain import quantity
from sensor.alert.incident import IncidentTable, OpenIncident, identifier

_NS = 1_000_000_000
#: Incidents are filed by address and kind; this one is nobody's.
_NOBODY = (0, 0)

#: More than this share lost within a second is blindness (Falco's rule for its own drops).
BLIND_SHARE = 0.01
#: An ACK for bytes that were never seen, by ACKs: what a sound mirror stays far below.
GAP_SHARE = 0.01
#: Of the TCP flows with data, this share shows its one direction only.
ONE_WAY_SHARE = 0.8
#: Above which a mirror that was one-way is whole again.
_TWO_WAY_SHARE = 0.5
#: How many there must be before a share means something.
_FEWEST_ACKS = 1_000.0
_FEWEST_FLOWS = 20.0
_FEWEST_COPIES = 20.0
#: A mirror that shows packets twice does so with more than this share of them.
COPY_SHARE = 0.05
#: For so long a mirror must have shown copies, within the half-life: a moment of them is no setting.
_COPIES_SECS = 60.0
#: Evidence about the mirror counts half after this time; about loss later, for it takes many ACKs.
_HALF_LIFE_SECS = 60.0
_LOSS_HALF_LIFE_SECS = 300.0


class Sight(NamedTuple):
    """What one window says of the mirror; counts of that window alone."""

    packets: int
    evictions: int  # flows that had to go while they were open
    flows: int  # begun
    acks: int  # TCP ACKs that could be checked
    ack_gaps: int  # of them, for bytes that were never seen
    missed_bytes: int
    one_way: int  # TCP flows with data that showed one direction only
    two_way: int
    duplicates: int  # frames left out as copies
    suppressing: int  # 1: copies are being left out


#: A window without packets.
NOTHING_SEEN = Sight(*[0] * len(Sight._fields))


class Health:
    """Watches what the engine counts, and makes incidents of it.

    Parameters
    ----------
    seed
        Of the run; goes into identifiers.
    window_secs
        Length of a window of packet time.
    update_interval_secs, close_after_secs
        As for other incidents.
    """

    def __init__(
        self, seed: int, window_secs: float, update_interval_secs: float, close_after_secs: float
    ) -> None:
        self._incidents = IncidentTable(seed, update_interval_secs, close_after_secs)
        self._window_secs = window_secs
        self._quiet_secs = close_after_secs
        self._fading = 0.5 ** (window_secs / _HALF_LIFE_SECS)
        self._loss_fading = 0.5 ** (window_secs / _LOSS_HALF_LIFE_SECS)
        self._acks = self._gaps = self._one = self._two = self._copied_secs = 0.0
        self._second = 0
        self._seen = self._lost = 0
        self._all_lost = 0
        self._told = 0
        self.one_way = False

    @property
    def quiet(self) -> bool:
        """Whether no incident is open."""
        return len(self._incidents) == 0

    def see(self, seen: int, lost: int, now: int, model: Callable[[], Model]) -> list[Alert]:
        """Note a batch of `seen` packets that ended at `now` (ns), and `lost` ones before it."""
        alerts: list[Alert] = []
        second = now // _NS
        if second != self._second:
            alerts = self._judge_second(model)
            self._second = second
        self._seen += seen
        self._lost += lost
        self._all_lost += lost
        return alerts

    def close(self, sight: Sight, now: int, model: Callable[[], Model]) -> list[Alert]:
        """Judge the window that ended at `now` (ns)."""
        alerts = self._close_quiet(now)
        if sight == NOTHING_SEEN:
            # Silence proves nothing, and may come as one window or as none: evidence does not age in it.
            return alerts
        self._acks = self._acks * self._loss_fading + sight.acks
        self._gaps = self._gaps * self._loss_fading + sight.ack_gaps
        self._one = self._one * self._fading + sight.one_way
        self._two = self._two * self._fading + sight.two_way
        found = [
            *self._pressure(sight),
            *self._loss(sight),
            *self._direction(sight),
            *self._copies(sight),
        ]
        for kind, reason in found:
            alert = self._note(kind, reason, self._window_secs, now, model)
            if alert is not None:
                alerts.append(alert)
        return alerts

    def counters(self) -> dict[str, int]:
        """Return what was noticed and told."""
        return {
            "packets_lost": self._all_lost,
            "one_way_mirror": int(self.one_way),
            "incidents_open": len(self._incidents),
            "incidents_opened": self._incidents.opened,
            "alerts": self._told,
        }

    def _judge_second(self, model: Callable[[], Model]) -> list[Alert]:
        """Judge the second that has ended."""
        seen, lost = self._seen, self._lost
        self._seen = self._lost = 0
        if not lost or lost <= BLIND_SHARE * (seen + lost):
            return []
        share = lost / (seen + lost)
        text = f"{lost:,} of {seen + lost:,} packets lost in a second ({share:.1%})"
        reason = Reason("packets_lost", float(lost), 0.0, BLIND_SHARE * (seen + lost), "packets", 1.0, text)
        alert = self._note("sensor_blind", reason, 1.0, (self._second + 1) * _NS, model)
        return [] if alert is None else [alert]

    def _pressure(self, sight: Sight) -> list[tuple[str, Reason]]:
        if not sight.evictions:
            return []
        made = f"{sight.evictions:,} open flows had to make room for {sight.flows:,} new ones"
        text = f"{made} in {self._window_secs:g} s"
        return [
            (
                "flow_table_pressure",
                Reason("flows_evicted", float(sight.evictions), 0.0, 0.0, "flows", 1.0, text),
            )
        ]

    def _loss(self, sight: Sight) -> list[tuple[str, Reason]]:
        """Estimate what never reached the sensor, as Zeek's capture-loss policy does."""
        if self._acks < _FEWEST_ACKS or self._gaps <= GAP_SHARE * self._acks or not sight.ack_gaps:
            return []
        share = self._gaps / self._acks
        text = (
            f"{share:.1%} of TCP acknowledgements are for bytes that never came here "
            f"(at most {GAP_SHARE:.0%} is sound); {quantity(sight.missed_bytes, 'bytes')} missing "
            f"in the last {self._window_secs:g} s"
        )
        return [("capture_loss", Reason("ack_gaps", share, 0.0, GAP_SHARE, "share", 1.0, text))]

    def _direction(self, sight: Sight) -> list[tuple[str, Reason]]:
        flows = self._one + self._two
        if flows >= _FEWEST_FLOWS:
            share = self._one / flows
            self.one_way = share >= (_TWO_WAY_SHARE if self.one_way else ONE_WAY_SHARE)
        if not (self.one_way and sight.one_way):
            return []
        share = self._one / max(flows, 1.0)
        text = f"{share:.0%} of TCP connections with data show their one direction only"
        return [("one_way_mirror", Reason("one_way_share", share, 0.0, ONE_WAY_SHARE, "share", 1.0, text))]

    def _copies(self, sight: Sight) -> list[tuple[str, Reason]]:
        if not sight.suppressing or sight.duplicates < max(_FEWEST_COPIES, COPY_SHARE * sight.packets):
            self._copied_secs *= self._fading
            return []
        self._copied_secs += self._window_secs
        if self._copied_secs < _COPIES_SECS:
            return []
        share = sight.duplicates / max(sight.packets, 1)
        copies = f"{sight.duplicates:,} of {sight.packets:,} packets were copies ({share:.1%})"
        text = f"{copies} in {self._window_secs:g} s, and left out"
        reason = Reason("duplicates", float(sight.duplicates), 0.0, 0.0, "packets", 1.0, text)
        return [("duplicated_mirror", reason)]

    def _note(
        self, kind: str, reason: Reason, span_secs: float, now: int, model: Callable[[], Model]
    ) -> Alert | None:
        condition = CONDITIONS[kind]
        incident = self._incidents.note(_NOBODY, kind, now, condition.severity)
        if incident is None or not self._incidents.is_due(incident, condition.severity):
            return None
        status = Status.UPDATE if incident.messages else Status.OPEN
        message = f"{condition.kind.name}: {reason.sentence}"
        alert = _alert(condition, message, reason, model())
        return self._tell(alert, incident, status, now, int(span_secs * _NS))

    def _close_quiet(self, now: int) -> list[Alert]:
        alerts = []
        for incident in self._incidents.take_quiet(now):
            if incident.alert is not None:
                last = incident.alert
                message = f"{last.kind.name}: not seen for {self._quiet_secs:g} s"
                start = incident.first - last.incident.first
                alerts.append(self._tell(replace(last, message=message), incident, Status.CLOSED, now, start))
        return alerts

    def _tell(self, alert: Alert, incident: OpenIncident, status: Status, now: int, span: int) -> Alert:
        self._told += 1
        incident.messages += 1
        incident.told = now
        incident.alert = replace(
            alert,
            id=identifier(incident.id, status, incident.messages),
            time=now,
            incident=Incident(incident.id, status, incident.count, incident.first - span, incident.last),
        )
        return incident.alert


def _alert(condition: Condition, message: str, reason: Reason, model: Model) -> Alert:
    """Return the alert; what has no meaning for a state of the sensor is empty."""
    return Alert(
        id="",
        time=0,
        kind=condition.kind,
        severity=condition.severity,
        risk=float(condition.severity),
        message=message,
        entity="sensor",
        source=Endpoint(""),
        destination=Endpoint(""),
        network=Network(),
        related_ips=(),
        score=0.0,
        p_value=1.0,
        threshold=1.0,
        detectors=(),
        reasons=(reason,),
        incident=Incident("", Status.OPEN, 0, 0, 0),
        model=model,
        next_step=condition.next_step,
    )
