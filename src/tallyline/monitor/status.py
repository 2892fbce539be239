"""How a source is: what of it was read and what was not, and how late its values settle."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from tallyline.warehouse import Covered
from tallyline.window import Window, gaps

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tallyline.sources import Source
    from tallyline.warehouse import Warehouse

__all__ = ["SourceStatus", "source_status"]

MEASURED = timedelta(days=90)
AT_ITS_END = 0.8
A_DAY = timedelta(days=1)
AN_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """How a source is: the `state` and error of its newest run, up to when it was read, and what was not.

    `gaps` lie between what was read and were never tried; `failed` were tried in vain; `missing` were read, but the
    source itself does not know them. `latest_change` is how long after its end a published value still changed in the
    last ninety days; `advice` is a look-back that fits it better.
    """

    source: str
    state: str
    error: str
    read_until: datetime | None
    final_until: datetime | None
    gaps: Sequence[Window]
    failed: Sequence[Window]
    missing: Sequence[Window]
    latest_change: timedelta | None
    advice: str


def source_status(source: Source, warehouse: Warehouse, now: datetime) -> SourceStatus:
    """Return how a source is at a moment, from the ledger and the coverage."""
    runs = warehouse.runs(1, source=source.name)
    pieces = warehouse.coverage(source.name)
    read = [piece.window for piece in pieces if piece.is_read]
    failed = [piece.window for piece in pieces if not piece.is_read]
    whole = Window(read[0].since, read[-1].until) if read else None
    late = warehouse.lateness(source.name, now - MEASURED)
    return SourceStatus(
        source=source.name,
        state=runs[0].state if runs else "never read",
        error=runs[0].error if runs else "",
        read_until=read[-1].until if read else None,
        final_until=max((piece.window.until for piece in pieces if piece.state is Covered.FINAL), default=None),
        gaps=list(gaps(whole, [*read, *failed])) if whole else [],
        failed=failed,
        missing=[piece.window for piece in pieces if piece.state is Covered.MISSING],
        latest_change=max(late, default=None),
        advice=advice(source.options.lookback, late, measured=warehouse.ran_before(source.name, now - MEASURED)),
    )


def advice(lookback: timedelta, late: Sequence[timedelta], *, measured: bool) -> str:
    """Return which look-back would fit better how late values changed; nothing where it fits.

    A longer one is proposed where values still changed at its end, so that what changed after it is not known. A
    shorter one only where ninety days were `measured`.

    >>> advice(timedelta(days=2), [timedelta(hours=47)], measured=False)
    'values still changed 47h after their end, where the look-back ends: set lookback = "4d"'
    """
    latest = max(late, default=timedelta())
    if late and latest > lookback * AT_ITS_END:
        longer = _span(max(latest, lookback) * 2)
        return (
            f'values still changed {_span(latest)} after their end, where the look-back ends: set lookback = "{longer}"'
        )
    shorter = max(latest * 2, A_DAY)
    if measured and shorter * 2 <= lookback:
        return f'no value changed later than {_span(latest)} after its end: lookback = "{_span(shorter)}" is enough'
    return ""


def _span(length: timedelta) -> str:
    hours = -(-length // AN_HOUR)
    return f"{-(-length // A_DAY)}d" if length > 2 * A_DAY else f"{hours}h"
