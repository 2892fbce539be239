"""The ledger of runs: what ran when, for which window, what it wrote and how it ended."""

from __future__ import annotations

import os
import socket
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from sqlalchemy import case, func, insert, select, update

from tallyline import __version__
from tallyline.warehouse import schema
from tallyline.window import Window

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy.engine import Connection, Row

__all__ = ["Changes", "RunRecord", "begin", "close_lost", "covered", "end", "last_done", "runs"]

_READ_UNTIL = case((schema.run.c.until < schema.run.c.started_at, schema.run.c.until), else_=schema.run.c.started_at)


@dataclass(frozen=True, slots=True)
class Changes:
    """How a read differs from what was published: numbers of values at the source's own grain."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0

    @property
    def total(self) -> int:
        """How many values differ."""
        return self.added + self.changed + self.removed


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A line of the ledger. `state` is running, done, failed, stopped or lost (its process died)."""

    id: int
    source: str
    window: Window
    started_at: datetime
    ended_at: datetime | None
    state: str
    changes: Changes
    error: str
    report: Mapping[str, object]

    @property
    def seconds(self) -> float | None:
        """How long it ran."""
        return (self.ended_at - self.started_at).total_seconds() if self.ended_at else None


def begin(connection: Connection, source: str, window: Window, now: datetime) -> int:
    """Enter a run that begins and return its number."""
    row = {
        "source": source,
        "since": window.since,
        "until": window.until,
        "started_at": now,
        "state": "running",
        "host": socket.gethostname(),
        "process": os.getpid(),
        "version": __version__,
        "error": "",
        "report": {},
        **asdict(Changes()),
    }
    return int(connection.execute(insert(schema.run).values(row).returning(schema.run.c.id)).scalar_one())


def end(  # a line of the ledger
    connection: Connection,
    run: int,
    now: datetime,
    *,
    state: str,
    changes: Changes,
    report: Mapping[str, object],
    error: str = "",
) -> None:
    """Enter how a run ended. One that is done stays so: what stops it a moment later stops it too late."""
    values = {"ended_at": now, "state": state, "error": error, "report": dict(report), **asdict(changes)}
    open_still = (schema.run.c.id == run) & (schema.run.c.state != "done")
    connection.execute(update(schema.run).where(open_still).values(values))


def close_lost(connection: Connection, source: str, now: datetime) -> None:
    """Mark the source's runs as lost that were begun on this machine by a process that is no more."""
    run = schema.run
    open_here = select(run.c.id, run.c.process).where(
        run.c.source == source, run.c.state == "running", run.c.host == socket.gethostname()
    )
    for number, process in connection.execute(open_here).all():
        if not _is_alive(process):
            lost = {
                "state": "lost",
                "ended_at": now,
                "error": "the process ended without a word; nothing was written",
            }
            connection.execute(update(run).where(run.c.id == number).values(lost))


def covered(connection: Connection, source: str) -> list[Window]:
    """Return the windows that the source's finished runs have read, each up to when it was read."""
    run = schema.run
    done = select(run.c.since, _READ_UNTIL).where(run.c.source == source, run.c.state == "done").distinct()
    return [Window(since, until) for since, until in connection.execute(done) if since < until]


def last_done(connection: Connection, sources: list[str]) -> dict[str, datetime]:
    """Return up to which moment each source was read, and not only begun to be."""
    run = schema.run
    done = select(run.c.source, func.max(_READ_UNTIL)).where(run.c.source.in_(sources), run.c.state == "done")
    known = done.group_by(run.c.source)
    return dict(connection.execute(known).all())


def runs(connection: Connection, limit: int) -> list[RunRecord]:
    """Return the newest runs, the newest first."""
    newest = select(schema.run).order_by(schema.run.c.id.desc()).limit(limit)
    return [_record(row) for row in connection.execute(newest)]


def _record(row: Row[tuple[object, ...]]) -> RunRecord:
    return RunRecord(
        id=row.id,
        source=row.source,
        window=Window(row.since, row.until),
        started_at=row.started_at,
        ended_at=row.ended_at,
        state=row.state,
        changes=Changes(row.added, row.changed, row.removed, row.unchanged),
        error=row.error,
        report=row.report,
    )


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
