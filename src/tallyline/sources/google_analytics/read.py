"""Reports of Google Analytics, asked for a window and read into `(dims, metrics)`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tallyline.api import part
from tallyline.errors import Denied, Refused, SourceFailed, UnexpectedAnswer
from tallyline.sources.google_analytics.ask import Property, listed
from tallyline.sources.google_analytics.names import is_counted_anew
from tallyline.window import Grain, Window, parse_zone, start_of_day, utc_now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from zoneinfo import ZoneInfo

    from tallyline.api import Api

    Row = tuple[dict[str, object], dict[str, object]]

__all__ = ["PAGE", "check_zone", "read_google_analytics", "report_of"]

PAGE = 100_000
MOST_METRICS, MOST_DIMENSIONS = 10, 9
NOT_SET = "(not set)"
_WHEN = {Grain.HOUR: ("date", "hour"), Grain.DAY: ("date",)}


def read_google_analytics(  # noqa: PLR0913  # most by name
    api: Api,
    property_id: int,
    measures: Mapping[str, str],
    window: Window,
    zone: ZoneInfo,
    *,
    dimensions: Mapping[str, str] | None = None,
    grain: Grain = Grain.HOUR,
    source_zone: ZoneInfo | None = None,
    now: datetime | None = None,
    inexact: Callable[[str], object] | None = None,
    page: int = PAGE,
) -> Iterator[Row]:
    """Yield `({"time": …, dim: …}, {metric: …})` for each row of the reports that a window takes.

    This is what ``kind = "google-analytics"`` does, for sources in code. `measures` maps metrics of Google to ours,
    `dimensions` dimensions of Google to dims. `zone` is the business zone, `source_zone` that of the property, by
    default the same. `time` is when an hour, a day … begins, in UTC. Hours and days are one report; of longer grains
    each bucket is one. `inexact` is called with why the numbers are not exact; without it such a report is refused.

    Raises Refused where the property is in another zone than `source_zone`, or its hours or days are none of `zone`;
    Denied, Unavailable and UnexpectedAnswer as any service, and SourceFailed for a report that is not exact.
    """
    reading = _Reading(dict(measures), dict(dimensions or {}), grain, zone, source_zone or zone)
    reading.check(window)
    asked, now = Property.of(api, property_id), now or utc_now()
    for span in reading.spans(window):
        if span.since > now:
            return
        for report in asked.reports(reading.body(span, now, page)):
            check_zone(report, reading.source_zone, span.since)
            _check_allowed(report, asked)
            for reason in _inexact(report):
                _tell(reason, inexact)
            yield from reading.rows(report, span)


@dataclass(frozen=True, slots=True)
class _Reading:
    """What is read, by which names and grain; `source_zone` is the property's."""

    measures: dict[str, str]
    dimensions: dict[str, str]
    grain: Grain
    zone: ZoneInfo
    source_zone: ZoneInfo

    @property
    def when(self) -> tuple[str, ...]:
        return _WHEN.get(self.grain, ())

    def check(self, window: Window) -> None:
        """Refuse days, weeks … of the property that are none of the business."""
        if self.grain is not Grain.HOUR and not _are_alike(self.zone, self.source_zone, window.since):
            msg = (
                f"a {self.grain} of the property, in {self.source_zone.key}, is none in {self.zone.key}: what adds up "
                'can be read with grain = "hour"; for what does not, let property and project have the same time zone'
            )
            raise Refused(msg)

    def spans(self, window: Window) -> Iterator[Window]:
        """Yield what takes a report of its own: each bucket of the grains that Google has no dimension for."""
        if self.when:
            yield window
            return
        for bucket in window.buckets(self.grain, self.zone):
            yield Window(bucket, self.grain.after(bucket, self.zone))

    def body(self, span: Window, now: datetime, page: int) -> dict[str, Any]:
        last = min(span.until - timedelta(microseconds=1), now)
        days = span.since.astimezone(self.source_zone).date(), last.astimezone(self.source_zone).date()
        return report_of(self.measures, (*self.when, *self.dimensions), days, page)

    def rows(self, report: object, span: Window) -> Iterator[Row]:
        """Yield the rows that lie in the span; Google tells whole days of its own."""
        names = (*self.when, *self.dimensions)
        if rows := listed(report, "rows"):
            _check_headers(report, "dimensionHeaders", names)
            _check_headers(report, "metricHeaders", list(self.measures))
        for row in rows:
            values = _values(row, "dimensionValues", len(names))
            numbers = list(map(_number, _values(row, "metricValues", len(self.measures))))
            moment = self._moment(values[: len(self.when)]) if self.when else span.since
            if moment in span:
                dims = zip(self.dimensions.values(), values[len(self.when) :], strict=True)
                known = {name: None if value == NOT_SET else value for name, value in dims}
                yield {"time": moment, **known}, dict(zip(self.measures.values(), numbers, strict=True))

    def _moment(self, told: Sequence[str]) -> datetime:
        """Return when a day or an hour begins; an hour that the clock shows twice is taken for the first."""
        try:
            if self.grain is Grain.DAY:
                return start_of_day(date.fromisoformat(told[0]), self.source_zone)
            moment = datetime.fromisoformat("T".join(told)).replace(tzinfo=self.source_zone).astimezone(UTC)
        except ValueError:
            msg = f'"dimensionValues" of a row begin with {told}, where {" and ".join(self.when)} are expected'
            raise UnexpectedAnswer(msg) from None
        if self.grain.floor(moment, self.zone) != moment:
            msg = (
                f"hours of the property, in {self.source_zone.key}, begin in the middle of those in {self.zone.key}; "
                "let property and project have the same time zone"
            )
            raise Refused(msg)
        return moment


