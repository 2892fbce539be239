"""What a source gave for a window, to be published or compared with what was."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from tallyline.plan import Points
    from tallyline.window import Grain, Window

__all__ = ["MOST_NEW_SERIES", "Reading"]

MOST_NEW_SERIES = 10_000


@dataclass(frozen=True, slots=True)
class Reading:
    """What a source gave for a window.

    `sources` are the names of all sources of the project. A window that is read once more a `lookback` later is final
    then. A `snapshot` tells only of the moment it was taken at; where it `tells_all`, nothing lies before the window.
    More than `most_new_series` at once are refused. Of the windows that are `missing` the source itself knows nothing.
    """

    source: str
    window: Window
    grain: Grain
    points: Points
    sources: Collection[str] = ()
    lookback: timedelta = timedelta()
    snapshot: bool = False
    tells_all: bool = False
    most_new_series: int = MOST_NEW_SERIES
    missing: Sequence[Window] = ()
