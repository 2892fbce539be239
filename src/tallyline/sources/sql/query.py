"""A query whose columns say when, of what, and how much: what is bound in it, and how its rows are split."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import text

from tallyline.database import Session
from tallyline.errors import Denied, UnexpectedAnswer, shortened, what_exists
from tallyline.graph import Pages
from tallyline.secret import masked
from tallyline.window import Grain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from zoneinfo import ZoneInfo

    from sqlalchemy import TextClause
    from sqlalchemy.engine import Engine

    from tallyline.database import Answer
    from tallyline.window import Window

    Row = tuple[dict[str, object], dict[str, object]]

__all__ = ["TIME_LIMIT", "bound", "pages_of", "read_sql", "statement", "told"]

TIME_LIMIT = timedelta(minutes=10)
MIDNIGHT = time()
_WHEN = frozenset({"time", "date", "hour"})
_DIMS = frozenset({str, bool, datetime, date, time, UUID, type(None)})
_NUMBERS = frozenset({int, float, Decimal})
_CAST_BOUND = re.compile(r"(?<![:\w\\]):(\w+)(?=::)")  # `:since::date`, which SQLAlchemy does not take for a bound


def read_sql(
    database: Engine,
    query: str,
    window: Window,
    zone: ZoneInfo,
    *,
    name: str = "",
    grain: Grain = Grain.HOUR,
    time_limit: timedelta | None = TIME_LIMIT,
) -> Iterator[Row]:
    """Yield `(dims, metrics)` for each row of a query, in a transaction that is read-only.

    This is what ``kind = "sql"`` does, for sources in code: `SqlSource` says what the columns mean. `zone` is the
    source's, `name` the database's in errors, `grain` what `:grain` binds. Rows stay with the database until they are
    asked for. Raises Unavailable where it is down, busy or slower than `time_limit`, Denied where it refuses,
    UnexpectedAnswer where a column holds what is neither a dim nor a number.

    >>> from datetime import UTC
    >>> from zoneinfo import ZoneInfo
    >>> from sqlalchemy import create_engine
    >>> from tallyline import Window
    >>> day = Window(datetime(2026, 7, 14, tzinfo=UTC), datetime(2026, 7, 15, tzinfo=UTC))
    >>> query = "SELECT :since AS date, 'FR' AS country, 3 AS orders"
    >>> list(read_sql(create_engine("sqlite://"), query, day, ZoneInfo("UTC")))
    [({'date': '2026-07-14', 'country': 'FR'}, {'orders': 3})]
    """
    session = Session(database, window, zone, time_limit, name)
    return Pages(pages_of(session, query, grain))


def pages_of(session: Session, query: str, grain: Grain, *, doing: str = "") -> Iterator[list[Row]]:
    """Yield pages of `(dims, metrics)`, one for each row of a query; `doing` is the query as messages call it."""
    with session.ask(statement(query), bound(session, query, session.window, grain), doing=doing) as answer:
        _check_columns(session, answer, doing)
        for page in answer.pages:
            yield [_split(session, answer.columns, row) for row in page]


def statement(query: str) -> TextClause:
    """Return a query that SQLAlchemy can bind."""
    return text(_CAST_BOUND.sub(r"(:\1)", query))


def bound(session: Session, query: str, window: Window | datetime, grain: Grain) -> dict[str, object]:
    """Return what a query asks for by `:since`, `:until` and `:grain`; a moment is a window in which is nothing."""
    since, until = (window, window) if isinstance(window, datetime) else (window.since, window.until)
    known = {"since": told(session, since), "until": told(session, until), "grain": str(grain)}
    wanted = statement(query).compile().params
    for name in wanted:
        if name not in known:
            existing = what_exists(name, known)
            msg = f'the query asks for ":{name}"; {existing} (a colon that binds nothing is written \\:)'
            raise Denied(msg)
    return {name: known[name] for name in wanted}


def told(session: Session, moment: datetime) -> object:
    """Return a moment as the database takes it, in the zone of the source."""
    local = moment.astimezone(session.zone)
    if session.dialect == "sqlite":  # a day alone sorts before all of its own times, however they are written
        return f"{local:%Y-%m-%d}" if local.time() == MIDNIGHT else f"{local:%Y-%m-%d %H:%M:%S}"
    return local if session.dialect == "postgresql" else local.replace(tzinfo=None)


def _check_columns(session: Session, answer: Answer, doing: str) -> None:
    for name, times in Counter(answer.columns).items():
        if times > 1:
            msg = f'{session.who} answered{doing} {times} columns called "{name}"; name them apart with AS'
            raise UnexpectedAnswer(msg)


def _split(session: Session, columns: Sequence[str], row: Sequence[object]) -> Row:
    dims: dict[str, object] = {}
    metrics: dict[str, object] = {}
    for name, value in zip(columns, row, strict=True):
        kind = type(value)
        if kind in _DIMS or name in _WHEN:
            dims[name] = value
        elif kind in _NUMBERS:
            metrics[name] = value
        else:
            (metrics if _is_measured(value) else dims)[name] = _plain(session, name, value)
    return dims, metrics


def _is_measured(value: object) -> bool:
    return isinstance(value, int | float | Decimal | timedelta | list)


def _plain(session: Session, name: str, value: object) -> object:
    """Return the seconds of an interval, and else the value itself; refuse what can be no dim and no number."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    of_several = isinstance(value, list) and not all(type(each) in _NUMBERS for each in value)
    if of_several or isinstance(value, bytes | bytearray | memoryview | dict):
        sample = shortened(masked(repr(value)))
        msg = (
            f'{session.who}: the column "{name}" holds {sample}, a {type(value).__name__}, where text or a number is '
            "expected; cast it to text, or take a part of it"
        )
        raise UnexpectedAnswer(msg)
    return value
