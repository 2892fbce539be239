"""Alert rules: data that is late, and targets that were not reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tallyline.dashboards.definition import panel_title
from tallyline.dashboards.grafana.headline_sql import last_value_sql
from tallyline.dashboards.grafana.parts import KNOWN_STATES, Parts
from tallyline.dashboards.grafana.words import WORDS
from tallyline.warehouse.wording import WORDS as LITERALS
from tallyline.warehouse.wording import select
from tallyline.window import Grain

if TYPE_CHECKING:
    from datetime import timedelta

    from tallyline.dashboards.grafana.dashboard import Definitions, Shown

    Json = dict[str, Any]

__all__ = ["rule_groups"]

_INTERVAL = "5m"
_FOR = "10m"
_DAY = 86_400
_LOOKED_AT = {
    Grain.HOUR: 2 * _DAY,
    Grain.DAY: 14 * _DAY,
    Grain.WEEK: 56 * _DAY,
    Grain.MONTH: 190 * _DAY,
    Grain.QUARTER: 600 * _DAY,
    Grain.YEAR: 1200 * _DAY,
}
_EXPRESSION = {"type": "__expr__", "uid": "__expr__"}


def rule_groups(definitions: Definitions) -> list[Json]:
    """Return the groups of rules: one of the sources, and one of the targets where there are any."""
    names = definitions.names
    late = [_late(definitions, source, allowed) for source, allowed in definitions.sources.items()]
    targets = [_target(definitions, shown) for shown in definitions.shown() if shown.panel.target is not None]
    groups = {"data that is late": late, "targets that were not reached": targets}
    return [
        {
            "orgId": 1,
            "name": f"{names.title}: {name}",
            "folder": names.alerts_title,
            "interval": _INTERVAL,
            "rules": rules,
        }
        for name, rules in groups.items()
        if rules
    ]


def _late(definitions: Definitions, source: str, allowed: timedelta) -> Json:
    words = WORDS[definitions.dialect]
    name = LITERALS[definitions.dialect].text(source)
    age = select(
        [f"{words.seconds(f'{words.now} - max(until)')} AS age"],
        "FROM coverage",
        f"WHERE source = {name} AND state IN {KNOWN_STATES}",
    )
    hours = allowed.total_seconds() / 3600
    return {
        "uid": definitions.names.rule("late", source),
        "title": f"{source} is late",
        **_checked(definitions, age, "gt", allowed.total_seconds()),
        "noDataState": "Alerting",
        "labels": {"tallyline": definitions.names.stem, "alert": "late", "source": source},
        "annotations": {
            "summary": f"The data of {source} is older than {hours:g} hours",
            "description": "Its schedule came twice without it being read. `tallyline status` says what is wrong.",
        },
    }


def _target(definitions: Definitions, shown: Shown) -> Json:
    panel, target = shown.panel, float(shown.panel.target or 0)
    words = WORDS[definitions.dialect]
    since = f"{words.now} - {words.length(str(_LOOKED_AT[panel.by]))}"
    parts = Parts(panel, definitions.plan, definitions.zone, definitions.dialect, since=since, until=words.now)
    title = panel_title(panel, definitions.plan)
    unit = f" {parts.metric.unit}" if parts.metric.unit else ""
    return {
        "uid": definitions.names.rule("target", f"{shown.id}"),
        "title": f"{title}: below target",
        **_checked(definitions, last_value_sql(parts), "lt", target),
        "noDataState": "OK",
        "dashboardUid": definitions.names.dashboard(shown.dashboard.name),
        "panelId": shown.id,
        "labels": {"tallyline": definitions.names.stem, "alert": "target"},
        "annotations": {
            "summary": f"{title}: the last complete {panel.by} was below its target of {target:g}{unit}",
            "description": panel.description,
        },
    }


def _checked(definitions: Definitions, query: str, comparison: str, limit: float) -> Json:
    """Return a query that gives one number, and when that is a reason for an alert."""
    asked = {**definitions.source.table("A", query), "intervalMs": 60_000, "maxDataPoints": 100}
    condition = {
        "refId": "B",
        "datasource": _EXPRESSION,
        "type": "threshold",
        "expression": "A",
        "conditions": [{"evaluator": {"type": comparison, "params": [limit]}}],
    }
    return {
        "condition": "B",
        "data": [
            _of_rule("A", definitions.source.uid, asked, 600),
            _of_rule("B", _EXPRESSION["uid"], condition, 0),
        ],
        "for": _FOR,
        "execErrState": "Error",
    }


def _of_rule(name: str, uid: str, model: Json, seconds: int) -> Json:
    return {"refId": name, "relativeTimeRange": {"from": seconds, "to": 0}, "datasourceUid": uid, "model": model}
