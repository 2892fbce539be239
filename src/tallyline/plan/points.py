"""The one shape of every measurement, `(dims, metrics)`, and the points that the warehouse keeps of it.

`dims` says when: `time` (a moment), or `date` with `hour`, or `date` alone; any other key says of what. `metrics`
maps names of the plan to numbers. A number that is None was not measured and makes no point; a dim that is None
is not known and is left out.
"""

from __future__ import annotations

import json
import math
import numbers
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache, partial
from operator import itemgetter
from types import NoneType
from typing import TYPE_CHECKING, NamedTuple, cast

from tallyline.errors import BadPoint, UnknownName
from tallyline.plan.metric import Kind
from tallyline.plan.sketch import Gathering, Sketch
from tallyline.window import Grain, Window, start_of_day

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from zoneinfo import ZoneInfo

    from tallyline.plan.metric import Measured, Plan

__all__ = ["Combine", "Normalizer", "Point", "Points", "SeriesKey"]

_WHEN = frozenset({"time", "date", "hour"})
_LONGEST_DIMS = 1000
_REMEMBERED = 16_384
_TOLD_APART = frozenset({str, NoneType})  # of others some are equal that are not told alike: 1 and True
_SINGLE = frozenset({float, int})
_SEVERAL = (array, Sketch)
_GREATEST = 1e300
_NEARLY_AN_HOUR = timedelta(hours=1) - timedelta(microseconds=1)


SeriesKey = tuple[str, str]
"""The name of a metric, and dims as canonical JSON."""


class Point(NamedTuple):
    """A value of one series in one bucket: `dims` is canonical JSON, `bucket` when it begins, in UTC.

    Of a metric that is a duration, the value is an array of single ones, or a sketch of many.
    """

    metric: str
    dims: str
    bucket: datetime
    value: float | array[float] | Sketch


_point = partial(tuple.__new__, Point)  # as Point does it, without a call of Python


class Combine(StrEnum):
    """What becomes of several values for the same series and bucket within one read."""

    REFUSE = "refuse"
    SUM = "sum"
    LAST = "last"
    MINIMUM = "minimum"
    MAXIMUM = "maximum"


_COMBINED: dict[Combine, Callable[[float, float], float]] = {
    Combine.SUM: lambda before, value: before + value,
    Combine.LAST: lambda _, value: value,
    Combine.MINIMUM: min,
    Combine.MAXIMUM: max,
}


