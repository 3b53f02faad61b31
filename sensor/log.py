"""The sensor's own log: one line a fact, on standard error."""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
#: sd-daemon(3) levels, by which journald files lines that begin with them.
_JOURNAL_LEVELS = {
    logging.DEBUG: 7,
    logging.INFO: 6,
    logging.WARNING: 4,
    logging.ERROR: 3,
    logging.CRITICAL: 2,
}


def configure_log(level: str, style: str) -> None:
    """Send the package's log to standard error.

    Parameters
    ----------
    level
        ``debug``, ``info``, ``warning`` or ``error``.
    style
        ``console`` for people, ``json`` for one ECS object a line.
    """
    handler = logging.StreamHandler(sys.stderr)
    if style == "json":
        handler.setFormatter(_Json())
    elif _is_journal():
        handler.setFormatter(_Journal())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"))
    log = logging.getLogger("sensor")
    log.handlers[:] = [handler]
    log.setLevel(_LEVELS[level])
    log.propagate = False


def _is_journal() -> bool:
    """Return whether standard error goes to journald (systemd.exec(5), JOURNAL_STREAM)."""
    try:
        status = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class _Journal(logging.Formatter):
    """The level as journald reads it; the journal has the time already."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record).replace("\n", " ")
        return f"<{_JOURNAL_LEVELS.get(record.levelno, 6)}>{text}"


class _Json(logging.Formatter):
    """One object a line, with the field names of ECS."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")
        entry = {
            "@timestamp": time.replace("+00:00", "Z"),
            "log.level": record.levelname.lower(),
            "log.logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[1] is not None:
            entry["error.type"] = type(record.exc_info[1]).__name__
            entry["error.message"] = str(record.exc_info[1])
        return json.dumps(entry)
