"""The kinds of sources that a project can declare without code."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tallyline.graph import Graph

__all__ = ["KINDS", "Kind", "load_kind"]


class Kind(Protocol):
    """A kind of source: a frozen dataclass of its options, which makes the graph that reads."""

    @property
    def service(self) -> str:
        """The name of the service that is read."""

    @property
    def definition(self) -> str:
        """What is read, as text."""

    def graph(self, name: str) -> Graph:
        """Return the graph of the source of that name; its ends give `(dims, metrics)`."""


KINDS = {
    "sql": "tallyline.sources.sql:SqlSource",
}


def load_kind(name: str) -> type[Kind]:
    """Import a kind by the name that projects use."""
    module, _, attribute = KINDS[name].partition(":")
    kind: type[Kind] = getattr(import_module(module), attribute)
    return kind
