"""A database recorded, and the database that answers from the recording: whoever asks it, in whatever way."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.engine import URL, Engine
from sqlalchemy.engine.cursor import FullyBufferedCursorFetchStrategy
from sqlalchemy.pool import NullPool

from tallyline.database import open_database
from tallyline.recording.values import as_json, from_json
from tallyline.secret import remember

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tallyline.recording.masking import Masking

    Keep = Callable[[dict[str, Any], dict[str, Any]], None]
    Answer = Callable[[dict[str, Any]], Mapping[str, Any]]

__all__ = ["Engine", "listening", "replaying"]


@contextmanager
def listening(engine: Engine, masking: Masking, keep: Keep) -> Iterator[None]:
    """Hand every query and its rows to `keep`; they are all fetched first."""
    if engine.url.password:
        remember(engine.url.password)

    def heard(_: object, cursor: Any, query: str, parameters: object, context: Any, __: object) -> None:  # noqa: ANN401  # a driver's
        if cursor.description is None:
            keep(_asked(query, parameters, masking), {"columns": [], "rows": []})
            return
        rows = [tuple(row) for row in cursor.fetchall()]
        context.cursor_fetch_strategy = FullyBufferedCursorFetchStrategy(cursor, cursor.description, rows)
        keep(_asked(query, parameters, masking), _said(cursor.description, rows, masking))

    event.listen(engine, "after_cursor_execute", heard)
    try:
        yield
    finally:
        event.remove(engine, "after_cursor_execute", heard)


@contextmanager
def replaying(driver: str, masking: Masking, answer: Answer) -> Iterator[Engine]:
    """Give an engine of the same driver that connects to nothing, and asks `answer` for the rows of each query."""
    engine = open_database(URL.create(driver), pool=NullPool)
    engine.dialect.initialize = lambda connection: None  # type: ignore[method-assign]  # noqa: ARG005  # nobody there
    event.listen(engine, "do_connect", lambda *_: _Connection(lambda query, told: answer(_asked(query, told, masking))))
    try:
        yield engine
    finally:
        engine.dispose()


class _Connection:
    """A driver's connection. What it is told of transactions, time zones and types has no effect."""

    autocommit = False

    def __init__(self, answer: Callable[[str, object], Mapping[str, Any]]) -> None:
        self._answer = answer

    def cursor(self, *_: object, **__: object) -> _Cursor:
        return _Cursor(self._answer)

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_, **__: None


class _Cursor:
    arraysize = 1
    itersize = 1
    rowcount = -1
    lastrowid = None

    def __init__(self, answer: Callable[[str, object], Mapping[str, Any]]) -> None:
        self._answer = answer
        self._rows: Iterator[tuple[object, ...]] = iter(())
        self.description: Sequence[tuple[object, ...]] | None = None

    def execute(self, query: str, parameters: object = (), **_: object) -> None:
        said = self._answer(query, parameters)
        kinds = said.get("types") or [None] * len(said["columns"])
        described = [(*column, *[None] * 5) for column in zip(said["columns"], kinds, strict=True)]
        self.description = described or None
        self._rows = (tuple(from_json(row)) for row in said["rows"])

    executemany = execute

    def fetchone(self) -> tuple[object, ...] | None:
        return next(self._rows, None)

    def fetchmany(self, size: int = arraysize) -> list[tuple[object, ...]]:
        return list(islice(self._rows, size))

    def fetchall(self) -> list[tuple[object, ...]]:
        return list(self._rows)

    def close(self) -> None:
        self._rows = iter(())


def _asked(query: str, parameters: object, masking: Masking) -> dict[str, Any]:
    lines = [line.strip() for line in masking.text(query).strip().splitlines()]
    return {"query": lines, "parameters": as_json(masking.data(parameters))}


def _said(description: Sequence[Sequence[Any]], rows: Sequence[tuple[object, ...]], masking: Masking) -> dict[str, Any]:
    columns, kinds = [str(column[0]) for column in description], [column[1] for column in description]
    told = [[as_json(masking.data(value, name)) for name, value in zip(columns, row, strict=True)] for row in rows]
    types = {"types": kinds} if any(isinstance(kind, int) for kind in kinds) else {}
    return {"columns": columns, **types, "rows": told}
