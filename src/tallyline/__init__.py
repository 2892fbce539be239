"""Business dashboards as code."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tallyline.graph import Graph, node, run, service
    from tallyline.sources import source
    from tallyline.sources.sql import read_sql
    from tallyline.window import Grain, Window

__version__ = "0.1.0"

__all__ = ["Grain", "Graph", "Window", "node", "read_sql", "run", "service", "source"]

_HOMES = {
    "Grain": "tallyline.window",
    "Graph": "tallyline.graph",
    "Window": "tallyline.window",
    "node": "tallyline.graph",
    "read_sql": "tallyline.sources.sql",
    "run": "tallyline.graph",
    "service": "tallyline.graph",
    "source": "tallyline.sources",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_HOMES[name]), name)
