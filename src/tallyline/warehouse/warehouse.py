"""The warehouse: where numbers are published, and read from."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import insert, select

from tallyline.errors import Refused
from tallyline.warehouse import ledger, migrations, read, schema, write
from tallyline.warehouse.connections import Connections
from tallyline.warehouse.ledger import Changes
from tallyline.warehouse.read import Query
from tallyline.window import Clock, Grain, utc_now

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from pathlib import Path
    from zoneinfo import ZoneInfo

    from tallyline.plan import Metric, Plan
    from tallyline.warehouse.ledger import RunRecord
    from tallyline.warehouse.read import Value
    from tallyline.warehouse.write import Reading
    from tallyline.window import Window

__all__ = ["Warehouse", "open_warehouse"]

_ZONE = "timezone"
_KEPT_ZONE = select(schema.setting.c.value).where(schema.setting.c.name == _ZONE)


@contextmanager
def open_warehouse(
    url: str, zone: ZoneInfo, *, folder: Path | None = None, write: bool = False, clock: Clock = utc_now
) -> Iterator[Warehouse]:
    """Open the warehouse at `url`, close it in the end.

    With `write`, its tables are made or brought to this release. Without, nothing is made: where there is no
    warehouse yet, an empty one in memory stands for it. `zone` is the business zone; days are cut in it, so a
    warehouse made in another zone is refused.
    """
    connections = Connections(url, folder)
    try:
        if not write and _is_missing(connections):
            connections.close()
            connections = Connections("sqlite://")
        migrations.migrate(connections)
        yield Warehouse(connections, zone, clock)
    finally:
        connections.close()


def _is_missing(connections: Connections) -> bool:
    if connections.file is not None and not connections.file.exists():
        return True
    return migrations.is_empty(connections)


class Warehouse:
    """A metrics store on SQLite or PostgreSQL.

    >>> from zoneinfo import ZoneInfo
    >>> with open_warehouse("sqlite://", ZoneInfo("Europe/Paris"), write=True) as warehouse:
    ...     warehouse.metrics()
    {}
    """

    def __init__(self, connections: Connections, zone: ZoneInfo, clock: Clock) -> None:
        """Take the database; use `open_warehouse` to make one."""
        self._connections = connections
        self._zone = zone
        self._clock = clock
        self._check_zone()

    def begin(self, source: str, window: Window) -> int:
        """Enter in the ledger that a run begins, and return its number."""
        with self._connections.writing() as connection:
            ledger.close_lost(connection, source, self._clock())
            return ledger.begin(connection, source, window, self._clock())

    def publish(self, run: int, reading: Reading, plan: Plan, report: Mapping[str, object]) -> Changes:
        """Replace the window by what was read and enter that the run is done, all in one transaction."""
        with self._connections.writing() as connection:
            changes = write.publish(connection, reading, plan, self._zone)
            ledger.end(connection, run, self._clock(), state="done", changes=changes, report=report)
            return changes

    def preview(self, reading: Reading, plan: Plan) -> Changes:
        """Return what `publish` would change, and change nothing."""
        with self._connections.writing(undo=True) as connection:
            return write.publish(connection, reading, plan, self._zone)

    def end(self, run: int, *, state: str, error: str, report: Mapping[str, object]) -> None:
        """Enter that a run ended without writing anything."""
        with self._connections.writing() as connection:
            ledger.end(connection, run, self._clock(), state=state, changes=Changes(), report=report, error=error)

    def covered(self, source: str) -> list[Window]:
        """Return the windows that were read of a source."""
        with self._connections.reading() as connection:
            return ledger.covered(connection, source)

    def runs(self, limit: int = 100) -> list[RunRecord]:
        """Return the newest runs, the newest first."""
        with self._connections.reading() as connection:
            return ledger.runs(connection, limit)

    def metrics(self) -> dict[str, Metric]:
        """Return the metrics that have been written, by name."""
        with self._connections.reading() as connection:
            return read.metrics(connection)

    def query(  # each is a part of the question, by name
        self,
        metric: str,
        *,
        by: Grain | str = Grain.DAY,
        since: datetime | None = None,
        until: datetime | None = None,
        where: Mapping[str, str] | None = None,
        split: str | None = None,
    ) -> list[Value]:
        """Return a metric's values at a grain, in the order of time.

        Series are rolled up by the metric's kind, those whose dims differ from `where` left out, those with
        different values of the dim `split` told apart. `since` and `until` are widened to whole buckets. Buckets for
        which nothing is known are missing, never zero.
        """
        asked = Query(metric, Grain(by), since, until, where, split)
        with self._connections.reading() as connection:
            return read.query(connection, asked, self._zone)

    def _check_zone(self) -> None:
        with self._connections.reading() as connection:
            kept = connection.execute(_KEPT_ZONE).scalar()
        if kept is None:
            with self._connections.writing() as connection:
                kept = connection.execute(_KEPT_ZONE).scalar()
                if kept is None:
                    connection.execute(insert(schema.setting).values(name=_ZONE, value=self._zone.key))
        if kept not in {None, self._zone.key}:
            msg = (
                f"the days of this warehouse are cut in {kept}, the project says {self._zone.key}; use a new warehouse"
            )
            raise Refused(msg)
