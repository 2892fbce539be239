"""Reading buckets: each is what a query answers at its end."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby
from math import isfinite
from typing import TYPE_CHECKING, Any

from tallyline.api import part
from tallyline.errors import UnexpectedAnswer, shortened
from tallyline.secret import masked
from tallyline.sources.prometheus.ask import ask, check_whole, checked, filled_in
from tallyline.window import Grain, Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime, timedelta
    from zoneinfo import ZoneInfo

    from tallyline.api import Api

    Row = tuple[dict[str, object], dict[str, object]]
    Bucket = tuple[datetime, datetime]

__all__ = ["LABEL", "MOST_POINTS", "WHEN", "read_prometheus", "unscraped"]

MOST_POINTS = 11_000
WHEN = frozenset({"time", "date", "hour"})
LABEL = re.compile(r"\{([^{}]*)\}")
_NOT_IN_A_NAME = re.compile(r"[^a-z0-9_]+")


def read_prometheus(
    api: Api,
    queries: Mapping[str, str],
    window: Window,
    zone: ZoneInfo,
    now: datetime,
    *,
    grain: Grain = Grain.HOUR,
    labels: Mapping[str, str] | None = None,
    points: int = MOST_POINTS,
    accept_warnings: bool = False,
) -> Iterator[Row]:
    """Yield `(dims, metrics)` for each series and bucket of the answers to queries, given by metric.

    This is what ``kind = "prometheus"`` does, for sources in code: `PrometheusSource` says what the rest means. Buckets
    are hours or days of `zone`; each is told by the query at its end, or at `now` where that comes first, with `$range`
    as long as the bucket up to there. ``time`` is when the bucket begins, in UTC. What is no finite number, or is
    missing between two values of a series, is None. Raises Unavailable, Denied with the query, or UnexpectedAnswer.

    >>> def orders(prometheus, window, zone, now):
    ...     queries = {"orders.count": "sum by (shop) (increase(orders_total[$range]))"}
    ...     yield from read_prometheus(prometheus, queries, window, zone, now)
    """
    checked(api)
    for name, query in queries.items():
        for stretch in _stretches(window, grain, zone, now, points):
            asked = filled_in(query, range=f"{stretch.seconds}s")
            answer = ask(api, "api/v1/query_range", {"query": asked, **stretch.params}, name)
            if not accept_warnings:
                check_whole(answer, name, asked)
            yield from _rows(answer, name, stretch, labels or {})


def unscraped(
    api: Api,
    alive: str,
    window: Window,
    zone: ZoneInfo,
    now: datetime,
    *,
    grain: Grain = Grain.HOUR,
    points: int = MOST_POINTS,
    accept_warnings: bool = False,
) -> Iterator[Window]:
    """Yield the buckets for which the query `alive` has no value: those in which Prometheus scraped nothing.

    Nothing that is counted is zero there. Buckets are those of `read_prometheus`, which raises the same.
    """
    asked = {"alive": f"count({alive})"}
    told = read_prometheus(api, asked, window, zone, now, grain=grain, points=points, accept_warnings=accept_warnings)
    scraped = {dims["time"] for dims, metrics in told if metrics["alive"] is not None}
    for begin in window.buckets(grain, zone):
        if begin < now and begin not in scraped:
            yield Window(begin, grain.after(begin, zone))


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Buckets of one length, one after the other: how long they are, when they end (since 1970), when they begin."""

    seconds: int
    ends: range
    begins: tuple[datetime, ...]

    @classmethod
    def of(cls, buckets: Sequence[Bucket]) -> _Stretch:
        begins = tuple(begin for begin, _ in buckets)
        first, last = (int(buckets[at][1].timestamp()) for at in (0, -1))
        seconds = first - int(begins[0].timestamp())
        return cls(seconds, range(first, last + 1, seconds), begins)

    @property
    def params(self) -> dict[str, object]:
        return {"start": self.ends[0], "end": self.ends[-1], "step": self.seconds, "partial_response": "false"}

    def between(self, first: float, last: float) -> slice:
        """Return where in it those buckets lie that end from one moment to another; raises ValueError."""
        return slice(self.ends.index(int(first)), self.ends.index(int(last)) + 1)


