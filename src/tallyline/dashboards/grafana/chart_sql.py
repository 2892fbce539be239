"""The queries of a chart: what is complete, what is not yet, the bucket before, the target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tallyline.dashboards.grafana.parts import of_range, with_
from tallyline.dashboards.panel_data import MOST_LINES
from tallyline.plan import Kind
from tallyline.warehouse.wording import WORDS as LITERALS
from tallyline.warehouse.wording import from_, select

if TYPE_CHECKING:
    from tallyline.dashboards.grafana.parts import Parts
    from tallyline.window import Grain

__all__ = ["ChartSQL"]

_OVER_PARTS = {Kind.COUNT: "sum", Kind.LEVEL: "sum", Kind.MEAN: "sum", Kind.MINIMUM: "min", Kind.MAXIMUM: "max"}

_ARE_RUNNING = "WHERE (SELECT time FROM _last) IS NULL OR (SELECT time FROM _last) < (SELECT max(time) FROM _told)"
_SINCE_THE_LAST = "WHERE (SELECT time FROM _last) IS NULL OR time >= (SELECT time FROM _last)"


@dataclass(frozen=True, slots=True)
class ChartSQL:
    """The queries of a panel's chart. Each gives rows of `time`, `metric` (what a line is called) and `Value`.

    None of them is without rows where something is known: what would be no line has values that are missing, since
    the plugin for SQLite makes lines without names of no rows at all.

    `chosen` is SQL that lists the parts of the split which are to be shown, where there is a variable for them; it
    lists a star for all.
    """

    parts: Parts
    chosen: str = ""

    def complete(self) -> str:
        """Return what draws the complete buckets, and nothing where nothing is known."""
        return with_(self._told(), self._drawn(self._told_as, "WHERE time <= (SELECT time FROM _last)"))

    def running(self) -> str:
        """Return what draws the buckets that are not complete yet, from the last complete one on."""
        return with_(self._told(), self._drawn(self._told_as, _ARE_RUNNING, _SINCE_THE_LAST))

    def before(self, compare: Grain) -> str:
        """Return what draws in the place of each bucket the one a `compare` before."""
        return with_({**self._told(), **self._told_before(compare)}, self._drawn("_before"))

    def target(self, target: float) -> str:
        """Return a target as a line from the one end of the range to the other, at the panel's own grain only."""
        told = f"CASE WHEN grain = '{self.parts.panel.by}' THEN CAST({target!r} AS double precision) END"
        columns = ["'target' AS metric", f'{told} AS "Value"']
        ends = (select([f"{end} AS time", *columns], "FROM _range") for end in ("since", "until"))
        return with_({"_range": self.parts.range()}, "\nUNION ALL\n".join(ends) + "\nORDER BY time")

    def _told(self) -> dict[str, str]:
        parts, since = self.parts, of_range("since")
        return {
            "_range": parts.range(),
            **(self._told_of_parts() if self._is_split else {"_told": parts.told(since)}),
            "_complete": parts.complete(since),
            "_last": "SELECT max(time) AS time FROM _told WHERE time IN (SELECT time FROM _complete)",
            "_bucket": parts.buckets(),
            **self._lines(),
        }

    def _told_of_parts(self) -> dict[str, str]:
        """Return the values of each part, zeros also of one that was counted shortly before the range alone."""
        told = self.parts.told("(SELECT time FROM _oldest)", split=True)
        return {
            "_oldest": self.parts.oldest(1 if self.parts.panel.compare else 2),
            "_told": select(["*"], *from_(told, "told"), f"WHERE time >= {of_range('since')}"),
        }

    def _lines(self) -> dict[str, str]:
        if not self._is_split:
            return {}
        return {
            "_part": self._shown_parts(),
            "_line": self._gathered("_told"),
            "_shown": "SELECT DISTINCT line, place FROM _part",
        }

    def _shown_parts(self) -> str:
        """Return which line shows a part: the greatest have their own, the others one where they can be added up."""
        shown = f"parts <= {MOST_LINES + 1} OR place <= {MOST_LINES}"
        label = self._label("part")
        if self._together is None:
            return select(["part", f"{label} AS line", "place"], *from_(self._ranked(), "ranked"), f"WHERE {shown}")
        other = f"'other (' || (parts - {MOST_LINES}) || ')'"
        line = f"CASE WHEN {shown} THEN {label} ELSE {other} END AS line"
        place = f"CASE WHEN {shown} THEN place ELSE {MOST_LINES + 1} END AS place"
        return select(["part", line, place], *from_(self._ranked(), "ranked"))

    def _ranked(self) -> str:
        order = f"sum(value) DESC, min(time), part IS NULL, part{self.parts.words.in_order}"
        ranked = ["part", f"row_number() OVER (ORDER BY {order}) AS place", "count(*) OVER () AS parts"]
        chosen = f"WHERE '*' IN ({self.chosen}) OR {self._label('part')} IN ({self.chosen})"
        return select(ranked, "FROM _told", *([chosen] if self.chosen else []), "GROUP BY part")

    def _gathered(self, told: str) -> str:
        """Return the values of the lines."""
        same = LITERALS[self.parts.dialect].same(f"{told}.part", "_part.part")
        return select(
            ["time", "line", "place", f"{self._together or 'max'}(value) AS value"],
            f"FROM {told}",
            f"JOIN _part ON {same}",
            "GROUP BY time, line, place",
        )

    @property
    def _together(self) -> str | None:
        """What puts the values of several parts together, None where they cannot be."""
        return _OVER_PARTS.get(self.parts.metric.kind)

    def _told_before(self, compare: Grain) -> dict[str, str]:
        parts = self.parts
        since = parts.earlier(of_range("since"), compare)
        told, line = ("_line_before", ["line", "place"]) if self._is_split else ("_told_before", [])
        return {
            **parts.back("_bucket", compare),
            "_told_before": parts.told(since, split=self._is_split),
            **({"_line_before": self._gathered("_told_before")} if self._is_split else {}),
            "_before": select(
                ["_back.time AS time", *line, "value"], "FROM _back", f"JOIN {told} ON {told}.time = _back.back"
            ),
        }

    def _drawn(self, told: str, condition: str = "", shown: str = "") -> str:
        """Return a row for each bucket of the range and each line, whether there is a value or not."""
        columns = ["line", "place"] if self._is_split else []
        gaps = ["FROM _bucket", *(["CROSS JOIN _shown"] if self._is_split else [])]
        values = select(["time", *columns, "value"], f"FROM {told}", *([condition] if condition else []))
        nothing = select(["time", *columns, "NULL AS value"], *gaps)
        name = "line" if self._is_split else self._name(told)
        return select(
            ["time", f"{name} AS metric", 'max(value) AS "Value"'],
            *from_(f"{values}\nUNION ALL\n{nothing}", "drawn"),
            *([shown] if shown else []),
            f"GROUP BY {', '.join(['time', *columns])}",
            f"ORDER BY time{', place' if self._is_split else ''}",
        )

    def _name(self, told: str) -> str:
        return f"'a {self.parts.panel.compare} before'" if told == "_before" else self.parts.title

    @property
    def _told_as(self) -> str:
        return "_line" if self._is_split else "_told"

    def _label(self, part: str) -> str:
        return f"coalesce({part}, {self.parts.text(f'no {self.parts.panel.split}')})"

    @property
    def _is_split(self) -> bool:
        return bool(self.parts.panel.split)
