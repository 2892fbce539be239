"""The warehouse: where numbers are published, and read from."""

from __future__ import annotations

from collections import Counter
from contextlib import closing, contextmanager
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING

from tallyline.errors import AtWork, NoLongerDue, Refused, RunFailed, UnknownName
from tallyline.plan import Kind
from tallyline.warehouse import access, calendar, coverage, history, ledger, migrations, overview, read, settings, write
from tallyline.warehouse.connections import Connections
from tallyline.warehouse.ledger import Changes
from tallyline.warehouse.progress import progress
from tallyline.warehouse.question import Query
from tallyline.warehouse.retention import check_hours_are_there, check_known_then, clean
from tallyline.warehouse.sql import as_sql
from tallyline.warehouse.write import Preview
from tallyline.window import Clock, Grain, Window, utc_now

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime, timedelta
    from pathlib import Path
    from zoneinfo import ZoneInfo

    from sqlalchemy.engine import Connection

    from tallyline.plan import Metric, Plan, Retention
    from tallyline.warehouse.answer import Answer
    from tallyline.warehouse.connections import Lease
    from tallyline.warehouse.coverage import Coverage
    from tallyline.warehouse.history import History
    from tallyline.warehouse.ledger import RunRecord
    from tallyline.warehouse.overview import Overview, RunCount
    from tallyline.warehouse.progress import Progress, Wanted
    from tallyline.warehouse.reading import Reading
    from tallyline.warehouse.retention import Cleaned

__all__ = ["Warehouse", "open_warehouse"]

_ZONE = "timezone"


