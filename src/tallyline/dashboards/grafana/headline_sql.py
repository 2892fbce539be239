"""The queries of a headline: the last complete bucket beside the one that it is compared with, and the age of data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallyline.dashboards.grafana.back import usual
from tallyline.dashboards.grafana.parts import age_of, of_range, with_
from tallyline.warehouse.wording import indented, select

if TYPE_CHECKING:
    from tallyline.dashboards.grafana.parts import Parts

__all__ = ["headline_sql", "last_value_sql", "recent_sql"]

_IS_COMPLETE = "WHERE _told.time IN (SELECT time FROM _complete)"


def headline_sql(parts: Parts, *, value: bool = True) -> str:
    """Return a row: the last complete bucket, its value, the change as a share, and how old the data is in seconds.

    Without `value` the first two are left out.
    """
    compare = parts.panel.compare or usual(parts.panel.by)
    earlier = select(["_told.value"], "FROM _back", "JOIN _told ON _told.time = _back.back", _IS_COMPLETE)
    told = {
        **_last(parts),
        **parts.back("_last", compare),
        "_headline": select(
            [
                "time",
                "(SELECT value FROM _told WHERE _told.time = _last.time) AS value",
                f"(\n{indented(earlier)}\n) AS earlier",
            ],
            "FROM _last",
        ),
        "_age": age_of(parts.metrics, parts.dialect),
    }
    change = "(value - earlier) / NULLIF(abs(earlier), 0) AS change"
    columns = ["time", "value", change, "age"] if value else [change, "age"]
    return with_(told, select(columns, "FROM _headline", "CROSS JOIN _age"))


def recent_sql(parts: Parts) -> str:
    """Return the complete buckets up to the last, for a line under a number."""
    recent = select(
        ["_told.time AS time", f"{parts.title} AS metric", '_told.value AS "Value"'],
        "FROM _told",
        "CROSS JOIN _oldest",
        "CROSS JOIN _last",
        "WHERE _told.time >= _oldest.time AND _told.time <= _last.time",
        "ORDER BY _told.time",
    )
    return with_(_last(parts), recent)


def last_value_sql(parts: Parts) -> str:
    """Return the value of the last complete bucket alone, and no row where there is none."""
    value = select(["value"], "FROM _told", "JOIN _last ON _last.time = _told.time")
    return with_(_last(parts), value)


def _last(parts: Parts) -> dict[str, str]:
    nearest = usual(parts.panel.by)
    since = parts.earlier(of_range("since"), nearest, parts.panel.compare or nearest)
    return {
        "_range": parts.range(),
        "_oldest": parts.oldest(),
        "_told": parts.told(since),
        "_complete": parts.complete(since),
        "_last": select(
            ["max(_told.time) AS time"],
            "FROM _told",
            _IS_COMPLETE,
            "  AND _told.time >= (SELECT time FROM _oldest)",
        ),
    }
