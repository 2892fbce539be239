"""Readers and writers of files: CSV, JSON lines, and Parquet where pyarrow is installed.

Readers start a chain and give dicts. Writers take dicts, hand them on, and put the file into its place only when the
run has ended well: a run that fails leaves what was there before.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

from tallyline.errors import GraphError
from tallyline.graph.node import node

if TYPE_CHECKING:
    from types import ModuleType, TracebackType

    from tallyline.graph.node import Node

__all__ = ["read_csv", "read_json_lines", "read_parquet", "write_csv", "write_json_lines", "write_parquet"]

Record = Mapping[str, Any]


def read_csv(path: str | Path, **options: object) -> Node:
    """Give a dict for each line of a CSV file, under the names of its first line; all values are text.

    `options` are those of `csv.DictReader`. A line with more or fewer fields than the first is an error.
    """
    return node(partial(_csv_rows, Path(path), options), name="read_csv")


def write_csv(path: str | Path, **options: object) -> Node:
    """Write dicts as a CSV file, under the names of the first one; `options` are those of `csv.DictWriter`."""
    return node(_CsvWriter(Path(path), options), name="write_csv")


def read_json_lines(path: str | Path) -> Node:
    """Give the value of each line of a file of JSON lines; empty lines are passed over."""
    return node(partial(_json_rows, Path(path)), name="read_json_lines")


def write_json_lines(path: str | Path) -> Node:
    """Write each row as a line of JSON."""
    return node(_JsonLinesWriter(Path(path)), name="write_json_lines")


def read_parquet(path: str | Path) -> Node:
    """Give a dict for each row of a Parquet file; needs pyarrow."""
    _pyarrow()
    return node(partial(_parquet_rows, Path(path)), name="read_parquet")


def write_parquet(path: str | Path, *, rows_at_once: int = 10_000) -> Node:
    """Write dicts as a Parquet file, with the columns and types of the first `rows_at_once`; needs pyarrow."""
    _pyarrow()
    return node(_ParquetWriter(Path(path), rows_at_once), name="write_parquet")


class _Writer:
    """A file that is written beside its place, and moved there when all went well."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.part = self._place = path
        self.file: Any = None

    def __enter__(self) -> Self:
        self._place = self.path.resolve()  # a link stays one
        is_other = self._place.exists() and not self._place.is_file()  # a pipe, a terminal
        self.part = self._place if is_other else self._place.with_name(f".{self.path.name}.{os.getpid()}.part")
        self.file = self._open(self.part)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.part == self._place:
            self._close()
            return
        try:
            self._close()
            if kind is None:
                self._put_in_place()
        finally:
            self.part.unlink(missing_ok=True)

    def _put_in_place(self) -> None:
        with contextlib.suppress(FileNotFoundError):  # who may read what was there may read what comes
            shutil.copymode(self._place, self.part)
        self.part.replace(self._place)

    def _open(self, part: Path) -> IO[Any]:
        return part.open("w", encoding="utf-8", newline="")

    def _close(self) -> None:
        self.file.close()


class _Lines:
    """Ends lines with a line feed alone; were `csv` to do so, it would write a carriage return without quotes."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, line: str) -> int:
        return self._file.write(line.removesuffix("\r\n") + "\n")


class _CsvWriter(_Writer):
    def __init__(self, path: Path, options: Mapping[str, Any]) -> None:
        super().__init__(path)
        self._options = options
        self._writer: csv.DictWriter[str] | None = None

    def __enter__(self) -> Self:
        self._writer = None
        return super().__enter__()

    def __call__(self, row: Record) -> Record:
        if self._writer is None:
            lines = self.file if "lineterminator" in self._options else _Lines(self.file)
            self._writer = csv.DictWriter(lines, **{"fieldnames": list(row), **self._options})
            self._writer.writeheader()
        self._writer.writerow(row)
        return row


class _JsonLinesWriter(_Writer):
    def __call__(self, row: object) -> object:
        self.file.write(json.dumps(row, ensure_ascii=False) + "\n")
        return row


class _ParquetWriter(_Writer):
    def __init__(self, path: Path, rows_at_once: int) -> None:
        super().__init__(path)
        self._rows_at_once = rows_at_once
        self._rows: list[Record] = []
        self._columns: dict[str, None] = {}
        self._writer: Any = None

    def __call__(self, row: Record) -> Record:
        if self._writer is None:
            self._columns |= dict.fromkeys(row)
        elif not row.keys() <= self._columns.keys():
            msg = f"the file has no column {min(row.keys() - self._columns.keys())}: the rows before had none"
            raise ValueError(msg)
        self._rows.append(row)
        if len(self._rows) >= self._rows_at_once:
            self._flush()
        return row

    def _open(self, part: Path) -> IO[Any]:
        self._rows, self._columns, self._writer = [], {}, None
        return part.open("wb")

    def _flush(self) -> None:
        arrow, parquet = _pyarrow()
        rows, self._rows = [{**dict.fromkeys(self._columns), **row} for row in self._rows], []
        table = arrow.Table.from_pylist(rows, schema=self._writer and self._writer.schema)
        if self._writer is None:
            self._writer = parquet.ParquetWriter(self.file, table.schema)
        self._writer.write_table(table)

    def _close(self) -> None:
        with self.file:
            try:
                if self._rows or self._writer is None:
                    self._flush()
            finally:
                if self._writer is not None:
                    self._writer.close()


def _csv_rows(path: Path, options: Mapping[str, Any]) -> Iterator[Record]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, **options)
        for row in reader:
            if None in row or None in row.values():
                msg = (
                    f"{path}:{reader.line_num} has not as many fields as the {len(reader.fieldnames or ())} in its head"
                )
                raise ValueError(msg)
            yield row


def _json_rows(path: Path) -> Iterator[object]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield _parsed(line, path, number)


def _parsed(line: str, path: Path, number: int) -> object:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        msg = f"{path}:{number} is not JSON: {error}"
        raise ValueError(msg) from None


def _parquet_rows(path: Path) -> Iterator[Record]:
    _, parquet = _pyarrow()
    with parquet.ParquetFile(path) as file:
        for group in file.iter_batches():
            yield from group.to_pylist()


def _pyarrow() -> tuple[ModuleType, ModuleType]:
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ModuleNotFoundError:
        msg = "Parquet files need pyarrow, which is not installed; pip install pyarrow"
        raise GraphError(msg) from None
