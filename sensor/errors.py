"""The errors this package raises on purpose. Anything else is a defect.

Hostile *packets* never raise: they get a `DecodeError` code and a counter.
"""

from __future__ import annotations


class SensorError(Exception):
    """Base of the errors below; `exit_code` is what the command line ends with (sysexits.h)."""

    exit_code = 1


class ConfigError(SensorError):
    """The configuration is wrong: one line that names the file, the line, the key and what is allowed."""

    exit_code = 78


class CaptureError(SensorError):
    """A source cannot deliver packets: no such interface, no file, nothing readable.

    Parameters
    ----------
    message
        What happened and what to do about it.
    exit_code
        1 for a runtime failure, 65 when the input holds no readable capture,
        77 when a permission is missing.
    """

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class DeliveryError(SensorError):
    """A sink did not take an alert.

    Parameters
    ----------
    message
        What the receiver answered.
    retry
        Whether trying again later can help.
    retry_after_secs
        What the receiver asked for, if it did.
    """

    def __init__(self, message: str, *, retry: bool, retry_after_secs: float | None = None) -> None:
        super().__init__(message)
        self.retry = retry
        self.retry_after_secs = retry_after_secs