@dataclass(frozen=True, slots=True)
class Normalizer:
    """Turns rows `(dims, metrics)` into points of a window.

    `zone` is the business zone that cuts the buckets; `source_zone` is the zone in which the source tells times that
    have no offset. A row of another shape, outside of `window`, with a metric that is not in the plan, without a
    usable time, or with a value that is no finite number raises BadPoint and says what is wrong with it.

    >>> from zoneinfo import ZoneInfo
    >>> from tallyline.plan import Metric
    >>> utc = ZoneInfo("UTC")
    >>> july = Window(datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 8, 1, tzinfo=UTC))
    >>> normalize = Normalizer({"users.new": Metric("users.new")}, july, Grain.DAY, utc, utc)
    >>> [(point.dims, point.value) for point in normalize(({"date": "2026-07-14", "country": "FR"}, {"users.new": 3}))]
    [('{"country":"FR"}', 3.0)]
    """

    plan: Plan
    window: Window
    grain: Grain
    zone: ZoneInfo
    source_zone: ZoneInfo
    snapshot: bool = False
    _buckets: dict[tuple[datetime, int, bool], datetime] = field(default_factory=dict, init=False, repr=False)
    _named: dict[tuple[object, ...], _Named] = field(default_factory=dict, init=False, repr=False)
    _plain: frozenset[str] = field(default=frozenset(), init=False, repr=False)

    def __post_init__(self) -> None:
        """Find the metrics whose values are plain numbers."""
        special = (Kind.FORMULA, Kind.DURATION)
        plain = frozenset(name for name, metric in self.plan.items() if metric.kind not in special)
        object.__setattr__(self, "_plain", plain)

    def __call__(self, row: object) -> Iterator[Point]:
        """Return the points of a row, one for each metric that was measured."""
        dims, metrics = _pair(row)
        names = tuple(dims)
        named = self._named.get(names) or self._name(names)
        if named.may_be_metrics:
            self._check_places(dims)
        bucket = self._bucket(dims)
        series = named.series(dims)
        points = [
            _point((name, series, bucket, self._measured(name, value)))
            for name, value in metrics.items()
            if value is not None
        ]
        return iter(points)

    def _name(self, names: tuple[object, ...]) -> _Named:
        if len(self._named) >= _REMEMBERED:
            self._named.clear()
        named = self._named[names] = _Named(names, may_be_metrics=not self.plan.keys().isdisjoint(names))
        return named

    def _check_places(self, dims: Mapping[str, object]) -> None:
        for name, value in dims.items():
            if name in self.plan and value is not None:
                msg = f"{name}={value!r} stands among the dims, but {name} is a metric: give it as a number"
                raise BadPoint(msg)

    def _measured(self, name: str, value: object) -> float | array[float] | Sketch:
        if name in self._plain:
            return value if type(value) is float and math.isfinite(value) else self._number(name, value)
        if name not in self.plan:
            raise BadPoint(str(UnknownName("metric in the plan called", str(name), self.plan)))
        kind = self.plan[name].kind
        if kind is Kind.FORMULA:
            msg = f"{name} is worked out from other metrics; give those"
            raise BadPoint(msg)
        if type(value) in _SINGLE and 0 <= value <= _GREATEST:  # type: ignore[operator]
            return array("d", (value,))  # type: ignore[arg-type]
        if isinstance(value, Sketch):
            return value
        several = value if isinstance(value, list | tuple | array) else [value]
        return array("d", [self._duration(name, single) for single in several])

    def _duration(self, name: str, value: object) -> float:
        number = self._number(name, value)
        if number < 0:
            msg = f"{name} is {value!r}: a duration is not below zero"
            raise BadPoint(msg)
        return number

    def _number(self, name: str, value: object) -> float:
        if not isinstance(value, numbers.Real) and not hasattr(value, "as_tuple"):
            msg = f"{name} is {value!r}: a metric is a number; text belongs in the dims"
            raise BadPoint(msg)
        try:
            number = float(value)  # type: ignore[arg-type]  # Decimal is a number, though not a numbers.Real
        except OverflowError:
            msg = f"{name} is greater than any number that can be kept"
            raise BadPoint(msg) from None
        except ValueError:  # Decimal("sNaN")
            number = math.nan
        if not math.isfinite(number):
            msg = f"{name} is {value!r}: only finite numbers can be kept; leave out what was not measured"
            raise BadPoint(msg)
        return number

    def _bucket(self, dims: Mapping[str, object]) -> datetime:
        told = dims.get("time")
        if type(told) is str:
            told = _parsed_moment(told)
        if type(told) is not datetime:
            return self._bucket_in_window(dims)
        within = bool(told.minute or told.second or told.microsecond)
        hour = told.replace(minute=0, second=0, microsecond=0) if within else told
        key = (hour, told.fold, within)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._bucket_in_window(dims)
            if len(self._buckets) >= _REMEMBERED:
                self._buckets.clear()
            if not within or self._holds(bucket, hour):
                self._buckets[key] = bucket
        return bucket

    def _holds(self, bucket: datetime, hour: datetime) -> bool:
        """Say whether the whole of an hour of the source lies in a bucket."""
        last = hour.replace(minute=59, second=59, microsecond=999_999)
        first, end = (_as_moment(moment, self.source_zone) for moment in (hour, last))
        return first >= bucket and end - first == _NEARLY_AN_HOUR and self.grain.floor(end, self.zone) == bucket

    def _bucket_in_window(self, dims: Mapping[str, object]) -> datetime:
        try:
            bucket = self._moment(dims)
        except OverflowError:
            msg = f"the calendar does not hold the time of {dict(dims)!r}"
            raise BadPoint(msg) from None
        if bucket in self.window:
            return bucket
        told = ", ".join(f"{key}={dims[key]}" for key in sorted(_WHEN & dims.keys()))
        msg = f"{told} is outside of the window {self.window.text(self.zone)}; keep the query between :since and :until"
        raise BadPoint(msg)

    def _moment(self, dims: Mapping[str, object]) -> datetime:
        if dims.get("time") is not None:
            return self.grain.floor(_as_moment(dims["time"], self.source_zone), self.zone)
        if dims.get("date") is not None:
            return self._moment_of_date(_as_date(dims["date"]), dims.get("hour"))
        if self.snapshot:
            return self.window.since
        msg = f"the row has no time: its dims {dict(dims)!r} need `time`, or `date` with an optional `hour`"
        raise BadPoint(msg)

    def _moment_of_date(self, day: date, hour: object) -> datetime:
        if hour is not None:
            moment = datetime.combine(day, time(_as_hour(hour)), self.source_zone)
            return self.grain.floor(moment.astimezone(UTC), self.zone)
        if self.grain is Grain.HOUR:
            msg = f'{day} is a whole day, but the source is read by the hour; add `hour`, or declare grain = "day"'
            raise BadPoint(msg)
        if self.source_zone.key != self.zone.key:
            msg = f"{day} is a day in {self.source_zone}, and no day in {self.zone}; give `time`, or `date` with `hour`"
            raise BadPoint(msg)
        return self.grain.floor(start_of_day(day, self.zone), self.zone)


