"""`kind = "prometheus"`: queries in PromQL, each answered for the end of every hour or day, and packs of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypedDict

from tallyline.api import part
from tallyline.errors import Refused
from tallyline.graph import Graph, node
from tallyline.plan import Metric
from tallyline.sources.kinds import Kind
from tallyline.sources.prometheus.ask import ask, checked, filled_in, said, version
from tallyline.sources.prometheus.pack import Pack, load_pack, pack_names
from tallyline.sources.prometheus.read import LABEL, MOST_POINTS, WHEN, read_prometheus, unscraped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from tallyline.api import Api
    from tallyline.sources.prometheus.read import Row
    from tallyline.window import Grain, Window

__all__ = ["ALIVE", "Pack", "PrometheusSource", "load_pack", "pack_names", "read_prometheus"]

ALIVE = "count_over_time(up[$range]) > 1"
_FOREIGN = re.compile(r"\$\{?_\w+")


class _How(TypedDict):
    grain: Grain
    points: int
    accept_warnings: bool


@dataclass(frozen=True, slots=True)
class PrometheusSource(Kind):
    """Reads metrics from Prometheus, or from what speaks its HTTP API.

    `queries` are PromQL by the metric that each tells; `pack` and `packs` name queries that Tallyline brings, with
    their metrics. In a query `$range` is the length of the bucket, and `$match` becomes `match`, label matchers such as
    ``job="redis"``. Packs sum up by the labels in `by`. Labels of the answer become dims: all of them, or those that
    `labels` names, under the names that it gives them. A label in braces, ``"queue.{queue}.messages"``, becomes a part
    of the metric's name. No request asks for more than `points` of a series. Answers that come with warnings, because a
    part of the data could not be read, are refused unless `accept_warnings`. A bucket for which the query `alive` has
    no value was not scraped: no count is zero there. By default `up` has to be known twice in it; "" takes every bucket
    as scraped.
    """

    service: str
    queries: dict[str, str] = field(default_factory=dict)
    pack: str = ""
    packs: tuple[str, ...] = ()
    match: str = ""
    by: tuple[str, ...] | None = None
    labels: dict[str, str] = field(default_factory=dict)
    points: int = MOST_POINTS
    accept_warnings: bool = False
    alive: str = ALIVE

    def __post_init__(self) -> None:
        """Refuse what is known to be wrong before Prometheus is asked."""
        if not (self.queries or self._packs):
            msg = f"it asks for nothing; give it queries, or a pack: there are {', '.join(pack_names())}"
            raise Refused(msg)
        if self.points < 1:
            msg = f"points is {self.points}; give a number above zero"
            raise Refused(msg)
        if self.match.strip().startswith("{"):
            msg = f"match is {self.match}; write it without the braces"
            raise Refused(msg)
        _check_labels(self.labels)
        for name, query in {**self.asked, "alive": self.alive}.items():
            _check_query(name, query)

    @property
    def _packs(self) -> tuple[Pack, ...]:
        return tuple(load_pack(name) for name in dict.fromkeys([*([self.pack] if self.pack else []), *self.packs]))

    @property
    def asked(self) -> dict[str, str]:
        """The queries by metric, all but `$range` filled in; a query of one's own goes before that of a pack."""
        asked = {name: query for pack in self._packs for name, query in pack.asked(self.by).items()} | self.queries
        return {name: filled_in(query, match=self.match) for name, query in asked.items()}

    @property
    def definition(self) -> str:
        """The queries, and what becomes of the labels of their answers."""
        labels = [f"label {label} = {dim}" for label, dim in self.labels.items()]
        alive = [f"alive = {self.alive}"] if self.alive != ALIVE else []
        return "\n".join([*(f"{name} = {query}" for name, query in self.asked.items()), *labels, *alive])

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """Those of the packs."""
        return {name: metric for pack in self._packs for name, metric in pack.metrics.items()}

    def graph(self, name: str) -> Graph:
        """Return the graph of one node, which bears the source's name."""
        return Graph(node(self.rows, name=name, services={"api": self.service}))

    def rows(
        self,
        api: Api,
        window: Window,
        zone: ZoneInfo,
        now: datetime,
        grain: Grain,
        missing: Callable[[Window], None],
    ) -> Iterator[Row]:
        """Yield `(dims, metrics)` for each series and bucket; tell which buckets are `missing`."""
        how: _How = {"grain": grain, "points": self.points, "accept_warnings": self.accept_warnings}
        alive = filled_in(self.alive, match=self.match)
        for bucket in unscraped(api, alive, window, zone, now, **how) if alive else ():
            missing(bucket)
        yield from read_prometheus(api, self.asked, window, zone, now, labels=self.labels, **how)

    def probe(self, name: str) -> Graph:
        """Return a graph that tells which version answers, and which metrics nothing is scraped for."""
        return Graph(node(self.lines, name=name, services={"api": self.service}))

    def lines(self, api: Api) -> Iterator[str]:
        """Yield a line for what answers, for each query without a value now, and for what Prometheus says of others."""
        yield version(checked(api))
        found = 0
        for name, query in self.asked.items():
            answer = ask(api, "api/v1/query", {"query": filled_in(query, range="3600s")}, name)
            yield from (f"{name}: {told}" for what in ("warnings", "infos") for told in said(answer, what))
            if part(answer, "data.result", list):
                found += 1
            else:
                yield f"{name} has no value now: nothing that is scraped answers to {query}"
        if self.alive and not self._is_alive(api):
            yield f"alive has no value now, so that nothing is known: nothing that is scraped answers to {self.alive}"
        yield f"{found} of {len(self.asked)} queries have values now"

    def _is_alive(self, api: Api) -> bool:
        query = filled_in(self.alive, match=self.match, range="3600s")
        return bool(part(ask(api, "api/v1/query", {"query": query}, "alive"), "data.result", list))


def _check_labels(labels: Mapping[str, str]) -> None:
    for label, dim in labels.items():
        if dim in WHEN:
            msg = f'the label {label} cannot be called "{dim}", which says when; choose another name'
            raise Refused(msg)
        if list(labels.values()).count(dim) > 1:
            msg = f'two labels are called "{dim}"; choose another name for {label}'
            raise Refused(msg)


def _check_query(name: str, query: str) -> None:
    Metric(LABEL.sub("x", name))
    if foreign := _FOREIGN.search(query):
        msg = f"{name} asks for {foreign[0]}, which is Grafana's; write $range for the length of the bucket"
        raise Refused(msg)
