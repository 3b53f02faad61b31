from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest


def test_flows_are_json_lines_on_standard_output(scan: Path, sensor):
    answer = sensor("flows", scan)
    assert answer.returncode == 0, answer.stderr
    rows = [json.loads(line) for line in answer.stdout.splitlines()]
    assert len(rows) == 3060
    assert sum(row["packets"] + row["reverse_packets"] for row in rows) == 6120
    assert answer.stderr == "6,120 packets, 3,060 flows\n"


def test_all_formats_hold_the_same_flows(scan: Path, sensor, tmp_path: Path):
    pq = pytest.importorskip("pyarrow.parquet")
    for name in ("f.jsonl", "f.csv", "f.parquet"):
        answer = sensor("flows", scan, "-q", "-o", name)
        assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", ""), answer.stderr
    rows = [json.loads(line) for line in (tmp_path / "f.jsonl").read_text().splitlines()]
    assert pq.read_table(tmp_path / "f.parquet").to_pylist() == rows
    with (tmp_path / "f.csv").open() as stream:
        cells = list(csv.DictReader(stream))
    assert [cell["flow_id"] for cell in cells] == [str(row["flow_id"]) for row in rows]


def test_settings_of_the_flow_table_count(scan: Path, sensor):
    count = len(sensor("flows", scan, "-q", "--set", "flow.active_timeout_secs=1").stdout.splitlines())
    assert count == 3060, "no flow here lasts longer than a second"
    answer = sensor("flows", scan, "-q", "--set", "flow.capacity=1")
    assert answer.returncode == 78


def test_errors_are_one_line(scan: Path, sensor):
    answer = sensor("flows", scan, "-q", "-o", "flows.xlsx")
    assert answer.returncode == 78
    assert answer.stderr.startswith("sensor: flows.xlsx: flows are written to one of .jsonl, .csv, .parquet")
    answer = sensor("flows", scan, "-q", "-o", "no/such/flows.csv")
    assert answer.returncode == 1
    assert answer.stderr == "sensor: no/such/flows.csv: No such file or directory\n"
    answer = sensor("flows", "missing.pcap", "-q")
    assert answer.returncode == 65
    assert "Traceback" not in answer.stderr


def test_a_reader_that_leaves_ends_it_quietly(scan: Path, tmp_path: Path):
    with subprocess.Popen(
        [sys.executable, "-m", "sensor", "flows", str(scan)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
    ) as process:
        process.stdout.close()
        stderr = process.stderr.read().decode()
        assert process.wait(300) == 141
    assert stderr == ""