@dataclass(slots=True)
class Points:
    """The points of one read, at most one for each series and bucket; durations are put together in sketches.

    >>> points = Points(Combine.SUM)
    >>> for value in (2.0, 3.0):
    ...     points.add(Point("users.new", "{}", datetime(2026, 7, 14, tzinfo=UTC), value))
    >>> [point.value for point in points]
    [5.0]
    """

    combine: Combine = Combine.REFUSE
    _values: dict[SeriesKey, dict[datetime, float]] = field(default_factory=dict)
    _durations: dict[SeriesKey, dict[datetime, _Durations]] = field(default_factory=dict)

    def add(self, point: Point) -> None:
        """Take in a point; another one for its series and bucket is combined with it, or refused with BadPoint."""
        metric, dims, bucket, value = point
        key = (metric, dims)
        if type(value) is float or not isinstance(value, _SEVERAL):
            values = self._values.get(key)
            if values is None:
                values = self._values[key] = {}
            values[bucket] = self._combined(values[bucket], point) if bucket in values else value
        else:
            gathered = self._durations.get(key)
            if gathered is None:
                gathered = self._durations[key] = {}
            if bucket not in gathered:
                gathered[bucket] = _Durations()
            gathered[bucket].add(value)

    @property
    def metrics(self) -> frozenset[str]:
        """The names of the metrics that there are values of."""
        return frozenset(metric for metric, _ in (*self._values, *self._durations))

    @property
    def series(self) -> Mapping[SeriesKey, Mapping[datetime, Measured]]:
        """The values by series and bucket."""
        sketches = {
            key: {bucket: sketch for bucket, told in buckets.items() if (sketch := told.sketch()) is not None}
            for key, buckets in self._durations.items()
        }
        return {**self._values, **{key: buckets for key, buckets in sketches.items() if buckets}}

    def __iter__(self) -> Iterator[Point]:
        """Yield the points, series by series."""
        return (Point(*key, bucket, value) for key, values in self.series.items() for bucket, value in values.items())

    def __len__(self) -> int:
        """Count the points."""
        return sum(map(len, self.series.values()))

    def _combined(self, before: float, point: Point) -> float:
        if self.combine is Combine.REFUSE:
            msg = (
                f"{point.metric} {point.dims} has two values for {point.bucket:%Y-%m-%d %H:%M} UTC; "
                'group them in the source, or declare combine = "sum", "last", "minimum" or "maximum"'
            )
            raise BadPoint(msg)
        return _COMBINED[self.combine](before, cast("float", point.value))


