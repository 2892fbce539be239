"""What a read changes: new values beside those that are kept, and which days that touches."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain, groupby
from operator import eq, itemgetter
from typing import TYPE_CHECKING

from tallyline.warehouse.facts import Replacement, Rewritten, kept, measured, whole_series
from tallyline.warehouse.ledger import Changes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from tallyline.plan import Measured
    from tallyline.warehouse.facts import Fact, Stored

__all__ = ["Difference", "compare"]


@dataclass(slots=True)
class Difference:
    """How new values differ from those kept: what to write, and how many stay as they are."""

    replacement: Replacement = field(default_factory=Replacement)
    unchanged: int = 0

    @property
    def changes(self) -> Changes:
        """The numbers of values."""
        made = self.replacement
        added = len(made.added) + sum(len(column.buckets) for column in made.columns)
        changed = len(made.changed) + sum(len(rewritten.before) for rewritten in made.rewritten)
        return Changes(added, changed, len(made.removed), self.unchanged)

    def touched(self) -> Iterator[tuple[int, Iterable[int]]]:
        """Yield by series the buckets whose facts are new, other than before or gone."""
        made = self.replacement
        yield from (column[:2] for column in [*made.columns, *(rewritten.column for rewritten in made.rewritten)])
        for series, facts in groupby(chain(made.added, made.changed, made.removed), key=itemgetter(0)):
            yield series, list(map(itemgetter(1), facts))


def compare(before: Stored, new: Mapping[int, Mapping[int, Measured]], run: int) -> Difference:
    """Return how `new` values, written by `run`, differ from all that is kept."""
    difference = Difference()
    for series, values in new.items():
        stored = before.get(series)
        if stored and not _compare_whole_series(series, stored, values, run, difference):
            _compare_series(series, stored, values, run, difference)
        elif not stored:
            _add_series(series, values, run, difference)
    for series in before.keys() - new.keys():
        difference.replacement.removed += before[series].values()
    return difference


def _add_series(series: int, values: Mapping[int, Measured], run: int, difference: Difference) -> None:
    column = whole_series(series, values, run)
    if column is not None:
        difference.replacement.columns.append(column)
    else:
        difference.replacement.added += [kept(series, bucket, value, run) for bucket, value in values.items()]


def _compare_whole_series(
    series: int, stored: Mapping[int, Fact], values: Mapping[int, Measured], run: int, difference: Difference
) -> bool:
    """Say whether all or no values of a series are as they were, and take that in: it costs little for each value."""
    column = whole_series(series, values, run) if stored.keys() == values.keys() else None
    if column is None:
        return False
    _, _, before, runs, _ = zip(*map(stored.__getitem__, column.buckets), strict=True)
    same = sum(map(eq, before, column.values))
    if not same:
        difference.replacement.rewritten.append(Rewritten(before, runs, column))
    elif same == len(before):
        difference.unchanged += same
    return same in {0, len(before)}


def _compare_series(
    series: int, stored: Mapping[int, Fact], values: Mapping[int, Measured], run: int, difference: Difference
) -> None:
    made, missing = difference.replacement, 0
    for bucket, value in values.items():
        fact = stored.get(bucket)
        if fact is None:
            made.added.append(kept(series, bucket, value, run))
            missing += 1
        elif (fact[2] if fact[4] is None else measured(fact)) != value:
            made.changed.append(kept(series, bucket, value, run))
            made.replaced.append(fact)
        else:
            difference.unchanged += 1
    if len(stored) > len(values) - missing:
        made.removed += [stored[bucket] for bucket in _missing(stored, values)]


def _missing(stored: Mapping[int, Fact], values: Collection[int]) -> Iterator[int]:
    return (bucket for bucket in stored if bucket not in values)