def _stretches(window: Window, grain: Grain, zone: ZoneInfo, now: datetime, points: int) -> Iterator[_Stretch]:
    """Yield the buckets that have begun, in runs of equal length that one request can ask for."""
    now = now.replace(microsecond=0)
    buckets = [(begin, min(grain.after(begin, zone), now)) for begin in window.buckets(grain, zone) if begin < now]
    for _, of_length in groupby(buckets, key=_length):
        together = list(of_length)
        for first in range(0, len(together), points):
            yield _Stretch.of(together[first : first + points])


def _length(bucket: Bucket) -> timedelta:
    begin, end = bucket
    return end - begin


def _rows(answer: object, name: str, stretch: _Stretch, labels: Mapping[str, str]) -> Iterator[Row]:
    if (kind := part(answer, "data.resultType", str)) != "matrix":
        msg = f'"data.resultType" of the answer for {name} is "{kind}", where "matrix" is expected'
        raise UnexpectedAnswer(msg)
    for series in part(answer, "data.result", list):
        told = part(series, "metric", dict)
        metric = _named(name, told)
        dims: dict[str, object] = {"time": None, **_dims(name, told, labels)}
        for begin, value in _values(series, name, stretch):
            row = dims.copy()  # by far the fastest way to make one
            row["time"] = begin
            yield row, {metric: value}


def _values(series: Mapping[str, Any], name: str, stretch: _Stretch) -> Iterable[tuple[datetime, float | None]]:
    """Return the buckets from the first to the last that has a value; those between that have none have None."""
    if "histograms" in series:
        msg = f"{name} answers native histograms; ask for histogram_count() or histogram_sum() of them"
        raise UnexpectedAnswer(msg)
    values = part(series, "values", list)
    try:
        told, where = dict(values), stretch.between(values[0][0], values[-1][0])
        ends = stretch.ends[where]
        if len(told) < len(ends):
            told = dict.fromkeys(ends, "nan") | told
        numbers, is_expected = [*map(float, told.values())], [*told] == [*ends]
    except (LookupError, TypeError, ValueError):
        is_expected = False
    if not is_expected:
        msg = (
            f'"values" of the answer for {name} are {shortened(masked(str(values)))}, where pairs of a moment that was '
            "asked for and a number as text are expected"
        )
        raise UnexpectedAnswer(msg)
    finite = numbers if isfinite(sum(numbers)) else [number if isfinite(number) else None for number in numbers]
    return zip(stretch.begins[where], finite, strict=True)


def _named(name: str, labels: Mapping[str, str]) -> str:
    """Return the metric's name, with labels in the places where it names them."""

    def told(found: re.Match[str]) -> str:
        if found[1] not in labels:
            has = ", ".join(sorted(labels)) or "none"
            msg = (
                f'{name} needs the label "{found[1]}", and a series of the answer has {has}; '
                f"keep it in the query, as in sum by ({found[1]}) (…)"
            )
            raise UnexpectedAnswer(msg)
        return _NOT_IN_A_NAME.sub("_", labels[found[1]].lower())

    return LABEL.sub(told, name)


def _dims(name: str, labels: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    used = {"__name__", *LABEL.findall(name)}
    if wanted:
        return {dim: labels[label] for label, dim in wanted.items() if label in labels and label not in used}
    dims = {label: value for label, value in labels.items() if label not in used}
    for label in sorted(WHEN & dims.keys()):
        msg = f'the label "{label}" of the answer for {name} would say when; name the labels to keep: labels = {{…}}'
        raise UnexpectedAnswer(msg)
    return dims
