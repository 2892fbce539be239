"""One recorded run: a project's source, read for a window, compared with the warehouse or published to it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial, reduce
from hashlib import blake2b
from operator import add
from threading import Event
from typing import TYPE_CHECKING

from tallyline.errors import BadPoint, RunFailed, TallylineError, wait_before_retry
from tallyline.graph import Report, State, in_time, node, run
from tallyline.plan import Kind, Normalizer, Points
from tallyline.secret import masked, masked_data
from tallyline.warehouse import Changes, Reading
from tallyline.warehouse.progress import MAY_WORK_LATER
from tallyline.window import Window, parse_zone, start_of_day

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from zoneinfo import ZoneInfo

    from tallyline.graph import Graph
    from tallyline.project import Project
    from tallyline.sources import Options, Source
    from tallyline.warehouse import Differing, Wanted, Warehouse
    from tallyline.window import Grain

__all__ = [
    "ReadResult",
    "choose_window",
    "collect",
    "given_to",
    "outline",
    "read_graph",
    "read_in_parts",
    "read_source",
]


@dataclass(frozen=True, slots=True)
class ReadResult:
    """How a read went: `changes` against what was published, or the `error` that ended it with nothing written.

    Of a read that did not write, `differing` are the first published values that would change.

    `window` is None where there was none to read, because the source is yet to start. `metrics` are those that the
    source told of, `run` is the number of the last run in the ledger.
    """

    source: str
    window: Window | None
    report: Report = field(default_factory=Report)
    changes: Changes = field(default_factory=Changes)
    differing: Sequence[Differing] = ()
    error: Exception | None = None
    metrics: frozenset[str] = frozenset()
    run: int | None = None


def choose_window(
    source: Source,
    warehouse: Warehouse,
    zone: ZoneInfo,
    *,
    now: datetime,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Window:
    """Return the window to read: the source's next one, with `since` and `until` in place of its ends where given.

    It is widened to whole buckets of the source, so that no bucket is written in part.
    """
    due = source.window(now, zone, warehouse.covered(source.name))
    if source.options.snapshot or since is until is None:
        return due
    return Window(since or due.since, until or due.until).widened(source.options.facts, zone)


def read_graph(
    source: Source, normalize: Callable[..., object], collect: Callable[..., object], *, write: bool
) -> Graph:
    """Return the graph that is run: the source's own, then what makes points of its rows and what collects them."""
    collector = node(collect, name="write" if write else "compare")
    return source.graph().followed_by(node(normalize, name="normalize"), collector)


def read_source(
    project: Project,
    source: Source,
    warehouse: Warehouse,
    window: Window,
    *,
    now: datetime,
    write: bool,
    observe: Callable[[Report], None] = lambda _: None,
    wanted: Wanted | None = None,
) -> ReadResult:
    """Read `source` for `window`. With `write`, publish it and enter the run in the ledger, both or neither.

    `now` is the moment that the window was chosen at: to the source, that of the run. A run that is not `wanted` any
    more once nobody else can read the source does not begin.
    Errors that Tallyline raises on purpose are returned in the result; nothing was written then. Whatever else ends
    the run, such as Ctrl-C, is entered in the ledger and raised. It is raised, too, by what `observe` raises, which is
    called every now and then.
    """
    number = _begun(source, warehouse, window, wanted) if write else None
    if isinstance(number, RunFailed):
        return ReadResult(source.name, window, error=number)
    latest = Report()

    def keep(report: Report) -> None:
        nonlocal latest
        latest = report
        observe(report)

    def collected(watch: Callable[[Report], None]) -> list[Reading]:
        return collect(project, source, window, now=now, write=write, observe=watch)

    longest = source.options.longest_run
    too_long = f"it took longer than {longest}; let it take longer by longest_run, or read less at once by at_once"
    try:
        readings = in_time(collected, keep, longest, too_long)
        result = _finish(project, warehouse, readings, window, latest, number)
    except BaseException as error:
        latest = latest.cut_short()
        if number is not None:
            _enter_failure(warehouse, number, latest, error)
        if not isinstance(error, TallylineError):
            raise
        return ReadResult(source.name, window, latest, error=error, run=number)
    return result


