"""The live benchmark counts what it sends, on a cable of its own that it takes away again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from lab.network import missing_tools, sh

REASON = missing_tools("tcpreplay", "tcpdump", "taskset")
LIVE = Path(__file__).with_name("live.py")


@pytest.mark.lab
@pytest.mark.skipif(bool(REASON), reason=REASON or "the lab can run")
def test_what_is_sent_arrives_and_is_received(tmp_path):
    before = sh("ip", "netns", "list")
    command = [
        sys.executable,
        str(LIVE),
        "--only",
        "tcpdump",
        "--packets",
        "3000",
        "--capture-packets",
        "1000",
    ]
    done = subprocess.run(
        [*command, "--json", str(tmp_path / "live.json")],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    (result,) = json.loads((tmp_path / "live.json").read_text())
    run = result["full_speed"]
    assert run["sent"] == run["arrived"] == run["received"] == 3000
    assert result["at_least"]
    assert result["loss_free"] > 0
    assert "sensor run, 2 workers" in done.stdout
    assert "skipped, not asked for" in done.stdout
    assert sh("ip", "netns", "list") == before
