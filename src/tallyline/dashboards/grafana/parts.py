"""What the queries of a panel are made of: the range, what is told in it, its buckets, and those before them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tallyline.dashboards.grafana.back import LONGEST, backs, bucket_of, may_be_compared, moment_before, usual
from tallyline.dashboards.grafana.words import WORDS, SQLite
from tallyline.dashboards.pipeline import measured
from tallyline.plan import Kind, named
from tallyline.warehouse.question import Query
from tallyline.warehouse.sql import as_sql
from tallyline.warehouse.wording import WORDS as LITERALS
from tallyline.warehouse.wording import from_, group_by, indented, select, where
from tallyline.window import Grain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from zoneinfo import ZoneInfo

    from tallyline.dashboards.definition import Panel
    from tallyline.plan import Metric, Plan

__all__ = ["GRAINS", "KNOWN_STATES", "UNTIL", "Parts", "age_of", "of_range", "with_"]

GRAINS = tuple(Grain)[1:]
"""Those that can be chosen by a variable: any but the hour, which is kept elsewhere."""

UNTIL = "(SELECT until FROM _range)"
KNOWN_STATES = "('final', 'provisional')"


@dataclass(frozen=True, slots=True)
class Parts:
    """Makes the parts, in the words of a database, `sqlite` or `postgresql`.

    `by` is SQL that tells the grain that was chosen, where there is a variable for it. `since` and `until` are SQL in
    place of the macros that tell the range of time.
    """

    panel: Panel
    plan: Plan
    zone: ZoneInfo
    dialect: str
    by: str = ""
    since: str = ""
    until: str = ""

    def by_variable(self, by: str) -> Parts:
        """Return the parts of queries whose grain is chosen by a variable."""
        return replace(self, by=by)

    @property
    def words(self) -> SQLite:
        """What the database says in its own words."""
        return WORDS[self.dialect]

    @property
    def metric(self) -> Metric:
        """The metric that is shown."""
        return named(self.plan, self.panel.metric)

    @property
    def metrics(self) -> list[str]:
        """The metrics that are kept of which it is made."""
        return sorted(measured(self.plan, self.panel.metric))

    @property
    def counts_distinct(self) -> bool:
        """Whether distinct things are counted, so that nothing is put together."""
        return any(self.plan[metric].kind is Kind.DISTINCT for metric in self.metrics)

    @property
    def grains(self) -> tuple[Grain, ...]:
        """The grains that may be asked for: the panel's own, and those that can be chosen."""
        return (self.panel.by, *(grain for grain in GRAINS if self._is_chosen and grain is not self.panel.by))

    @property
    def title(self) -> str:
        """What the panel is called, as a literal."""
        return self.text(self.panel.title or self.metric.label)

    def text(self, text: str) -> str:
        """Return a literal."""
        return LITERALS[self.dialect].text(text)

    def range(self) -> str:
        """Return the grain, since when and until when: from the beginning of the bucket that holds the range's."""
        words = self.words
        since, until = self.since or words.since, self.until or words.until
        asked = select([f"{self._grain()} AS grain", f"{since} AS since", f"{until} AS until"])
        begin = f"coalesce({bucket_of('asked.since', 'asked.grain')}, asked.since) AS since"
        return select(["grain", begin, "until"], *from_(asked, "asked"))

    def told(self, since: str, *, split: bool = False) -> str:
        """Return the values of the metric."""
        if not self._is_chosen:
            return self._as_sql(self.panel.by, since, split=split)
        if self.panel.by is not Grain.HOUR:
            return self._as_sql(self.panel.by, since, split=split, grain=self.by)
        by_hour = f"(CASE WHEN {of_range('grain')} = 'hour' THEN {since} END)"
        longer = f"(CASE WHEN {of_range('grain')} <> 'hour' THEN {since} END)"
        hours = self._as_sql(Grain.HOUR, by_hour, split=split)
        others = self._as_sql(Grain.DAY, longer, split=split, grain=self.by)
        told = {"hours": hours, "others": others}
        return "\nUNION ALL\n".join(select(["*"], *from_(each, name)) for name, each in told.items())

    def complete(self, since: str) -> str:
        """Return the buckets that were read to their end by all that tells of the metric."""
        return "\nINTERSECT\n".join(
            select(
                ["time"],
                "FROM known",
                where([f"metric = {self.text(metric)}", f"grain = {self.grain}", f"time >= {since}", "complete"]),
            )
            for metric in self.metrics
        )

    def buckets(self) -> str:
        """Return the buckets of the range that were read, and where one ends that none follows."""
        begins, ends = (
            select([f"{name} AS time"], "FROM calendar", where([f"grain = {self.grain}", *_within(name)]))
            for name in ("time", "until")
        )
        return f"{begins}\nUNION\n{ends}"

    @property
    def grain(self) -> str:
        """The grain that is told, as SQL."""
        return of_range("grain") if self._is_chosen else f"'{self.panel.by}'"

    def back(self, relation: str, compare: Grain) -> dict[str, str]:
        """Return what tells of each bucket of a relation the one a `compare` before."""
        several = len(self.grains) > 1
        grains = {grain: f"{self.grain} = '{grain}'" if several else "" for grain in self.grains}
        comparable = {grain: condition for grain, condition in grains.items() if may_be_compared(grain, compare)}
        return backs(relation, comparable, compare, self.zone, self.words)

    def oldest(self, buckets: int = 1) -> str:
        """Return from when on is read: the bucket before the first of the range, or the one before that."""
        by, begin = self.panel.by, of_range("since")
        for _ in range(buckets):
            moment = moment_before("time", by, usual(by), self.zone, self.words)
            asked = select([f"{moment} AS moment"], *from_(select([f"{begin} AS time"]), "first"))
            begin = f"(\n{indented(select([_begin(self.grain)], *from_(asked, 'asked')))}\n)"
        return select([f"{begin} AS time"])

    def earlier(self, moment: str, *compares: Grain) -> str:
        """Return a moment before anything that one is compared with."""
        length = sum(int(LONGEST[compare].total_seconds()) for compare in compares)
        return f"{moment} - {self.words.length(str(length))}"

    @property
    def _is_chosen(self) -> bool:
        return bool(self.by) and not self.counts_distinct

    def _grain(self) -> str:
        if not self._is_chosen:
            return f"'{self.panel.by}'"
        chosen = " ".join(f"WHEN '{grain}' THEN '{grain}'" for grain in self.grains[1:])
        return f"CASE {self.by} {chosen} ELSE '{self.panel.by}' END"

    def _as_sql(self, by: Grain, since: str, *, split: bool, grain: str | None = None) -> str:
        asked = Query(self.panel.metric, by, where=self.panel.where, split=self.panel.split if split else None)
        return as_sql(asked, self.plan, self.zone, self.dialect, since=since, until=UNTIL, grain=grain)


