"""Packs: what an exporter tells, as metrics with their queries; each is a TOML file beside this module."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from tallyline.errors import UnknownName
from tallyline.plan import Kind, Metric
from tallyline.sources.prometheus.ask import filled_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Pack", "load_pack", "pack_names"]

_FOLDER = files(__package__).joinpath("packs")


@dataclass(frozen=True, slots=True)
class Pack:
    """Metrics of one exporter, the queries that tell them, and the labels that these sum up by."""

    metrics: Mapping[str, Metric]
    queries: Mapping[str, str]
    by: tuple[str, ...]

    def asked(self, by: Iterable[str] | None = None) -> dict[str, str]:
        """Return the queries, summed up by other labels where some are given."""
        labels = ", ".join(self.by if by is None else by)
        return {name: filled_in(query, by=labels) for name, query in self.queries.items()}


def pack_names() -> list[str]:
    """Return the names of the packs.

    >>> "redis" in pack_names()
    True
    """
    return sorted(file.name.removesuffix(".toml") for file in _FOLDER.iterdir())


@cache
def load_pack(name: str) -> Pack:
    """Return the pack of that name; raises UnknownName.

    >>> load_pack("redis").metrics["redis.memory.used"].unit
    'B'
    """
    if name not in pack_names():
        what = "pack"
        raise UnknownName(what, name, pack_names())
    told = tomllib.loads(_FOLDER.joinpath(f"{name}.toml").read_text(encoding="utf-8"))
    tables: dict[str, dict[str, str]] = told["metrics"]
    return Pack(
        {metric: _metric(metric, table) for metric, table in tables.items()},
        {metric: " ".join(table["query"].split()) for metric, table in tables.items() if "query" in table},
        tuple(told["by"]),
    )


def _metric(name: str, table: Mapping[str, str]) -> Metric:
    formula = table.get("formula", "")
    kind = Kind.FORMULA if formula else Kind(table["kind"])
    return Metric(name, table["title"], table.get("unit", ""), kind, formula)
