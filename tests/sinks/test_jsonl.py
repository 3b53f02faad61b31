from __future__ import annotations

import itertools
import json
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alert_examples import OBSERVER, PORT_SCAN, numbered

from sensor.errors import ConfigError, DeliveryError
from sensor.formats import ecs
from sensor.sinks.jsonl import Jsonl

LINE = ecs.render(PORT_SCAN, OBSERVER) + b"\n"


def test_alerts_are_appended_and_can_be_read_at_once(tmp_path):
    path = tmp_path / "alerts.jsonl"
    path.write_bytes(b'{"older":1}\n')
    sink = Jsonl(str(path), observer=OBSERVER)
    sent = numbered(10)
    for count, alert in enumerate(sent, start=1):
        sink.send(alert)
        assert path.read_bytes().count(b"\n") == count + 1
    sink.close()
    sink.close()
    lines = path.read_bytes().splitlines()
    assert lines == [b'{"older":1}', *(ecs.render(alert, OBSERVER) for alert in sent)]


def test_a_new_file_is_not_for_everybody(tmp_path):
    path = tmp_path / "alerts.jsonl"
    Jsonl(str(path), observer=OBSERVER).close()
    assert path.stat().st_mode & 0o007 == 0


def test_a_line_that_a_dead_program_left_unfinished_is_ended(tmp_path):
    path = tmp_path / "alerts.jsonl"
    path.write_bytes(b'{"torn":')
    sink = Jsonl(str(path), observer=OBSERVER)
    sink.send(PORT_SCAN)
    sink.close()
    assert path.read_bytes() == b'{"torn":\n' + LINE


def test_reopen_follows_a_rotation_without_losing_a_line(tmp_path):
    path = tmp_path / "alerts.jsonl"
    sink = Jsonl(str(path), observer=OBSERVER)
    sent, enough = [], threading.Event()

    def write():
        for alert in itertools.cycle(numbered(200)):
            sink.send(alert)
            sent.append(alert.id)
            if enough.is_set() or len(sent) >= 100_000:
                return

    writer = threading.Thread(target=write)
    writer.start()
    for rotation in range(50):
        path.rename(tmp_path / f"old{rotation}")
        sink.reopen()
    enough.set()
    writer.join(30)
    sink.close()
    lines = [line for file in tmp_path.iterdir() for line in file.read_bytes().splitlines()]
    assert sorted(json.loads(line)["event"]["id"] for line in lines) == sorted(sent)
    assert sent


def test_a_failed_reopen_keeps_the_old_file(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    sink = Jsonl(str(folder / "alerts.jsonl"), observer=OBSERVER)
    moved = folder.rename(tmp_path / "moved")
    with pytest.raises(ConfigError):
        sink.reopen()
    sink.send(PORT_SCAN)
    sink.close()
    assert (moved / "alerts.jsonl").read_bytes() == LINE


def test_what_did_not_fit_is_taken_back_and_can_be_retried(tmp_path):
    path = tmp_path / "alerts.jsonl"
    sink = Jsonl(str(path), observer=OBSERVER)
    sink.send(PORT_SCAN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(LINE) + 100, before[1]))
    try:
        with pytest.raises(DeliveryError) as full:
            sink.send(PORT_SCAN)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert full.value.retry
    assert path.read_bytes() == LINE
    sink.send(PORT_SCAN)
    sink.close()
    assert path.read_bytes() == LINE * 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_device_can_be_retried():
    sink = Jsonl("/dev/full", observer=OBSERVER)
    with pytest.raises(DeliveryError, match="No space left") as full:
        sink.send(PORT_SCAN)
    assert full.value.retry
    sink.close()


def test_a_path_that_cannot_be_opened_is_a_matter_of_configuration(tmp_path):
    for path in (tmp_path / "absent" / "alerts.jsonl", tmp_path):
        with pytest.raises(ConfigError, match=str(path)):
            Jsonl(str(path), observer=OBSERVER)


_TO_STDOUT = """
from alert_examples import OBSERVER, PORT_SCAN
from sensor.errors import DeliveryError
from sensor.sinks.jsonl import Jsonl
sink = Jsonl("-", observer=OBSERVER)
try:
    for _ in range(3):
        sink.send(PORT_SCAN)
        sink.reopen()
except DeliveryError as error:
    raise SystemExit(7 if not error.retry else 8)
sink.close()
print("still open")
"""


def run_to(stdout):
    tests = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": f"{tests}:{tests.parent}"}
    return subprocess.run(
        [sys.executable, "-c", _TO_STDOUT], stdout=stdout, env=environment, timeout=30, check=False
    )


def test_standard_output():
    ended = run_to(subprocess.PIPE)
    assert ended.stdout == LINE * 3 + b"still open\n"


def test_standard_output_without_a_reader_is_final():
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert run_to(writer).returncode == 7
    finally:
        os.close(writer)
