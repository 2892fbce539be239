"""Which window a run of Airflow is for, however it was started: the right one, or a refusal that says what to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tallyline.errors import Refused, UnknownName
from tallyline.schedule.intervals import intervals_before, tick_after, window_of
from tallyline.window import Window, parse_moment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from tallyline.sources import Source

__all__ = ["Asked", "parts_of", "window_asked"]

BACKFILL, SCHEDULED = "backfill", "scheduled"
PARAMETERS = ("start", "end")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How a run was started, as Airflow tells it; `conf` is what was given with it, such as `start` and `end`."""

    run_type: str
    run_after: datetime
    logical_date: datetime | None = None
    since: datetime | None = None
    until: datetime | None = None
    conf: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what means nothing here: who gave it meant something by it."""
        for name in self.conf:
            if name not in PARAMETERS:
                raise UnknownName("parameter", str(name), PARAMETERS)

    @property
    def named(self) -> dict[str, str]:
        """From when to when is to be read, where somebody said so."""
        return {name: str(value) for name, value in self.conf.items() if value is not None and value != ""}


def window_asked(asked: Asked, source: Source, zone: ZoneInfo, now: datetime) -> Window:
    """Return the window that a run is to read, in whole buckets of the source.

    For an interval of the schedule that is the interval with the look-back before it; where a person gave a start and
    an end, it is what lies between. Raises Refused where it is not certain what is meant, and for a snapshot that is
    to tell the past.
    """
    if asked.named and asked.run_type in {BACKFILL, SCHEDULED}:
        msg = f"start and end are for runs that you trigger; a {asked.run_type} run has an interval of its own"
        raise Refused(msg)
    if source.options.snapshot:
        return _present(asked, source, zone, now)
    if asked.named:
        return _named(asked, zone, now).widened(source.options.facts, zone)
    return window_of(source.options, _interval(asked, source.options.schedule, zone), zone)


def parts_of(window: Window, source: Source, zone: ZoneInfo) -> list[Window]:
    """Return the parts that are read one by one: none is longer than the source is read at once."""
    return [window] if source.options.snapshot else window.parts(source.options.at_once, zone)


def _present(asked: Asked, source: Source, zone: ZoneInfo, now: datetime) -> Window:
    if asked.run_type == BACKFILL or asked.named:
        msg = f"{source.name} is a snapshot, which tells only the present: nothing of the past can be read"
        raise Refused(msg)
    return source.window(now, zone)


def _named(asked: Asked, zone: ZoneInfo, now: datetime) -> Window:
    missing = [name for name in PARAMETERS if name not in asked.named]
    if missing:
        msg = f"{missing[0]} is missing; give both start and end, or neither for the last complete interval"
        raise Refused(msg)
    window = Window(*(parse_moment(asked.named[name], zone) for name in PARAMETERS))
    if window.since >= now:
        msg = f"{window.text(zone)} is yet to come; there is nothing to read"
        raise Refused(msg)
    return window


def _interval(asked: Asked, schedule: str, zone: ZoneInfo) -> Window:
    if asked.since is None or asked.until is None:
        if asked.run_type in {BACKFILL, SCHEDULED}:
            msg = f"Airflow told no interval for a {asked.run_type} run; a CronDataIntervalTimetable tells one"
            raise Refused(msg)
        return next(intervals_before(schedule, asked.run_after, zone))
    interval = Window(asked.since, asked.until)
    if asked.run_type not in {BACKFILL, SCHEDULED} and asked.logical_date is not None:
        _check_meant(interval, asked.logical_date, schedule, zone)
    return interval


def _check_meant(interval: Window, logical_date: datetime, schedule: str, zone: ZoneInfo) -> None:
    """Refuse an interval that is not the one of its date: `airflow dags trigger` takes it from the present moment."""
    if not interval.since <= logical_date < tick_after(schedule, interval.until, zone):
        date = f"{logical_date.astimezone(zone):%Y-%m-%d %H:%M}"
        msg = (
            f"Airflow made the interval {interval.text(zone)} of the logical date {date}; give start and end, "
            """such as {"start": "2026-01-31", "end": "2026-02-01"}, or no date for the last complete interval"""
        )
        raise Refused(msg)
