"""Panels that tell how the pipeline is: tables of sources and runs, bars of runs, what is known over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tallyline.dashboards.definition import Shows, panel_title
from tallyline.dashboards.grafana.chart import custom
from tallyline.dashboards.grafana.describe import described_pipeline
from tallyline.dashboards.grafana.panel import by_name, fields, fixed, panel_json, steps
from tallyline.dashboards.grafana.pipeline_sql import COVERED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tallyline.dashboards.definition import Panel
    from tallyline.dashboards.grafana.data_source import DataSource
    from tallyline.dashboards.grafana.layout import Place
    from tallyline.dashboards.grafana.pipeline_sql import PipelineSQL

    Json = dict[str, Any]

__all__ = ["pipeline_panels"]

_STATES = {
    "done": "green",
    "running": "blue",
    "stopped": "yellow",
    "lost": "orange",
    "failed": "red",
    "never read": "yellow",
    "late": "orange",
}
_COVERED = {"final": "blue", "provisional": "light-blue", "missing": "#b0b7c3", "failed": "red", "gap": "orange"}
_CALLED = {"missing": "not known to the source", "gap": "never read"}
_HEIGHT_OF_BARS = 5
_MOMENT = {"unit": "time:YYYY-MM-DD HH:mm"}


def pipeline_panels(panel: Panel, sql: PipelineSQL, source: DataSource, place: Place) -> Iterator[Json]:
    """Yield the panels, still without their ids."""
    if panel.shows is Shows.FRESHNESS:
        yield _freshness(panel, sql, source, place)
    elif panel.shows is Shows.COVERAGE:
        yield _coverage(panel, sql, source, place)
    else:
        bars, table = place.rows(_HEIGHT_OF_BARS)
        yield _runs(panel, sql, source, bars)
        yield _newest_runs(sql, source, table)


def _freshness(panel: Panel, sql: PipelineSQL, source: DataSource, place: Place) -> Json:
    return panel_json(
        "table",
        title=panel_title(panel, {}),
        description=described_pipeline(panel),
        place=place,
        source=source,
        targets=[source.table("A", sql.freshness(), ["started_at", "final_until"])],
        field_config=fields(
            _of_table(),
            by_name("source", {"displayName": "Source", "custom.width": 140}),
            by_name("age", {"displayName": "Age of the data", "unit": "s", "decimals": 0, "custom.width": 130}),
            by_name("late", {"displayName": "Late", "custom.width": 60, **_colored()}),
            by_name("state", {"displayName": "Last run", "custom.width": 100, **_colored()}),
            by_name("started_at", {"displayName": "Began", "custom.width": 150, **_MOMENT}),
            by_name("final_until", {"displayName": "Final up to", "custom.width": 150, **_MOMENT}),
            by_name("error", {"displayName": "Error"}),
        ),
        options=_table_options(),
    )


def _runs(panel: Panel, sql: PipelineSQL, source: DataSource, place: Place) -> Json:
    bars = custom(
        drawStyle="bars", lineWidth=1, fillOpacity=80, barAlignment=1, stacking={"mode": "normal", "group": "A"}
    )
    return panel_json(
        "timeseries",
        title=panel_title(panel, {}),
        description=described_pipeline(panel),
        place=place,
        source=source,
        targets=[source.series("A", sql.begun(panel.by))],
        field_config=fields(
            {
                "unit": "locale",
                "decimals": 0,
                "color": fixed("text"),
                "custom": {**bars, "axisSoftMin": 0},
                "thresholds": steps("text"),
                "mappings": [],
            },
            *(by_name(state, {"color": fixed(color)}) for state, color in _STATES.items()),
        ),
        options={
            "legend": {"showLegend": True, "displayMode": "list", "placement": "right", "calcs": ["sum"]},
            "tooltip": {"mode": "multi", "sort": "none"},
        },
    )


def _newest_runs(sql: PipelineSQL, source: DataSource, place: Place) -> Json:
    return panel_json(
        "table",
        title="Newest runs",
        description="The newest runs of all sources, how long they took, and how many values they wrote.",
        place=place,
        source=source,
        targets=[source.table("A", sql.newest_runs(), ["started_at"])],
        field_config=fields(
            _of_table(),
            by_name("started_at", {"displayName": "Began", "custom.width": 150, **_MOMENT}),
            by_name("source", {"displayName": "Source", "custom.width": 110}),
            by_name("state", {"displayName": "State", "custom.width": 80, **_colored()}),
            by_name("took", {"displayName": "Took", "unit": "s", "decimals": 1, "custom.width": 80}),
            by_name("written", {"displayName": "Values written", "unit": "locale", "custom.width": 120}),
            by_name("error", {"displayName": "Error"}),
        ),
        options=_table_options(),
    )


def _coverage(panel: Panel, sql: PipelineSQL, source: DataSource, place: Place) -> Json:
    mappings = {
        str(number): {"text": _CALLED.get(state, state), "color": _COVERED[state], "index": number - 1}
        for state, number in COVERED.items()
    }
    return panel_json(
        "state-timeline",
        title=panel_title(panel, {}),
        description=described_pipeline(panel),
        place=place,
        source=source,
        targets=[source.series("A", sql.coverage())],
        field_config=fields(
            {
                "unit": "none",
                "color": fixed("text"),
                "custom": {"lineWidth": 0, "fillOpacity": 80},
                "mappings": [{"type": "value", "options": mappings}],
                "thresholds": steps("text"),
            }
        ),
        options={
            "mergeValues": True,
            "showValue": "never",
            "alignValue": "left",
            "rowHeight": 0.7,
            "legend": {"showLegend": True, "displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "single", "sort": "none"},
        },
    )


def _of_table() -> Json:
    states = {state: {"text": state, "color": color, "index": at} for at, (state, color) in enumerate(_STATES.items())}
    return {
        "unit": "none",
        "color": fixed("text"),
        "custom": {"align": "left", "cellOptions": {"type": "auto"}, "inspect": False, "filterable": False},
        "mappings": [{"type": "value", "options": states}],
        "thresholds": steps("text"),
    }


def _colored() -> Mapping[str, object]:
    return {"custom.cellOptions": {"type": "color-text"}}


def _table_options() -> Json:
    return {"showHeader": True, "cellHeight": "sm", "footer": {"show": False, "reducer": [], "countRows": False}}
