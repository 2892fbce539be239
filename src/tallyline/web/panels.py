"""What the page's script is told: the panels of a dashboard as plain data."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from tallyline.dashboards import Shows, measured, panel_title, read_panel
from tallyline.errors import Refused
from tallyline.plan import named
from tallyline.web.pipeline import Pipeline, seconds
from tallyline.window import Grain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from tallyline.dashboards import Dashboard, Headline, Line, Panel, PanelData
    from tallyline.plan import Metric, Plan
    from tallyline.sources import Source
    from tallyline.warehouse import Warehouse
    from tallyline.web.asked import Asked

    Json = dict[str, object]

__all__ = ["HOW_TO_READ", "Reader"]

HOW_TO_READ = "tallyline read all --write"

_MOST_BUCKETS = 20_000
_SHORTEST = {
    Grain.HOUR: timedelta(hours=1),
    Grain.DAY: timedelta(hours=23),
    Grain.WEEK: timedelta(days=6),
    Grain.MONTH: timedelta(days=28),
    Grain.QUARTER: timedelta(days=90),
    Grain.YEAR: timedelta(days=365),
}


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads dashboards as they are at one moment."""

    plan: Plan
    warehouse: Warehouse
    sources: Mapping[str, Source]
    zone: ZoneInfo
    now: datetime

    def dashboard(self, dashboard: Dashboard, asked: Asked) -> Json:
        """Return all that the page needs to draw the dashboard."""
        pipeline = Pipeline.of(self.warehouse, self.sources, self.zone, self.now)
        return {
            "now": seconds(self.now),
            "since": seconds(asked.window.since),
            "until": seconds(asked.window.until),
            "read": pipeline.read(),
            "panels": [self.panel(panel, asked, pipeline) for panel in dashboard.panels],
        }

    def panel(self, panel: Panel, asked: Asked, pipeline: Pipeline) -> Json:
        """Return the panel's data or, where it has none, a message and what to do."""
        told = {"title": panel_title(panel, self.plan), "shows": panel.shows}
        try:
            if panel.shows is Shows.METRIC:
                return told | self._of_metric(panel, asked, pipeline)
            return told | self._of_pipeline(panel, asked, pipeline)
        except Refused as error:
            return {**told, "message": str(error)}

    def _of_pipeline(self, panel: Panel, asked: Asked, pipeline: Pipeline) -> Json:
        if panel.shows is Shows.FRESHNESS:
            return pipeline.freshness()
        if panel.shows is Shows.COVERAGE:
            return pipeline.coverage(asked.window)
        by = asked.by or (Grain.HOUR if asked.in_hours else panel.by)
        _check_can_be_drawn(asked, by)
        return pipeline.runs(self.warehouse, asked.window, by)

    def _of_metric(self, panel: Panel, asked: Asked, pipeline: Pipeline) -> Json:
        metric = named(self.plan, panel.metric)
        unread = sorted(measured(self.plan, panel.metric) - set(pipeline.overview.tellers))
        if unread:
            return {"message": f"Nothing has been read for {' and '.join(unread)} yet.", "command": HOW_TO_READ}
        data = self._read(panel, metric, asked)
        if not data.times:
            message = f"Nothing is known of {panel.metric} in this range. Choose a longer one, or read it:"
            return {"message": message, "command": HOW_TO_READ}
        return self._filled(data, metric, asked) | {"age": pipeline.age(panel.metric, self.plan)}

    def _read(self, panel: Panel, metric: Metric, asked: Asked) -> PanelData:
        if asked.in_hours and asked.by is None:
            with suppress(Refused):
                return self._read_by(Grain.HOUR, panel, metric, asked)
        return self._read_by(asked.by or panel.by, panel, metric, asked)

    def _read_by(self, grain: Grain, panel: Panel, metric: Metric, asked: Asked) -> PanelData:
        _check_can_be_drawn(asked, grain)
        return read_panel(panel, metric, self.warehouse, asked.window, self.zone, by=grain)

    def _filled(self, data: PanelData, metric: Metric, asked: Asked) -> Json:
        return {
            "title": data.title,
            "unit": data.unit,
            "share": metric.share,
            "by": data.by,
            "kind": metric.kind,
            "times": [seconds(time) for time in data.times],
            "lines": [_line(line) for line in data.lines],
            "total": data.total,
            "compare": data.compare,
            "target": data.target,
            "incomplete_from": seconds(data.incomplete_from) if data.incomplete_from else None,
            "silent_until": self._silent_until(data, asked),
            "headline": _headline(data.headline) if data.headline else None,
        }

    def _silent_until(self, data: PanelData, asked: Asked) -> int | None:
        """Return the newest bucket there could be, where two whole ones or more went by without a value."""
        newest = data.by.floor(min(self.now, asked.window.until - timedelta(seconds=1)), self.zone)
        expected = data.times[-1]
        for _ in range(3):
            expected = data.by.after(expected, self.zone)
        return seconds(newest) if expected <= newest else None


def _check_can_be_drawn(asked: Asked, grain: Grain) -> None:
    buckets = (asked.window.until - asked.window.since) // _SHORTEST[grain]
    if buckets > _MOST_BUCKETS:
        msg = f"the range has about {buckets:,} {grain}s, too many to draw; choose a shorter one or a coarser grain"
        raise Refused(msg)


def _line(line: Line) -> Json:
    return {"label": line.label, "values": line.values, "before": line.before}


def _headline(headline: Headline) -> Json:
    return {
        "time": seconds(headline.time),
        "value": headline.value,
        "compared_with": seconds(headline.compared_with),
        "before": headline.before,
        "change": headline.change,
    }
