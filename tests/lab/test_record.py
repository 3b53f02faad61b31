"""The recorded captures are what their labels and their README say."""

from __future__ import annotations

import csv
import gzip
import re
import shutil
import struct
from pathlib import Path

import pytest
from lab.attacks import Attack
from lab.network import sh
from lab.record import cut, expression_of, write_labels

PCAPS = Path(__file__).resolve().parents[2] / "pcaps"
LABELS = sorted(PCAPS.glob("*.labels.tsv"))
SINGLE = [path for path in LABELS if path.name.split(".")[0] not in {"demo", "office"}]


def packets(name):
    """Time and original length of every packet of a classic pcap file, compressed or not."""
    data = (PCAPS / name).read_bytes()
    data = gzip.decompress(data) if name.endswith(".gz") else data
    position = 24
    while position < len(data):
        seconds, micros, kept, length = struct.unpack_from("<4I", data, position)
        yield seconds + micros / 1e6, length
        position += 16 + kept


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.mark.parametrize("path", SINGLE, ids=lambda path: path.name)
def test_a_single_attack_has_the_packets_and_times_of_its_label(path):
    [label] = rows(path)
    found = [time for time, _ in packets(label["capture"])]
    assert len(found) == int(label["packets"])
    assert float(label["start_epoch"]) <= min(found)
    assert max(found) <= float(label["end_epoch"]) + 5.000001


def test_the_demo_holds_every_single_attack_and_begins_with_the_office_alone():
    demo = rows(PCAPS / "demo.labels.tsv")
    singles = [row | {"capture": "demo.pcap"} for path in SINGLE for row in rows(path)]
    assert sorted(demo, key=str) == sorted(singles, key=str)
    times = [time for time, _ in packets("demo.pcap")]
    office = [time for time, _ in packets("office.pcap")]
    first = min(float(row["start_epoch"]) for row in demo)
    assert office[-1] - office[0] >= 20 * 60
    assert office[-1] < first
    assert rows(PCAPS / "office.labels.tsv") == []
    assert sum(time < first for time in times) - len(office) < 10


def test_no_frame_is_longer_than_the_wire_allows_and_all_fits_in_fifteen_megabytes():
    assert max(length for _, length in packets("demo.pcap")) <= 1514
    assert sum(path.stat().st_size for path in PCAPS.iterdir()) < 15_000_000


def test_the_readme_counts_the_packets_of_every_file():
    table = re.findall(
        r"^\| `(\S+\.pcap(?:\.gz)?)` \| ([\d,]+) \|", (PCAPS / "README.md").read_text(), re.MULTILINE
    )
    assert {name for name, _ in table} == {path.name for path in PCAPS.glob("*.pcap*")}
    for name, count in table:
        assert sum(1 for _ in packets(name)) == int(count.replace(",", ""))


def test_cut_takes_a_stretch_of_time_and_an_expression(tmp_path):
    for tool in ("tcpdump", "editcap"):
        if shutil.which(tool) is None:
            pytest.skip(f"needs {tool}")
    [label] = rows(PCAPS / "portscan.labels.tsv")
    start = float(label["start_epoch"])
    attack = Attack(label["label"], label["attacker"], label["victim"], start, start + 1)
    count = cut(PCAPS / "demo.pcap", tmp_path / "part.pcap", attack.start, attack.end, expression_of(attack))
    assert 200 <= count <= 400
    write_labels(tmp_path / "part.pcap", [attack])
    assert rows(tmp_path / "part.labels.tsv")[0]["capture"] == "part.pcap"
    assert count == len(sh("tcpdump", "-n", "-r", str(tmp_path / "part.pcap")).splitlines())
