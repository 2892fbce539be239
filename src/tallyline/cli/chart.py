"""Columns in the terminal: gaps stay empty, zero is a line, buckets that are not complete are hatched."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING

from tallyline.window import Grain, Window

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from tallyline.plan import Metric
    from tallyline.warehouse import Value

__all__ = ["chart", "short"]

HEIGHT = 10
WIDEST_COLUMN = 6
_STANDING = " ▁▂▃▄▅▆▇█"
_HANGING = " ▔▔▀▀▀███"
_ZERO = "_"
_HATCHED = "░"
_DATES = {Grain.HOUR: "%d %b %Y %H:%M", Grain.MONTH: "%b %Y", Grain.QUARTER: "%b %Y", Grain.YEAR: "%Y"}
_HUNDRED = 100
_LETTERS = ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k"))


def chart(values: Sequence[Value], metric: Metric, by: Grain, zone: ZoneInfo, *, width: int = 80) -> str:
    """Draw the values of a metric, each part by itself, and as many of the last buckets as fit into `width`.

    A share of one is told in per cent.
    """
    unit = "%" if metric.share else metric.unit
    title = f"{metric.label} by {by}" + (f", in {unit}" if unit else "")
    if not values:
        return f"{title}\n\nNothing is known for this time. To read the sources: tallyline read all --write"
    parts: defaultdict[str | None, list[Value]] = defaultdict(list)
    for value in values:
        parts[value.part].append(value._replace(value=_HUNDRED * value.value) if metric.share else value)
    is_split = set(parts) != {None}
    greatest = sorted(parts.items(), key=lambda item: -sum(value.value for value in item[1]))
    times = list(Window(values[0].time, by.after(values[-1].time, zone)).buckets(by, zone))
    names = {part: part or "(none)" if is_split else None for part in parts}
    drawn = [_part(names[part], of_part, times, by, zone, width) for part, of_part in greatest]
    return "\n\n".join([title, *drawn])


def short(value: float) -> str:
    """Write a number in few characters.

    >>> [short(value) for value in (0, 0.00314159, 3.14159, 1234, 56789, 1200000)]
    ['0', '0.00314', '3.14', '1,234', '56.8k', '1.2M']
    """
    for least, size, letter in _LETTERS:
        if abs(value) >= least:
            return f"{float(f'{value / size:.3g}'):,g}{letter}"
    if float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:,.2f}" if abs(value) >= 1 else f"{value:.3g}"


def _part(
    part: str | None, values: Sequence[Value], times: Sequence[datetime], by: Grain, zone: ZoneInfo, width: int
) -> str:
    known = {value.time: value for value in values}
    low, high = min(0.0, *(value.value for value in values)), max(0.0, *(value.value for value in values))
    eighth = (high - low) / (HEIGHT * 8) or 1.0
    above, below = (math.ceil(round(height / eighth) / 8) for height in (high, -low))
    above = max(above, 1)
    edges = {0: "0", -below: short(low), above - 1: short(high)}
    margin = max(map(len, edges.values()))
    room = max(width - margin - 2, 1)
    shown = times[-room:]
    column = min(WIDEST_COLUMN, room // len(shown))
    lines = [part] if part is not None else []
    for row in reversed(range(-below, above)):
        cells = (_cell(known.get(time), row, eighth, column) for time in shown)
        lines.append(f"{edges.get(row, ''):>{margin}} ┤{''.join(cells)}".rstrip())
    lines.append(" " * (margin + 2) + _dates(shown, by, zone, column * len(shown)))
    return "\n".join([*lines, *_notes(values, len(times), len(shown), by, zone)])


def _cell(value: Value | None, row: int, eighth: float, column: int) -> str:
    if value is None:
        return " " * column
    height = round(value.value / eighth)
    in_row = height - row * 8 if row >= 0 else -height + (row + 1) * 8
    level = min(max(in_row, 0), 8)
    block = (_STANDING if row >= 0 else _HANGING)[level]
    if row == 0 and height == 0:
        block = _ZERO
    elif level and not value.complete:
        block = _HATCHED
    return (block * max(column - 1, 1)).ljust(column)


def _dates(times: Sequence[datetime], by: Grain, zone: ZoneInfo, width: int) -> str:
    first, last = _date(times[0], by, zone), _date(times[-1], by, zone)
    return first if len(times) == 1 else f"{first}{last:>{max(width - len(first), len(last) + 1)}}"


def _notes(values: Sequence[Value], buckets: int, shown: int, by: Grain, zone: ZoneInfo) -> Iterator[str]:
    complete = [value for value in values if value.complete]
    if complete:
        yield f"last complete: {_exact(complete[-1].value)} ({_date(complete[-1].time, by, zone)})"
    if len(complete) < len(values):
        yield f"{_HATCHED} not complete yet: {_exact(values[-1].value)} so far ({_date(values[-1].time, by, zone)})"
    if shown < buckets:
        yield f"the last {shown} of {buckets} {by}s; a longer --by shows more"


def _exact(value: float) -> str:
    return f"{value:,.0f}" if value.is_integer() else f"{value:,.10g}"


def _date(time: datetime, by: Grain, zone: ZoneInfo) -> str:
    return time.astimezone(zone).strftime(_DATES.get(by, "%d %b %Y"))
