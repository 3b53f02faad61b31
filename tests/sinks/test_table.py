from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

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


def test_a_terminal_gets_headings_once_and_a_coloured_line_an_alert():
    lines = in_a_terminal().decode().splitlines()
    assert len(lines) == 3
    assert "severity" in lines[0]
    assert "destination" in lines[0]
    assert "\x1b[31mHIGH\x1b[0m" in lines[1]
    assert "2026-01-02 03:04:05.678" in lines[1]
    assert "192.0.2.10:40312" in lines[1]
    assert "[bold]m[/bold] \\x1b[2J long" in lines[2]
    assert "\x1b[2J" not in lines[2]


def test_no_color_leaves_no_colour():
    shown = in_a_terminal(NO_COLOR="1")
    assert b"\x1b[3" not in shown
    assert len(shown.splitlines()) == 3


def test_columns_line_up_for_ipv4():
    lines = in_a_terminal(NO_COLOR="1", TERM="dumb").decode().splitlines()
    assert lines[0].index("message") == lines[1].index(PORT_SCAN.message)
    assert replace(PORT_SCAN).kind.id in lines[1]
