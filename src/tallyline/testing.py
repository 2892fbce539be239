"""What a project's own tests need: rows of a source, a recording replayed, a warehouse in memory, a clock that stands.

>>> from tallyline import source
>>> @source(schedule="@daily")
... def orders(window, shop):
...     yield {"time": window.since}, {"orders.count": shop.get("/orders").data["count"]}
>>> shop = fake_api({"/orders": {"count": 7}})
>>> [metrics for _, metrics in read_rows(orders, window=("2026-07-14", "2026-07-15"), shop=shop)]
[{'orders.count': 7}]
"""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from tallyline.errors import RunFailed, what_exists
from tallyline.graph import Graph, Report, run
from tallyline.project import load_project
from tallyline.recording import FOLDER, NotRecorded, Recording, replaying
from tallyline.recording.http import replaying as answering
from tallyline.recording.masking import Masking
from tallyline.runner import collect
from tallyline.sources import Kind, Options, SourceDeclaration
from tallyline.sources import source as declared
from tallyline.warehouse import Changes, Warehouse, open_warehouse
from tallyline.window import Grain, Window, parse_moment, parse_zone, utc_now

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from zoneinfo import ZoneInfo

    from tallyline.api import Api
    from tallyline.plan import Plan, Sketch
    from tallyline.window import Clock

__all__ = [
    "NotRecorded",
    "Point",
    "Replay",
    "Reply",
    "fake_api",
    "fixed_clock",
    "read_rows",
    "replayed",
    "warehouse",
]

Moment = datetime | str
Row = tuple[dict[str, Any], dict[str, Any]]
NO_PLAN: Plan = MappingProxyType({})


class Point(NamedTuple):
    """A value that a source gave: of which metric, of what, and when its hour or day begins, in UTC.

    Of a metric that is a duration, the value is a sketch of many.
    """

    metric: str
    dims: dict[str, str]
    time: datetime
    value: float | Sketch


@dataclass(frozen=True, slots=True)
class Replay:
    """What a source gave in a replay: its `points`, by metric and time, and what they changed in the warehouse."""

    points: list[Point]
    changes: Changes
    report: Report
    window: Window
    now: datetime

    def values(self, metric: str, **dims: str) -> list[float | Sketch]:
        """Return the values of a metric in the order of time: of all series, or of those that have these dims."""
        return [point.value for point in self.points if point.metric == metric and dims.items() <= point.dims.items()]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a fake service answers: `data` is sent as JSON, text as it is."""

    data: object = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


def read_rows(
    source: SourceDeclaration | Kind | Graph | Callable[..., object],
    *,
    window: Window | tuple[Moment, Moment],
    now: Moment | None = None,
    zone: str = "UTC",
    source_zone: str | None = None,
    grain: Grain | str | None = None,
    **services: object,
) -> list[Row]:
    """Return the rows `(dims, metrics)` that a source gives for a window, with these services and no project.

    `source` is what is declared with `@source`, a plain function, a graph, or a kind such as `SqlSource`. Texts are
    moments in `zone`, the business zone; `now` is the window's end where it is not said. Raises NodeFailed where a node
    of the source raises, whose cause that is, and GraphError where a service is missing.
    """
    business = parse_zone(zone)
    whole = window if isinstance(window, Window) else Window(*(_moment(each, business) for each in window))
    graph, options = _graph_of(source)
    rows: list[Row] = []
    given = {
        "window": whole,
        "now": _moment(now, business) if now else whole.until,
        "zone": business,
        "source_zone": parse_zone(source_zone or options.timezone or zone),
        "grain": Grain(grain) if grain else options.facts,
        "folder": Path(),
        "missing": lambda _: None,
    }
    run(graph.followed_by(rows.append), {**given, **services})
    return rows


def replayed(
    project: Path | str,
    source: str,
    recording: Path | str | None = None,
    *,
    services: Mapping[str, object] | None = None,
    into: Warehouse | None = None,
) -> Replay:
    """Read a source of the project in a folder offline, from what `tallyline record` kept, at the moment it was kept.

    `recording` is a file, by default ``recordings/SOURCE.json`` in the project's folder. `services` stand for those of
    the project of the same names, for those that cannot be recorded. What was read is published `into` a warehouse, by
    default one in memory. Raises NotRecorded, within NodeFailed, where the source asks what it did not ask then.
    """
    folder = Path(project)
    known = load_project(folder)
    chosen = known.source(source)
    kept = Recording.read(Path(recording) if recording else folder / FOLDER / f"{source}.json")
    offline = replaying(known, kept, services or {})
    reports = [Report()]
    readings = collect(offline, chosen, kept.window, now=kept.now, observe=reports.append)
    points = [
        Point(point.metric, json.loads(point.dims), point.bucket, point.value)  # type: ignore[arg-type]  # no array
        for reading in readings
        for point in reading.points
    ]
    opened: AbstractContextManager[Warehouse] = nullcontext(into) if into else warehouse(known.zone, plan=known.plan)
    with opened as store:
        first, *also = readings
        number = store.begin(source, kept.window, chosen.definition)
        changes = store.publish(number, first, known.plan, reports[-1].as_dict(), *also)
    points.sort(key=lambda point: (point.metric, point.time, sorted(point.dims.items())))
    return Replay(points, changes, reports[-1], kept.window, kept.now)


def warehouse(
    zone: ZoneInfo | str = "UTC", *, plan: Plan = NO_PLAN, now: Moment | None = None
) -> AbstractContextManager[Warehouse]:
    """Return an empty warehouse in memory, as a context; its days are cut in `zone`, and its clock stands at `now`.

    >>> with warehouse("Europe/Paris") as store:
    ...     store.metrics()
    {}
    """
    business = parse_zone(zone) if isinstance(zone, str) else zone
    clock = fixed_clock(now, business) if now else utc_now
    return open_warehouse("sqlite://", business, write=True, plan=plan, clock=clock)


def fixed_clock(now: Moment, zone: ZoneInfo | str = "UTC") -> Clock:
    """Return a clock that stands still.

    >>> fixed_clock("2026-07-14 10:30", "Europe/Paris")().isoformat()
    '2026-07-14T08:30:00+00:00'
    """
    moment = _moment(now, parse_zone(zone) if isinstance(zone, str) else zone)
    return lambda: moment


def fake_api(answers: Mapping[str, object], *, url: str = "https://service.example", name: str = "service") -> Api:
    """Return an HTTP service that gives these answers, by path, and is asked once.

    An answer is data, a Reply, or a function of the request's parameters and body that returns either. Raises RunFailed
    where another path is asked for.
    """

    def answer(asked: Mapping[str, Any]) -> dict[str, Any]:
        path = urlsplit(asked["url"]).path
        if path not in answers:
            msg = f"the fake service has no answer to {asked['method']} {path}; {what_exists(path, answers)}"
            raise RunFailed(msg)
        found = answers[path]
        told = found(asked["params"], asked.get("body")) if callable(found) else found
        reply = told if isinstance(told, Reply) else Reply(told)
        content = {"text": reply.data} if isinstance(reply.data, str) else {"body": reply.data}
        return {"status": reply.status, "headers": dict(reply.headers), **content}

    return answering(name, url, Masking(), answer)


def _graph_of(source: SourceDeclaration | Kind | Graph | Callable[..., object]) -> tuple[Graph, Options]:
    if isinstance(source, Kind):
        return source.graph("source"), Options()
    named = (source if isinstance(source, SourceDeclaration) else declared(source)).named("source")
    return named.graph(), named.options


def _moment(told: Moment, zone: ZoneInfo) -> datetime:
    return parse_moment(told, zone) if isinstance(told, str) else told
