from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator

import pytest

from sensor.log import configure_log

LOG = logging.getLogger("sensor.somewhere")


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    log = logging.getLogger("sensor")
    before = (log.handlers[:], log.level, log.propagate)
    yield
    log.handlers[:], level, log.propagate = before
    log.setLevel(level)


def test_json_is_one_object_a_line(capfd: pytest.CaptureFixture[str]):
    configure_log("info", "json")
    LOG.info("two\nlines and a \x1b[31mcolour")
    LOG.error("failed", exc_info=ValueError("why"))
    first, second = (json.loads(line) for line in capfd.readouterr().err.splitlines())
    assert first["message"] == "two\nlines and a \x1b[31mcolour"
    assert first["log.level"] == "info"
    assert first["@timestamp"].endswith("Z")
    assert (second["error.type"], second["error.message"]) == ("ValueError", "why")


def test_the_level_is_obeyed_and_stdout_is_left_alone(capfd: pytest.CaptureFixture[str]):
    configure_log("warning", "console")
    LOG.info("no")
    LOG.warning("yes")
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "yes" in captured.err
    assert "no" not in captured.err


def test_the_journal_gets_levels(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    status = os.fstat(2)
    monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
    configure_log("info", "console")
    LOG.error("bad")
    assert capfd.readouterr().err == "<3>bad\n"
