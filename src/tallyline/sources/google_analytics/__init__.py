"""`kind = "google-analytics"`: what a property of Google Analytics 4 counted, by the names of the plan."""

from __future__ import annotations

import builtins
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tallyline.api import part
from tallyline.errors import Refused, SourceFailed
from tallyline.graph import Graph, node
from tallyline.sources.google_analytics.ask import Property
from tallyline.sources.google_analytics.names import check_added_up, check_names, metric_of
from tallyline.sources.google_analytics.read import PAGE, check_zone, read_google_analytics, report_of
from tallyline.sources.kinds import Kind
from tallyline.window import Grain  # noqa: TC001  # pydantic reads it

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from tallyline.api import Api
    from tallyline.plan import Metric
    from tallyline.sources.google_analytics.read import Row
    from tallyline.window import Window

__all__ = ["GoogleAnalyticsSource", "read_google_analytics"]

LARGEST_PAGE = 250_000


@dataclass(frozen=True, slots=True)
class GoogleAnalyticsSource(Kind):
    """Reads a property of Google Analytics 4.

    `measures` maps Google's metrics to ours, `dimensions` Google's dimensions to our dims. What cannot be added up
    (users, rates, averages) is counted anew by Google for each of `grains`, and is read by a source of its own. Where
    Google says that numbers are not exact, the run's report says so, too; with `exact` the run fails. `page` is how
    many rows are asked for at once.
    """

    service: str
    property: int | str
    measures: dict[str, str]
    dimensions: dict[str, str] = field(default_factory=dict)
    grains: tuple[Grain, ...] = ()
    exact: bool = False
    page: int = PAGE

    def __post_init__(self) -> None:
        """Refuse what Google would not answer, and what could not be kept."""
        if not re.fullmatch(r"\d+", str(self.property)):
            msg = f'"{self.property}" is no property; give its number (Google Analytics: Admin, Property details)'
            raise Refused(msg)
        if not 1 <= self.page <= LARGEST_PAGE:
            msg = f"page is {self.page}; Google gives from 1 to {LARGEST_PAGE:,} rows at once"
            raise Refused(msg)
        check_names(self.measures, self.dimensions)
        check_added_up(self.measures, anew=bool(self.grains))
        _ = self.metrics

    @builtins.property
    def definition(self) -> str:
        """The property, and what is read of it by which names."""
        named = [f"{theirs} = {ours}" for theirs, ours in (*self.measures.items(), *self.dimensions.items())]
        return "\n".join([f"Google Analytics, property {self.property}", *named])

    @builtins.property
    def metrics(self) -> Mapping[str, Metric]:
        """The metrics that are read; what cannot be added up is distinct."""
        return {ours: metric_of(theirs, ours) for theirs, ours in self.measures.items()}

    def graph(self, name: str) -> Graph:
        """Return the graph of two nodes: one reads, one counts why the numbers are not exact."""
        reading = node(self.rows, name=name, services={"api": self.service})
        return Graph(reading, node(_exact, name="exact", on_error="skip"))

    def rows(
        self, api: Api, window: Window, now: datetime, zone: ZoneInfo, source_zone: ZoneInfo, grain: Grain
    ) -> Iterator[Row | str]:
        """Yield `(dims, metrics)` for each row of the reports, and in the end, as text, why they are not exact."""
        reasons: dict[str, None] = {}
        yield from read_google_analytics(
            api,
            int(self.property),
            self.measures,
            window,
            zone,
            dimensions=self.dimensions,
            grain=grain,
            source_zone=source_zone,
            now=now,
            inexact=None if self.exact else reasons.setdefault,
            page=self.page,
        )
        yield from reasons

    def probe(self, name: str) -> Graph:
        """Return a graph that tries the credentials, each name and the time zone, and tells the quota that is left."""
        return Graph(node(self.probed, name=name, services={"api": self.service}))

    def probed(self, api: Api, now: datetime, source_zone: ZoneInfo) -> Iterator[str]:
        """Yield a line for what works."""
        asked = Property.of(api, int(self.property))
        asked.check_known(self.measures, self.dimensions)
        yield f"{asked.who} may read property {asked.number}"
        yield f"it knows {', '.join((*self.measures, *self.dimensions))}"
        today = now.astimezone(source_zone).date()
        answer = asked.tried(report_of(self.measures, tuple(self.dimensions), (today, today), 1))
        check_zone(answer, source_zone, now)
        yield f"its time zone is {part(answer, 'metadata.timeZone', str)}"
        yield f"left of its quota: {_left(answer)}"


def _exact(row: Row | str) -> Row:
    if isinstance(row, str):
        raise SourceFailed(row)
    return row


def _left(answer: object) -> str:
    quota = part(answer, "propertyQuota", dict)
    by = {"tokensPerDay": "a day", "tokensPerHour": "an hour", "tokensPerProjectPerHour": "an hour for this project"}
    told = [f"{part(quota, f'{key}.remaining', int):,} tokens of {span}" for key, span in by.items() if key in quota]
    return ", ".join(told)