def _enter_failure(warehouse: Warehouse, number: int, report: Report, error: BaseException) -> None:
    state = State.FAILED if isinstance(error, Exception) else State.STOPPED
    said = str(error) if isinstance(error, TallylineError) else type(error).__name__
    told, wait = masked_data(report.as_dict()), wait_before_retry(error)
    if wait is not None:
        told[MAY_WORK_LATER] = wait.total_seconds()
    with suppress(RunFailed):  # where the warehouse is away, it is entered with the next run
        warehouse.end(number, state=str(state), error=masked(said), report=told)


def collect(
    project: Project,
    source: Source,
    window: Window,
    *,
    now: datetime,
    write: bool = False,
    observe: Callable[[Report], None] = lambda _: None,
) -> list[Reading]:
    """Run the source's graph for `window`, once for each of its grains, and return what it told: nothing is written.

    `write` only says what the run is for, as the report names it. Raises what ended the run.
    """
    reports: list[Report] = []

    def keep(report: Report) -> None:
        reports[-1] = report
        observe(Report.of_all(reports))

    readings, missing = [], list[Window]()
    for grain in source.options.grains or (source.options.facts,):
        reports.append(Report())
        part = window.widened(grain, project.zone)
        points = _collect(project, source, part, grain, now, keep, missing.append, write=write)
        readings.append(_reading(project, source, part, grain, points))
    return [replace(readings[0], missing=_whole_buckets(missing, readings[0], project.zone)), *readings[1:]]


def _whole_buckets(missing: Iterable[Window], reading: Reading, zone: ZoneInfo) -> list[Window]:
    """Return the parts of a reading's window in which something is missing, in its own buckets."""
    widened = [window.widened(reading.grain, zone) for window in missing]
    ends = [(max(each.since, reading.window.since), min(each.until, reading.window.until)) for each in widened]
    return [Window(since, until) for since, until in ends if since < until]


def given_to(  # each is a service, by its name
    project: Project,
    options: Options,
    window: Window,
    grain: Grain,
    now: datetime,
    missing: Callable[[Window], None] = lambda _: None,
) -> dict[str, object]:
    """Return the services that every source is given, by name."""
    return {
        "window": window,
        "now": now,
        "zone": project.zone,
        "source_zone": _source_zone(project, options),
        "grain": grain,
        "folder": project.folder,
        "missing": missing,
    }


def _source_zone(project: Project, options: Options) -> ZoneInfo:
    return parse_zone(options.timezone) if options.timezone else project.zone


def read_in_parts(
    project: Project,
    source: Source,
    warehouse: Warehouse,
    window: Window,
    *,
    now: datetime,
    write: bool,
    resume: str = "",
    observe: Callable[[Report], None] = lambda _: None,
    progress: Callable[[int, int], None] = lambda *_: None,
    wanted: Wanted | None = None,
) -> ReadResult:
    """Read `source` for a window as long as it may be: in parts as long as the source is read at once, each a run.

    The first part that fails ends it; those before it stay written. `resume` names what was asked for: a read of that
    name that was ended goes on after the parts that it wrote. `progress` is told how many parts of how many are done.
    """
    parts = [window] if source.options.snapshot else window.parts(source.options.at_once, project.zone)
    backfill = _Backfill(warehouse, source, resume) if resume and write and len(parts) > 1 else None
    to_do = backfill.left(parts) if backfill else parts
    results: list[ReadResult] = []

    def observe_part(report: Report) -> None:
        together = Report.of_all([*(result.report for result in results), report])
        if len(results) < len(to_do) - 1 and together.state is State.DONE:
            together.state = State.RUNNING
        observe(together)

    read = partial(read_source, project, source, warehouse, now=now, write=write, wanted=wanted)
    at_a_time = min(source.options.parallel, len(to_do))
    for result in _each(read, to_do, at_a_time, observe_part):
        results.append(result)
        observe(Report.of_all([result.report for result in results]))
        progress(len(parts) - len(to_do) + len(results), len(parts))
        if result.error is not None:
            break
        if backfill:
            backfill.reached(result.window, window)
    return _together(source, window, results)


