"""The names of Google's metrics and dimensions, and which of its metrics can be added up."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tallyline.errors import Refused
from tallyline.plan import Kind, Metric

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["check_added_up", "check_names", "is_counted_anew", "metric_of"]

_RESERVED = frozenset({"time", "date", "hour"})
_COUNTED_ANEW = re.compile(r"(?!newUsers$).*(Users|Rate|AveragePosition)$|average|.*Per[A-Z]|totalPurch|returnOnAd")
_UNITS = frozenset({"events", "purchasers", "purchases", "sessions", "users", "views"})
_BEFORE_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def check_names(measures: Mapping[str, str], dimensions: Mapping[str, str]) -> None:
    """Refuse names that are taken, or stand for two things."""
    if not measures:
        msg = 'measures is empty; name metrics of Google Analytics, such as { sessions = "visits.sessions" }'
        raise Refused(msg)
    if taken := _RESERVED & {*dimensions, *dimensions.values()}:
        msg = f'"{min(taken)}" says when, which the grain tells by itself; leave it out of the dimensions'
        raise Refused(msg)
    for names in (measures, dimensions):
        ours = list(names.values())
        if twice := [name for name in ours if ours.count(name) > 1]:
            msg = f'"{twice[0]}" stands for two things of Google Analytics; give each a name of its own'
            raise Refused(msg)


def check_added_up(measures: Iterable[str], *, anew: bool) -> None:
    """Refuse what cannot be added up where it would be, and what can where it is to be counted anew."""
    for name in measures:
        if is_counted_anew(name) and not anew:
            msg = (
                f"{name} cannot be added up, Google counts it anew for each length of time; "
                'write grains = ["day", "week", "month"], in a source of its own'
            )
            raise Refused(msg)
        if anew and not is_counted_anew(name):
            msg = f"{name} adds up, and grains are for what does not; read it in a source of its own, without grains"
            raise Refused(msg)


def is_counted_anew(name: str) -> bool:
    """Say whether values of a metric of Google cannot be added up, such as users and rates.

    >>> [is_counted_anew(name) for name in ("sessions", "totalUsers", "newUsers", "sessionKeyEventRate:purchase")]
    [False, True, False, True]
    """
    return _COUNTED_ANEW.match(name.partition(":")[0]) is not None


def metric_of(theirs: str, ours: str) -> Metric:
    """Return our metric for one of Google's.

    >>> metric_of("screenPageViews", "site.views")
    Metric(name='site.views', title='Screen page views', unit='views', kind=<Kind.COUNT: 'count'>, formula='')
    """
    words = _BEFORE_CAPITAL.sub(" ", theirs).lower().split()
    unit = words[-1] if words and words[-1] in _UNITS else ""
    kind = Kind.DISTINCT if is_counted_anew(theirs) else Kind.COUNT
    return Metric(ours, " ".join(words).capitalize(), unit, kind)
