"""What a read changes: new values beside those that are kept, and which buckets that touches."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import eq, not_
from typing import TYPE_CHECKING

from tallyline.warehouse.ledger import Changes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from tallyline.warehouse.column import Column

__all__ = ["Difference", "Range", "compare"]


@dataclass(frozen=True, slots=True)
class Range:
    """What is kept of some series from one moment up to another, in seconds since 1970."""

    series: Collection[int]
    since: int
    until: int


@dataclass(slots=True)
class Difference:
    """How new values differ from those kept: what is new, what stands in place of what, what goes, how many stay.

    Where all that is kept in a range goes, that is the `whole` range.
    """

    added: list[Column] = field(default_factory=list)
    changed: list[tuple[Column, Column]] = field(default_factory=list)
    removed: list[Column] = field(default_factory=list)
    unchanged: int = 0
    whole: Range | None = None

    @property
    def gone(self) -> Sequence[Column]:
        """What is no more, by series."""
        return _in_order_of_series([*(before for before, _ in self.changed), *self.removed])

    @property
    def come(self) -> Sequence[Column]:
        """What is there instead, and what is new, by series."""
        return _in_order_of_series([*(after for _, after in self.changed), *self.added])

    @property
    def touched(self) -> Sequence[Column]:
        """What is new, other than before or gone."""
        return [*self.come, *self.removed]

    @property
    def changes(self) -> Changes:
        """The numbers of values."""
        changed = sum(len(after) for _, after in self.changed)
        return Changes(sum(map(len, self.added)), changed, sum(map(len, self.removed)), self.unchanged)


def compare(before: Mapping[int, Column], new: Mapping[int, Column]) -> Difference:
    """Return how `new` values differ from all that is kept, each by series.

    >>> from tallyline.warehouse.column import Column
    >>> before = {7: Column(7, (0, 3600), (1.0, 2.0), (1, 1)), 8: Column(8, (0,), (4.0,), (1,))}
    >>> compare(before, {7: Column(7, (0, 3600, 7200), (1.0, 5.0, 3.0), (2, 2, 2))}).changes
    Changes(added=1, changed=1, removed=1, unchanged=1)
    """
    difference = Difference()
    for series in sorted(new):
        if series in before:
            _compare_series(before[series], new[series], difference)
        else:
            _take_in(new[series], difference.added)
    for series in sorted(before.keys() - new.keys()):
        _take_in(before[series], difference.removed)
    return difference


def _compare_series(before: Column, after: Column, difference: Difference) -> None:
    if before.buckets != after.buckets:
        kept, new = frozenset(before.buckets), frozenset(after.buckets)
        _take_in(before.without(new), difference.removed)
        _take_in(after.without(kept), difference.added)
        before, after = before.within(new), after.within(kept)
    same = list(map(eq, before.values, after.values))
    unchanged = sum(same)
    difference.unchanged += unchanged
    if unchanged < len(same):
        other = list(map(not_, same))
        difference.changed.append((before.picked(other), after.picked(other)))


def _take_in(column: Column, columns: list[Column]) -> None:
    if column:
        columns.append(column)


def _in_order_of_series(columns: Iterable[Column]) -> Sequence[Column]:
    return sorted(columns, key=lambda column: column.series)
