"""A source: a graph that gives `(dims, metrics)`, with its schedule and how its window of time is chosen."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar, overload

from cronsim import CronSim, CronSimError

from tallyline.errors import GraphError, Refused, RunFailed, UnknownName
from tallyline.graph import Graph, draw, node
from tallyline.plan import Combine
from tallyline.window import Grain, Window, gaps, parse_zone, start_of_day

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from zoneinfo import ZoneInfo

    from tallyline.plan import Metric

__all__ = ["Options", "Source", "SourceDeclaration", "check_grain", "check_schedule", "source"]

SCHEDULES = ("@hourly", "@daily", "@weekly", "@monthly")
LOOKBACK = timedelta(days=2)
MOST_NEW_SERIES = 10_000
AT_ONCE = timedelta(days=92)
LONGEST_RUN = timedelta(hours=6)
A_DAY = timedelta(days=1)
_CRON = re.compile(r"\S+( \S+){4}")
_WHENEVER = datetime(2026, 1, 1)  # noqa: DTZ001  # a cron line is tried by the clock on the wall

Choice = TypeVar("Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What any source declares, in TOML or in Python.

    `schedule` is ``@hourly``, ``@daily``, ``@weekly``, ``@monthly`` or a cron line. `grain` is how finely the source
    tells time: by default the hour, or the day where it is scheduled by the day or more seldom. `grains` are those by
    which a source counts distinct things, each anew: it is read once for each of them. `start` is the first
    day that has data: the first read begins there, later ones `lookback` before what was read already. `timezone`
    is the zone of the source's times without an offset, by default the business zone. `combine` says what becomes
    of several values for one series and bucket. A `snapshot` tells only the present, and is kept under the running
    bucket. A read that would make more than `most_new_series` is refused: a dim is different for each row then. A
    window longer than `at_once` is read in parts, `parallel` of them at a time. A run that takes longer than
    `longest_run` is ended, and has failed; None lets it take any time.
    """

    schedule: str = "@hourly"
    grain: Grain | None = None
    grains: tuple[Grain, ...] = ()
    start: date | None = None
    lookback: timedelta = LOOKBACK
    timezone: str | None = None
    combine: Combine = Combine.REFUSE
    snapshot: bool = False
    most_new_series: int = MOST_NEW_SERIES
    at_once: timedelta = AT_ONCE
    parallel: int = 1
    longest_run: timedelta | None = LONGEST_RUN

    def __post_init__(self) -> None:
        """Refuse what can be no schedule or time zone, and grains that are no facts."""
        check_schedule(self.schedule)
        if self.grain is not None:
            check_grain(self.grain)
        if self.grain and self.grains:
            msg = "a source has either a grain or, where it counts distinct things, grains"
            raise Refused(msg)
        if self.timezone is not None:
            parse_zone(self.timezone)
        if self.lookback < timedelta():
            msg = f"lookback is {self.lookback}, a time ahead; give the length of time to read again"
            raise Refused(msg)
        if self.at_once < A_DAY:
            msg = f"at_once is {self.at_once}, less than a day; give the length of time to read at once"
            raise Refused(msg)
        if self.longest_run is not None and self.longest_run <= timedelta():
            msg = f"longest_run is {self.longest_run}; give the length of time that a run may take"
            raise Refused(msg)
        for name in ("most_new_series", "parallel"):
            if getattr(self, name) < 1:
                msg = f"{name} is {getattr(self, name)}; give a number above zero"
                raise Refused(msg)

    @property
    def facts(self) -> Grain:
        """The grain of what the source tells."""
        if self.grains:
            return min(self.grains, key=list(Grain).index)
        by_the_day = self.schedule in SCHEDULES and self.schedule != "@hourly"
        return self.grain or (Grain.DAY if by_the_day else Grain.HOUR)


