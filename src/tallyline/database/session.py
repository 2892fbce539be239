"""A database as a source reads it: page by page, in a session that only reads, with a start that is tried again."""

from __future__ import annotations

import logging
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

import stamina
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from tallyline.database.dialects import Terms, dialect_of
from tallyline.database.refusals import TooSlow, refusal
from tallyline.errors import Denied, Refused, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import timedelta
    from zoneinfo import ZoneInfo

    from sqlalchemy.engine import CursorResult
    from sqlalchemy.sql.base import Executable

    from tallyline.window import Window

    Page = Sequence[tuple[Any, ...]]

__all__ = ["Answer", "Session"]

ATTEMPTS = 5
PAGE = 1000

logging.getLogger("stamina").addHandler(logging.NullHandler())  # it tells of each wait; on a terminal only if asked to


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query answers: the names of its columns, and its rows, a page at a time as they are asked for."""

    columns: tuple[str, ...]
    pages: Iterator[Page]


@dataclass(frozen=True, slots=True)
class Session:
    """How a database is read for `window`: in the time zone `zone`, each query for at most `limit`, never writing.

    A query that cannot begin because the database is down or busy is tried again; one that gave rows is not.
    `name` is that of the service. Raises Refused where that is no database.
    """

    engine: Engine
    window: Window
    zone: ZoneInfo
    limit: timedelta | None = None
    name: str = ""

    def __post_init__(self) -> None:
        """Refuse a service that is no database."""
        if not isinstance(self.engine, Engine):
            kind = type(self.engine).__name__
            called = f'the service "{self.name}"' if self.name else "the service"
            msg = (
                f"{called} is no database but of the kind {kind}; "
                "give it a database's URL under [services], such as postgresql://reader:${PASSWORD}@host/name"
            )
            raise Refused(msg)

    @property
    def dialect(self) -> str:
        """The kind of database: postgresql, mysql, sqlite, or what SQLAlchemy calls it."""
        return dialect_of(self.engine)

    @property
    def who(self) -> str:
        """How messages call the database."""
        return f'the database "{self.name}"' if self.name else "the database"

    @contextmanager
    def ask(
        self, statement: Executable, bound: Mapping[str, object] | None = None, *, doing: str = ""
    ) -> Iterator[Answer]:
        """Give what the database answers; rows that were not asked for yet stay there. `doing` is for messages.

        Raises Unavailable, Denied or UnexpectedAnswer, with what the database said.
        """
        with ExitStack() as left_open:
            answer = self._begun(statement, bound or {}, doing, left_open)
            with self._in_plain_words(doing):
                yield answer

    def _begun(self, statement: Executable, bound: Mapping[str, object], doing: str, left_open: ExitStack) -> Answer:
        for attempt in stamina.retry_context(
            _may_work_at_once, attempts=ATTEMPTS, timeout=None, wait_initial=0.5, wait_max=20
        ):
            with attempt, self._in_plain_words(doing), ExitStack() as tried:
                answer = self._asked(statement, bound, tried)
                left_open.push(tried.pop_all())
                return answer
        raise AssertionError  # pragma: no cover  # the last attempt returns or raises

    def _asked(self, statement: Executable, bound: Mapping[str, object], tried: ExitStack) -> Answer:
        connection = tried.enter_context(self.engine.connect())
        connection.execution_options(postgresql_readonly=True, sqlite_raw_colnames=True)
        tried.enter_context(Terms(self.window, self.zone, self.limit, self.who).agreed(connection))
        result = tried.enter_context(connection.execute(statement, bound, execution_options={"yield_per": PAGE}))
        tried.callback(_leave, result.cursor)
        if not result.returns_rows:
            msg = f"{self.who} has no rows for what it was asked; the query of a source is a SELECT"
            raise Denied(msg)
        columns, pages = tuple(result.keys()), _pages(result)
        return Answer(columns, chain([next(pages, ())], pages))

    @contextmanager
    def _in_plain_words(self, doing: str) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise refusal(error, self.who, doing=doing, user=self.engine.url.username) from error


def _pages(result: CursorResult[Any]) -> Iterator[Page]:
    """Give the driver's own rows: SQLAlchemy's would cost half as much again as fetching them."""
    fetch = result.cursor_strategy.fetchmany
    while result.cursor is not None and (page := fetch(result, result.cursor, PAGE)):  # it is taken away at the end
        yield cast("Page", page)


def _leave(cursor: object) -> None:
    """Keep the driver of MySQL from reading the rows that nobody asked for, also from a connection that is lost."""
    pending = getattr(cursor, "_result", None)
    if getattr(pending, "unbuffered_active", False):
        cast("Any", pending).unbuffered_active = False


def _may_work_at_once(error: Exception) -> bool:
    return isinstance(error, Unavailable) and not isinstance(error, TooSlow)
