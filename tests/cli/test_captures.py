"""The bundled captures through the whole command: what is found; the cut into files does not show."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

PCAPS = Path(__file__).resolve().parents[2] / "pcaps"
SETTLE_SECS = 60.0
#: What each label of `pcaps/*.labels.tsv` is reported as; a beacon is not found yet.
KINDS = {"portscan:syn": "port_scan", "ddos:synflood": "flood", "bruteforce-ssh": "brute_force"}


def replay(tmp_path: Path, *captures: Path) -> bytes:
    output = tmp_path / f"{len(captures)}.jsonl"
    argv = [sys.executable, "-m", "sensor", "replay", *map(str, captures), "-o", str(output), "-q"]
    subprocess.run(argv, check=True, capture_output=True, timeout=180)
    return output.read_bytes()


def opened(output: bytes) -> list[dict]:
    documents = [json.loads(line) for line in output.splitlines()]
    return [document for document in documents if document["event"]["action"] == "incident-opened"]


def cut(capture: Path, folder: Path, parts: int) -> list[Path]:
    """Write a classic pcap in this machine's byte order as several files of whole records."""
    data = capture.read_bytes()
    records, position = [], 24
    while position < len(data):
        size = 16 + int.from_bytes(data[position + 8 : position + 12], sys.byteorder)
        records.append(data[position : position + size])
        position += size
    paths = []
    for part in range(parts):
        chunk = records[part * len(records) // parts : (part + 1) * len(records) // parts]
        path = folder / f"part{part}.pcap"
        path.write_bytes(data[:24] + b"".join(chunk))
        paths.append(path)
    return paths


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return replay(tmp_path_factory.mktemp("demo"), PCAPS / "demo.pcap")


def test_the_attacks_of_the_demo_are_found_in_time_and_nothing_else(demo: bytes) -> None:
    with (PCAPS / "demo.labels.tsv").open() as file:
        labels = [row for row in csv.DictReader(file, delimiter="\t") if row["label"] in KINDS]
    found = opened(demo)
    assert len(found) == len(labels) == len(KINDS)
    for label in labels:
        (document,) = [one for one in found if one["rule"]["id"] == KINDS[label["label"]]]
        time = datetime.fromisoformat(document["@timestamp"]).timestamp()
        assert float(label["start_epoch"]) <= time <= float(label["end_epoch"]) + SETTLE_SECS
        assert {label["attacker"], label["victim"]} & set(document["related"]["ip"])


def test_ordinary_traffic_is_quiet(tmp_path: Path) -> None:
    assert replay(tmp_path, PCAPS / "office.pcap") == b""


def test_the_same_file_in_three_parts_gives_the_same_bytes(demo: bytes, tmp_path: Path) -> None:
    assert replay(tmp_path, *cut(PCAPS / "demo.pcap", tmp_path, 3)) == demo
    assert demo