def report_of(
    measures: Iterable[str], dimensions: Sequence[str], days: tuple[date, date], limit: int
) -> dict[str, Any]:
    """Return what is asked for a report of these days, the last one included."""
    metrics = [{"name": name} for name in measures]
    if len(metrics) > MOST_METRICS or len(dimensions) > MOST_DIMENSIONS:
        msg = (
            f"Google reports at most {MOST_METRICS} metrics by {MOST_DIMENSIONS} dimensions, those of time among them, "
            f"and not {len(metrics)} by {len(dimensions)}; read the others in a source of their own"
        )
        raise Refused(msg)
    return {
        "dateRanges": [{"startDate": f"{days[0]}", "endDate": f"{days[1]}"}],
        "dimensions": [{"name": name} for name in dimensions],
        "metrics": metrics,
        "orderBys": [{"dimension": {"dimensionName": name}} for name in dimensions],
        "keepEmptyRows": any(is_counted_anew(each["name"]) for each in metrics),
        "limit": limit,
        "offset": 0,
    }


def check_zone(report: object, source_zone: ZoneInfo, since: datetime) -> None:
    """Refuse a report whose property has another time zone than the source."""
    told = part(report, "metadata.timeZone", str)
    if not _are_alike(parse_zone(told), source_zone, since):
        msg = f'the property tells times in {told}, not in {source_zone.key}; write timezone = "{told}" in the source'
        raise Refused(msg)


def _are_alike(one: ZoneInfo, other: ZoneInfo, since: datetime) -> bool:
    days = [since.astimezone(UTC) + timedelta(days=day) for day in range(366)]
    return all(day.astimezone(one).utcoffset() == day.astimezone(other).utcoffset() for day in days)


def _check_allowed(report: object, asked: Property) -> None:
    restriction = part(report, "metadata", dict).get("schemaRestrictionResponse")
    if restricted := listed(restriction, "activeMetricRestrictions"):
        names = ", ".join(part(each, "metricName", str) for each in restricted)
        msg = (
            f"{asked.who} may not see {names} of property {asked.number}, which would be told as zero; "
            "lift its restrictions on cost and revenue (Google Analytics: Admin, Property access management)"
        )
        raise Denied(msg)


def _inexact(report: object) -> Iterator[str]:
    told = part(report, "metadata", dict)
    for sample in listed(told, "samplingMetadatas"):
        read, of = (int(part(sample, key, str)) for key in ("samplesReadCount", "samplingSpaceSize"))
        if read < of:
            yield f"numbers were estimated from a sample of {100 * read / of:.3g} % of the events"
    if told.get("subjectToThresholding"):
        yield "thresholds apply: rows of few users may be missing"
    if told.get("dataLossFromOtherRow"):
        yield 'dimensions have too many values: the rarer ones were put together as "(other)"'
    for truncated in listed(told, "dataTruncationReasons"):
        yield f"data are missing: {part(truncated, 'dataTruncationType', str)}"


def _tell(reason: str, inexact: Callable[[str], object] | None) -> None:
    if inexact is None:
        msg = f"the report is not exact: {reason}"
        raise SourceFailed(msg)
    inexact(reason)


def _check_headers(report: object, key: str, wanted: Sequence[str]) -> None:
    told = [part(each, "name", str) for each in listed(report, key)]
    if told != list(wanted):
        msg = f'"{key}" of the answer are {told}, where {list(wanted)} were asked for'
        raise UnexpectedAnswer(msg)


def _values(row: object, key: str, count: int) -> list[str]:
    values = [part(each, "value", str) for each in listed(row, key)]
    if len(values) != count:
        msg = f'"{key}" of a row are {values}, where {count} were asked for'
        raise UnexpectedAnswer(msg)
    return values


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        msg = f'"metricValues" of a row hold "{text}", where a number is expected'
        raise UnexpectedAnswer(msg) from None
