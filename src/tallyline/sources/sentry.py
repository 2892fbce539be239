"""`kind = "sentry"`: errors by hour, those that were dropped and why, sessions and how many of them did not crash."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tallyline.api import Link, Request, as_api, part
from tallyline.errors import Refused, UnexpectedAnswer, UnknownName
from tallyline.graph import Graph, node
from tallyline.plan import Kind as MetricKind
from tallyline.plan import Metric
from tallyline.sources.kinds import Kind
from tallyline.window import Grain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from zoneinfo import ZoneInfo

    from tallyline.api import Api
    from tallyline.window import Window

    Row = tuple[dict[str, object], dict[str, object]]
    Series = tuple[list[datetime], dict[str, list[int]]]

__all__ = ["SentrySource", "read_sentry"]

URL = "https://sentry.io"
KEPT_DAYS = 90
AT_ONCE = timedelta(days=30)  # in hours, well below the 1,000 that Sentry tells of a series at once
NEEDS = "a token with the scope org:read; make one for an internal integration that may read the organization"
_MOMENT = "%Y-%m-%dT%H:%M:%S"
_METRICS = (
    Metric("sentry.errors", "Errors", "errors"),
    Metric("sentry.errors.dropped", "Errors that Sentry did not keep", "errors"),
    Metric("sentry.sessions", "Sessions", "sessions"),
    Metric("sentry.sessions.crashed", "Sessions that crashed", "sessions"),
    Metric(
        "sentry.crash_free",
        "Sessions that did not crash",
        kind=MetricKind.FORMULA,
        formula="1 - sentry.sessions.crashed / sentry.sessions",
    ),
)


@dataclass(frozen=True, slots=True)
class SentrySource(Kind):
    """Reads the errors and sessions of an organization's projects from Sentry.

    `projects` are slugs or ids; by default all that the token may read. `environment` is of sessions alone, since
    Sentry does not count errors by it. `kept_days` is for how long the organization's plan keeps what was counted: what
    is older is refused, because Sentry would tell zeros.
    """

    service: str
    organization: str
    projects: tuple[str, ...] = ()
    environment: str = ""
    kept_days: int = KEPT_DAYS

    @property
    def definition(self) -> str:
        """What is read, of which projects."""
        of = ", ".join(self.projects) or "all projects"
        only = f"; sessions of {self.environment}" if self.environment else ""
        return f"Sentry errors and sessions of {self.organization}: {of}{only}"

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """Errors, sessions and what share of them did not crash."""
        return {metric.name: metric for metric in _METRICS}

    def graph(self, name: str) -> Graph:
        """Return the graph of one node, which bears the source's name."""
        return Graph(node(self.rows, name=name, services={"api": self.service}))

    def rows(self, api: Api, window: Window, zone: ZoneInfo, now: datetime, grain: Grain) -> Iterator[Row]:
        """Yield `(dims, metrics)` for each project and bucket."""
        return read_sentry(
            api,
            self.organization,
            window,
            zone,
            now,
            grain=grain,
            projects=self.projects,
            environment=self.environment,
            kept_days=self.kept_days,
        )

    def probe(self, name: str) -> Graph:
        """Return a graph that tries to read the projects, and an hour of errors and sessions."""
        return Graph(node(self.tried, name=name, services={"api": self.service}))

    def tried(self, api: Api, now: datetime) -> Iterator[str]:
        """Yield a line for what may be read; raises Denied with the scope that is missing."""
        sentry = _Sentry(_checked(api), self.organization, self.environment)
        projects = sentry.projects(self.projects)
        yield f"may read {len(projects)} projects of {self.organization}: {', '.join(sorted(projects.values()))}"
        for project in list(projects)[:1]:
            for what, asked in (("errors", sentry.errors), ("sessions", sentry.sessions)):
                asked(project, now - timedelta(hours=1), now)
                yield f"may read {what}"


def read_sentry(
    api: Api,
    organization: str,
    window: Window,
    zone: ZoneInfo,
    now: datetime,
    *,
    grain: Grain = Grain.HOUR,
    projects: Sequence[str] = (),
    environment: str = "",
    kept_days: int = KEPT_DAYS,
) -> Iterator[Row]:
    """Yield `(dims, metrics)` for each project and bucket; the dims are `project`, and `outcome` of dropped errors.

    This is what ``kind = "sentry"`` does, for sources in code: `SentrySource` says what the rest means. Buckets are
    hours or days of `zone`, and ``time`` is when they begin, in UTC. Sentry tells whole hours of UTC: one belongs to
    the bucket that it begins in. Raises Unavailable, Denied with the scope that is missing, UnexpectedAnswer,
    UnknownName for a project that is not there, or Refused where the window begins before what is kept.

    >>> def stability(sentry, window, zone, now):
    ...     yield from read_sentry(sentry, "acme", window, zone, now, projects=["web"], environment="production")
    """
    _check_kept(window, zone, now, kept_days)
    sentry = _Sentry(_checked(api), organization, environment)
    for project, slug in sentry.projects(projects).items():
        told: defaultdict[tuple[datetime, str], Counter[str]] = defaultdict(Counter)
        for hour, outcome, metrics in _hours(sentry, project, window, zone, now):
            told[grain.floor(hour, zone), outcome].update(metrics)
        for (bucket, outcome), metrics in told.items():
            yield {"time": bucket, "project": slug, **({"outcome": outcome} if outcome else {})}, dict(metrics)


