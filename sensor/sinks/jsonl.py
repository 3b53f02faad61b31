"""Alerts as lines of ECS JSON in a file, or on standard output.

A line is written by one call and is in the file whole or not at all, so that a
program that follows the file never reads half an alert.
"""

from __future__ import annotations

import os
import stat
import sys
import threading
from pathlib import Path

from sensor.alert.alert import Alert, Observer
from sensor.errors import ConfigError, DeliveryError
from sensor.formats import ecs

STDOUT = "-"
_MODE = 0o640  # the log reader's group may read, others may not
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY


class Jsonl:
    """A file that alerts are appended to.

    Parameters
    ----------
    path
        The file, or ``-`` for standard output.
    observer
        Written into every alert.
    name
        Shown in counters and logs.

    Raises
    ------
    ConfigError
        The file cannot be opened for appending.
    """

    def __init__(self, path: str, *, observer: Observer, name: str = "jsonl") -> None:
        self.name = name
        self._path = path
        self._observer = observer
        self._lock = threading.Lock()  # reopen() is called from another thread than send()
        self._file = -1 if path == STDOUT else _open(path)

    def send(self, alert: Alert) -> None:
        """Append the alert's line.

        Raises
        ------
        DeliveryError
            The line could not be written; the file is as it was. With `retry`
            except when standard output's reader is gone.
        """
        line = ecs.render(alert, self._observer) + b"\n"
        if self._path == STDOUT:
            write_stdout(line)
            return
        with self._lock:
            try:
                _append(self._file, line)
            except OSError as error:
                raise DeliveryError(f"{self._path}: {error.strerror}", retry=True) from error

    def reopen(self) -> None:
        """Continue in a new file of the same name, after the old one was moved away.

        Raises
        ------
        ConfigError
            There can be no new file; alerts go on into the old one.
        """
        if self._path == STDOUT:
            return
        fresh = _open(self._path)
        with self._lock:
            old, self._file = self._file, fresh
        _close(old)

    def close(self) -> None:
        """Put the file on disk and close it. Closing twice is fine."""
        with self._lock:
            if self._file >= 0:
                _close(self._file)
                self._file = -1


def write_stdout(line: bytes) -> None:
    """Write a whole line to standard output and flush it.

    Raises
    ------
    DeliveryError
        Nobody reads it any more, or it is full; trying again does not help.
    """
    try:
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
    except OSError as error:
        raise DeliveryError(f"standard output: {error.strerror}", retry=False) from error


def _open(path: str) -> int:
    try:
        file = os.open(path, _APPEND, _MODE)
    except OSError as error:
        raise ConfigError(f"path: {path}: {error.strerror}") from error
    try:
        if not _ends_whole(path, file):
            os.write(file, b"\n")
    except OSError as error:
        os.close(file)
        raise ConfigError(f"path: {path}: {error.strerror}") from error
    return file


def _ends_whole(path: str, file: int) -> bool:
    """Return False when a program that died left the file's last line unfinished."""
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode) or not status.st_size:
        return True
    with Path(path).open("rb") as reader:
        reader.seek(-1, os.SEEK_END)
        return reader.read(1) == b"\n"


def _append(file: int, line: bytes) -> None:
    """Write all of `line`, or take back what was written of it and raise OSError."""
    done = 0
    try:
        while done < len(line):
            done += os.write(file, line[done:])
    except OSError:
        status = os.fstat(file)
        if done and stat.S_ISREG(status.st_mode):
            os.ftruncate(file, status.st_size - done)
        raise


def _close(file: int) -> None:
    try:
        if stat.S_ISREG(os.fstat(file).st_mode):
            os.fsync(file)
    finally:
        os.close(file)
