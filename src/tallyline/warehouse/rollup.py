"""Days out of hours: by the kind of the metric, and only those days that a change touches."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from operator import mul
from typing import TYPE_CHECKING, cast

from tallyline.plan import Kind
from tallyline.window import Grain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from zoneinfo import ZoneInfo

    from tallyline.plan import Measured

    Hours = Mapping[int, Mapping[int, Measured]]
    Kinds = Mapping[int, tuple[str, Kind]]
    Touched = Mapping[int, set[int]]

__all__ = ["Days", "roll_up", "touched_days"]

_OF_ALL_SERIES = (Kind.LEVEL, Kind.MEAN)


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
        self._cut: list[tuple[int, int, int]] = []

    def __missing__(self, hour: int) -> int:
        """Work it out."""
        day = self[hour] = int(Grain.DAY.floor(datetime.fromtimestamp(hour, UTC), self._zone).timestamp())
        return day

    def seconds(self, hour: int) -> int:
        """Return how long the hour is; one in which the clock is changed may be shorter."""
        if hour not in self._seconds:
            after = Grain.HOUR.after(datetime.fromtimestamp(hour, UTC), self._zone)
            self._seconds[hour] = int(after.timestamp()) - hour
        return self._seconds[hour]

    def cut(self, hours: tuple[int, ...]) -> list[tuple[int, int, int]]:
        """Return the days of hours that are given in order, and where among them each begins and ends.

        They are remembered for the next ones: most series of a reading have the same hours.
        """
        if hours != self._hours:
            of_days = list(map(self.__getitem__, hours))
            begins = [at for at, day in enumerate(of_days) if not at or day != of_days[at - 1]]
            ends = [*begins[1:], len(hours)]
            self._hours, self._cut = hours, [(of_days[at], at, end) for at, end in zip(begins, ends, strict=True)]
        return self._cut


def touched_days(hours: Iterable[tuple[int, Iterable[int]]], kinds: Kinds, days: Days) -> defaultdict[int, set[int]]:
    """Return by series the days that have to be rolled up: of a level, those of all series of its metric.

    Distinct counts are not rolled up: their source counts them anew by the day.
    """
    touched: defaultdict[int, set[int]] = defaultdict(set)
    for series, of_series in hours:
        if kinds[series][1] is not Kind.DISTINCT:
            touched[series].update(map(days.__getitem__, of_series))
    whole: defaultdict[str, set[int]] = defaultdict(set)
    for series, its_days in touched.items():
        metric, kind = kinds[series]
        if kind in _OF_ALL_SERIES:
            whole[metric] |= its_days
    for series, (metric, _) in kinds.items() if whole else ():
        touched[series] |= whole.get(metric, set())
    return touched


def roll_up(hours: Hours, kinds: Kinds, touched: Touched, days: Days) -> dict[int, dict[int, Measured]]:
    """Return the days that are `touched`, each out of all of its `hours`.

    A level's last value is that of the last hour in which its metric has any, and a mean is over all hours in which
    it has: so a series that vanished at noon is not in the one, and counts as nothing for half of the other.
    """
    of_metrics = _hours_of_metrics(hours, kinds, touched, days)
    rolled: dict[int, dict[int, Measured]] = {}
    for series in touched.keys() & hours.keys():
        metric, kind = kinds[series]
        rolled[series] = dict(_rolled_up(hours[series], touched[series], kind, of_metrics[metric], days))
    return rolled


def _rolled_up(
    values: Mapping[int, Measured],
    touched: set[int],
    kind: Kind,
    of_metric: Mapping[int, set[int]],
    days: Days,
) -> Iterator[tuple[int, Measured]]:
    hours = tuple(sorted(values))
    ordered = list(map(values.__getitem__, hours))
    for day, begin, end in days.cut(hours):
        if day not in touched:
            continue
        if kind is Kind.MEAN:
            lasted = map(mul, map(days.seconds, hours[begin:end]), cast("list[float]", ordered[begin:end]))
            yield day, sum(lasted) / sum(map(days.seconds, of_metric[day]))
        elif kind is not Kind.LEVEL or hours[end - 1] == max(of_metric[day]):
            yield day, kind.over_time(ordered[begin:end])


def _hours_of_metrics(hours: Hours, kinds: Kinds, touched: Touched, days: Days) -> Mapping[str, Mapping[int, set[int]]]:
    known: defaultdict[str, defaultdict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    for series in touched.keys() & hours.keys():
        metric, kind = kinds[series]
        if kind in _OF_ALL_SERIES:
            in_order = tuple(sorted(hours[series]))
            for day, begin, end in days.cut(in_order):
                if day in touched[series]:
                    known[metric][day].update(in_order[begin:end])
    return known