def _hours(
    sentry: _Sentry, project: str, window: Window, zone: ZoneInfo, now: datetime
) -> Iterator[tuple[datetime, str, dict[str, int]]]:
    """Yield the hours that begin in the window and have begun."""
    for stretch in window.parts(AT_ONCE, zone):
        if stretch.since < now:
            told = sentry.told(project, stretch.since, min(stretch.until, now))
            yield from (each for each in told if each[0] in stretch and each[0] < now)


def _checked(api: object) -> Api:
    return as_api(api, "Sentry", 'sentry = { token = "${SENTRY_TOKEN}" }').default(URL)


def _check_kept(window: Window, zone: ZoneInfo, now: datetime, days: int) -> None:
    kept_from = now - timedelta(days=days)
    if window.since >= kept_from:
        return
    first = Grain.DAY.ceil(kept_from, zone).astimezone(zone).date()
    msg = (
        f"Sentry keeps what it counted for {days} days, and the window is {window.text(zone)}; give the source "
        f"start = {first}, or kept_days if the organization's plan keeps it for longer"
    )
    raise Refused(msg)


@dataclass(frozen=True, slots=True)
class _Sentry:
    """What is asked of an organization."""

    api: Api
    organization: str
    environment: str

    def projects(self, wanted: Sequence[str]) -> dict[str, str]:
        """Return the slugs of projects by id: those that are wanted, or all."""
        there: dict[str, str] = {}
        for page in self.api.pages(Request(self._path("projects")), Link(), needs=NEEDS):
            for project in part({"projects": page.data}, "projects", list):
                there[part(project, "id", str)] = part(project, "slug", str)
        ids = {slug: number for number, slug in there.items()} | {number: number for number in there}
        for name in wanted:
            if name not in ids:
                what = f"project of {self.organization} that the token may read called"
                raise UnknownName(what, name, list(there.values()))
        return {ids[name]: there[ids[name]] for name in wanted} or there

    def told(self, project: str, since: datetime, until: datetime) -> Iterator[tuple[datetime, str, dict[str, int]]]:
        """Yield hour by hour what was counted, and the outcome of errors that were dropped."""
        hours, errors = self.errors(project, since, until)
        accepted = errors.pop("accepted", [0] * len(hours))
        yield from ((hour, "", {"sentry.errors": count}) for hour, count in zip(hours, accepted, strict=True))
        for outcome, counts in errors.items():
            dropped = ((hour, count) for hour, count in zip(hours, counts, strict=True) if count)
            yield from ((hour, outcome, {"sentry.errors.dropped": count}) for hour, count in dropped)
        hours, sessions = self.sessions(project, since, until)
        crashed = sessions.get("crashed", [0] * len(hours))
        for hour, crashes, *counts in zip(hours, crashed, *sessions.values(), strict=True):
            if any(counts):
                yield hour, "", {"sentry.sessions": sum(counts), "sentry.sessions.crashed": crashes}

    def errors(self, project: str, since: datetime, until: datetime) -> Series:
        """Return hours, and the counts of errors by outcome."""
        asked = {"field": "sum(quantity)", "groupBy": "outcome", "category": "error"}
        return self._series("stats_v2", {**asked, **_between(project, since, until)})

    def sessions(self, project: str, since: datetime, until: datetime) -> Series:
        """Return hours, and the counts of sessions by status, of which each session has one."""
        asked = {"field": "sum(session)", "groupBy": "session.status", **_between(project, since, until)}
        return self._series("sessions", {**asked, "environment": self.environment or None})

    def _series(self, what: str, asked: Mapping[str, Any]) -> Series:
        answer = self.api.get(self._path(what), asked, needs=NEEDS).data
        hours = [_moment(hour) for hour in part(answer, "intervals", list)]
        told: dict[str, list[int]] = {}
        for group in part(answer, "groups", list):
            name = part({"by": part(group, "by", dict).get(asked["groupBy"])}, "by", str)
            told[name] = [_count(count) for count in part(part(group, "series", dict), asked["field"], list)]
            if len(told[name]) != len(hours):
                msg = f'"{asked["field"]}" of {name} has {len(told[name])} values for {len(hours)} intervals'
                raise UnexpectedAnswer(msg)
        return hours, told

    def _path(self, what: str) -> str:
        return f"/api/0/organizations/{quote(self.organization, safe='')}/{what}/"


def _between(project: str, since: datetime, until: datetime) -> dict[str, Any]:
    """Ask for whole hours: Sentry takes the end for the last second that is meant."""
    start = since.astimezone(UTC).replace(minute=0, second=0)
    end = (until.astimezone(UTC) - timedelta(seconds=1)).replace(minute=59, second=59)
    return {"project": project, "interval": "1h", "start": f"{start:{_MOMENT}}", "end": f"{end:{_MOMENT}}"}


def _count(told: object) -> int:
    return 0 if told is None else int(part({"count": told}, "count", float))


def _moment(text: object) -> datetime:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        msg = f'"intervals" of the answer has {text!r}, where a time such as 2026-07-14T10:00:00Z is expected'
        raise UnexpectedAnswer(msg)
    return moment.astimezone(UTC)
