"""A project as plain objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tallyline.errors import UnknownName
from tallyline.reference import filled_in

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from zoneinfo import ZoneInfo

    from tallyline.dashboards import Dashboard
    from tallyline.plan import Plan, Retention
    from tallyline.sources import Source

__all__ = ["FILE", "Project"]

FILE = "tallyline.toml"


@dataclass(frozen=True, slots=True)
class Project:
    """Everything that a project says, checked. `warehouse` may hold references; `warehouse_url` has them filled in."""

    folder: Path
    title: str
    warehouse: str
    zone: ZoneInfo
    plan: Plan
    services: Mapping[str, object]
    sources: Mapping[str, Source]
    dashboards: tuple[Dashboard, ...]
    retention: Retention

    @property
    def warehouse_url(self) -> str:
        """The warehouse's URL; raises Refused where a variable that it refers to is not set."""
        return filled_in(self.warehouse, "the warehouse")

    def source(self, name: str) -> Source:
        """Return the source of that name; raises UnknownName."""
        if name not in self.sources:
            raise UnknownName("source", name, self.sources)
        return self.sources[name]
