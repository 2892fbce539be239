"""Columns in PostgreSQL's binary form: as it copies them in, and as it tells them.

Rows are made as copies of an empty one, into which each number of a column is put byte by byte: that takes a few steps
in C for many rows, not one in Python for each.
"""

from __future__ import annotations

import struct
import sys
from array import array
from functools import lru_cache
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

from tallyline.warehouse.column import Column

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tallyline.warehouse.column import Kept

__all__ = ["BEGINS", "COLUMNS", "ENDS", "RESTATED", "TOLD", "packed", "unpacked"]

COLUMNS = ("series_id", "bucket", "value", "run_id", "sketch")
RESTATED = ("series_id", "bucket", "value", "run_id", "replaced_by", "sketch")
BEGINS, ENDS = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
TOLD = """
    string_agg(timestamptz_send(bucket), '') AS buckets,
    string_agg(float8send(value), ''),
    string_agg(int4send(run_id), ''),
    array_agg(sketch::text) FILTER (WHERE sketch IS NOT NULL)
"""
"""What tells the values of one series; `buckets` is NULL where there are none."""

_AT_ONCE = 512  # what stays in the processor's nearest cache
_REMEMBERED = 256
_FEW = 16
_EPOCH = 946_684_800
_SECOND = 1_000_000
_NO_SKETCH = struct.pack(">i", -1)
_EMPTY_ROW = struct.pack(">hiiiqidii", len(COLUMNS), 4, 0, 8, 0, 8, 0, 4, 0) + _NO_SKETCH
_SERIES_AT, _BUCKET_AT, _VALUE_AT, _RUN_AT = 6, 14, 26, 38
_INTEGER, _LONG, _DOUBLE = 4, 8, 8


def packed(columns: Iterable[Column], replaced_by: int | None = None) -> Iterator[bytes | bytearray]:
    """Yield the rows of columns; or of what was restated, replaced by a run."""
    for several in _at_once(columns):
        series = b"".join(struct.pack(">i", column.series) * len(column) for column in several)
        moments = b"".join(_moments(column.buckets) for column in several)
        kept = [column.kept for column in several]
        values = _sent(array("d", chain.from_iterable(numbers for numbers, _ in kept)))
        runs = _sent(array("i", chain.from_iterable(column.runs for column in several)))
        sketches = _sketches(kept)
        for begin in range(0, len(series) // _INTEGER, _AT_ONCE):
            short, long = (slice(begin * size, (begin + _AT_ONCE) * size) for size in (_INTEGER, _LONG))
            rows = bytearray(_rows_of(moments[long], runs[short], replaced_by))
            _put(rows, _SERIES_AT, series[short], _INTEGER)
            _put(rows, _VALUE_AT, values[long], _DOUBLE)
            yield b"".join(_with_sketches(rows, sketches[begin : begin + _AT_ONCE])) if sketches else rows


def unpacked(series: int, moments: bytes, values: bytes, runs: bytes, sketches: Sequence[str] | None) -> Column:
    """Return a column as it is `TOLD`, in the order of its buckets."""
    numbers = struct.unpack(f">{len(values) // _DOUBLE}d", values)
    wrote = struct.unpack(f">{len(runs) // _INTEGER}i", runs)
    return Column.of_kept(series, _buckets(moments), (numbers, sketches), wrote)


def _at_once(columns: Iterable[Column]) -> Iterator[list[Column]]:
    """Put short columns together."""
    several, count = list[Column](), 0
    for column in columns:
        several.append(column)
        count += len(column)
        if count >= _AT_ONCE:
            yield several
            several, count = [], 0
    if several:
        yield several


@lru_cache(_FEW)  # most series of a reading have the same buckets
def _moments(buckets: tuple[int, ...]) -> bytes:
    return _sent(array("q", [(bucket - _EPOCH) * _SECOND for bucket in buckets]))


@lru_cache(_FEW)
def _buckets(moments: bytes) -> tuple[int, ...]:
    return tuple(moment // _SECOND + _EPOCH for moment in struct.unpack(f">{len(moments) // _LONG}q", moments))


@lru_cache(_REMEMBERED)
def _rows_of(moments: bytes, runs: bytes, replaced_by: int | None) -> bytes:
    rows = bytearray(_empty_row(replaced_by) * (len(runs) // _INTEGER))
    _put(rows, _BUCKET_AT, moments, _LONG)
    _put(rows, _RUN_AT, runs, _INTEGER)
    return bytes(rows)


def _empty_row(replaced_by: int | None) -> bytes:
    if replaced_by is None:
        return _EMPTY_ROW
    alike = _EMPTY_ROW[struct.calcsize(">h") : -len(_NO_SKETCH)]
    return struct.pack(">h", len(RESTATED)) + alike + struct.pack(">ii", 4, replaced_by) + _NO_SKETCH


def _sent(numbers: array[Any]) -> bytes:
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers.tobytes()


def _put(rows: bytearray, place: int, told: bytes, size: int) -> None:
    apart = len(rows) // (len(told) // size)
    for byte in range(size):
        rows[place + byte :: apart] = told[byte::size]


def _sketches(kept: Sequence[Kept]) -> list[str | None]:
    if not any(sketches for _, sketches in kept):
        return []
    return [*chain.from_iterable(sketches or repeat(None, len(numbers)) for numbers, sketches in kept)]


def _with_sketches(rows: bytearray, sketches: Sequence[str | None]) -> Iterator[bytes | bytearray]:
    apart = len(rows) // len(sketches)
    for number, sketch in enumerate(sketches):
        row = rows[number * apart : (number + 1) * apart]
        yield row if sketch is None else row[: -len(_NO_SKETCH)] + _sketch(sketch)


def _sketch(sketch: str) -> bytes:
    told = b"\x01" + sketch.encode()
    return struct.pack(">i", len(told)) + told
