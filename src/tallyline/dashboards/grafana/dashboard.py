"""A dashboard as Grafana's classic JSON, which Grafana 10 to 13 take from files and through their API."""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from tallyline.dashboards.definition import Shows, Size
from tallyline.dashboards.grafana.chart import chart
from tallyline.dashboards.grafana.data_source import BUILT_IN, data_source
from tallyline.dashboards.grafana.layout import placed
from tallyline.dashboards.grafana.numbers import number_alone, numbers_beside
from tallyline.dashboards.grafana.parts import Parts
from tallyline.dashboards.grafana.pipeline_panels import pipeline_panels
from tallyline.dashboards.grafana.pipeline_sql import PipelineSQL
from tallyline.dashboards.grafana.variables import Variables
from tallyline.dashboards.pipeline import measured
from tallyline.window import Grain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import timedelta
    from zoneinfo import ZoneInfo

    from tallyline.dashboards.definition import Dashboard, Panel
    from tallyline.dashboards.grafana.data_source import DataSource
    from tallyline.dashboards.grafana.layout import Place
    from tallyline.dashboards.grafana.names import Names
    from tallyline.plan import Plan

    Json = dict[str, Any]

__all__ = ["HASH", "TAG", "Definitions", "Shown", "as_text", "content_hash"]

TAG = "tallyline"
HASH = "definition-"
"""What the tag begins with that tells which definition a dashboard was made from."""

_SCHEMA = 39
_WIDTH_OF_NUMBERS = 3
_LONGEST_ID = 1_000_000
_RANGES = {
    Grain.HOUR: "now-7d",
    Grain.DAY: "now-60d",
    Grain.WEEK: "now-26w",
    Grain.MONTH: "now-13M",
    Grain.QUARTER: "now-3y",
    Grain.YEAR: "now-10y",
}


class Shown(NamedTuple):
    """A panel of a dashboard, and the id that it has in Grafana."""

    dashboard: Dashboard
    panel: Panel
    id: int


@dataclass(frozen=True, slots=True)
class Definitions:
    """All that a project's dashboards are made of, for a database, `sqlite` or `postgresql`.

    `sources` are those that tell the metrics, each with the age from which on its data is late.
    """

    names: Names
    dialect: str
    zone: ZoneInfo
    plan: Plan
    sources: Mapping[str, timedelta]
    dashboards: Sequence[Dashboard]

    @property
    def source(self) -> DataSource:
        """The data source that the panels ask."""
        return data_source(self.dialect, self.names.data_source)

    def rendered(self) -> Iterator[Json]:
        """Yield the dashboards as the company sees them."""
        for dashboard in self.dashboards:
            yield self._dashboard(dashboard)

    def rendered_public(self) -> Iterator[Json]:
        """Yield those that may be shown to anybody, without variables and without queries beside those of panels."""
        for dashboard in self.dashboards:
            if dashboard.public:
                yield self._public(dashboard)

    def _dashboard(self, dashboard: Dashboard) -> Json:
        variables = Variables(dashboard.panels, self.plan, self.source)
        return _marked(
            {
                **self._common(dashboard),
                "uid": self.names.dashboard(dashboard.name),
                "tags": [TAG, self.names.stem],
                "templating": {"list": list(variables.as_json())},
                "annotations": {"list": [_ANNOTATIONS, self._failed_runs(dashboard)]},
                "links": [_others(self.names.stem)],
                "panels": [made for _, made in self._panels(dashboard, variables)],
            }
        )

    def _public(self, dashboard: Dashboard) -> Json:
        return _marked(
            {
                **self._common(dashboard),
                "uid": self.names.public_dashboard(dashboard.name),
                "tags": [TAG, f"{self.names.stem}-public"],
                "templating": {"list": []},
                "annotations": {"list": [_ANNOTATIONS]},
                "links": [],
                "panels": [made for _, made in self._panels(dashboard)],
            }
        )

    def _common(self, dashboard: Dashboard) -> Json:
        return {
            "title": dashboard.title,
            "description": dashboard.description,
            "timezone": self.zone.key,
            "weekStart": "monday",
            "time": {"from": _RANGES[_longest(dashboard.panels)], "to": "now"},
            "refresh": "5m",
            "editable": True,
            "graphTooltip": 1,
            "fiscalYearStartMonth": 0,
            "schemaVersion": _SCHEMA,
        }

    def shown(self) -> Iterator[Shown]:
        """Yield the panels of all dashboards, each with the id of the last that it becomes: its chart or table."""
        for dashboard in self.dashboards:
            last = {number: made["id"] for number, made in self._panels(dashboard)}
            for number, panel in enumerate(dashboard.panels):
                yield Shown(dashboard, panel, last[number])

    def _panels(self, dashboard: Dashboard, variables: Variables | None = None) -> Iterator[tuple[int, Json]]:
        """Yield the number of each panel of the definition with what it becomes."""
        taken: set[int] = set()
        for number, (panel, place) in enumerate(placed(dashboard.panels, len(self.sources))):
            for part, made in enumerate(self._made(panel, place, variables)):
                made["id"] = _id(panel, part, taken)
                yield number, made

    def _made(self, panel: Panel, place: Place, variables: Variables | None) -> Iterator[Json]:
        if panel.shows is not Shows.METRIC:
            yield from pipeline_panels(panel, self._pipeline, self.source, place)
            return
        parts = Parts(panel, self.plan, self.zone, self.dialect)
        if panel.size is Size.SMALL:
            yield number_alone(parts, self.source, place)
            return
        numbers, beside = place.columns(_WIDTH_OF_NUMBERS)
        yield numbers_beside(parts, self.source, numbers)
        chosen = variables.chosen(panel) if variables else ""
        yield chart(parts.by_variable(variables.by) if variables else parts, self.source, beside, chosen)

    @property
    def _pipeline(self) -> PipelineSQL:
        return PipelineSQL(self.sources, self.zone, self.dialect)

    def _failed_runs(self, dashboard: Dashboard) -> Json:
        """Return the marks of runs that failed, of the sources that tell of the dashboard's metrics."""
        shown = [panel.metric for panel in dashboard.panels]
        metrics = sorted({part for metric in shown if metric for part in measured(self.plan, metric)})
        query = self._pipeline.failures(metrics if all(shown) else ())
        return {
            "name": "Failed runs",
            "datasource": self.source.reference,
            "enable": True,
            "hide": False,
            "iconColor": "red",
            "target": self.source.table("Anno", query, ["time", "timeEnd"]),
        }


