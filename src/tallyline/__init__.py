"""Business dashboards as code."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tallyline.dashboards import Dashboard, Panel
    from tallyline.graph import Graph, node, run, service
    from tallyline.sources import source
    from tallyline.sources.dlt_resource import read_dlt
    from tallyline.sources.google_analytics import read_google_analytics
    from tallyline.sources.prometheus import read_prometheus
    from tallyline.sources.sentry import read_sentry
    from tallyline.sources.singer import read_singer
    from tallyline.sources.sql import read_sql
    from tallyline.sources.stripe import read_stripe
    from tallyline.window import Grain, Window

__version__ = "0.1.0"

__all__ = [
    "Dashboard",
    "Grain",
    "Graph",
    "Panel",
    "Window",
    "node",
    "read_dlt",
    "read_google_analytics",
    "read_prometheus",
    "read_sentry",
    "read_singer",
    "read_sql",
    "read_stripe",
    "run",
    "service",
    "source",
]

_HOMES = {
    "Dashboard": "tallyline.dashboards",
    "Grain": "tallyline.window",
    "Graph": "tallyline.graph",
    "Panel": "tallyline.dashboards",
    "Window": "tallyline.window",
    "node": "tallyline.graph",
    "read_dlt": "tallyline.sources.dlt_resource",
    "read_google_analytics": "tallyline.sources.google_analytics",
    "read_prometheus": "tallyline.sources.prometheus",
    "read_sentry": "tallyline.sources.sentry",
    "read_singer": "tallyline.sources.singer",
    "read_sql": "tallyline.sources.sql",
    "read_stripe": "tallyline.sources.stripe",
    "run": "tallyline.graph",
    "service": "tallyline.graph",
    "source": "tallyline.sources",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_HOMES[name]), name)