@dataclass(frozen=True, slots=True)
class Source:
    """A named source. `graph` makes a new graph for each run; `definition` is what it does, as text.

    `metrics` are those that it tells by itself, and `probe` makes a graph that tries what it needs, given the name.
    """

    name: str
    graph: Callable[[], Graph]
    options: Options
    definition: str = ""
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    probe: Callable[[str], Graph | None] = lambda _: None

    def window(self, now: datetime, zone: ZoneInfo, covered: Iterable[Window] = ()) -> Window:
        """Return the window to read next, in whole buckets up to and with the running one.

        It begins a look-back before the first gap in what was read already (`covered`), but not before the source's
        start. A source that has no start and was never read begins a look-back before now.
        """
        covered = list(covered)
        running = Window(self.options.facts.floor(now, zone), self.options.facts.after(now, zone))
        if self.options.snapshot:
            return running
        start = self._start(running, zone) or min((part.since for part in covered), default=now)
        unread = next(gaps(Window(start, running.until), covered), running) if start < running.until else running
        since = min(unread.since, now) - self.options.lookback
        if self.options.start is not None:
            since = max(since, start)
        return Window(since, running.until).widened(self.options.facts, zone)

    def _start(self, running: Window, zone: ZoneInfo) -> datetime | None:
        if self.options.start is None:
            return None
        start = start_of_day(self.options.start, zone)
        if start >= running.until:
            msg = f"{self.name} starts on {self.options.start}, which is yet to come"
            raise Refused(msg)
        return start


@dataclass(frozen=True, slots=True)
class SourceDeclaration:
    """What `@source` leaves in a project's code; its name, if it has none, is that of the variable that holds it."""

    work: Callable[..., object] | Graph
    options: Options
    name: str | None = None

    def named(self, name: str, *, start: date | None = None) -> Source:
        """Return the source under its own name, or else under this one; `start` is the project's default."""
        options = replace(self.options, start=self.options.start or start)
        return Source(self.name or name, lambda: _as_graph(self.work), options, _definition(self.work))

    def __call__(self, *args: object, **kwargs: object) -> object:
        """Call the decorated function itself, as its tests do."""
        if isinstance(self.work, Graph):
            msg = "a source made of a graph cannot be called; run it with tallyline.graph.run"
            raise TypeError(msg)
        return self.work(*args, **kwargs)


@overload
def source(work: Callable[..., object] | Graph, /) -> SourceDeclaration: ...
@overload
def source(  # the options, by name
    *,
    schedule: str = ...,
    name: str | None = ...,
    grain: Grain | str | None = ...,
    grains: Iterable[Grain | str] = ...,
    start: date | None = ...,
    lookback: timedelta = ...,
    timezone: str | None = ...,
    combine: Combine | str = ...,
    snapshot: bool = ...,
    most_new_series: int = ...,
    at_once: timedelta = ...,
    parallel: int = ...,
    longest_run: timedelta | None = ...,
) -> Callable[[Callable[..., object] | Graph], SourceDeclaration]: ...
def source(  # noqa: PLR0913  # the options, by name
    work: Callable[..., object] | Graph | None = None,
    /,
    *,
    schedule: str = "@hourly",
    name: str | None = None,
    grain: Grain | str | None = None,
    grains: Iterable[Grain | str] = (),
    start: date | None = None,
    lookback: timedelta = LOOKBACK,
    timezone: str | None = None,
    combine: Combine | str = Combine.REFUSE,
    snapshot: bool = False,
    most_new_series: int = MOST_NEW_SERIES,
    at_once: timedelta = AT_ONCE,
    parallel: int = 1,
    longest_run: timedelta | None = LONGEST_RUN,
) -> SourceDeclaration | Callable[[Callable[..., object] | Graph], SourceDeclaration]:
    """Declare a source: a function that gives `(dims, metrics)`, a function that returns a Graph, or a graph itself.

    Services of the project are given by the names of parameters, and so are `window` (the Window to read),
    `now`, `zone` (the business zone) and `grain`. The options are those of `Options`. A function that returns a graph
    is marked as such by its annotation ``-> Graph``.

    >>> @source(schedule="@daily")
    ... def signups(window):
    ...     yield {"time": window.since}, {"users.new": 12}
    >>> signups.named("signups").options.facts
    <Grain.DAY: 'day'>
    """
    options = Options(
        schedule=schedule,
        grain=None if grain is None else _one_of(Grain, "grain", grain),
        grains=tuple(_one_of(Grain, "grain", each) for each in grains),
        start=start,
        lookback=lookback,
        timezone=timezone,
        combine=_one_of(Combine, "way to combine", combine),
        snapshot=snapshot,
        most_new_series=most_new_series,
        at_once=at_once,
        parallel=parallel,
        longest_run=longest_run,
    )

    def declare(declared: Callable[..., object] | Graph) -> SourceDeclaration:
        if isinstance(declared, Graph):
            _check_can_be_read_again(declared)
        else:
            _check_work(declared)
        own_name = None if isinstance(declared, Graph) else getattr(declared, "__name__", None)
        return SourceDeclaration(declared, options, name or own_name)

    return declare if work is None else declare(work)


