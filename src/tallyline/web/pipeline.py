"""What the page's script is told of the pipeline: how old data is, and what panels of freshness and coverage show."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from tallyline.dashboards import known_until, read_runs, stretches, tellers_of
from tallyline.schedule.intervals import tick_after, ticks_before
from tallyline.window import Window

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from tallyline.plan import Plan
    from tallyline.sources import Source
    from tallyline.warehouse import Overview, RunRecord, SourceOverview, Warehouse
    from tallyline.window import Grain

    Json = dict[str, object]

__all__ = ["Pipeline", "seconds"]

LONGEST_ERROR = 300


def seconds(moment: datetime) -> int:
    """Return a moment as the script has it: whole seconds since 1970."""
    return int(moment.timestamp())


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The sources at one moment: those of the project are told or, where that is not known, all of the warehouse."""

    overview: Overview
    sources: Mapping[str, Source]
    zone: ZoneInfo
    now: datetime
    late: frozenset[str]

    @classmethod
    def of(cls, warehouse: Warehouse, sources: Mapping[str, Source], zone: ZoneInfo, now: datetime) -> Pipeline:
        """Read how the sources are."""
        overview = warehouse.overview(sources)
        late = (name for name, source in sources.items() if _is_late(source, overview.sources[name], zone, now))
        return cls(overview, sources, zone, now, frozenset(late))

    @property
    def told(self) -> list[str]:
        """The names of the sources that are told of."""
        return list(self.sources or self.overview.sources)

    def read(self) -> Json:
        """Return when data was read last, and the sources whose newest ended run failed."""
        of_told = {name: self.overview.sources[name] for name in self.told}
        ended = [source.done.ended_at for source in of_told.values() if source.done and source.done.ended_at]
        failing = sorted(name for name, source in of_told.items() if source.is_failing)
        return {"at": seconds(max(ended)) if ended else None, "failing": failing}

    def age(self, metric: str, plan: Plan) -> Json:
        """Return up to when the sources of a metric are known, and whether one of them is late."""
        tellers = tellers_of(plan, metric, self.overview)
        return {**self._until(tellers), "sources": sorted(tellers)}

    def freshness(self) -> Json:
        """Return how each source is, first those that need somebody."""
        rows = [self._row(name) for name in self.told]
        return {"sources": sorted(rows, key=lambda row: (not row["failing"], not row["late"]))}

    def coverage(self, window: Window) -> Json:
        """Return what is known of each source in a window, up to now."""
        until = min(window.until, self.now)
        shown = Window(window.since, until) if window.since < until else window
        return {
            "since": seconds(shown.since),
            "until": seconds(shown.until),
            "sources": [{"source": name, "stretches": self._stretches(name, shown)} for name in self.told],
        }

    def runs(self, warehouse: Warehouse, window: Window, by: Grain) -> Json:
        """Return how the runs ended that began in a window, and the newest that failed."""
        data = read_runs(warehouse, window, by, self.zone, self.now)
        return {
            "by": data.by,
            "times": [seconds(time) for time in data.times],
            "lines": [{"label": line.label, "values": line.values} for line in data.lines],
            "failures": [_failure(run) for run in data.failures],
        }

    def _until(self, names: Collection[str]) -> Json:
        until = known_until(names, self.overview)
        return {"until": seconds(until) if until else None, "late": not self.late.isdisjoint(names)}

    def _row(self, name: str) -> Json:
        source = self.overview.sources[name]
        newest, failed = source.newest, source.ended if source.is_failing else None
        return {
            "source": name,
            **self._until([name]),
            "final_until": seconds(source.final_until) if source.final_until else None,
            "state": newest.state if newest else "never read",
            "run": newest.id if newest else None,
            "at": seconds(newest.started_at) if newest else None,
            "next": self._next(name),
            "failing": failed is not None,
            "error": _short(failed.error) if failed else "",
        }

    def _next(self, name: str) -> int | None:
        if name not in self.sources:
            return None
        return seconds(tick_after(self.sources[name].options.schedule, self.now, self.zone))

    def _stretches(self, name: str, window: Window) -> list[tuple[int, int, str]]:
        told = stretches(self.overview.sources[name].coverage, window)
        return [(seconds(each.window.since), seconds(each.window.until), each.state) for each in told]


def _is_late(source: Source, known: SourceOverview, zone: ZoneInfo, now: datetime) -> bool:
    """Say whether the source's schedule fired twice without its data being read up to there."""
    _, earlier = islice(ticks_before(source.options.schedule, now, zone), 2)
    return known.known_until is not None and known.known_until < earlier


def _failure(run: RunRecord) -> Json:
    told = {"run": run.id, "source": run.source, "state": run.state, "at": seconds(run.started_at)}
    return {**told, "error": _short(run.error)}


def _short(error: str) -> str:
    first = error.strip().partition("\n")[0]
    return first if len(first) <= LONGEST_ERROR else f"{first[:LONGEST_ERROR]}…"
