"""What panels tell of the pipeline behind the metrics: how runs ended, and up to when the data of a metric is known."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tallyline.dashboards.panel_data import Line
from tallyline.plan import kept_as
from tallyline.window import Window, gaps

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from tallyline.plan import Plan
    from tallyline.warehouse import Coverage, Overview, RunCount, RunRecord, Warehouse
    from tallyline.window import Grain

__all__ = ["GAP", "STATES", "RunsData", "Stretch", "known_until", "measured", "read_runs", "stretches", "tellers_of"]

STATES = ("done", "running", "stopped", "lost", "failed")
GAP = "gap"
MOST_FAILURES = 5


@dataclass(frozen=True, slots=True)
class RunsData:
    """How the runs ended that began in each of the buckets at `times`: a line for each state; the newest failures."""

    by: Grain
    times: list[datetime]
    lines: list[Line]
    failures: list[RunRecord]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A window of a source: final, provisional, missing, failed, or a gap that was never tried."""

    window: Window
    state: str


def read_runs(warehouse: Warehouse, window: Window, by: Grain, zone: ZoneInfo, now: datetime) -> RunsData:
    """Read how the runs ended that began in a window, up to now."""
    window = window.widened(by, zone)
    times = [time for time in window.buckets(by, zone) if time <= now]
    counts = warehouse.run_counts(window)
    states = [state for state in STATES if state == STATES[0] or any(count.state == state for count in counts)]
    failed = any(count.state in {"failed", "lost"} for count in counts)
    failures = warehouse.failures(window, MOST_FAILURES) if failed else []
    return RunsData(by, times, list(_lines(states, times, counts, by, zone)), failures)


def _lines(
    states: Iterable[str], times: Sequence[datetime], counts: Iterable[RunCount], by: Grain, zone: ZoneInfo
) -> Iterator[Line]:
    begun: defaultdict[str, Counter[datetime]] = defaultdict(Counter)
    for count in counts:
        begun[count.state][by.floor(count.time, zone)] += count.count
    for state in states:
        yield Line(state, [float(begun[state][time]) for time in times])


def stretches(coverage: Sequence[Coverage], window: Window) -> list[Stretch]:
    """Return what is known of a source in a window, with the gaps between what was read or tried."""
    if not coverage:
        return []
    told = [Stretch(piece.window, str(piece.state)) for piece in coverage]
    whole = Window(coverage[0].window.since, max(piece.window.until for piece in coverage))
    told += [Stretch(gap, GAP) for gap in gaps(whole, [piece.window for piece in coverage])]
    inside = [(max(each.window.since, window.since), min(each.window.until, window.until), each.state) for each in told]
    return [Stretch(Window(since, until), state) for since, until, state in sorted(inside) if since < until]


def measured(plan: Plan, metric: str) -> set[str]:
    """Return the metrics that a metric is told from: itself, or what its formula is made of in the end.

    >>> from tallyline.plan import Kind, Metric
    >>> rate = Metric("rate", kind=Kind.FORMULA, formula="100 * active / users.new")
    >>> plan = {metric.name: metric for metric in (Metric("active"), Metric("users.new"), rate)}
    >>> sorted(measured(plan, "rate"))
    ['active', 'users.new']
    """
    if metric in plan and plan[metric].formula:
        return {part for of_formula in plan[metric].parsed.metrics for part in measured(plan, of_formula)}
    return {kept_as(plan, metric)}


def tellers_of(plan: Plan, metric: str, overview: Overview) -> set[str]:
    """Return the sources that tell of a metric."""
    return {source for part in measured(plan, metric) for source in overview.tellers.get(part, ())}


def known_until(sources: Collection[str], overview: Overview) -> datetime | None:
    """Return up to when all of some sources are known, None where one of them is not at all."""
    ends = [overview.sources[source].known_until for source in sources]
    known = [end for end in ends if end is not None]
    return min(known) if known and len(known) == len(ends) else None