@contextmanager
def open_warehouse(
    url: str,
    zone: ZoneInfo,
    *,
    folder: Path | None = None,
    write: bool = False,
    clock: Clock = utc_now,
    plan: Plan = MappingProxyType({}),
) -> Iterator[Warehouse]:
    """Open the warehouse at `url`, close it in the end.

    `plan` tells the formulas of metrics that are worked out from others.

    With `write`, its tables are made or brought to this release. Without, nothing is made: where there is no
    warehouse yet, an empty one in memory stands for it. `zone` is the business zone; days are cut in it, so a
    warehouse made in another zone is refused.
    """
    connections = Connections(url, folder)
    try:
        if not write and _is_missing(connections):
            connections.close()
            connections = Connections("sqlite://")
        migrations.migrate(connections, zone)
        with closing(Warehouse(connections, zone, clock, plan)) as warehouse:
            yield warehouse
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

    def __init__(self, connections: Connections, zone: ZoneInfo, clock: Clock, plan: Plan) -> None:
        """Take the database; use `open_warehouse` to make one."""
        self._connections = connections
        self._zone = zone
        self._clock = clock
        self._formulas = {name: metric for name, metric in plan.items() if metric.kind is Kind.FORMULA}
        self._leasing = Lock()
        self._leases: dict[str, Lease] = {}
        self._holders: Counter[str] = Counter()
        self._at_work: dict[int, str] = {}
        self._not_entered: dict[int, str] = {}
        self._check_zone()

    def begin(self, source: str, window: Window, definition: str = "", wanted: Wanted | None = None) -> int:
        """Enter in the ledger that a run begins, and return its number; `definition` is what the source is, as text.

        Raises AtWork while the source is read by another process, NoLongerDue where the run is not `wanted` any more.
        """
        self._lease(source)
        try:
            run = self._entered(source, window, definition, wanted)
        except BaseException:
            self._release(source)
            raise
        self._at_work[run] = source
        return run

    def _entered(self, source: str, window: Window, definition: str, wanted: Wanted | None) -> int:
        with self._connections.writing(source) as connection:
            entered = self._end_those_not_entered(connection)
            ledger.close_lost(connection, source, self._clock(), all_of_them=self._only_here(source))
            other = ledger.running_elsewhere(connection, source)
            if other is not None:
                raise _overlap(source, other)
            if wanted and not wanted.is_due(progress(connection, source, wanted.since)):
                msg = f"another process has just read what was due of {source}, or tried to"
                raise NoLongerDue(msg)
            run = ledger.begin(connection, source, window, self._clock(), definition)
        for number in entered:
            self._not_entered.pop(number, None)
        return run

    def _end_those_not_entered(self, connection: Connection) -> list[int]:
        """Enter as lost what ended while the database was away, and return the numbers of these runs."""
        ended = list(self._not_entered.items())
        for run, error in ended:
            ledger.end(connection, run, self._clock(), state="lost", changes=Changes(), report={}, error=error)
        return [run for run, _ in ended]

    def _lease(self, source: str) -> None:
        with self._leasing:
            if source not in self._leases:
                lease = self._connections.lease(source)
                if lease is None:
                    with self._connections.reading() as connection:
                        raise _overlap(source, ledger.running(connection, source))
                self._leases[source] = lease
            self._holders[source] += 1

    def _only_here(self, source: str) -> bool:
        """Say whether whatever run of the source is open, but for this process's own, must be lost."""
        return self._connections.keeps_leases and self._holders[source] == 1

    def _release(self, source: str) -> None:
        with self._leasing:
            self._holders[source] -= 1
            if not self._holders[source]:
                self._leases.pop(source).release()

    def _ended(self, run: int) -> None:
        if run in self._at_work:
            self._release(self._at_work.pop(run))

    def close(self) -> None:
        """Give up what runs that were not ended hold."""
        for lease in self._leases.values():
            lease.release()
        self._leases.clear()

    def publish(self, run: int, reading: Reading, plan: Plan, report: Mapping[str, object], *also: Reading) -> Changes:
        """Replace the window by what was read and enter that the run is done, all in one transaction.

        `also` is what the source told of distinct counts by longer grains.
        """
        with self._connections.writing(reading.source) as connection:
            record = ledger.record(connection, run)
            if record is None or not ledger.still_runs(connection, run):
                msg = f"run {run} of {reading.source} was given up meanwhile; nothing was written"
                raise RunFailed(msg)
            check_hours_are_there(connection, reading, self._zone)
            published = write.publish(connection, run, reading, plan, self._zone)
            longer = [write.publish(connection, run, other, plan, self._zone).changes for other in also]
            changes = sum(longer, published.changes)
            before = coverage.pieces(connection, reading.source)
            late = coverage.lateness(before, published.touched, reading.grain, record.started_at, self._zone)
            after = coverage.after_read(before, run, record.started_at, reading, self._zone)
            coverage.replace_pieces(connection, reading.source, after, self._zone)
            coverage.keep_missing(connection, run, coverage.missing_until(reading, record.started_at))
            covers_since = coverage.covers_since(before, reading, self._zone)
            calendar.fill(connection, Window(covers_since, reading.window.until), self._zone)
            ledger.end(
                connection,
                run,
                self._clock(),
                state="done",
                changes=changes,
                report=report,
                lateness=late,
                covers_since=covers_since,
            )
        self._ended(run)
        return changes

    def preview(self, reading: Reading, plan: Plan, *also: Reading, most: int = 100) -> Preview:
        """Return what `publish` would change, with the first of the published values that would differ.

        Nothing is changed, and nobody who writes is held up.
        """
        with self._connections.reading() as connection:
            check_hours_are_there(connection, reading, self._zone)
            previews = [write.preview(connection, each, plan, self._zone, most) for each in (reading, *also)]
        differing = [differing for preview in previews for differing in preview.differing]
        return Preview(sum([preview.changes for preview in previews], Changes()), differing[:most])

    def end(self, run: int, *, state: str, error: str, report: Mapping[str, object]) -> None:
        """Enter that a run ended without writing anything; where that cannot be, it is entered with the next run."""
        try:
            with self._connections.reading() as connection:
                record = ledger.record(connection, run)
            with self._connections.writing(record.source if record else None) as connection:
                ledger.end(connection, run, self._clock(), state=state, changes=Changes(), report=report, error=error)
                if record:
                    before = coverage.pieces(connection, record.source)
                    after = coverage.after_failure(before, record.window, run, record.started_at)
                    coverage.replace_pieces(connection, record.source, after, self._zone)
        except BaseException:
            self._not_entered[run] = error
            raise
        finally:
            self._ended(run)

    def covered(self, source: str) -> list[Window]:
        """Return the windows that were read of a source, apart from each other and in order."""
        return coverage.joined(self.coverage(source))

    def progress(self, source: str, since: datetime) -> Progress:
        """Return how far a source is, with the runs that failed since a moment."""
        with self._connections.reading() as connection:
            return progress(connection, source, since)

    def coverage(self, source: str) -> list[Coverage]:
        """Return what is known of a source's windows: final, provisional or failed, in the order of time."""
        with self._connections.reading() as connection:
            return coverage.pieces(connection, source)

    def runs(self, limit: int = 100, *, source: str | None = None) -> list[RunRecord]:
        """Return the newest runs, of one source or of all, the newest first."""
        with self._connections.reading() as connection:
            return ledger.runs(connection, limit, source)

    def run(self, number: int) -> RunRecord | None:
        """Return the run of that number, None where the ledger has none."""
        with self._connections.reading() as connection:
            return ledger.record(connection, number)

    def overview(self, sources: Iterable[str] = ()) -> Overview:
        """Return how sources are, all that are known and those named, and which of them tell of each metric."""
        with self._connections.reading() as connection:
            return overview.overview(connection, sources)

    def run_counts(self, window: Window) -> list[RunCount]:
        """Return how many of the runs that began in a window are in which state, by quarters of an hour."""
        with self._connections.reading() as connection:
            return overview.run_counts(connection, window)

    def failures(self, window: Window, limit: int = 10) -> list[RunRecord]:
        """Return the newest runs that began in a window and failed or were lost, the newest first."""
        with self._connections.reading() as connection:
            return overview.failures(connection, window, limit)

    def ran_before(self, source: str, moment: datetime) -> bool:
        """Say whether the ledger knows a run of the source that began before a moment."""
        with self._connections.reading() as connection:
            return ledger.ran_before(connection, source, moment)

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
        compare: Grain | str | None = None,
        as_of: datetime | None = None,
    ) -> Answer:
        """Return a metric's values at a grain, in the order of time.

        Series are rolled up by the metric's kind, those whose dims differ from `where` left out, those with
        different values of the dim `split` told apart. `since` and `until` are widened to whole buckets. Each value is
        told with the one a week, month … before where `compare` names that. `as_of` asks for what was known then.

        Buckets that were not read are missing, never zero. A count is zero in buckets that were read and gave nothing.
        Of a duration, the mean is told; `metric.p95`, `metric.count` and the like name other statistics. Raises
        UnknownName for a metric or dim that there is not, Refused where values cannot be rolled up.
        """
        asked = Query(metric, Grain(by), since, until, where, split, Grain(compare) if compare else None, as_of)
        if asked.compare and list(Grain).index(asked.compare) < list(Grain).index(asked.by):
            msg = f"{asked.by}s cannot be compared with those a {asked.compare} before; name a longer time"
            raise Refused(msg)
        with self._connections.reading() as connection:
            if as_of is not None:
                check_known_then(connection, as_of)
            return read.query(connection, asked, self._zone, self._formulas)

    def sql(
        self,
        metric: str,
        *,
        by: Grain | str = Grain.DAY,
        since: datetime | None = None,
        until: datetime | None = None,
        where: Mapping[str, str] | None = None,
        split: str | None = None,
    ) -> str:
        """Return a query as SQL over the public views, for Grafana and other tools of this database.

        It tells the values that `query` tells, and raises what that raises.
        """
        asked = Query(metric, Grain(by), since, until, where, split)
        with self._connections.reading() as connection:
            read.query(connection, asked, self._zone, self._formulas)  # what it refuses is refused here, too
            plan = read.metrics(connection) | self._formulas
            return as_sql(asked, plan, self._zone, connection.dialect.name)

    def grant_reading(self, role: str, password: str) -> None:
        """Let a role of PostgreSQL read the public views, and nothing else; make it if it is missing."""
        with self._connections.writing() as connection:
            access.grant_reading(connection, role, password)

    def history(
        self, metric: str, time: datetime, *, by: Grain | str = Grain.DAY, where: Mapping[str, str] | None = None
    ) -> list[History]:
        """Return what is and was known of each series of a metric in the hour or day that holds a moment.

        Raises UnknownName for a metric that was never written.
        """
        grain = Grain(by)
        with self._connections.reading() as connection:
            known = read.metrics(connection)
            if metric not in known:
                raise UnknownName("metric in the warehouse called", metric, known)
            return history.histories(connection, metric, grain, grain.floor(time, self._zone), where or {})

    def clean(self, source: str, retention: Retention, *, write: bool = False) -> Cleaned:
        """Remove what is older than the retention says, or without `write` only count it.

        Raises RunFailed while the source is read.
        """
        if not write:
            with self._connections.reading() as connection:
                return clean(connection, source, retention, self._clock(), self._zone, write=False)
        self._lease(source)
        try:
            with self._connections.writing(source) as connection:
                other = ledger.running_elsewhere(connection, source)
                if other is not None:
                    raise _overlap(source, other)
                return clean(connection, source, retention, self._clock(), self._zone, write=True)
        finally:
            self._release(source)

    def give_space_back(self) -> None:
        """Give the room of what was removed back: to the disk on SQLite, to new rows on PostgreSQL."""
        self._connections.vacuum()

    def lateness(self, source: str, since: datetime) -> list[timedelta]:
        """Return for each run since a moment that changed published values how late the oldest of them was."""
        with self._connections.reading() as connection:
            return ledger.lateness(connection, source, since)

    def recall(self, name: str) -> str | None:
        """Return what was remembered under a name."""
        with self._connections.reading() as connection:
            return settings.get(connection, name)

    def remember(self, name: str, value: str | None) -> None:
        """Remember a value under a name; None forgets it."""
        with self._connections.writing(name) as connection:
            settings.put(connection, name, value)

    def _check_zone(self) -> None:
        with self._connections.reading() as connection:
            kept = settings.get(connection, _ZONE)
        if kept is None:
            with self._connections.writing() as connection:
                kept = settings.get(connection, _ZONE)
                if kept is None:
                    settings.put(connection, _ZONE, self._zone.key)
        if kept not in {None, self._zone.key}:
            msg = (
                f"the days of this warehouse are cut in {kept}, the project says {self._zone.key}; use a new warehouse"
            )
            raise Refused(msg)


def _overlap(source: str, run: RunRecord | None) -> AtWork:
    at_work = (
        f": run {run.id}, process {run.process} on {run.host}, since {run.started_at:%Y-%m-%d %H:%M} UTC" if run else ""
    )
    return AtWork(f"{source} is being read already{at_work}; let that end, or end it")
