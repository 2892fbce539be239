"""The variables of a dashboard: the length of the buckets, and which parts of a split are drawn."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tallyline.dashboards.grafana.data_source import ALL
from tallyline.dashboards.grafana.parts import GRAINS
from tallyline.dashboards.pipeline import measured
from tallyline.warehouse.wording import WORDS as LITERALS
from tallyline.warehouse.wording import select

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tallyline.dashboards.definition import Panel
    from tallyline.dashboards.grafana.data_source import DataSource
    from tallyline.plan import Plan

    Json = dict[str, Any]

__all__ = ["BY", "OWN", "Variables"]

BY = "by"
OWN = "own"
_AS_DEFINED = "as defined"
_NOT_IN_A_NAME = re.compile(r"\W+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Variables:
    """The variables of the panels of a dashboard, each by the dim that it chooses parts of."""

    panels: Sequence[Panel]
    plan: Plan
    source: DataSource

    @property
    def by(self) -> str:
        """What tells the grain that was chosen, as SQL; nothing where no panel has one."""
        return _value(BY) if any(panel.metric for panel in self.panels) else ""

    def chosen(self, panel: Panel) -> str:
        """Return what lists the parts of a panel's split that were chosen, as SQL."""
        return _value(self._names[panel.split]) if panel.split else ""

    def as_json(self) -> Iterator[Json]:
        """Yield them as Grafana has them."""
        if self.by:
            yield _grain()
        for dim, name in self._names.items():
            yield self._parts(dim, name)

    @property
    def _names(self) -> dict[str, str]:
        dims = dict.fromkeys(panel.split for panel in self.panels if panel.split)
        names: dict[str, str] = {}
        for dim in dims:
            name = _NOT_IN_A_NAME.sub("_", dim)
            taken = {BY, *names.values()}
            names[dim] = next(each for each in _numbered(name) if each not in taken)
        return names

    def _parts(self, dim: str, name: str) -> Json:
        return {
            "type": "query",
            "name": name,
            "label": dim,
            "description": f"Which of {dim} are drawn where panels tell them apart",
            "datasource": self.source.reference,
            "query": self._query(dim),
            "definition": self._query(dim),
            "refresh": 1,
            "sort": 0,
            "regex": "",
            "multi": True,
            "includeAll": True,
            "allValue": ALL,
            "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
            "options": [],
            "hide": 0,
            "skipUrlSync": False,
        }

    def _query(self, dim: str) -> str:
        words = LITERALS[self.source.dialect]
        split = [panel.metric for panel in self.panels if panel.split == dim]
        metrics = sorted({part for metric in split for part in measured(self.plan, metric)})
        listed = ", ".join(words.text(metric) for metric in metrics)
        part = f"DISTINCT coalesce({words.dim(dim)}, {words.text(f'no {dim}')}) AS part"
        return select([part], "FROM metric_series", f"WHERE metric IN ({listed})", "ORDER BY part")


def _grain() -> Json:
    choices = {_AS_DEFINED: OWN, **{str(grain): str(grain) for grain in GRAINS}}
    options = [{"text": text, "value": value, "selected": value == OWN} for text, value in choices.items()]
    return {
        "type": "custom",
        "name": BY,
        "label": "by",
        "description": "How long the buckets of the charts are",
        "query": ",".join(f"{text} : {value}" for text, value in choices.items()),
        "multi": False,
        "includeAll": False,
        "current": {"selected": True, "text": _AS_DEFINED, "value": OWN},
        "options": options,
        "hide": 0,
        "skipUrlSync": False,
    }


def _value(name: str) -> str:
    return f"${{{name}:sqlstring}}"


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}_{number}"
        number += 1
