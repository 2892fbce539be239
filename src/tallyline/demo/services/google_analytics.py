"""A simulated Google Analytics: the visits of the product database, reported as the Data API reports them."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tallyline.api import Answer, Api, Request
from tallyline.demo.services.company import Company, no_answer, simulated
from tallyline.window import parse_zone, start_of_day

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from zoneinfo import ZoneInfo

__all__ = ["google_analytics_of"]

_VISITS = """
    SELECT strftime('%s', hour) + 0, channel, sessions, pageviews FROM visits
    WHERE hour >= datetime(:since, 'unixepoch') AND hour < datetime(:until, 'unixepoch')
"""
_USERS_A_SESSION, _FEWER_BY_LENGTH = 0.88, 0.09
_METRICS = ("sessions", "screenPageViews", "totalUsers")
_DIMENSIONS: dict[str, Callable[[datetime, str], str]] = {
    "date": lambda moment, _: f"{moment:%Y%m%d}",
    "hour": lambda moment, _: f"{moment:%H}",
    "sessionCustomChannelGroup:pagesnap": lambda _, channel: channel,
}


def google_analytics_of(product: Path, timezone: str = "Europe/Paris") -> Api:
    """Return a Google Analytics that saw the visitors of the simulated company whose product database that is.

    Its property has the given time zone, any number, and a channel group of its own that is called pagesnap.
    """
    analytics = _Analytics(Company(product), parse_zone(timezone))
    return simulated("analytics", "https://analyticsdata.googleapis.com", analytics.answer)


class _Analytics:
    """Reports of a property. Users are no sum: those of a longer time are fewer for each session."""

    def __init__(self, company: Company, zone: ZoneInfo) -> None:
        self._company = company
        self._zone = zone

    def answer(self, asked: Request) -> Answer:
        """Return a report, or the names that there are."""
        match asked.path.rpartition("/")[2].partition(":")[2] or asked.path.rpartition("/")[2]:
            case "runReport":
                return Answer(self._report(asked.body or {}), {})
            case "metadata":
                told = {"metrics": _METRICS, "dimensions": _DIMENSIONS}
                return Answer({key: [{"apiName": name} for name in names] for key, names in told.items()}, {})
        raise no_answer("Google Analytics", asked.path, ["…:runReport", "…/metadata"])

    def _report(self, body: Mapping[str, Any]) -> dict[str, Any]:
        dimensions, metrics = ([each["name"] for each in body[key]] for key in ("dimensions", "metrics"))
        first, last = (date.fromisoformat(body["dateRanges"][0][key]) for key in ("startDate", "endDate"))
        days = 1 if "date" in dimensions else (last - first).days + 1
        counts = self._counts(dimensions, first, last + timedelta(days=1))
        rows = [_row(names, count, metrics, days) for names, count in sorted(counts.items())]
        offset, limit = int(body.get("offset", 0)), int(body.get("limit", 10_000))
        return {
            "dimensionHeaders": [{"name": name} for name in dimensions],
            "metricHeaders": [{"name": name, "type": "TYPE_INTEGER"} for name in metrics],
            "rows": rows[offset : offset + limit],
            "rowCount": len(rows),
            "metadata": {"currencyCode": "USD", "timeZone": self._zone.key},
            "propertyQuota": {"tokensPerDay": {"consumed": 1, "remaining": 199_999}},
        }

    def _counts(self, dimensions: list[str], first: date, until: date) -> dict[tuple[str, ...], Counter[str]]:
        counts: defaultdict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        ends = {
            name: int(start_of_day(day, self._zone).timestamp()) for name, day in (("since", first), ("until", until))
        }
        told = [_DIMENSIONS[name] for name in dimensions]
        for hour, channel, sessions, views in self._company.ask(_VISITS, **ends):
            moment = datetime.fromtimestamp(hour, UTC).astimezone(self._zone)
            counted = counts[tuple(tell(moment, channel) for tell in told)]
            counted["sessions"] += sessions
            counted["screenPageViews"] += views
        return counts


def _row(names: tuple[str, ...], counted: Counter[str], metrics: list[str], days: int) -> dict[str, Any]:
    counted["totalUsers"] = round(counted["sessions"] * _USERS_A_SESSION * days**-_FEWER_BY_LENGTH)
    return {
        "dimensionValues": [{"value": name} for name in names],
        "metricValues": [{"value": str(counted[metric])} for metric in metrics],
    }
