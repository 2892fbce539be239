"""Days out of hours: by the kind of the metric, and only those days that a change touches."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from operator import mul
from typing import TYPE_CHECKING, NamedTuple, cast

from tallyline.plan import Kind
from tallyline.warehouse.column import Column
from tallyline.window import Grain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from zoneinfo import ZoneInfo

    from tallyline.plan import Measured

    Hours = Mapping[int, Column]
    Kinds = Mapping[int, tuple[str, Kind]]
    Touched = Mapping[int, set[int]]

__all__ = ["Days", "roll_up", "touched_days"]

_OF_ALL_SERIES = (Kind.LEVEL, Kind.MEAN)


class Day(NamedTuple):
    """A day of some hours that are given in order: when it begins, and where among them its own begin and end."""

    begins: int
    first: int
    end: int


class Days(dict[int, int]):
    """When the day of an hour began; worked out once for each hour.

    >>> from zoneinfo import ZoneInfo
    >>> days = Days(ZoneInfo("Europe/Paris"))
    >>> noon = int(datetime(2026, 3, 29, 10, tzinfo=UTC).timestamp())
    >>> datetime.fromtimestamp(days[noon], UTC).isoformat()
    '2026-03-28T23:00:00+00:00'
    """

    def __init__(self, zone: ZoneInfo) -> None:
        """Cut days in the business zone."""
        super().__init__()
        self._zone = zone
        self._seconds: dict[int, int] = {}
        self._hours: tuple[int, ...] = ()
        self._cut: list[Day] = []

    def __missing__(self, hour: int) -> int:
        """Work it out, for what is left of the day at once."""
        moment = datetime.fromtimestamp(hour, UTC)
        day = int(Grain.DAY.floor(moment, self._zone).timestamp())
        ends = int(Grain.DAY.after(moment, self._zone).timestamp())
        self.update(dict.fromkeys(range(hour, ends, 3600), day))
        return day

    def seconds(self, hour: int) -> int:
        """Return how long the hour is; one in which the clock is changed may be shorter."""
        if hour not in self._seconds:
            after = Grain.HOUR.after(datetime.fromtimestamp(hour, UTC), self._zone)
            self._seconds[hour] = int(after.timestamp()) - hour
        return self._seconds[hour]

    def cut(self, hours: tuple[int, ...]) -> list[Day]:
        """Return the days of hours that are given in order.

        They are remembered for the next ones: most series of a reading have the same hours.
        """
        if hours != self._hours:
            of_days = list(map(self.__getitem__, hours))
            begins = [at for at, day in enumerate(of_days) if not at or day != of_days[at - 1]]
            ends = [*begins[1:], len(hours)]
            self._hours, self._cut = hours, [Day(of_days[at], at, end) for at, end in zip(begins, ends, strict=True)]
        return self._cut


def touched_days(hours: Iterable[Column], kinds: Kinds, days: Days) -> defaultdict[int, set[int]]:
    """Return by series the days that have to be rolled up: of a level, those of all series of its metric.

    Distinct counts are not rolled up: their source counts them anew by the day.
    """
    touched: defaultdict[int, set[int]] = defaultdict(set)
    for column in hours:
        if kinds[column.series][1] is not Kind.DISTINCT:
            touched[column.series].update(day.begins for day in days.cut(column.buckets))
    whole: defaultdict[str, set[int]] = defaultdict(set)
    for series, its_days in touched.items():
        metric, kind = kinds[series]
        if kind in _OF_ALL_SERIES:
            whole[metric] |= its_days
    for series, (metric, _) in kinds.items() if whole else ():
        touched[series] |= whole.get(metric, set())
    return touched


def roll_up(hours: Hours, kinds: Kinds, touched: Touched, days: Days, run: int) -> dict[int, Column]:
    """Return the days that are `touched`, each out of all of its `hours`, as `run` writes them.

    A level's last value is that of the last hour in which its metric has any, and a mean is over all hours in which
    it has: so a series that vanished at noon is not in the one, and counts as nothing for half of the other.
    """
    cut = {
        series: [day for day in days.cut(hours[series].buckets) if day.begins in touched[series]]
        for series in touched.keys() & hours.keys()
    }
    of_metrics = _hours_of_metrics(hours, kinds, cut)
    rolled: dict[int, Column] = {}
    for series, its_days in cut.items():
        column, (metric, kind) = hours[series], kinds[series]
        told = [day for day in its_days if kind is not Kind.LEVEL or _is_last(column, day, of_metrics[metric])]
        values = [_rolled_up(column, day, kind, of_metrics[metric], days) for day in told]
        rolled[series] = Column(series, tuple(day.begins for day in told), values, (run,) * len(told))
    return rolled


def _is_last(column: Column, day: Day, of_metric: Mapping[int, set[int]]) -> bool:
    return column.buckets[day.end - 1] == max(of_metric[day.begins])


def _rolled_up(column: Column, day: Day, kind: Kind, of_metric: Mapping[int, set[int]], days: Days) -> Measured:
    values = column.values[day.first : day.end]
    if kind is not Kind.MEAN:
        return kind.over_time(values)
    lasted = map(days.seconds, column.buckets[day.first : day.end])
    weighted: float = sum(map(mul, lasted, cast("Sequence[float]", values)))
    return weighted / sum(map(days.seconds, of_metric[day.begins]))


def _hours_of_metrics(hours: Hours, kinds: Kinds, cut: Mapping[int, list[Day]]) -> Mapping[str, Mapping[int, set[int]]]:
    known: defaultdict[str, defaultdict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    for series, its_days in cut.items():
        metric, kind = kinds[series]
        for day in its_days if kind in _OF_ALL_SERIES else ():
            known[metric][day.begins].update(hours[series].buckets[day.first : day.end])
    return known
