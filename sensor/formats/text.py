"""One line for people: what a log file or a terminal shows of an alert."""

from __future__ import annotations

from sensor.alert.alert import Alert, Observer, Severity
from sensor.formats.canonical import ID_BYTES, SENTENCE_BYTES, printable, socket_address, utc


def cells(alert: Alert) -> tuple[str, str, str, str, str, str]:
    """Return time, severity, kind, source, destination and message, all printable ASCII."""
    return (
        utc(alert.time),
        Severity(alert.severity).name,
        printable(alert.kind.id, ID_BYTES),
        socket_address(alert.source.ip, alert.source.port),
        socket_address(alert.destination.ip, alert.destination.port),
        printable(alert.message, SENTENCE_BYTES),
    )


def render(alert: Alert, observer: Observer) -> bytes:
    """Return the alert as one line of text, without its line feed."""
    time, severity, kind, source, destination, message = cells(alert)
    incident = printable(alert.incident.id, ID_BYTES)
    line = (
        f"{time} {printable(observer.name)} {severity} {kind} {source} -> {destination}: {message}"
        f" (incident {incident} {alert.incident.status})"
    )
    return line.encode("ascii")
