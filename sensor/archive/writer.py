"""Writers of archived flows: JSON lines, CSV, Parquet; the file's suffix chooses."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from json import dumps
from pathlib import Path
from typing import Any, Protocol

from sensor.archive.claimed import CLAIMED, NO_CLAIMS, Claims
from sensor.archive.row import COLUMNS, columns
from sensor.errors import ConfigError
from sensor.flow.record import Flows

#: Rows of one Parquet row group: what is held in memory at most.
ROW_GROUP_ROWS = 65_536
#: A cell that begins so is a formula to a spreadsheet (OWASP, CSV injection).
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class FlowWriter(Protocol):
    """One file of flows. It is whole only after `close`."""

    def write(self, flows: Flows, claims: Claims = NO_CLAIMS) -> None:
        """Append `FLOW` records, shape (n,), with the `CLAIM` rows they point to; they are not kept."""
        ...

    def close(self) -> None:
        """Write what is held back and close the file."""
        ...


def open_writer(path: Path) -> FlowWriter:
    """Create (or empty) the file `path` and return its writer.

    Raises
    ------
    ConfigError
        The suffix is not .jsonl, .csv or .parquet, or Parquet is not installed.
    OSError
        The file cannot be written.
    """
    writer = WRITERS.get(path.suffix.lower())
    if writer is None:
        raise ConfigError(f"{path}: flows are written to one of {', '.join(WRITERS)}, not {path.suffix!r}")
    return writer(path)


class JsonLinesWriter:
    """One JSON object a line, members in the order of `COLUMNS`.

    No text column but the claims holds a character that JSON escapes: they are
    addresses, times, hexadecimal and words of this project. So one template
    makes a line.

    Parameters
    ----------
    path
        The file.
    """

    _FORMATS: Mapping[type, str] = {int: "%d", float: "%r", str: '"%s"', bool: "%s"}

    def __init__(self, path: Path) -> None:
        members = (f'"{name}":{self._FORMATS[kind]}' for name, kind in COLUMNS.items())
        self._template = "{" + ",".join(members) + "}\n"
        self._file = path.open("w", encoding="ascii")

    def write(self, flows: Flows, claims: Claims = NO_CLAIMS) -> None:
        """Append `FLOW` records."""
        table = columns(flows, claims)
        for name in CLAIMED:  # the only texts that others chose
            table[name] = [text and dumps(text)[1:-1] for text in table[name]]
        table["continued"] = ["true" if value else "false" for value in table["continued"]]
        template = self._template
        self._file.writelines([template % row for row in zip(*table.values(), strict=True)])

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class CsvWriter:
    """Comma-separated values (RFC 4180) with a header line.

    Parameters
    ----------
    path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="ascii", newline="")
        self._writer = csv.writer(self._file)
        self._writer.writerow(COLUMNS)

    def write(self, flows: Flows, claims: Claims = NO_CLAIMS) -> None:
        """Append `FLOW` records."""
        table = columns(flows, claims)
        cells = [
            [cell(value) for value in values] if COLUMNS[name] is str else values
            for name, values in table.items()
        ]
        self._writer.writerows(zip(*cells, strict=True))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def cell(text: str) -> str:
    """Return `text` so that no spreadsheet takes it for a formula."""
    return "'" + text if text.startswith(_FORMULA_STARTS) else text


class ParquetWriter:
    """Apache Parquet, in row groups of `ROW_GROUP_ROWS` flows.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    ConfigError
        pyarrow is not installed.
    """

    def __init__(self, path: Path) -> None:
        try:
            import pyarrow as pa  # noqa: PLC0415  (an optional extra, and slow to import)
            import pyarrow.parquet as pq  # noqa: PLC0415
        except ImportError as error:
            message = f"{path}: Parquet needs pyarrow: pip install 'span-sensor[export]'"
            raise ConfigError(message) from error
        kinds = {int: pa.int64(), float: pa.float64(), str: pa.string(), bool: pa.bool_()}
        self._schema = pa.schema([(name, kinds[kind]) for name, kind in COLUMNS.items()])
        self._batch_from: Callable[..., Any] = pa.record_batch
        self._table_from: Callable[..., Any] = pa.Table.from_batches
        self._held: list[Any] = []
        self._held_rows = 0
        self._file = pq.ParquetWriter(path, self._schema, compression="zstd")

    def write(self, flows: Flows, claims: Claims = NO_CLAIMS) -> None:
        """Append `FLOW` records."""
        for first in range(0, len(flows), ROW_GROUP_ROWS):
            table = columns(flows[first : first + ROW_GROUP_ROWS], claims)
            batch = self._batch_from(list(table.values()), schema=self._schema)
            if self._held_rows + batch.num_rows > ROW_GROUP_ROWS:
                self._write_group()
            self._held.append(batch)
            self._held_rows += batch.num_rows

    def close(self) -> None:
        """Write the last row group and the footer, without which the file cannot be read."""
        self._write_group()
        self._file.close()

    def _write_group(self) -> None:
        if self._held:
            self._file.write_table(self._table_from(self._held, self._schema))
            self._held = []
            self._held_rows = 0


WRITERS: Mapping[str, Callable[[Path], FlowWriter]] = {
    ".jsonl": JsonLinesWriter,
    ".csv": CsvWriter,
    ".parquet": ParquetWriter,
}
