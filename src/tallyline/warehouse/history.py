"""What was known before: values that have been restated since, when, by which run, and why."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import null, or_, select, union_all

from tallyline.warehouse import ledger, schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, FromClause, Select, Table
    from sqlalchemy.engine import Connection

    from tallyline.warehouse.ledger import RunRecord
    from tallyline.window import Grain

__all__ = ["History", "Version", "facts_as_of", "histories"]


@dataclass(frozen=True, slots=True)
class Version:
    """A value as it was known: `run` wrote it, `replaced_by` changed or removed it, None while it stands.

    A run is None where the ledger does not reach back to it.
    """

    value: float
    run: RunRecord | None
    replaced_by: RunRecord | None

    @property
    def newest_run(self) -> RunRecord | None:
        """The run that changed or removed it, while it stands the one that wrote it."""
        return self.replaced_by or self.run


@dataclass(frozen=True, slots=True)
class History:
    """All that was known of one series in one bucket, the newest first; `definition` is what the newest run read."""

    metric: str
    dims: Mapping[str, str]
    source: str
    grain: Grain
    time: datetime
    versions: Sequence[Version]
    definition: str

    @property
    def now(self) -> float | None:
        """The value that is known now, None where it was removed."""
        newest = self.versions[0]
        return newest.value if newest.replaced_by is None else None

    @property
    def newest_run(self) -> RunRecord | None:
        """The run that what is known now comes from: that wrote the value, or removed it."""
        return self.versions[0].newest_run


def facts_as_of(grain: Grain, moment: ColumnElement[datetime]) -> FromClause:
    """Return the facts as they were known at a moment: with columns bucket, value, series_id and sketch."""
    facts, restated = schema.FACTS[grain], schema.RESTATEMENTS[grain]
    wrote, replaced = schema.run.alias("wrote"), schema.run.alias("replaced")
    now = select(facts.c.bucket, facts.c.value, facts.c.series_id, facts.c.sketch).outerjoin(
        wrote, wrote.c.id == facts.c.run_id
    )
    then = (
        select(restated.c.bucket, restated.c.value, restated.c.series_id, restated.c.sketch)
        .outerjoin(wrote, wrote.c.id == restated.c.run_id)
        .join(replaced, replaced.c.id == restated.c.replaced_by)
        .where(replaced.c.ended_at > moment)
    )
    was_there = or_(wrote.c.ended_at <= moment, wrote.c.id.is_(None))
    return union_all(now.where(was_there), then.where(was_there)).subquery("known")


def histories(
    connection: Connection, metric: str, grain: Grain, bucket: datetime, where: Mapping[str, str]
) -> list[History]:
    """Return what was known of each series of a metric in a bucket, in the order of their dims."""
    rows = connection.execute(_versions(metric, grain, bucket)).all()
    of_series: dict[int, list[Any]] = {}
    for row in rows:
        of_series.setdefault(row.series_id, []).append(row)
    told = [_history(connection, metric, grain, bucket, versions) for versions in of_series.values()]
    matching = [history for history in told if where.items() <= history.dims.items()]
    return sorted(matching, key=lambda history: json.dumps(history.dims, sort_keys=True))


def _versions(metric: str, grain: Grain, bucket: datetime) -> Select[Any]:
    facts, restated = schema.FACTS[grain], schema.RESTATEMENTS[grain]
    now = _about(facts, metric, bucket, null().label("replaced_by"))
    before = _about(restated, metric, bucket, restated.c.replaced_by)
    found = union_all(now, before).subquery()
    newest_first = found.c.replaced_by.is_(None).desc(), found.c.replaced_by.desc()
    return select(found).order_by(*newest_first)


def _about(table: Table, metric: str, bucket: datetime, replaced_by: Any) -> Select[Any]:  # noqa: ANN401  # a column
    series = schema.series
    return (
        select(table.c.series_id, table.c.value, table.c.run_id, replaced_by, series.c.dims, series.c.source)
        .join(series, series.c.id == table.c.series_id)
        .join(schema.metric, schema.metric.c.id == series.c.metric_id)
        .where(schema.metric.c.name == metric, table.c.bucket == bucket)
    )


def _history(connection: Connection, metric: str, grain: Grain, bucket: datetime, rows: Sequence[Any]) -> History:
    def run(number: int | None) -> RunRecord | None:
        return None if number is None else ledger.record(connection, number)

    versions = [Version(row.value, run(row.run_id), run(row.replaced_by)) for row in rows]
    newest = versions[0].newest_run
    definition = ledger.definition(connection, newest.definition) if newest else ""
    return History(metric, rows[0].dims, rows[0].source, grain, bucket, versions, definition)
