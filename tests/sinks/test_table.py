from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from alert_examples import OBSERVER, PORT_SCAN

from sensor.formats import text
from sensor.sinks.table import Table

_PROGRAM = """
from dataclasses import replace
from alert_examples import OBSERVER, PORT_SCAN
from sensor.sinks.table import Table
table = Table(observer=OBSERVER)
table.send(PORT_SCAN)
table.send(replace(PORT_SCAN, message="[bold]m[/bold] \\x1b[2J " + "long " * 60))
table.close()
"""


def in_a_terminal(**environment) -> bytes:
    tests = Path(__file__).parents[1]
    controller, terminal = pty.openpty()
    kept = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR"}}
    given = {**kept, "PYTHONPATH": f"{tests}:{tests.parent}", "TERM": "xterm", "COLUMNS": "80", **environment}
    process = subprocess.Popen([sys.executable, "-c", _PROGRAM], stdout=terminal, env=given)
    os.close(terminal)
    shown = b""
    try:
        while piece := os.read(controller, 65_536):
            shown += piece
    except OSError:  # a terminal's end, on Linux
        pass
    os.close(controller)
    assert process.wait(30) == 0
    return shown


def test_plain_lines_where_there_is_no_terminal(monkeypatch):
    shown = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", shown)
    table = Table(observer=OBSERVER)
    table.send(PORT_SCAN)
    table.close()
    assert shown.buffer.getvalue() == text.render(PORT_SCAN, OBSERVER) + b"\n"


def test_a_wide_terminal_gets_headings_once_and_a_coloured_row_an_alert():
    lines = in_a_terminal(COLUMNS="240").decode().splitlines()
    assert "destination" in lines[0]
    assert "\x1b[31mHIGH\x1b[0m" in lines[1]
    assert "2026-01-02 03:04:05" in lines[1]
    assert "192.0.2.10:40312" in lines[1]
    assert "[bold]m[/bold] \\x1b[2J long" in lines[2]
    assert "\x1b[2J" not in lines[2]
    assert not any("severity" in line for line in lines[1:])


def test_a_narrow_terminal_gets_what_the_message_does_not_say():
    lines = in_a_terminal(COLUMNS="80").decode().splitlines()
    assert "severity" in lines[0]
    assert "destination" not in lines[0]
    assert "\x1b[31mHIGH\x1b[0m" in lines[1]
    assert "40312" not in lines[1]


@pytest.mark.parametrize("columns", [80, 120, 142, 200])
def test_no_line_is_wider_than_the_terminal_and_messages_stand_under_their_heading(columns: int):
    lines = in_a_terminal(NO_COLOR="1", TERM="dumb", COLUMNS=str(columns)).decode().splitlines()
    assert max(map(len, lines)) <= columns
    message = lines[0].index("message")
    assert all(line[message - 1] == " " != line[message] for line in lines)
    told = " ".join(line[message:].strip() for line in lines[1:])
    assert told.startswith(PORT_SCAN.message)
    assert told.count("long") == 60


def test_no_color_leaves_no_colour():
    shown = in_a_terminal(NO_COLOR="1")
    assert b"\x1b[3" not in shown
    assert b"HIGH" in shown
