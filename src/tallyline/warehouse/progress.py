"""How far a source is: what tells which of its windows are due."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, select

from tallyline.warehouse import coverage, schema
from tallyline.warehouse.retention import cleaned_until
from tallyline.window import Grain, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from sqlalchemy import Select
    from sqlalchemy.engine import Connection, Row

    from tallyline.warehouse.coverage import Coverage

__all__ = ["MAY_WORK_LATER", "Failure", "Progress", "Wanted", "progress"]

MAY_WORK_LATER = "may_work_later"
"""The key in a failed run's report that says after how many seconds the same may work."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A run that failed. `wait` is how long at least to wait before the same may work, None where it will not."""

    window: Window
    began_at: datetime
    ended_at: datetime
    wait: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """What is known of a source's windows, and which of its runs failed lately, in the order in which they began.

    Hours before `cleaned_until` were removed, their days were kept.
    """

    coverage: Sequence[Coverage] = ()
    failures: Sequence[Failure] = ()
    cleaned_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whether a run is still to begin once no other process can read its source, by what failed since a moment."""

    since: datetime
    is_due: Callable[[Progress], bool]


def progress(connection: Connection, source: str, since: datetime) -> Progress:
    """Return how far a source is, with the runs that began since a moment and failed."""
    return Progress(
        coverage.pieces(connection, source),
        [_failure(row) for row in connection.execute(_FAILED, {"source": source, "since": since})],
        cleaned_until(connection, Grain.HOUR, source),
    )


def _failed() -> Select[Any]:
    run = schema.run
    wait = run.c.report[MAY_WORK_LATER].as_float().label("wait")
    lately = (run.c.source == bindparam("source")) & (run.c.started_at >= bindparam("since", type_=schema.Moment))
    columns = (run.c.since, run.c.until, run.c.started_at, run.c.ended_at, wait)
    return select(*columns).where(lately, run.c.state == "failed").order_by(run.c.id)


_FAILED = _failed()


def _failure(row: Row[*tuple[Any, ...]]) -> Failure:
    wait = None if row.wait is None else timedelta(seconds=row.wait)
    return Failure(Window(row.since, row.until), row.started_at, row.ended_at, wait)