def with_(told: Mapping[str, str], statement: str) -> str:
    """Return a statement with what it is made of, each part worked out once."""
    made = ",\n".join(f"{name} AS MATERIALIZED (\n{indented(inner)}\n)" for name, inner in told.items())
    return f"WITH {made}\n{statement}"


def of_range(name: str) -> str:
    """Return a part of the range."""
    return f"(SELECT {name} FROM _range)"  # noqa: S608  # names of our own


def _begin(grain: str) -> str:
    return f"coalesce({bucket_of('moment', grain)}, moment) AS time"


def _within(column: str) -> tuple[str, str]:
    return f"{column} >= {of_range('since')}", f"{column} < {UNTIL}"


def age_of(metrics: Sequence[str], dialect: str) -> str:
    """Return how many seconds ago that was up to which all sources that tell of some metrics are known."""
    words, literals = WORDS[dialect], LITERALS[dialect]
    names = ", ".join(literals.text(metric) for metric in metrics)
    ends = select(
        ["source", "max(until) AS until"], "FROM coverage", f"WHERE state IN {KNOWN_STATES}", group_by(["source"])
    )
    sources = select(["DISTINCT source"], "FROM metric_series", f"WHERE metric IN ({names})")
    old = words.seconds(f"{words.now} - min(ends.until)")
    return select(
        [f"CASE WHEN count(ends.until) = count(*) THEN {old} END AS age"],
        *from_(sources, "tellers"),
        *("LEFT JOIN (", indented(ends), ") AS ends ON ends.source = tellers.source"),
    )