def _check_can_be_read_again(graph: Graph) -> None:
    for name in graph.starts:
        if isinstance(graph.node(name).work, Iterator):
            msg = f"{name} is an iterator, good for one read; let the graph start with a function that makes one"
            raise GraphError(msg)


def check_schedule(schedule: str) -> None:
    """Refuse what is neither a named schedule nor a cron line; and one that never fires, or is read in two ways."""
    if schedule in SCHEDULES:
        return
    why_not = _why_not(schedule) if _CRON.fullmatch(schedule) else ""
    if why_not is not None:
        there_are = f'there are {", ".join(SCHEDULES)} and cron lines such as "15 6 * * *"'
        msg = f'"{schedule}" is no schedule{why_not}; {there_are}'
        raise Refused(msg)


def _why_not(line: str) -> str | None:
    _, _, day, _, weekday = line.split(" ")
    if "*" not in {day, weekday} and "*" in day[0] + weekday[0]:  # Airflow and cronsim differ
        return f", programs differ in whether both {day} and {weekday} are to hold for a day: say one of them"
    try:
        CronSim(line, _WHENEVER)
    except CronSimError as error:
        return f", {str(error).lower()}"
    return None


def check_grain(grain: str) -> None:
    """Refuse grains that facts are not kept in."""
    if grain not in {Grain.HOUR, Grain.DAY}:
        msg = f'a source cannot have the grain "{grain}"; there are: day, hour'
        raise Refused(msg)


def _as_graph(work: Callable[..., object] | Graph) -> Graph:
    if isinstance(work, Graph):
        return work
    if not _makes_graph(work):
        return Graph(node(work))
    try:
        made = work()
    except Exception as error:
        msg = f"{node(work).name} could not make its graph: {type(error).__name__}: {error}"
        raise RunFailed(msg) from error
    if not isinstance(made, Graph):
        msg = f"{node(work).name} is annotated to return a Graph, but returned {made!r}"
        raise GraphError(msg)
    return made


def _definition(work: Callable[..., object] | Graph) -> str:
    if isinstance(work, Graph):
        return draw(work, "json")
    try:
        return inspect.getsource(work)
    except (OSError, TypeError):
        return ""


def _check_work(work: Callable[..., object]) -> None:
    name = node(work).name
    if _makes_graph(work) and inspect.signature(work).parameters:
        msg = f"{name} returns a Graph and is given nothing; let the nodes of its graph ask for services"
        raise GraphError(msg)


def _makes_graph(work: Callable[..., object]) -> bool:
    annotation = inspect.signature(work).return_annotation
    return annotation is Graph or str(annotation).strip("'\"").rpartition(".")[2] == "Graph"


def _one_of(kind: type[Choice], what: str, value: str) -> Choice:
    try:
        return kind(value)
    except ValueError:
        raise UnknownName(what, value, list(kind)) from None
