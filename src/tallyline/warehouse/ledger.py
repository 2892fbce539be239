"""The ledger of runs: what ran when, for which window, what it wrote and how it ended."""

from __future__ import annotations

import hashlib
import os
import socket
from dataclasses import asdict, astuple, dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from tallyline import __version__
from tallyline.warehouse import schema
from tallyline.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from sqlalchemy import Select
    from sqlalchemy.engine import Connection, Row

__all__ = [
    "Changes",
    "RunRecord",
    "begin",
    "close_lost",
    "end",
    "of",
    "record",
    "running",
    "running_elsewhere",
    "runs",
    "still_runs",
]

LOST = "the process ended without a word; nothing was written"


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

    def __add__(self, other: Changes) -> Changes:
        """Return the numbers of both.

        >>> Changes(added=1) + Changes(added=2, changed=1)
        Changes(added=3, changed=1, removed=0, unchanged=0)
        """
        return Changes(*(mine + its for mine, its in zip(astuple(self), astuple(other), strict=True)))


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
    host: str = ""
    process: int = 0
    version: str = ""
    definition: str = ""
    lateness: timedelta | None = None

    @property
    def seconds(self) -> float | None:
        """How long it ran."""
        return (self.ended_at - self.started_at).total_seconds() if self.ended_at else None


def begin(connection: Connection, source: str, window: Window, now: datetime, definition: str) -> int:
    """Enter a run that begins and return its number. `definition` is what the source is, as text."""
    row = {
        "source": source,
        "since": window.since,
        "until": window.until,
        "started_at": now,
        "state": "running",
        "host": socket.gethostname(),
        "process": os.getpid(),
        "holder": _started(os.getpid()),
        "version": __version__,
        "definition": _keep_definition(connection, definition),
        "error": "",
        "report": {},
        **asdict(Changes()),
    }
    return int(connection.execute(insert(schema.run).values(row).returning(schema.run.c.id)).scalar_one())


def _keep_definition(connection: Connection, definition: str) -> str:
    """Keep what a source is, once, and return the digest by which it is found."""
    table = schema.definition
    digest = hashlib.blake2b(definition.encode(), digest_size=8).hexdigest() if definition else ""
    if definition and connection.execute(select(table.c.digest).where(table.c.digest == digest)).first() is None:
        inserting = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        kept = inserting(table).values(digest=digest, text=definition)
        connection.execute(kept.on_conflict_do_nothing())  # another source may have the same
    return digest


def end(  # a line of the ledger
    connection: Connection,
    run: int,
    now: datetime,
    *,
    state: str,
    changes: Changes,
    report: Mapping[str, object],
    error: str = "",
    lateness: timedelta | None = None,
    covers_since: datetime | None = None,
) -> None:
    """Enter how a run ended. One that is done stays so: what stops it a moment later stops it too late."""
    values = {"ended_at": now, "state": state, "error": error, "report": dict(report), **asdict(changes)}
    values["covers_since"] = covers_since
    values["lateness"] = None if lateness is None else int(lateness.total_seconds())
    open_still = (schema.run.c.id == run) & (schema.run.c.state != "done")
    if connection.execute(update(schema.run).where(open_still).values(values)).rowcount:
        _keep_nodes(connection, run, report)


def still_runs(connection: Connection, run: int) -> bool:
    """Say whether a run is still entered as running, and hold its line until the transaction ends."""
    state = select(schema.run.c.state).where(schema.run.c.id == run).with_for_update()
    return connection.execute(state).scalar() == "running"


def close_lost(connection: Connection, source: str, now: datetime, *, all_of_them: bool) -> None:
    """Mark the source's open runs as lost whose processes are no more: those of this machine, or all of them."""
    for row in connection.execute(_open(source)).all():
        here = row.host == socket.gethostname()
        if all_of_them or (here and not _is_alive(row.process, row.holder)):
            lost = {"state": "lost", "ended_at": now, "error": LOST}
            connection.execute(update(schema.run).where(schema.run.c.id == row.id).values(lost))


def running(connection: Connection, source: str) -> RunRecord | None:
    """Return the source's run that goes on, if there is one."""
    row = connection.execute(_open(source)).first()
    return _record(row) if row else None


def running_elsewhere(connection: Connection, source: str) -> RunRecord | None:
    """Return the source's run that goes on in another process of this machine, if there is one."""
    here = (socket.gethostname(), os.getpid())
    for row in connection.execute(_open(source)):
        if row.host == here[0] and row.process != here[1]:
            return _record(row)
    return None


def record(connection: Connection, run: int) -> RunRecord | None:
    """Return a run's line, None where it is no more."""
    row = connection.execute(select(schema.run).where(schema.run.c.id == run)).first()
    return _record(row) if row else None


def lateness(connection: Connection, source: str, since: datetime) -> list[timedelta]:
    """Return how late the oldest value was that each of the source's runs since a moment has changed."""
    run = schema.run
    late = select(run.c.lateness).where(run.c.source == source, run.c.started_at >= since, run.c.lateness.is_not(None))
    return [timedelta(seconds=seconds) for seconds in connection.execute(late).scalars()]


def definition(connection: Connection, digest: str) -> str:
    """Return what a source was, as text, by its digest; empty where it is not known."""
    kept = select(schema.definition.c.text).where(schema.definition.c.digest == digest)
    return str(connection.execute(kept).scalar() or "")


def ran_before(connection: Connection, source: str, moment: datetime) -> bool:
    """Say whether a run of the source began before a moment."""
    earlier = (schema.run.c.source == source) & (schema.run.c.started_at < moment)
    return connection.execute(select(schema.run.c.id).where(earlier).limit(1)).first() is not None


def runs(connection: Connection, limit: int, source: str | None = None) -> list[RunRecord]:
    """Return the newest runs, of one source or of all, the newest first."""
    newest = select(schema.run).order_by(schema.run.c.id.desc()).limit(limit)
    if source is not None:
        newest = newest.where(schema.run.c.source == source)
    return [_record(row) for row in connection.execute(newest)]


def of(connection: Connection, numbers: Iterable[int]) -> list[RunRecord]:
    """Return the lines of some runs, the newest first."""
    lines = select(schema.run).where(schema.run.c.id.in_(list(numbers))).order_by(schema.run.c.id.desc())
    return [_record(row) for row in connection.execute(lines)]


def _open(source: str) -> Select[Any]:
    still_open = (schema.run.c.source == source) & (schema.run.c.state == "running")
    return select(schema.run).where(still_open).order_by(schema.run.c.id.desc())


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
        host=row.host,
        process=row.process,
        version=row.version,
        definition=row.definition,
        lateness=None if row.lateness is None else timedelta(seconds=row.lateness),
    )


def _keep_nodes(connection: Connection, run: int, report: Mapping[str, object]) -> None:
    nodes = cast("list[dict[str, object]]", report.get("nodes") or [])
    rows = [
        {
            "run_id": run,
            "position": position,
            "name": node["name"],
            "rows_in": node["in"],
            "rows_out": node["out"],
            "skipped": node.get("skipped", 0),
            "errors": node["errors"],
            "seconds": node["seconds"],
            "state": node["state"],
        }
        for position, node in enumerate(nodes)
    ]
    if rows:
        connection.execute(insert(schema.run_node), rows)


def _is_alive(process: int, holder: str) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return not holder or _started(process) == holder


def _started(process: int) -> str:
    """Return what tells a process from another that was given its number: when it started, where Linux says so."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        stat = Path(f"/proc/{process}/stat").read_text("ascii", errors="replace")
    except OSError:
        return ""
    return f"{boot} {stat.rpartition(')')[2].split()[19]}"
