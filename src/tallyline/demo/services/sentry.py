"""A simulated Sentry: the errors of the API by hour, as the product database has them, and how the web page fared."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tallyline.api import Answer, Api, Request
from tallyline.demo.services.company import HOUR, Company, chance, no_answer, rounded, simulated

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["sentry_of"]

_PROJECTS = {"1": "api", "2": "web"}
_FAILURES = """
    SELECT strftime('%s', created_at) / 3600 * 3600, count(*) FROM events
    WHERE created_at >= datetime(:since, 'unixepoch') AND created_at < datetime(:until, 'unixepoch')
        AND name = 'api.error' GROUP BY 1
"""
_SESSIONS = """
    SELECT strftime('%s', hour) + 0, sum(sessions) FROM visits
    WHERE hour >= datetime(:since, 'unixepoch') AND hour < datetime(:until, 'unixepoch') GROUP BY 1
"""
_ERRORS_A_SESSION, _CRASHES_A_SESSION, _WORSE_IN_INCIDENT = 0.03, 0.004, 12
_DROPPED_IN_INCIDENT = 40


def sentry_of(product: Path) -> Api:
    """Return a Sentry that watches the simulated company whose product database that is: its projects api and web."""
    return simulated("sentry", "https://sentry.io", _Sentry(Company(product)).answer)


class _Sentry:
    """Counts of hours, by project: errors of both, and sessions of the web page."""

    def __init__(self, company: Company) -> None:
        self._company = company

    def answer(self, asked: Request) -> Answer:
        """Return the projects, or what is counted of one."""
        match asked.path.strip("/").rpartition("/")[2]:
            case "projects":
                return Answer([{"id": number, "slug": slug} for number, slug in _PROJECTS.items()], {})
            case "stats_v2":
                return _series(asked.params, self._errors(_PROJECTS[asked.params["project"]], _hours(asked.params)))
            case "sessions":
                return _series(asked.params, self._sessions(_PROJECTS[asked.params["project"]], _hours(asked.params)))
        raise no_answer("Sentry", asked.path, ["projects/", "stats_v2/", "sessions/"])

    def _errors(self, project: str, hours: range) -> dict[str, list[int]]:
        if project == "api":
            errors, incident = self._counted(_FAILURES, hours), self._company.incident()
            dropped = {hour: rounded(_DROPPED_IN_INCIDENT, hour) for hour in incident if hour in errors}
            return {"accepted": _told(errors, hours), "rate_limited": _told(dropped, hours)}
        of_pages = {
            hour: rounded(sessions * _ERRORS_A_SESSION * self._worse(hour), "error", hour)
            for hour, sessions in self._counted(_SESSIONS, hours).items()
        }
        return {"accepted": _told(of_pages, hours)}

    def _sessions(self, project: str, hours: range) -> dict[str, list[int]]:
        sessions = self._counted(_SESSIONS, hours) if project == "web" else {}
        crashed = {
            hour: min(count, rounded(count * _CRASHES_A_SESSION * self._worse(hour), "crash", hour))
            for hour, count in sessions.items()
        }
        healthy = {hour: count - crashed[hour] for hour, count in sessions.items()}
        return {"healthy": _told(healthy, hours), "crashed": _told(crashed, hours)} if sessions else {}

    def _counted(self, query: str, hours: range) -> dict[int, int]:
        return dict(self._company.ask(query, since=hours.start, until=hours.stop))

    def _worse(self, hour: int) -> float:
        return _WORSE_IN_INCIDENT if hour in self._company.incident() else 0.5 + chance("release", hour // (HOUR * 72))


def _hours(params: Mapping[str, Any]) -> range:
    start, end = (int(datetime.fromisoformat(params[key]).replace(tzinfo=UTC).timestamp()) for key in ("start", "end"))
    return range(start, end + 1, HOUR)


def _told(counts: Mapping[int, int], hours: range) -> list[int]:
    return [counts.get(hour, 0) for hour in hours]


def _series(params: Mapping[str, Any], told: Mapping[str, list[int]]) -> Answer:
    groups = [
        {
            "by": {params["groupBy"]: name},
            "totals": {params["field"]: sum(counts)},
            "series": {params["field"]: counts},
        }
        for name, counts in told.items()
    ]
    intervals = [f"{datetime.fromtimestamp(hour, UTC):%Y-%m-%dT%H:%M:%SZ}" for hour in _hours(params)]
    return Answer({"intervals": intervals, "groups": groups}, {})
