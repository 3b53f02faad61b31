"""Files of flows, read back by other people's readers."""

import csv
import json
import sys

import numpy as np
import pytest
from flow_examples import connection, query, records

import sensor.archive.writer
from sensor.archive.row import COLUMNS, columns
from sensor.archive.writer import WRITERS, cell, open_writer
from sensor.errors import ConfigError
from sensor.flow.record import FLOW

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")


@pytest.fixture
def flows():
    return records(connection() + query())


def rows_of(flows):
    table = columns(flows)
    return [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]


def write(path, *parts):
    writer = open_writer(path)
    for part in parts:
        writer.write(part)
    writer.close()


def read_parquet(path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="the export extra is not installed")
    return parquet.read_table(path)


def test_json_lines_are_json(tmp_path, flows):
    path = tmp_path / "flows.jsonl"
    write(path, flows, flows[:0], flows[1:])
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines == rows_of(flows) + rows_of(flows[1:])
    assert list(lines[0]) == list(COLUMNS)


def test_csv_is_csv(tmp_path, flows):
    path = tmp_path / "flows.csv"
    write(path, flows)
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    kinds = {int: int, float: float, str: str, bool: lambda text: text == "True"}
    got = [{name: kinds[COLUMNS[name]](text) for name, text in line.items()} for line in lines]
    assert got == rows_of(flows)


def test_parquet_is_parquet(tmp_path, flows):
    path = tmp_path / "flows.parquet"
    write(path, flows, flows[:1])
    table = read_parquet(path)
    assert table.to_pylist() == rows_of(flows) + rows_of(flows[:1])


def test_parquet_holds_back_one_row_group_at_most(tmp_path, flows, monkeypatch):
    monkeypatch.setattr(sensor.archive.writer, "ROW_GROUP_ROWS", 4)
    path = tmp_path / "flows.parquet"
    many = np.concatenate([flows] * 5)
    write(path, many, flows, flows[:1])
    table = read_parquet(path)
    assert table.num_rows == 13
    file = pytest.importorskip("pyarrow.parquet").ParquetFile(path)
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [4, 4, 4, 1]


@pytest.mark.parametrize("suffix", WRITERS)
def test_no_flows_make_a_whole_file(tmp_path, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow", reason="the export extra is not installed")
    path = tmp_path / f"flows{suffix}"
    write(path)
    assert path.exists()
    if suffix == ".parquet":
        assert read_parquet(path).column_names == list(COLUMNS)
    write(path, np.zeros(0, FLOW))


def test_another_suffix_is_refused_by_name(tmp_path):
    with pytest.raises(ConfigError, match=r"\.jsonl, \.csv, \.parquet, not '\.txt'"):
        open_writer(tmp_path / "flows.txt")
    assert not list(tmp_path.iterdir())


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"span-sensor\[export\]"):
        open_writer(tmp_path / "flows.parquet")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_is_a_formula(start):
    assert cell(f"{start}1+1") == f"'{start}1+1"
    assert cell(f"1{start}1") == f"1{start}1"
