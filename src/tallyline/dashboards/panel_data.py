"""What a panel shows for a window of time: a headline and lines, with gaps where nothing is known."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, cast

from tallyline.errors import Refused
from tallyline.plan import Kind
from tallyline.window import Grain, Window, bucket_before

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from tallyline.dashboards.definition import Panel
    from tallyline.plan import Metric
    from tallyline.warehouse import Value, Warehouse

    Parts = Mapping[datetime, Mapping[str | None, float]]

__all__ = ["Headline", "Line", "PanelData", "read_panel"]

MOST_LINES = 8
_GATHERED = (Kind.COUNT, Kind.LEVEL, Kind.MEAN, Kind.MINIMUM, Kind.MAXIMUM)
_SIGNIFICANT = 12


@dataclass(frozen=True, slots=True)
class Line:
    """The values of one part of a metric, one for each time of the panel, None where nothing is known.

    `before` are those of the buckets that the panel compares with, empty where it draws none.
    """

    label: str
    values: list[float | None]
    before: list[float | None] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Headline:
    """The last complete bucket, and the bucket that it is compared with.

    That is the one a `compare` before, where the panel has that; else an hour or a day is compared with the one a week
    before, a longer bucket with the one before it. `before` is None where that one was not read to its end.
    """

    time: datetime
    value: float
    compared_with: datetime
    before: float | None

    @property
    def change(self) -> float | None:
        """The change as a share of the value before: 0.1 is ten per cent more."""
        return (self.value - self.before) / abs(self.before) if self.before else None


@dataclass(frozen=True, slots=True)
class PanelData:
    """A panel filled in: `times` are the beginnings of its buckets in UTC, not whole yet from `incomplete_from` on.

    `total` is what several lines are together, None where there is one line or they cannot be put together. `compare`
    says how far before the lines' `before` lies. `target` is None at another grain than the panel's own.
    """

    title: str
    unit: str
    by: Grain
    times: list[datetime]
    lines: list[Line]
    total: list[float | None] | None
    incomplete_from: datetime | None
    headline: Headline | None
    compare: Grain | None = None
    target: float | None = None


def read_panel(
    panel: Panel,
    metric: Metric,
    warehouse: Warehouse,
    window: Window,
    zone: ZoneInfo,
    *,
    by: Grain | None = None,
) -> PanelData:
    """Read what `panel` shows of `metric` in `window`; `by` replaces the panel's own grain.

    Lines beyond the eight with the greatest sums are gathered in one called "other", where they can be added up.
    Raises UnknownName while nothing was written for the metric, and Refused for hours of a metric that is known by the
    day.
    """
    grain = by or panel.by
    window = window.widened(grain, zone)
    compare = panel.compare if panel.compare and _is_longer(panel.compare, grain) else None
    back = partial(bucket_before, by=grain, back=compare or _usual(grain), zone=zone)
    oldest_headline = bucket_before(window.since, grain, _usual(grain), zone)
    asked = partial(warehouse.query, panel.metric, by=grain, where=panel.where or None)
    now = _Read.of(asked, panel, oldest_headline if compare else back(oldest_headline), window.until)
    before = _read_before(asked, panel, Window(oldest_headline, window.until), back, grain, zone) if compare else now
    times = _known_times(list(window.buckets(grain, zone)), now.parts)
    lines = _lines(times, now.parts, before.parts if compare else None, back, panel, metric)
    return PanelData(
        title=panel.title or metric.label,
        unit=metric.unit,
        by=grain,
        times=times,
        lines=lines,
        total=[now.value(time) for time in times] if len(lines) > 1 and now.whole else None,
        incomplete_from=_incomplete_from(now.values),
        headline=_headline([value for value in now.whole.values() if value.time >= oldest_headline], before, back),
        compare=compare,
        target=panel.target if grain is panel.by else None,
    )


@dataclass(frozen=True, slots=True)
class _Read:
    """What was read: the values, by their times and parts, and by their times what they are together."""

    values: Sequence[Value]
    parts: Parts
    whole: Mapping[datetime, Value]

    @classmethod
    def of(cls, asked: Callable[..., Sequence[Value]], panel: Panel, since: datetime, until: datetime) -> _Read:
        asked = partial(asked, since=since, until=until)
        values = asked(split=panel.split)
        parts: defaultdict[datetime, dict[str | None, float]] = defaultdict(dict)
        for value in values:
            parts[value.time][value.part] = value.value
        return cls(values, parts, {value.time: value for value in (_whole(asked) if panel.split else values)})

    def value(self, time: datetime) -> float | None:
        return self.whole[time].value if time in self.whole else None


def _read_before(  # a question, and how far back its answer lies
    asked: Callable[..., Sequence[Value]],
    panel: Panel,
    window: Window,
    back: Callable[[datetime], datetime],
    grain: Grain,
    zone: ZoneInfo,
) -> _Read:
    last = grain.floor(window.until - timedelta(microseconds=1), zone)
    return _Read.of(asked, panel, back(window.since), grain.after(back(last), zone))


def _is_longer(compare: Grain, grain: Grain) -> bool:
    return list(Grain).index(compare) >= list(Grain).index(grain)


def _usual(grain: Grain) -> Grain:
    return Grain.WEEK if grain in {Grain.HOUR, Grain.DAY} else grain


def _whole(asked: Callable[[], Sequence[Value]]) -> Sequence[Value]:
    """Return the values of all parts together, none where they cannot be put together."""
    try:
        return asked()
    except Refused:
        return ()


def _incomplete_from(values: Sequence[Value]) -> datetime | None:
    """Return when the buckets begin that are not complete yet: those at the end, not one in which a gap ends."""
    running = [value.time for value in takewhile(lambda value: not value.complete, reversed(values))]
    return running[-1] if running else None


def _known_times(times: list[datetime], parts: Parts) -> list[datetime]:
    known = [index for index, time in enumerate(times) if time in parts]
    return times[known[0] : known[-1] + 1] if known else []


def _lines(
    times: Sequence[datetime],
    parts: Parts,
    before: Parts | None,
    back: Callable[[datetime], datetime],
    panel: Panel,
    metric: Metric,
) -> list[Line]:
    sums: defaultdict[str | None, float] = defaultdict(float)
    for time in times:
        for part, value in parts.get(time, {}).items():
            sums[part] += value
    ranked = sorted(sums, key=lambda part: -sums[part])
    shown = ranked if len(ranked) <= MOST_LINES + 1 else ranked[:MOST_LINES]
    earlier = [back(time) for time in times] if before is not None else []

    def line(label: str, told: Callable[[Mapping[str | None, float]], float | None]) -> Line:
        values = [told(parts.get(time, {})) for time in times]
        return Line(label, values, [told((before or {}).get(time, {})) for time in earlier])

    lines = [line(_label(part, panel, metric), partial(_of_part, part)) for part in shown]
    others = set(ranked) - set(shown)
    if others and metric.kind in _GATHERED:
        lines.append(line(f"other ({len(others)})", partial(_of_others, others, metric)))
    return lines


def _of_part(part: str | None, values: Mapping[str | None, float]) -> float | None:
    return values.get(part)


def _of_others(parts: set[str | None], metric: Metric, values: Mapping[str | None, float]) -> float | None:
    return _together([value for part, value in values.items() if part in parts], metric)


def _together(values: Sequence[float], metric: Metric) -> float | None:
    if not values:
        return None
    total = cast("float", metric.kind.over_series(values))
    return total if total.is_integer() else float(f"{total:.{_SIGNIFICANT}g}")


def _label(part: str | None, panel: Panel, metric: Metric) -> str:
    if panel.split is None:
        return metric.label
    return part if part is not None else f"no {panel.split}"


def _headline(values: Sequence[Value], before: _Read, back: Callable[[datetime], datetime]) -> Headline | None:
    last = next((value for value in reversed(values) if value.complete), None)
    if last is None:
        return None
    earlier = before.whole.get(back(last.time))
    return Headline(last.time, last.value, back(last.time), earlier.value if earlier and earlier.complete else None)