_ANNOTATIONS: Json = {
    "name": "Annotations & Alerts",
    "builtIn": 1,
    "datasource": BUILT_IN,
    "enable": True,
    "hide": True,
    "iconColor": "rgba(0, 211, 255, 1)",
    "type": "dashboard",
}


def as_text(data: Json) -> str:
    """Return JSON as it is written, always the same for the same."""
    return json.dumps(data, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def content_hash(dashboard: Json) -> str:
    """Return what tells a dashboard's content from any other, whatever Grafana counts of it and however it is marked.

    >>> content_hash({"title": "Sales", "tags": ["definition-1"], "version": 3}) == content_hash({"title": "Sales"})
    True
    """
    told = {key: value for key, value in dashboard.items() if key not in {"id", "version"}}
    tags = [tag for tag in told.pop("tags", ()) if not tag.startswith(HASH)]
    whole = {**told, "tags": tags} if tags else told
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:12]


def _marked(dashboard: Json) -> Json:
    return {**dashboard, "tags": [*dashboard["tags"], f"{HASH}{content_hash(dashboard)}"]}


def _longest(panels: Iterable[Panel]) -> Grain:
    return max((panel.by for panel in panels), key=list(Grain).index, default=Grain.DAY)


def _id(panel: Panel, number: int, taken: set[int]) -> int:
    """Return a panel's id: the same where others come before it, go, or are put in another order."""
    told = (panel.shows, panel.metric, panel.title, panel.by, panel.split, sorted(panel.where.items()), number)
    found = zlib.crc32(repr(told).encode()) % _LONGEST_ID + 1
    while found in taken:
        found += 1
    taken.add(found)
    return found


def _others(tag: str) -> Json:
    """Return the list of the project's other dashboards, which keep the range of time."""
    return {
        "type": "dashboards",
        "title": "Dashboards",
        "tags": [tag],
        "asDropdown": True,
        "keepTime": True,
        "includeVars": False,
        "targetBlank": False,
        "icon": "dashboard",
        "tooltip": "",
        "url": "",
    }
