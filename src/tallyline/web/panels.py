"""What the page's script is told: the panels of a dashboard as plain data, and how fresh they are."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from tallyline.dashboards import read_panel
from tallyline.errors import Refused, UnknownName
from tallyline.plan import named
from tallyline.window import Grain

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from tallyline.dashboards import Dashboard, Headline, Panel, PanelData
    from tallyline.plan import Metric, Plan
    from tallyline.warehouse import RunRecord, Warehouse
    from tallyline.web.asked import Asked

    Json = dict[str, object]

__all__ = ["HOW_TO_READ", "Reader", "freshness", "panel_title"]

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


def panel_title(panel: Panel, plan: Plan) -> str:
    """Return what stands over the panel."""
    with suppress(UnknownName):
        return panel.title or named(plan, panel.metric).label
    return panel.metric


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads dashboards as they are at one moment."""

    plan: Plan
    warehouse: Warehouse
    zone: ZoneInfo
    now: datetime

    def dashboard(self, dashboard: Dashboard, asked: Asked) -> Json:
        """Return all that the page needs to draw the dashboard."""
        return {
            "now": _seconds(self.now),
            "since": _seconds(asked.window.since),
            "until": _seconds(asked.window.until),
            "read": freshness(self.warehouse.runs()),
            "panels": [self.panel(panel, asked) for panel in dashboard.panels],
        }

    def panel(self, panel: Panel, asked: Asked) -> Json:
        """Return the panel's data or, where it has none, a message and what to do."""
        title, metric = panel_title(panel, self.plan), None
        try:
            metric = named(self.plan, panel.metric)
            data = self._read(panel, metric, asked)
        except UnknownName as error:
            if metric is None:
                return {"title": title, "message": str(error)}
            message = f"Nothing has been read for {panel.metric} yet."
            return {"title": title, "message": message, "command": HOW_TO_READ}
        except Refused as error:
            return {"title": title, "message": str(error)}
        if not data.times:
            message = f"Nothing is known of {panel.metric} in this range. Choose a longer one, or read it:"
            return {"title": title, "message": message, "command": HOW_TO_READ}
        return self._filled(data, metric, asked)

    def _read(self, panel: Panel, metric: Metric, asked: Asked) -> PanelData:
        if asked.in_hours and asked.by is None:
            with suppress(Refused):
                return self._read_by(Grain.HOUR, panel, metric, asked)
        return self._read_by(asked.by or panel.by, panel, metric, asked)

    def _read_by(self, grain: Grain, panel: Panel, metric: Metric, asked: Asked) -> PanelData:
        buckets = (asked.window.until - asked.window.since) // _SHORTEST[grain]
        if buckets > _MOST_BUCKETS:
            msg = f"the range has about {buckets:,} {grain}s, too many to draw; choose a shorter one or a coarser grain"
            raise Refused(msg)
        return read_panel(panel, metric, self.warehouse, asked.window, self.zone, by=grain)

    def _filled(self, data: PanelData, metric: Metric, asked: Asked) -> Json:
        return {
            "title": data.title,
            "unit": data.unit,
            "by": data.by,
            "kind": metric.kind,
            "times": [_seconds(time) for time in data.times],
            "lines": [asdict(line) for line in data.lines],
            "total": data.total,
            "incomplete_from": _seconds(data.incomplete_from) if data.incomplete_from else None,
            "silent_until": self._silent_until(data, asked),
            "headline": _headline(data.headline) if data.headline else None,
        }

    def _silent_until(self, data: PanelData, asked: Asked) -> int | None:
        """Return the newest bucket there could be, where two whole ones or more went by without a value."""
        newest = data.by.floor(min(self.now, asked.window.until - timedelta(seconds=1)), self.zone)
        expected = data.times[-1]
        for _ in range(3):
            expected = data.by.after(expected, self.zone)
        return _seconds(newest) if expected <= newest else None


def freshness(runs: Iterable[RunRecord]) -> Json:
    """Return when data was read last, and the sources whose newest ended run, of `runs` newest first, failed."""
    newest: dict[str, RunRecord] = {}
    read_at: datetime | None = None
    for run in runs:
        if run.ended_at is None:
            continue
        newest.setdefault(run.source, run)
        if run.state == "done":
            read_at = max(read_at or run.ended_at, run.ended_at)
    failing = sorted(source for source, run in newest.items() if run.state in {"failed", "lost"})
    return {"at": _seconds(read_at) if read_at else None, "failing": failing}


def _headline(headline: Headline) -> Json:
    return {
        "time": _seconds(headline.time),
        "value": headline.value,
        "compared_with": _seconds(headline.compared_with),
        "before": headline.before,
        "change": headline.change,
    }


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())
