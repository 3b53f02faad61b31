"""Syslog messages (RFC 5424): a header, structured data, and any body.

The structured data repeats what a relay needs to route a message without
reading its body. Its SD-ID carries the private enterprise number 32473, which
RFC 5612 reserves for documentation: this project has none of its own.
"""

from __future__ import annotations

import re

from sensor.alert.alert import Alert, Observer, Severity
from sensor.formats import ecs
from sensor.formats.canonical import ID_BYTES, UNSPECIFIED, ip, printable, utc

SD_ID = "sensor@32473"
APP_NAME = "span-sensor"

#: Facility codes by their usual names (RFC 5424, table 1).
FACILITIES = {
    "kern": 0,
    "user": 1,
    "mail": 2,
    "daemon": 3,
    "auth": 4,
    "syslog": 5,
    "lpr": 6,
    "news": 7,
    "uucp": 8,
    "cron": 9,
    "authpriv": 10,
    "ftp": 11,
    "ntp": 12,
    "audit": 13,
    "alert": 14,
    "clock": 15,
    **{f"local{number}": 16 + number for number in range(8)},
}
LOCAL0 = FACILITIES["local0"]

#: Severity codes (RFC 5424, table 2): critical, error, warning, notice.
_SEVERITY = {Severity.CRITICAL: 2, Severity.HIGH: 3, Severity.MEDIUM: 4, Severity.LOW: 5}

_NOT_IN_A_NAME = re.compile(r"[^!-~]")  # header fields are PRINTUSASCII: no space (RFC 5424, 6)
_SPECIAL = re.compile(r'(["\\\]])')  # what a PARAM-VALUE escapes (RFC 5424, 6.3.3)


def render(
    alert: Alert, observer: Observer, body: bytes, facility: int = LOCAL0, pid: int | None = None
) -> bytes:
    """Return one syslog message around `body`.

    Parameters
    ----------
    alert, observer
        What the header and the structured data tell.
    body
        The message proper, one line; ASCII, hence without a byte order mark.
    facility
        Facility code, 0-23.
    pid
        Process id for PROCID, or None for the nil value.
    """
    severity = Severity(alert.severity)
    header = " ".join(
        (
            f"<{facility * 8 + _SEVERITY[severity]}>1",
            utc(alert.time),
            _name(observer.name, 255),
            APP_NAME,
            "-" if pid is None else str(pid),
            _name(alert.kind.id, 32),
            _structured_data(alert),
        )
    )
    return header.encode("ascii") + b" " + body


def render_ecs(
    alert: Alert, observer: Observer, max_bytes: int, facility: int = LOCAL0, pid: int | None = None
) -> bytes:
    """Return one syslog message of at most `max_bytes` whose body is the alert's ECS line.

    A body that does not fit is shortened as `ecs.SHORTENING` says; the result
    is whole JSON. From 2,048 bytes on every alert fits.
    """
    around = len(render(alert, observer, b"", facility, pid))
    return render(alert, observer, ecs.render(alert, observer, max_bytes - around), facility, pid)


def _structured_data(alert: Alert) -> str:
    parameters = {
        "id": printable(alert.id, ID_BYTES),
        "kind": printable(alert.kind.id, ID_BYTES),
        "severity": Severity(alert.severity).name.lower(),
        "source": ip(alert.source.ip) or UNSPECIFIED,
        "destination": ip(alert.destination.ip) or UNSPECIFIED,
        "incident": printable(alert.incident.id, ID_BYTES),
        "state": str(alert.incident.status),
    }
    written = [f'{name}="{_escaped(value)}"' for name, value in parameters.items()]
    return f"[{SD_ID} {' '.join(written)}]"


def _escaped(value: str) -> str:
    return _SPECIAL.sub(r"\\\1", value)


def _name(text: str, limit: int) -> str:
    """Return a header field: printable without spaces, at most `limit` bytes, ``-`` when empty."""
    return _NOT_IN_A_NAME.sub("_", printable(text, limit)) or "-"
