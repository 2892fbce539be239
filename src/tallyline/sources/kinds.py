"""The kinds of sources that a project can declare without code."""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib import import_module
from typing import TYPE_CHECKING

from tallyline.errors import Refused, UnknownName

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.metadata import EntryPoint

    from tallyline.graph import Graph
    from tallyline.plan import Metric

__all__ = ["GROUP", "KINDS", "Kind", "load_kind"]

KINDS = {
    "dlt": "tallyline.sources.dlt_resource:DltBridge",
    "google-analytics": "tallyline.sources.google_analytics:GoogleAnalyticsSource",
    "prometheus": "tallyline.sources.prometheus:PrometheusSource",
    "sentry": "tallyline.sources.sentry:SentrySource",
    "singer": "tallyline.sources.singer:SingerBridge",
    "sql": "tallyline.sources.sql:SqlSource",
    "stripe": "tallyline.sources.stripe:StripeSource",
}

GROUP = "tallyline.sources"
"""The group of entry points by which an installed package brings kinds of its own."""


class Kind(ABC):
    """A kind of source: a frozen dataclass, its fields the keys of its table, which makes the graph that reads.

    Where it has a field `service`, that is the name of the service that is read.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def definition(self) -> str:
        """What is read, as text; it is kept with every run."""

    @abstractmethod
    def graph(self, name: str) -> Graph:
        """Return the graph of the source of that name; its ends give `(dims, metrics)`."""

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """The metrics that it tells by itself, by name; those of the plan that have the same name go before."""
        return {}

    def probe(self, name: str) -> Graph | None:
        """Return a graph that tries the connection and each permission, and gives a line of text for what works.

        What does not work raises Denied, Unavailable or UnexpectedAnswer.
        """
        del name
        return None


def load_kind(name: str) -> type[Kind]:
    """Import a kind by the name that projects use: one of ours, or one that an installed package brings.

    Raises UnknownName, or Refused where something that it needs is not installed.
    """
    if name in KINDS:
        module, _, attribute = KINDS[name].partition(":")
        kind: type[Kind] = getattr(import_module(module), attribute)
        return kind
    brought = _brought()
    if name not in brought:
        raise UnknownName("kind of source", name, [*KINDS, *brought])
    return _checked(name, brought[name])


def _brought() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points  # noqa: PLC0415  # a tenth of a second, only where a name is not ours

    return {point.name: point for point in entry_points(group=GROUP)}


def _checked(name: str, point: EntryPoint) -> type[Kind]:
    try:
        kind = point.load()
    except Exception as error:
        msg = f'the kind "{name}" of {point.value} cannot be imported: {type(error).__name__}: {error}'
        raise Refused(msg) from error
    if not (isinstance(kind, type) and issubclass(kind, Kind)):
        msg = f'the kind "{name}", {point.value}, is no subclass of tallyline.sources.Kind'
        raise Refused(msg)
    return kind