def _each(
    read: Callable[..., ReadResult], parts: Sequence[Window], at_a_time: int, observe: Callable[[Report], None]
) -> Iterator[ReadResult]:
    if at_a_time == 1:
        yield from (read(part, observe=observe) for part in parts)
        return
    ended = Event()

    def watch(_: Report) -> None:
        if ended.is_set():  # raised in the thread of the part, this ends it as Ctrl-C would
            raise KeyboardInterrupt

    with ThreadPoolExecutor(at_a_time, thread_name_prefix="read") as threads:
        try:
            yield from threads.map(partial(read, observe=watch), parts)
        finally:
            ended.set()
            threads.shutdown(cancel_futures=True)


def _together(source: Source, window: Window, results: Sequence[ReadResult]) -> ReadResult:
    return ReadResult(
        source.name,
        window,
        Report.of_all([result.report for result in results]),
        reduce(add, [result.changes for result in results], Changes()),
        [differing for result in results for differing in result.differing],
        next((result.error for result in results if result.error is not None), None),
        frozenset().union(*(result.metrics for result in results)),
        results[-1].run if results else None,
    )


@dataclass(frozen=True, slots=True)
class _Backfill:
    """How far a read of a long window got: remembered, so that the same one goes on there when it was ended."""

    warehouse: Warehouse
    source: Source
    asked: str

    def left(self, parts: Sequence[Window]) -> list[Window]:
        reached = self.warehouse.recall(self._name)
        left = [part for part in parts if reached is None or part.until > datetime.fromisoformat(reached)]
        return left or list(parts)

    def reached(self, part: Window | None, whole: Window) -> None:
        if part is not None:
            ends = part.until >= whole.until
            self.warehouse.remember(self._name, None if ends else part.until.isoformat())

    @property
    def _name(self) -> str:
        what = f"{self.asked} {self.source.definition}"
        return f"{self.source.name} read in parts {blake2b(what.encode(), digest_size=8).hexdigest()}"


def _begun(source: Source, warehouse: Warehouse, window: Window, wanted: Wanted | None) -> int | RunFailed:
    try:
        return warehouse.begin(source.name, window, masked(source.definition), wanted)
    except RunFailed as refused:
        return refused


def _reading(project: Project, source: Source, window: Window, grain: Grain, points: Points) -> Reading:
    options = source.options
    tells_all = options.start is not None and window.since <= start_of_day(options.start, project.zone)
    return Reading(
        source=source.name,
        window=window,
        grain=grain,
        points=points,
        sources=tuple(project.sources),
        lookback=options.lookback,
        snapshot=options.snapshot,
        tells_all=tells_all,
        most_new_series=options.most_new_series,
    )


def _collect(
    project: Project,
    source: Source,
    window: Window,
    grain: Grain,
    now: datetime,
    observe: Callable[[Report], None],
    missing: Callable[[Window], None],
    *,
    write: bool,
) -> Points:
    zone = project.zone
    given = given_to(project, source.options, window, grain, now, missing)
    source_zone = _source_zone(project, source.options)
    normalizer = Normalizer(project.plan, window, grain, zone, source_zone, source.options.snapshot)
    points = Points(source.options.combine)
    run(read_graph(source, normalizer, points.add, write=write), {**project.services, **given}, observe)
    for metric in {metric for metric, _ in points.series} if source.options.grains else ():
        kind = project.plan[metric].kind
        if kind is not Kind.DISTINCT:
            msg = f"{source.name} has grains, which are for distinct counts, but {metric} is a {kind}"
            raise BadPoint(msg)
    return points


def _finish(
    project: Project,
    warehouse: Warehouse,
    readings: Sequence[Reading],
    window: Window,
    report: Report,
    number: int | None,
) -> ReadResult:
    first, *also = readings
    metrics = frozenset().union(*(reading.points.metrics for reading in readings))
    if number is None:
        preview = warehouse.preview(first, project.plan, *also)
        return ReadResult(first.source, window, report, preview.changes, preview.differing, metrics=metrics)
    changes = warehouse.publish(number, first, project.plan, masked_data(report.as_dict()), *also)
    return ReadResult(first.source, window, report, changes, metrics=metrics, run=number)


def outline(source: Source) -> Graph:
    """Return the graph that a read of `source` with --write runs, to be drawn."""
    return read_graph(source, _not_run, _not_run, write=True)


def _not_run(row: object) -> None:
    """Stand where a run has its own nodes."""
