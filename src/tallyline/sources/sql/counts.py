"""How many rows tables have: now, or at the end of each hour or day where a column says when a row was made."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, case, column, func, literal_column, select, table
from sqlalchemy.sql.elements import quoted_name
from sqlalchemy.types import NULLTYPE

from tallyline.errors import Denied, Refused, UnexpectedAnswer, UnknownName
from tallyline.plan import Kind, Metric
from tallyline.sources.sql.query import told
from tallyline.window import Grain, Window

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from zoneinfo import ZoneInfo

    from sqlalchemy.sql import ColumnElement, Select, TableClause
    from sqlalchemy.sql.elements import ColumnClause

    from tallyline.database import Session
    from tallyline.sources.sql.query import Row

__all__ = ["Count", "no_rows", "parse_counts", "read_counts"]

_TABLE = re.compile(r"[^\W\d][\w$]*(\.[^\W\d][\w$]*)?")
_COLUMN = re.compile(r"[^\W\d][\w$]*")
_KEYS = ("metric", "time")
_A_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


@dataclass(frozen=True, slots=True)
class Count:
    """A table and the metric that tells how many rows it has; `time` is the column that says when a row was made."""

    table: str
    metric: str
    time: str = ""

    def __post_init__(self) -> None:
        """Refuse what is no name of a table, a column or a metric."""
        for what, name, pattern in (("table", self.table, _TABLE), ("column", self.time or "time", _COLUMN)):
            if not pattern.fullmatch(name):
                msg = f'"{name}" is not the name of a {what}; for anything more than a name, write a query'
                raise Refused(msg)
        self.told()

    def told(self) -> Metric:
        """Return the metric, as the source tells it where the plan does not."""
        return Metric(self.metric, unit=self.table.rpartition(".")[2].replace("_", " "), kind=Kind.LEVEL)

    @property
    def doing(self) -> str:
        """How messages call it."""
        return f' the count of "{self.table}"'


def parse_counts(counts: Mapping[str, str | Mapping[str, str]]) -> list[Count]:
    """Read tables with their metrics, as a project declares them.

    >>> parse_counts({"users": "users.total", "api_keys": {"metric": "apikeys.total", "time": "created_at"}})[1].time
    'created_at'
    >>> parse_counts({"users; DROP TABLE users": "users.total"})
    Traceback (most recent call last):
    tallyline.errors.Refused: "users; DROP TABLE users" is not the name of a table; for anything more than a name, ...
    """
    parsed = [_parsed(name, declared) for name, declared in counts.items()]
    metrics = [count.metric for count in parsed]
    for metric in metrics:
        if metrics.count(metric) > 1:
            msg = f"two tables are counted as {metric}; give each a metric of its own"
            raise Refused(msg)
    return parsed


def _parsed(name: str, declared: str | Mapping[str, str]) -> Count:
    if isinstance(declared, str):
        return Count(name, declared)
    for key in declared:
        if key not in _KEYS:
            raise UnknownName("key", key, _KEYS)
    if "metric" not in declared:
        msg = f'the count of "{name}" has no metric; write {name} = {{ metric = "{name}.total", time = "created_at" }}'
        raise Refused(msg)
    return Count(name, declared["metric"], declared.get("time", ""))


def read_counts(session: Session, count: Count, now: datetime, zone: ZoneInfo, grain: Grain) -> Iterator[Row]:
    """Yield how many rows a table had at the end of each bucket of the business zone that has begun by `now`."""
    window = session.window
    if not count.time:
        yield _present(session, count, now, Window(grain.floor(now, zone), grain.after(now, zone)))
        return
    before, made = _made(session, count, zone, grain)
    total = before
    for bucket in window.buckets(grain, zone):
        total += made[bucket]
        if bucket <= now:
            yield {"time": bucket}, {count.metric: total}


def no_rows(count: Count) -> Select[Any]:
    """Return a query that needs what the count needs, and reads nothing."""
    counted = _table(count)
    return select(*(counted.c or [literal_column("1")])).select_from(counted).limit(0)


def _present(session: Session, count: Count, now: datetime, running: Window) -> Row:
    if session.window != running:
        msg = (
            f'how many rows "{count.table}" had before cannot be known: declare snapshot = true, '
            f'or the column that says when a row was made: {count.table} = {{ metric = "{count.metric}", time = "…" }}'
        )
        raise Refused(msg)
    with session.ask(select(func.count()).select_from(_table(count)), doing=count.doing) as answer:
        [[(total,)]] = answer.pages
    return {"time": now}, {count.metric: total}


def _made(session: Session, count: Count, zone: ZoneInfo, grain: Grain) -> tuple[int, Mapping[datetime, int]]:
    """Return how many rows were made before the window, and in each of its buckets."""
    before, made = 0, defaultdict[datetime, int](int)
    limits = {name: told(session, getattr(session.window, name)) for name in ("since", "until")}
    with session.ask(_grouped(session, count, zone), limits, doing=count.doing) as answer:
        for is_before, moment, rows in (row for page in answer.pages for row in page):
            if is_before:
                before += rows
            else:
                made[grain.floor(_moment(session, count, moment), zone)] += rows
    return before, made


def _grouped(session: Session, count: Count, zone: ZoneInfo) -> Select[Any]:
    counted = _table(count)
    time: ColumnElement[Any] = counted.c[count.time]  # with its table's name: SQLite takes a mere quoted name for text
    since, until = (bindparam(name, type_=NULLTYPE) for name in ("since", "until"))
    is_before: ColumnElement[Any] = time < since
    hour = case((is_before, None), else_=_hour(session, count, time, zone))
    if session.dialect == "sqlite":  # where anything may stand in the column, and is before or after any time
        is_time = (func.typeof(time) == "text") & func.julianday(time).is_not(None)
        is_before = case((is_time, is_before), else_=None)
    grouped = select(is_before, hour, func.count()).select_from(counted).where(time < until)
    return grouped.group_by(literal_column("1"), literal_column("2"))


def _table(count: Count) -> TableClause:
    schema, _, name = count.table.rpartition(".")
    columns: list[ColumnClause[Any]] = [column(quoted_name(count.time, quote=True))] if count.time else []
    return table(quoted_name(name, quote=True), *columns, schema=quoted_name(schema, quote=True) if schema else None)


def _hour(session: Session, count: Count, time: ColumnElement[Any], zone: ZoneInfo) -> ColumnElement[Any]:
    """Return the hour of a time, or its minute where the hours of the two zones do not begin together."""
    minute = any(
        (moment.astimezone(zone).utcoffset() or timedelta()) % timedelta(hours=1)
        != (moment.astimezone(session.zone).utcoffset() or timedelta()) % timedelta(hours=1)
        for moment in (session.window.since, session.window.until)
    )
    match session.dialect:
        case "postgresql":
            return func.date_trunc("minute" if minute else "hour", time)
        case "mysql":
            return func.date_format(time, "%Y-%m-%d %H:%i:00" if minute else "%Y-%m-%d %H:00:00")
        case "sqlite":
            return func.strftime("%Y-%m-%d %H:%M:00" if minute else "%Y-%m-%d %H:00:00", time)
        case other:
            msg = (
                f'{session.who} is of the kind {other}, where "{count.table}" cannot be counted by time; write a query'
            )
            raise Denied(msg)


def _moment(session: Session, count: Count, moment: object) -> datetime:
    if isinstance(moment, str) and _A_TIME.fullmatch(moment):
        moment = datetime.fromisoformat(moment)
    if not isinstance(moment, datetime):
        msg = f'{session.who}: the column "{count.time}" of "{count.table}" holds what is no time; write a query'
        raise UnexpectedAnswer(msg)
    return (moment if moment.tzinfo else moment.replace(tzinfo=session.zone)).astimezone(UTC)
