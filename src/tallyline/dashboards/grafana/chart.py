"""A panel's chart: lines of the complete buckets, of those that are not complete yet, of the time before, a target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tallyline.dashboards.grafana.chart_sql import ChartSQL
from tallyline.dashboards.grafana.describe import described
from tallyline.dashboards.grafana.panel import by_query, fields, fixed, panel_json, steps
from tallyline.dashboards.grafana.units import unit_of
from tallyline.plan import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tallyline.dashboards.grafana.data_source import DataSource
    from tallyline.dashboards.grafana.layout import Place
    from tallyline.dashboards.grafana.parts import Parts

    Json = dict[str, Any]

__all__ = ["chart", "custom"]

COMPLETE, RUNNING, BEFORE, TARGET = "A", "B", "C", "T"
LINE, GRAY, AIM = "blue", "#9fa7b3", "orange"
_FROM_ZERO = (Kind.COUNT, Kind.DISTINCT, Kind.MEAN, Kind.MINIMUM, Kind.MAXIMUM, Kind.DURATION)
_HIDDEN_IN_LEGEND = {"legend": True, "tooltip": False, "viz": False}


def chart(parts: Parts, source: DataSource, place: Place, chosen: str = "") -> Json:
    """Return a panel's chart; `chosen` lists as SQL the parts of the split that are to be shown."""
    panel = parts.panel
    return panel_json(
        "timeseries",
        title=panel.title or parts.metric.label,
        description=described(parts),
        place=place,
        source=source,
        targets=list(_targets(parts, source, ChartSQL(parts, chosen))),
        field_config=fields(_defaults(parts), *_overrides(parts)),
        options={
            "legend": {
                "showLegend": bool(panel.split or panel.compare or panel.target is not None),
                "displayMode": "list",
                "placement": "bottom",
                "calcs": [],
            },
            "tooltip": {"mode": "multi", "sort": "none"},
        },
    )


def custom(**others: object) -> Json:
    """Return how a line is drawn: gaps are gaps."""
    return {
        "drawStyle": "line",
        "lineInterpolation": "linear",
        "lineWidth": 2,
        "lineStyle": {"fill": "solid"},
        "fillOpacity": 0,
        "gradientMode": "none",
        "showPoints": "auto",
        "pointSize": 5,
        "spanNulls": False,
        "stacking": {"mode": "none", "group": "A"},
        "axisPlacement": "auto",
        "axisLabel": "",
        "scaleDistribution": {"type": "linear"},
        "hideFrom": {"legend": False, "tooltip": False, "viz": False},
        "thresholdsStyle": {"mode": "off"},
        **others,
    }


def _targets(parts: Parts, source: DataSource, sql: ChartSQL) -> Iterator[Json]:
    panel = parts.panel
    if panel.compare:
        yield source.series(BEFORE, sql.before(panel.compare))
    yield source.series(COMPLETE, sql.complete())
    yield source.series(RUNNING, sql.running())
    if panel.target is not None:
        yield source.series(TARGET, sql.target(panel.target))


def _defaults(parts: Parts) -> Json:
    unit, split = unit_of(parts.metric), parts.panel.split
    from_zero = {"axisSoftMin": 0} if parts.metric.kind in _FROM_ZERO else {}
    area = {} if split else {"fillOpacity": 10, "gradientMode": "opacity"}
    return {
        "unit": unit.name,
        "color": {"mode": "palette-classic-by-name"} if split else fixed(LINE),
        "custom": custom(axisLabel=unit.words, lineWidth=1 if split else 2, **area, **from_zero),
        "thresholds": steps("text"),
        "mappings": [],
    }


def _overrides(parts: Parts) -> Iterator[Json]:
    """Yield how the lines differ from those of complete buckets; of several parts, each keeps its color."""
    panel = parts.panel
    line: Json = {"custom.fillOpacity": 0, "custom.gradientMode": "none"}
    dashed: Json = {"custom.lineStyle": {"fill": "dash", "dash": [3, 4]}, "custom.hideFrom": _HIDDEN_IN_LEGEND}
    yield by_query(RUNNING, line | dashed)
    if panel.compare and panel.split:
        dotted = {"custom.lineStyle": {"fill": "dot", "dash": [1, 5]}, "custom.hideFrom": _HIDDEN_IN_LEGEND}
        yield by_query(BEFORE, line | dotted)
    elif panel.compare:
        yield by_query(BEFORE, {**line, "color": fixed(GRAY), "custom.lineWidth": 1})
    if panel.target is not None:
        aim: Json = {"custom.lineStyle": {"fill": "dash", "dash": [8, 6]}, "custom.showPoints": "never"}
        yield by_query(TARGET, {**line, **aim, "color": fixed(AIM), "custom.lineWidth": 1})
