"""The calendar: the buckets of all time that was read, so that SQL can tell which week or month holds a day."""

from __future__ import annotations

from datetime import time, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, func, select, text
from sqlalchemy.dialects import postgresql, sqlite

from tallyline.warehouse import schema
from tallyline.window import Grain, Window

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from sqlalchemy.engine import Connection

    Row = dict[str, datetime | str | None]

__all__ = ["fill", "fill_with_kept"]

_LONGER = (Grain.WEEK, Grain.MONTH, Grain.QUARTER, Grain.YEAR)
_HOLDING = {
    Grain.HOUR: (Grain.DAY, *_LONGER),
    Grain.DAY: (Grain.DAY, *_LONGER),
    Grain.WEEK: (Grain.WEEK,),
    Grain.MONTH: (Grain.MONTH, Grain.QUARTER, Grain.YEAR),
    Grain.QUARTER: (Grain.QUARTER, Grain.YEAR),
    Grain.YEAR: (Grain.YEAR,),
}
"""Of each grain those whose buckets hold one of it as a whole: a week may lie in two months."""

_A_DAY = timedelta(hours=24)
_HOUR = {"sqlite": "3600", "postgresql": "interval '1 hour'"}
_USUAL_HOURS = """
    WITH RECURSIVE hours (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM hours WHERE n < 23)
    INSERT INTO calendar_bucket (grain, bucket, until, day, week, month, quarter, year)
    SELECT 'hour', day.bucket + n * {hour}, day.bucket + (n + 1) * {hour}, day.day, week, month, quarter, year
    FROM calendar_bucket AS day
    CROSS JOIN hours
    WHERE day.grain = 'day'
        AND day.bucket BETWEEN :first AND :last
        AND NOT EXISTS (
            SELECT 1 FROM calendar_bucket AS first_hour WHERE grain = 'hour' AND first_hour.bucket = day.bucket
        )
"""


def fill(connection: Connection, window: Window, zone: ZoneInfo) -> None:
    """Add the days that a window touches, where they are missing: with their hours, and the longer buckets around."""
    table, whole = schema.calendar_bucket, window.widened(Grain.DAY, zone)
    days = list(whole.buckets(Grain.DAY, zone))
    inside = (table.c.grain == Grain.DAY, table.c.bucket >= whole.since, table.c.bucket < whole.until)
    if connection.execute(select(func.count()).select_from(table).where(*inside)).scalar() == len(days):
        return
    known = set(connection.execute(select(table.c.bucket).where(*inside)).scalars())
    missing = [day for day in days if day not in known]
    if missing:  # somebody else may just have added them
        _add(connection, missing, zone)


def fill_with_kept(connection: Connection, zone: ZoneInfo) -> None:
    """Add the days of all that is kept, and of all that was read."""
    days = connection.execute(select(schema.daily_value.c.bucket).distinct()).scalars()
    read = connection.execute(select(schema.covered.c.since, schema.covered.c.until))
    for since, until in [*((day, Grain.DAY.after(day, zone)) for day in days), *read]:
        fill(connection, Window(since, until), zone)


def _add(connection: Connection, days: Sequence[datetime], zone: ZoneInfo) -> None:
    rows: dict[tuple[Grain, datetime], Row] = {}
    for day in days:
        holding = {grain: grain.floor(day, zone) for grain in _HOLDING[Grain.DAY]}
        for grain, bucket in (*holding.items(), *((Grain.HOUR, hour) for hour in _unusual_hours(day, zone))):
            if (grain, bucket) not in rows:
                rows[grain, bucket] = _row(grain, bucket, holding, zone)
    inserting = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    in_order = [rows[key] for key in sorted(rows)]  # the same of all that write at once, so that they wait in turn
    connection.execute(inserting(schema.calendar_bucket).on_conflict_do_nothing(), in_order)
    moments = (bindparam(name, type_=schema.Moment) for name in ("first", "last"))
    usual = text(_USUAL_HOURS.format(hour=_HOUR[connection.dialect.name])).bindparams(*moments)
    connection.execute(usual, {"first": days[0], "last": days[-1]})


def _unusual_hours(day: datetime, zone: ZoneInfo) -> list[datetime]:
    """Return the hours of a day on which the clock is changed."""
    end = Grain.DAY.after(day, zone)
    usual = end - day == _A_DAY and day.astimezone(zone).time() == time()
    return [] if usual else list(Window(day, end).buckets(Grain.HOUR, zone))


def _row(grain: Grain, bucket: datetime, holding: Mapping[Grain, datetime], zone: ZoneInfo) -> Row:
    around = {str(each): holding[each] if each in _HOLDING[grain] else None for each in holding}
    return {"grain": str(grain), "bucket": bucket, "until": grain.after(bucket, zone), **around}
