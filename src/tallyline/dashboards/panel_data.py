"""What a panel shows for a window of time: a headline and lines, with gaps where nothing is known."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, cast

from tallyline.errors import Refused
from tallyline.plan import Kind
from tallyline.window import Grain, bucket_before

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from tallyline.dashboards.definition import Panel
    from tallyline.plan import Metric
    from tallyline.warehouse import Value, Warehouse
    from tallyline.window import Window

    Parts = Mapping[datetime, Mapping[str | None, float]]

__all__ = ["Headline", "Line", "PanelData", "read_panel"]

MOST_LINES = 8
_GATHERED = (Kind.COUNT, Kind.LEVEL, Kind.MEAN, Kind.MINIMUM, Kind.MAXIMUM)
_SIGNIFICANT = 12


@dataclass(frozen=True, slots=True)
class Line:
    """The values of one part of a metric, one for each time of the panel, None where nothing is known."""

    label: str
    values: list[float | None]


@dataclass(frozen=True, slots=True)
class Headline:
    """The last complete bucket, and the bucket that it is compared with.

    An hour or a day is compared with the one a week before, a longer bucket with the one before it.
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

    `total` is what several lines are together, None where there is one line or they cannot be put together.
    """

    title: str
    unit: str
    by: Grain
    times: list[datetime]
    lines: list[Line]
    total: list[float | None] | None
    incomplete_from: datetime | None
    headline: Headline | None


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
    oldest_headline = _bucket_before(window.since, grain, zone)
    since = _bucket_before(oldest_headline, grain, zone)
    asked = partial(warehouse.query, panel.metric, by=grain, since=since, until=window.until)
    values = asked(split=panel.split)
    whole = _whole(asked) if panel.split else values
    parts: defaultdict[datetime, dict[str | None, float]] = defaultdict(dict)
    for value in values:
        parts[value.time][value.part] = value.value
    times = _known_times(list(window.buckets(grain, zone)), parts)
    lines, of_all = _lines(times, parts, panel, metric), {value.time: value.value for value in whole}
    return PanelData(
        title=panel.title or metric.label,
        unit=metric.unit,
        by=grain,
        times=times,
        lines=lines,
        total=[of_all.get(time) for time in times] if len(lines) > 1 and of_all else None,
        incomplete_from=_incomplete_from(values),
        headline=_headline([value for value in whole if value.time >= oldest_headline], of_all, grain, zone),
    )


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


def _lines(times: Sequence[datetime], parts: Parts, panel: Panel, metric: Metric) -> list[Line]:
    sums: defaultdict[str | None, float] = defaultdict(float)
    for time in times:
        for part, value in parts.get(time, {}).items():
            sums[part] += value
    ranked = sorted(sums, key=lambda part: -sums[part])
    shown = ranked if len(ranked) <= MOST_LINES + 1 else ranked[:MOST_LINES]
    lines = [Line(_label(part, panel, metric), [parts.get(time, {}).get(part) for time in times]) for part in shown]
    gathered = set(ranked) - set(shown)
    return [*lines, _other(times, parts, gathered, metric)] if gathered and metric.kind in _GATHERED else lines


def _other(times: Sequence[datetime], parts: Parts, gathered: set[str | None], metric: Metric) -> Line:
    values = [[value for part, value in parts.get(time, {}).items() if part in gathered] for time in times]
    return Line(f"other ({len(gathered)})", [_together(several, metric) for several in values])


def _together(values: Sequence[float], metric: Metric) -> float | None:
    if not values:
        return None
    total = cast("float", metric.kind.over_series(values))
    return total if total.is_integer() else float(f"{total:.{_SIGNIFICANT}g}")


def _label(part: str | None, panel: Panel, metric: Metric) -> str:
    if panel.split is None:
        return metric.label
    return part if part is not None else f"no {panel.split}"


def _headline(
    values: Sequence[Value], of_all: Mapping[datetime, float], grain: Grain, zone: ZoneInfo
) -> Headline | None:
    last = next((value for value in reversed(values) if value.complete), None)
    if last is None:
        return None
    before = _bucket_before(last.time, grain, zone)
    return Headline(last.time, last.value, before, of_all.get(before))


def _bucket_before(time: datetime, grain: Grain, zone: ZoneInfo) -> datetime:
    return bucket_before(time, grain, Grain.WEEK if grain in {Grain.HOUR, Grain.DAY} else grain, zone)
