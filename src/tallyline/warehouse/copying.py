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
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["BEGINS", "COLUMNS", "ENDS", "Column", "Fact", "packed", "packed_column"]

COLUMNS = ("series_id", "bucket", "value", "run_id", "sketch")
BEGINS, ENDS = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"

_AT_ONCE = 512  # what stays in the processor's nearest cache
_REMEMBERED = 256
_EPOCH = 946_684_800
_NO_SKETCH = struct.pack(">i", -1)
_EMPTY_ROW = struct.pack(">hiiiqidii", len(COLUMNS), 4, 0, 8, 0, 8, 0, 4, 0) + _NO_SKETCH
_SIZE = len(_EMPTY_ROW)
_SERIES_AT, _BUCKET_AT, _VALUE_AT, _RUN_AT = 6, 14, 26, 38

Fact = tuple[int, int, float, int, str | None]
"""A value as it is kept: series, bucket, value, run and, of a distribution, its sketch as JSON."""


class Column(NamedTuple):
    """Values of one series, written by one run: when their buckets begin, in order, and how much each is."""

    series: int
    buckets: tuple[int, ...]
    values: Sequence[float]
    run: int


def packed_column(column: Column) -> Iterator[bytearray]:
    """Yield the rows of a column."""
    series = struct.pack(">i", column.series)
    for begin in range(0, len(column.buckets), _AT_ONCE):
        buckets = column.buckets[begin : begin + _AT_ONCE]
        rows = bytearray(_rows_of(buckets, column.run))
        for at, byte in enumerate(series, _SERIES_AT):
            rows[at::_SIZE] = bytes((byte,)) * len(buckets)
        _put(rows, _VALUE_AT, array("d", column.values[begin : begin + _AT_ONCE]))
        yield rows


def packed(facts: Sequence[Fact]) -> Iterator[bytes | bytearray]:
    """Yield the rows of facts."""
    for begin in range(0, len(facts), _AT_ONCE):
        series, buckets, values, runs, sketches = zip(*facts[begin : begin + _AT_ONCE], strict=True)
        rows = bytearray(_EMPTY_ROW * len(series))
        _put(rows, _SERIES_AT, array("i", series))
        _put(rows, _BUCKET_AT, _moments(buckets))
        _put(rows, _VALUE_AT, array("d", values))
        _put(rows, _RUN_AT, array("i", runs))
        yield b"".join(_with_sketches(rows, sketches)) if any(sketches) else rows


@lru_cache(_REMEMBERED)  # most series of a reading have the same buckets
def _rows_of(buckets: tuple[int, ...], run: int) -> bytes:
    rows = bytearray(_EMPTY_ROW * len(buckets))
    _put(rows, _BUCKET_AT, _moments(buckets))
    _put(rows, _RUN_AT, array("i", [run] * len(buckets)))
    return bytes(rows)


def _moments(buckets: Iterable[int]) -> array[int]:
    return array("q", [(bucket - _EPOCH) * 1_000_000 for bucket in buckets])


def _put(rows: bytearray, place: int, numbers: array[Any]) -> None:
    if sys.byteorder == "little":
        numbers.byteswap()
    told, size = numbers.tobytes(), numbers.itemsize
    for byte in range(size):
        rows[place + byte :: _SIZE] = told[byte::size]


def _with_sketches(rows: bytes | bytearray, sketches: Iterable[str | None]) -> Iterator[bytes | bytearray]:
    for number, sketch in enumerate(sketches):
        row = rows[number * _SIZE : (number + 1) * _SIZE]
        yield row if sketch is None else row[: -len(_NO_SKETCH)] + _sketch(sketch)


def _sketch(sketch: str) -> bytes:
    told = b"\x01" + sketch.encode()
    return struct.pack(">i", len(told)) + told
