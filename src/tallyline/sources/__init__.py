"""Where numbers come from: each source is a graph that gives `(dims, metrics)` for a window of time."""

from tallyline.sources.kinds import KINDS, Kind, load_kind
from tallyline.sources.source import Options, Source, SourceDeclaration, check_grain, check_schedule, source

__all__ = [
    "KINDS",
    "Kind",
    "Options",
    "Source",
    "SourceDeclaration",
    "check_grain",
    "check_schedule",
    "load_kind",
    "source",
]
