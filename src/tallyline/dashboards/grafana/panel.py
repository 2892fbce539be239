"""What every panel of Grafana's JSON has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tallyline.dashboards.grafana.data_source import DataSource
    from tallyline.dashboards.grafana.layout import Place

    Json = dict[str, Any]

__all__ = ["by_name", "by_query", "fields", "fixed", "panel_json", "steps"]


def panel_json(  # the parts of a panel, by name
    kind: str,
    *,
    title: str,
    description: str,
    place: Place,
    source: DataSource,
    targets: Sequence[Json],
    field_config: Json,
    options: Json,
) -> Json:
    """Return a panel of a kind, still without its id."""
    return {
        "type": kind,
        "title": title,
        "description": description,
        "gridPos": place.as_json,
        "datasource": source.reference,
        "targets": [*targets],
        "fieldConfig": field_config,
        "options": options,
    }


def fields(defaults: Json, *overrides: Json) -> Json:
    """Return how values are shown, and which of them otherwise."""
    return {"defaults": defaults, "overrides": [*overrides]}


def by_name(name: str, properties: Mapping[str, object]) -> Json:
    """Return how the values of one column are shown."""
    return _override("byName", name, properties)


def by_query(name: str, properties: Mapping[str, object]) -> Json:
    """Return how the values of one query are shown."""
    return _override("byFrameRefID", name, properties)


def fixed(color: str) -> Json:
    """Return one color for all."""
    return {"mode": "fixed", "fixedColor": color}


def steps(first: str, *others: tuple[float, str]) -> Json:
    """Return colors that change where a value reaches another.

    >>> steps("red", (70, "green"))["steps"]
    [{'color': 'red', 'value': None}, {'color': 'green', 'value': 70}]
    """
    above = ({"color": color, "value": value} for value, color in others)
    return {"mode": "absolute", "steps": [{"color": first, "value": None}, *above]}


def _override(matcher: str, options: str, properties: Mapping[str, object]) -> Json:
    told = [{"id": name, "value": value} for name, value in properties.items()]
    return {"matcher": {"id": matcher, "options": options}, "properties": told}
