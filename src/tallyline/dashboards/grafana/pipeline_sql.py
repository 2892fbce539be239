"""The queries of panels that tell how the pipeline is, over the views of runs and coverage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tallyline.dashboards.grafana.parts import KNOWN_STATES, with_
from tallyline.dashboards.grafana.words import WORDS
from tallyline.dashboards.pipeline import GAP
from tallyline.warehouse.wording import WORDS as LITERALS
from tallyline.warehouse.wording import from_, indented, select

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta
    from zoneinfo import ZoneInfo

    from tallyline.dashboards.grafana.words import SQLite
    from tallyline.window import Grain

__all__ = ["COVERED", "PipelineSQL"]

COVERED = {"final": 1, "provisional": 2, "missing": 3, "failed": 4, GAP: 5}
"""What is known of a window, as a number that a chart can show."""

MOST_RUNS = 20
MOST_MARKS = 200
_ENDS = ("since", "until")
_IN_WHOLE = "_whole.since <= _edge.time AND _whole.until > _edge.time"
_UNSUCCESSFUL = "('failed', 'lost')"
_NEWEST_FIRST = "ORDER BY started_at DESC, id DESC LIMIT 1"
_EVER = "SELECT source FROM runs UNION SELECT source FROM coverage"


@dataclass(frozen=True, slots=True)
class PipelineSQL:
    """The queries about some sources, each with the age from which on its data is late; about all where none is named.

    They are in the words of a database, `sqlite` or `postgresql`.
    """

    sources: Mapping[str, timedelta]
    zone: ZoneInfo
    dialect: str

    def freshness(self) -> str:
        """Return a row a source: how old its data is, in seconds, how its newest run ended, what is wrong."""
        words = self._words
        told = {
            "_source": self._listed(),
            "_end": self._ends(),
            "_newest": self._newest(),
            "_how": select(
                [
                    "_source.source AS source",
                    "_source.place AS place",
                    words.seconds(f"{words.now} - _end.until") + " AS age",
                    "allowed",
                    "_end.final_until AS final_until",
                    "newest.state AS state",
                    "newest.started_at AS started_at",
                    f"CASE WHEN ended.state IN {_UNSUCCESSFUL} THEN ended.error END AS error",
                ],
                "FROM _source",
                "LEFT JOIN _end ON _end.source = _source.source",
                "JOIN _newest ON _newest.source = _source.source",
                "LEFT JOIN runs AS newest ON newest.id = _newest.newest",
                "LEFT JOIN runs AS ended ON ended.id = _newest.ended",
            ),
        }
        columns = [
            "source",
            "age",
            "CASE WHEN age > allowed THEN 'late' ELSE '' END AS late",
            "coalesce(state, 'never read') AS state",
            "started_at",
            "final_until",
            "coalesce(error, '') AS error",
        ]
        first = "ORDER BY error IS NULL, CASE WHEN age > allowed THEN 0 ELSE 1 END, place"
        return with_(told, select(columns, *from_(select(["*"], "FROM _how"), "how"), first))

    def begun(self, by: Grain) -> str:
        """Return how many runs began in each bucket and are in which state: rows of `time`, `metric` and `Value`."""
        words = self._words
        ends = [f"SELECT {end} AS moment" for end in (words.since, words.until)]
        runs = select(["started_at AS moment", "state"], "FROM runs")
        asked = select(["moment", "NULL AS state"], *from_("\nUNION ALL\n".join(ends), "asked"))
        counted = select(
            ["bucket AS time", "state", "CAST(count(*) AS double precision) AS runs"],
            "FROM _begun",
            "WHERE state IS NOT NULL",
            "GROUP BY bucket, state",
        )
        none = select(["time", "'done' AS state", "0.0 AS runs"], "FROM calendar", f"WHERE grain = '{by}'")
        shown = select(
            ["time", "state AS metric", 'sum(runs) AS "Value"'],
            *from_(f"{counted}\nUNION ALL\n{none}", "shown"),
            "WHERE time >= (SELECT min(bucket) FROM _begun WHERE state IS NULL)",
            f"  AND time < {words.until}",
            "GROUP BY time, state",
            "ORDER BY time, state",
        )
        return with_(words.begun(f"{runs}\nUNION ALL\n{asked}", by, self.zone), shown)

    def newest_runs(self) -> str:
        """Return the newest runs, with how long they took, how many values they wrote, and what was wrong."""
        took = self._words.seconds("ended_at - started_at")
        columns = ["started_at", "source", "state", f"{took} AS took", "added + changed + removed AS written", "error"]
        return select(columns, "FROM runs", f"ORDER BY started_at DESC, id DESC LIMIT {MOST_RUNS}")

    def failures(self, metrics: Sequence[str] = ()) -> str:
        """Return the runs of the range that failed or were lost, to be marked: `time`, `timeEnd`, `text`, `tags`.

        Only those of sources that tell of some metrics, where these are named.
        """
        words = self._words
        listed = ", ".join(LITERALS[self.dialect].text(metric) for metric in metrics)
        tellers = select(["source"], "FROM metric_series", f"WHERE metric IN ({listed})")
        return select(
            [
                "started_at AS time",
                'coalesce(ended_at, started_at) AS "timeEnd"',
                "source || ' ' || state || ': ' || error AS text",
                "state || ',' || source AS tags",
            ],
            "FROM runs",
            f"WHERE state IN {_UNSUCCESSFUL}",
            f"  AND started_at >= {words.since}",
            f"  AND started_at < {words.until}",
            *([f"  AND source IN (\n{indented(indented(tellers))}\n  )"] if metrics else []),
            f"ORDER BY started_at DESC LIMIT {MOST_MARKS}",
        )

    def coverage(self) -> str:
        """Return from when on what is known of each source, by the numbers of `COVERED`."""
        words, literals = self._words, LITERALS[self.dialect]
        states = " ".join(f"WHEN '{state}' THEN {number}" for state, number in COVERED.items() if state != GAP)
        asked = select([f"{words.since} AS since", f"{words.until} AS until"])
        inside = [f"{literals.between(f'coverage.{end}', 'asked.since', 'asked.until')} AS {end}" for end in _ENDS]
        value = f"CASE WHEN _piece.code IS NOT NULL THEN _piece.code WHEN {_IN_WHOLE} THEN {COVERED[GAP]} END"
        told = {
            "_source": self._listed(),
            "_piece": select(
                ["coverage.source AS source", *inside, f"CASE state {states} END AS code"],
                *from_(asked, "asked"),
                "JOIN coverage ON coverage.since < asked.until AND coverage.until > asked.since",
            ),
            "_edge": "SELECT since AS time FROM _piece\nUNION\nSELECT until FROM _piece",
            "_whole": "SELECT source, min(since) AS since, max(until) AS until FROM coverage GROUP BY source",
        }
        return with_(
            told,
            select(
                ["_edge.time AS time", "_source.source AS metric", f'CAST({value} AS double precision) AS "Value"'],
                "FROM _edge",
                "CROSS JOIN _source",
                "LEFT JOIN _piece ON _piece.source = _source.source"
                " AND _piece.since <= _edge.time AND _piece.until > _edge.time",
                "LEFT JOIN _whole ON _whole.source = _source.source",
                "ORDER BY _edge.time, _source.place",
            ),
        )

    @property
    def _words(self) -> SQLite:
        return WORDS[self.dialect]

    def _listed(self) -> str:
        """Return the sources in their order, with the length of time after which their data is late."""
        if not self.sources:
            return select(
                ["source", "source AS place", "CAST(NULL AS double precision) AS allowed"], *from_(_EVER, "ever")
            )
        text = LITERALS[self.dialect].text
        rows = ", ".join(
            f"({text(source)}, {place}, {late.total_seconds():.0f})"
            for place, (source, late) in enumerate(self.sources.items(), start=1)
        )
        columns = ["column1 AS source", "column2 AS place", "column3 AS allowed"]
        return select(columns, *from_(f"VALUES {rows}", "listed"))

    def _ends(self) -> str:
        known, final = (
            f"max(CASE WHEN {is_so} THEN until END)" for is_so in (f"state IN {KNOWN_STATES}", "state = 'final'")
        )
        return select(["source", f"{known} AS until", f"{final} AS final_until"], "FROM coverage", "GROUP BY source")

    def _newest(self) -> str:
        of_source = "FROM runs WHERE source = _source.source"
        newest = f"(SELECT id {of_source} {_NEWEST_FIRST}) AS newest"
        ended = f"(SELECT id {of_source} AND ended_at IS NOT NULL {_NEWEST_FIRST}) AS ended"
        return select(["source", newest, ended], "FROM _source")
