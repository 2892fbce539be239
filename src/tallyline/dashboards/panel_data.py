"""What a panel shows for a window of time: a headline and lines, with gaps where nothing is known."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from tallyline.window import Grain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from tallyline.dashboards.definition import Panel
    from tallyline.plan import Metric
    from tallyline.warehouse import Value, Warehouse
    from tallyline.window import Window

    Parts = Mapping[datetime, Mapping[str | None, float]]

__all__ = ["Headline", "Line", "PanelData", "read_panel", "together"]

MOST_LINES = 8
_ONE_WEEK = timedelta(days=7)
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
    """A panel filled in: `times` are the beginnings of its buckets in UTC, not whole yet from `incomplete_from` on."""

    title: str
    unit: str
    by: Grain
    times: list[datetime]
    lines: list[Line]
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

    Lines beyond the eight with the greatest sums are gathered in one called "other". Raises UnknownName while nothing
    was written for the metric, and Refused for hours of a metric that is known by the day.
    """
    grain = by or panel.by
    window = window.widened(grain, zone)
    oldest_headline = _bucket_before(window.since, grain, zone)
    since = _bucket_before(oldest_headline, grain, zone)
    values = warehouse.query(panel.metric, by=grain, since=since, until=window.until, split=panel.split)
    parts: defaultdict[datetime, dict[str | None, float]] = defaultdict(dict)
    for value in values:
        parts[value.time][value.part] = value.value
    times = _known_times(list(window.buckets(grain, zone)), parts)
    return PanelData(
        title=panel.title or metric.label,
        unit=metric.unit,
        by=grain,
        times=times,
        lines=_lines(times, parts, panel, metric),
        incomplete_from=next((value.time for value in values if not value.complete), None),
        headline=_headline([value for value in values if value.time >= oldest_headline], parts, metric, grain, zone),
    )


def together(values: Iterable[float | None], metric: Metric) -> float | None:
    """Roll up what the parts of a metric have in one bucket, right to twelve significant digits; None if none has any.

    >>> from tallyline.plan import Metric
    >>> together([0.1, None, 0.2], Metric("revenue"))
    0.3
    """
    known = [value for value in values if value is not None]
    if not known:
        return None
    total = metric.kind.over_series(known)
    return total if total.is_integer() else float(f"{total:.{_SIGNIFICANT}g}")


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
    return [*lines, _other(times, parts, gathered, metric)] if gathered else lines


def _other(times: Sequence[datetime], parts: Parts, gathered: set[str | None], metric: Metric) -> Line:
    values = [[value for part, value in parts.get(time, {}).items() if part in gathered] for time in times]
    label = f"other ({len(gathered)})"
    return Line(label, [together(several, metric) for several in values])


def _label(part: str | None, panel: Panel, metric: Metric) -> str:
    if panel.split is None:
        return metric.label
    return part if part is not None else f"no {panel.split}"


def _headline(values: Sequence[Value], parts: Parts, metric: Metric, grain: Grain, zone: ZoneInfo) -> Headline | None:
    last = next((value.time for value in reversed(values) if value.complete), None)
    if last is None:
        return None
    before = _bucket_before(last, grain, zone)
    value, earlier = (together(parts.get(time, {}).values(), metric) for time in (last, before))
    return None if value is None else Headline(last, value, before, earlier)


def _bucket_before(time: datetime, grain: Grain, zone: ZoneInfo) -> datetime:
    if grain in {Grain.HOUR, Grain.DAY}:
        local = time.astimezone(zone)
        return grain.floor((local.replace(tzinfo=None) - _ONE_WEEK).replace(tzinfo=zone), zone)
    return grain.floor(time - timedelta(seconds=1), zone)