@dataclass(slots=True)
class _Durations:
    """Durations of one series in one bucket: single ones, and sketches of many."""

    single: Gathering = field(default_factory=Gathering)
    sketches: list[Sketch] = field(default_factory=list)

    def add(self, value: array[float] | Sketch) -> None:
        if isinstance(value, Sketch):
            self.sketches.append(value)
        else:
            self.single.add(value)

    def sketch(self) -> Sketch | None:
        """Return the sketch of them all, which from now on stands for them."""
        single = self.single.sketch()
        sketches = self.sketches if single is None else [*self.sketches, single]
        if len(sketches) > 1:
            sketches = [Sketch.merged(sketches)]
        self.single, self.sketches = Gathering(), sketches
        return sketches[0] if sketches else None


def _pair(row: object) -> tuple[Mapping[str, object], Mapping[str, object]]:
    if type(row) is tuple and len(row) == 2 and type(row[0]) is type(row[1]) is dict:  # noqa: PLR2004  # nearly all are
        return row
    match row:
        case (Mapping() as dims, Mapping() as metrics):
            return dims, metrics
    msg = "a source gives pairs of dicts, (dims, metrics), and nothing else"
    raise BadPoint(msg)


class _Named:
    """Dims of some names, and what they were found to tell of, where equal ones are told alike."""

    __slots__ = ("_known", "_values", "may_be_metrics")

    def __init__(self, names: tuple[object, ...], *, may_be_metrics: bool) -> None:
        of = [name for name in names if name not in _WHEN]
        self.may_be_metrics = may_be_metrics
        self._values = itemgetter(*of) if len(of) > 1 else lambda dims: tuple(map(dims.__getitem__, of))
        self._known: dict[object, str] = {}

    def series(self, dims: Mapping[str, object]) -> str:
        """Return what the dims tell of, as canonical JSON."""
        values = self._values(dims)
        try:
            return self._known.get(values) or self._found(values, dims)
        except TypeError:  # a value that cannot be looked up, such as a list
            return self._found(values, dims)

    def _found(self, values: tuple[object, ...], dims: Mapping[str, object]) -> str:
        named = {key: value for key, value in dims.items() if key not in _WHEN}
        series = _as_json(tuple((str(key), _text(value)) for key, value in named.items() if value is not None))
        if _TOLD_APART.issuperset(map(type, (*named, *values))):
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[values] = series
        return series


@lru_cache(maxsize=_REMEMBERED)
def _as_json(named: tuple[tuple[str, str], ...]) -> str:
    text = json.dumps(dict(named), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    if len(text) > _LONGEST_DIMS:
        msg = f"the dims have {len(text)} characters, at most {_LONGEST_DIMS} can be kept: {text[:80]}…"
        raise BadPoint(msg)
    return text


def _text(value: object) -> str:
    return value if isinstance(value, str) else str(value)


def _as_moment(value: object, zone: ZoneInfo) -> datetime:
    moment = _parsed_moment(value)
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def _parsed_moment(value: object) -> datetime:
    if isinstance(value, datetime):
        return value
    try:
        if isinstance(value, str):
            return datetime.fromisoformat(value)
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            return datetime.fromtimestamp(0, UTC) + timedelta(seconds=float(value))
    except (ValueError, OverflowError):
        pass
    msg = f"time={value!r} is not a time; give a datetime, ISO 8601 text or seconds since 1970"
    raise BadPoint(msg)


def _as_date(value: object) -> date:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        msg = f"date={value!r} is not a date; give a date or text such as 2026-01-31 or 20260131"
        raise BadPoint(msg) from None


def _as_hour(value: object) -> int:
    try:
        hour = float(str(value))  # PostgreSQL's date_part gives 7.0
    except ValueError:
        hour = -1
    if hour not in range(24):
        msg = f"hour={value!r} is not an hour from 0 to 23"
        raise BadPoint(msg)
    return int(hour)
