"""States of the sensor that are worth an incident."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sensor.alert.alert import Kind, Severity


class Condition(NamedTuple):
    """A state of the sensor that is worth an incident."""

    kind: Kind
    severity: Severity
    next_step: str


def _condition(name: tuple[str, str], severity: Severity, next_step: str) -> Condition:
    return Condition(Kind(name[0], name[1], None, about_sensor=True), severity, next_step)


CONDITIONS: Mapping[str, Condition] = {
    condition.kind.id: condition
    for condition in (
        _condition(
            ("sensor_blind", "Sensor loses packets"),
            Severity.HIGH,
            "Look for a flood in the alerts of the same minute; then raise capture.ring_bytes or "
            "capture.workers, or filter out what need not be seen.",
        ),
        _condition(
            ("flow_table_pressure", "Flow table is full"),
            Severity.HIGH,
            "Look for a flood or a scan in the alerts of the same minute; otherwise raise flow.capacity.",
        ),
        _condition(
            ("capture_loss", "Packets lost before the sensor"),
            Severity.MEDIUM,
            "Compare the mirror port's speed with the sum of what is mirrored, and look at the switch's "
            "counters of discarded frames.",
        ),
        _condition(
            ("one_way_mirror", "Mirror shows one direction only"),
            Severity.MEDIUM,
            "Let the switch mirror both directions (rx and tx). Until then, what needs an answer to be "
            "told is not judged.",
        ),
        _condition(
            ("duplicated_mirror", "Mirror shows packets twice"),
            Severity.LOW,
            "Mirror each port once, or rx only where all ports of a VLAN are mirrored. Copies are left out.",
        ),
    )
}
