"""The calendar of a warehouse, looked at as Grafana does, and what it has to be."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tallyline.window import Grain
from tests.warehouse.publishing import rows_of

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from tallyline.window import Window

COLUMNS = ("day", "week", "month", "quarter", "year")
HELD = {
    Grain.HOUR: COLUMNS,
    Grain.DAY: COLUMNS,
    Grain.WEEK: ("week",),
    Grain.MONTH: ("month", "quarter", "year"),
    Grain.QUARTER: ("quarter", "year"),
    Grain.YEAR: ("year",),
}


def calendar_of(url: str) -> list[tuple[Grain, datetime, datetime, int, dict[str, datetime]]]:
    """Return the rows of the view: grain, begin, end, length, and which longer buckets are named."""
    rows = rows_of(url, f"SELECT grain, time, until, seconds, {', '.join(COLUMNS)} FROM calendar")  # noqa: S608
    return [
        (
            Grain(grain),
            moment(time),
            moment(until),
            seconds,
            {name: moment(begin) for name, begin in zip(COLUMNS, longer, strict=True) if begin is not None},
        )
        for grain, time, until, seconds, *longer in rows
    ]


def moment(stored: object) -> datetime:
    """Return a moment as either database tells it."""
    return stored.astimezone(UTC) if isinstance(stored, datetime) else datetime.fromtimestamp(int(str(stored)), UTC)


def assert_whole(url: str, zone: ZoneInfo, *windows: Window) -> None:
    """Check each row, and that all buckets that lie around the windows are there."""
    rows = calendar_of(url)
    for grain, time, until, seconds, longer in rows:
        assert grain.floor(time, zone) == time
        assert (until, seconds) == (grain.after(time, zone), (until - time).total_seconds())
        assert longer == {name: Grain(name).floor(time, zone) for name in HELD[grain]}
    buckets = {(grain, time) for grain, time, *_ in rows}
    assert len(buckets) == len(rows)
    for grain in Grain:
        around = {grain.floor(hour, zone) for whole in windows for hour in whole.buckets(Grain.HOUR, zone)}
        assert {(grain, bucket) for bucket in around} <= buckets
