"""What is said of a panel where somebody asks: what it shows, how that is worked out, what it is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallyline.dashboards.definition import Shows
from tallyline.dashboards.grafana.back import usual
from tallyline.plan import Kind

if TYPE_CHECKING:
    from tallyline.dashboards.definition import Panel
    from tallyline.dashboards.grafana.parts import Parts
    from tallyline.window import Grain

__all__ = ["article", "compared", "described", "described_pipeline"]

_HOW = {
    Kind.COUNT: "counted",
    Kind.LEVEL: "as it is at the end",
    Kind.MEAN: "the mean over the time",
    Kind.MINIMUM: "the smallest",
    Kind.MAXIMUM: "the greatest",
    Kind.DURATION: "out of the distribution of all",
    Kind.DISTINCT: "distinct, each counted once",
}
_PIPELINE = {
    Shows.FRESHNESS: "How old the data of each source is, and how its newest run ended.",
    Shows.RUNS: "How many runs began, by how they ended.",
    Shows.COVERAGE: "What is known of each source: final values are not read again, provisional ones are.",
}


def described(parts: Parts) -> str:
    """Return the panel's own words, and below them how its numbers are made."""
    metric, panel = parts.metric, parts.panel
    how = f"`{metric.formula}`" if metric.formula else _HOW[metric.kind]
    unit = f", in {metric.unit}" if metric.unit else ""
    told = f"`{panel.metric}` by the {panel.by}{unit}: {how}."
    where = ", ".join(f"{dim} = {value}" for dim, value in panel.where.items())
    limited = f" Only where {where}." if where else ""
    aim = f" Target: {panel.target:g}." if panel.target is not None else ""
    return "\n\n".join(filter(None, [panel.description, f"{told}{limited}{aim}"]))


def described_pipeline(panel: Panel) -> str:
    """Return what is said of a panel that tells how the pipeline is."""
    return panel.description or _PIPELINE[panel.shows]


def compared(by: Grain, compare: Grain | None) -> str:
    """Return what the last complete bucket is compared with, in words.

    >>> from tallyline.window import Grain
    >>> compared(Grain.DAY, None), compared(Grain.WEEK, Grain.YEAR)
    ('vs a week before', 'vs a year before')
    """
    return f"vs {article(compare or usual(by))} before"


def article(grain: Grain) -> str:
    """Return a grain with its article."""
    return f"{'an' if grain == 'hour' else 'a'} {grain}"
