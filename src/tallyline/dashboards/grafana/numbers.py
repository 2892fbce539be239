"""A panel's number: the last complete bucket, its change, how old the data is, and for a small one a line below it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tallyline.dashboards.grafana.chart import LINE
from tallyline.dashboards.grafana.describe import compared, described
from tallyline.dashboards.grafana.headline_sql import headline_sql, recent_sql
from tallyline.dashboards.grafana.panel import by_name, by_query, fields, fixed, panel_json, steps
from tallyline.dashboards.grafana.units import unit_of

if TYPE_CHECKING:
    from tallyline.dashboards.grafana.data_source import DataSource
    from tallyline.dashboards.grafana.layout import Place
    from tallyline.dashboards.grafana.parts import Parts

    Json = dict[str, Any]

__all__ = ["number_alone", "numbers_beside"]

_AGE = {"displayName": "data age", "unit": "s", "decimals": 0, "color": fixed("text")}
_NOT_KNOWN = "not known"


def numbers_beside(parts: Parts, source: DataSource, place: Place) -> Json:
    """Return the numbers that stand beside a chart."""
    return panel_json(
        "stat",
        title=f"Last full {parts.panel.by}",
        description=described(parts),
        place=place,
        source=source,
        targets=[source.table("A", headline_sql(parts), ["time"])],
        field_config=fields(
            _of_value(parts),
            by_name("value", {"displayName": _name(parts) or "value"}),
            _change(parts),
            by_name("age", _AGE),
        ),
        options=_options("horizontal", "none"),
    )


def number_alone(parts: Parts, source: DataSource, place: Place) -> Json:
    """Return a small panel: the number with a line of the buckets up to it, the change, the age of the data."""
    color = {} if parts.panel.target is not None else {"color": fixed(LINE)}
    name = _name(parts) or f"last {parts.panel.by}"
    return panel_json(
        "stat",
        title=parts.panel.title or parts.metric.label,
        description=described(parts),
        place=place,
        source=source,
        targets=[source.series("A", recent_sql(parts)), source.table("B", headline_sql(parts, value=False))],
        field_config=fields(
            _of_value(parts), by_query("A", {"displayName": name, **color}), _change(parts), by_name("age", _AGE)
        ),
        options=_options("vertical", "area"),
    )


def _name(parts: Parts) -> str:
    """Return what stands beside a value: what is counted, and the target."""
    target = parts.panel.target
    return ", ".join(filter(None, [unit_of(parts.metric).words, f"target {target:g}" if target is not None else ""]))


def _of_value(parts: Parts) -> Json:
    """Return how a value is shown: red and green are for the target alone."""
    target = parts.panel.target
    told: Json = {"unit": unit_of(parts.metric).name, "noValue": _NOT_KNOWN, "mappings": []}
    if target is None:
        return {**told, "color": fixed("text"), "thresholds": steps("text")}
    return {**told, "color": {"mode": "thresholds"}, "thresholds": steps("red", (target, "green"))}


def _change(parts: Parts) -> Json:
    against = compared(parts.panel.by, parts.panel.compare)
    shown = {"displayName": against, "unit": "percentunit", "decimals": 1, "color": fixed("text")}
    return by_name("change", shown)


def _options(orientation: str, graph: str) -> Json:
    return {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "orientation": orientation,
        "textMode": "value_and_name",
        "colorMode": "value",
        "graphMode": graph,
        "justifyMode": "auto",
    }
