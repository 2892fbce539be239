"""Values as PostgreSQL copies them in binary.

Rows are made as copies of an empty one, into which each number of a column is put byte by byte: that takes a few steps
in C for many rows, not one in Python for each.
"""

from __future__ import annotations

import struct
import sys
from array import array
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["BEGINS", "COLUMNS", "ENDS", "RESTATED", "Column", "Fact", "packed", "packed_column"]

COLUMNS = ("series_id", "bucket", "value", "run_id", "sketch")
RESTATED = ("series_id", "bucket", "value", "run_id", "replaced_by", "sketch")
BEGINS, ENDS = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"

_AT_ONCE = 512  # what stays in the processor's nearest cache
_REMEMBERED = 256
_EPOCH = 946_684_800
_NO_SKETCH = struct.pack(">i", -1)
_EMPTY_ROW = struct.pack(">hiiiqidii", len(COLUMNS), 4, 0, 8, 0, 8, 0, 4, 0) + _NO_SKETCH
_SERIES_AT, _BUCKET_AT, _VALUE_AT, _RUN_AT = 6, 14, 26, 38

Fact = tuple[int, int, float, int, str | None]
"""A value as it is kept: series, bucket, value, run and, of a distribution, its sketch as JSON."""


class Column(NamedTuple):
    """Values of one series, written by one run: when their buckets begin, in order, and how much each is."""

    series: int
    buckets: tuple[int, ...]
    values: Sequence[float]
    run: int


def packed_column(column: Column, replaced_by: int | None = None) -> Iterator[bytearray]:
    """Yield the rows of a column; or of what was restated, replaced by a run."""
    series = struct.pack(">i", column.series)
    for begin in range(0, len(column.buckets), _AT_ONCE):
        buckets = column.buckets[begin : begin + _AT_ONCE]
        rows = bytearray(_rows_of(buckets, column.run, replaced_by))
        for at, byte in enumerate(series, _SERIES_AT):
            rows[at :: len(rows) // len(buckets)] = bytes((byte,)) * len(buckets)
        _put(rows, len(buckets), _VALUE_AT, array("d", column.values[begin : begin + _AT_ONCE]))
        yield rows


def packed(facts: Sequence[Fact], replaced_by: int | None = None) -> Iterator[bytes | bytearray]:
    """Yield the rows of facts; or of what was restated, replaced by a run."""
    for begin in range(0, len(facts), _AT_ONCE):
        series, buckets, values, runs, sketches = zip(*facts[begin : begin + _AT_ONCE], strict=True)
        count, rows = len(series), bytearray(_empty_row(replaced_by) * len(series))
        _put(rows, count, _SERIES_AT, array("i", series))
        _put(rows, count, _BUCKET_AT, array("q", map(_moment, buckets)))
        _put(rows, count, _VALUE_AT, array("d", values))
        _put(rows, count, _RUN_AT, array("i", runs))
        yield b"".join(_with_sketches(rows, sketches)) if any(sketches) else rows


@lru_cache(_REMEMBERED)  # most series of a reading have the same buckets
def _rows_of(buckets: tuple[int, ...], run: int, replaced_by: int | None) -> bytes:
    rows = bytearray(_empty_row(replaced_by) * len(buckets))
    _put(rows, len(buckets), _BUCKET_AT, array("q", map(_moment, buckets)))
    _put(rows, len(buckets), _RUN_AT, array("i", [run] * len(buckets)))
    return bytes(rows)


def _empty_row(replaced_by: int | None) -> bytes:
    if replaced_by is None:
        return _EMPTY_ROW
    alike = _EMPTY_ROW[struct.calcsize(">h") : -len(_NO_SKETCH)]
    return struct.pack(">h", len(RESTATED)) + alike + struct.pack(">ii", 4, replaced_by) + _NO_SKETCH


@lru_cache(_REMEMBERED * _AT_ONCE)
def _moment(bucket: int) -> int:
    return (bucket - _EPOCH) * 1_000_000


def _put(rows: bytearray, count: int, place: int, numbers: array[Any]) -> None:
    if sys.byteorder == "little":
        numbers.byteswap()
    told, size, apart = numbers.tobytes(), numbers.itemsize, len(rows) // count
    for byte in range(size):
        rows[place + byte :: apart] = told[byte::size]


def _with_sketches(rows: bytes | bytearray, sketches: Sequence[str | None]) -> Iterator[bytes | bytearray]:
    apart = len(rows) // len(sketches)
    for number, sketch in enumerate(sketches):
        row = rows[number * apart : (number + 1) * apart]
        yield row if sketch is None else row[: -len(_NO_SKETCH)] + _sketch(sketch)


def _sketch(sketch: str) -> bytes:
    told = b"\x01" + sketch.encode()
    return struct.pack(">i", len(told)) + told
