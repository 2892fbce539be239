"""What recurs at the end of each bucket, and what moved it: new, expansion, contraction, churn, reactivation."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from tallyline.sources.stripe.history import History
    from tallyline.sources.stripe.metrics import Row
    from tallyline.window import Grain, Window

__all__ = ["moved"]

_MOVEMENTS = ("new", "expansion", "contraction", "churn", "reactivation")


def moved(histories: Sequence[History], window: Window, zone: ZoneInfo, now: datetime, grain: Grain) -> Iterator[Row]:
    """Yield, bucket by bucket, what recurs at its end, and what has moved since its beginning."""
    of_customer: defaultdict[str, list[History]] = defaultdict(list)
    for history in histories:
        of_customer[history.last.customer].append(history)
    currencies = sorted({history.last.currency for history in histories})
    before = _standing(histories, window.since.timestamp())
    for bucket in window.buckets(grain, zone):
        if bucket > now:
            break
        after = _standing(histories, min(grain.after(bucket, zone), now).timestamp())
        paid_before = partial(_has_paid, of_customer, bucket.timestamp())
        for currency in currencies:
            yield {"time": bucket, "currency": currency}, _revenue(before, after, currency, paid_before)
        yield {"time": bucket}, _customers(before.customers, after.customers, paid_before)
        before = after


@dataclass(frozen=True, slots=True)
class _Standing:
    """The monthly recurring revenue at a moment by currency and customer; subscriptions that are not whole in it."""

    revenue: Mapping[str, Mapping[str, int]]
    unpriced: Mapping[str, int]

    @property
    def customers(self) -> set[str]:
        """Those who pay, in whatever currency."""
        return {customer for of_currency in self.revenue.values() for customer in of_currency}


def _standing(histories: Iterable[History], at: float) -> _Standing:
    revenue: defaultdict[str, Counter[str]] = defaultdict(Counter)
    unpriced: Counter[str] = Counter()
    for history in histories:
        if amount := history.revenue(at):
            revenue[history.last.currency][history.last.customer] += amount
        unpriced[history.last.currency] += history.is_unpriced(at)
    return _Standing(revenue, unpriced)


def _revenue(
    before: _Standing, after: _Standing, currency: str, paid_before: Callable[[str], bool]
) -> dict[str, object]:
    was, now = before.revenue.get(currency, {}), after.revenue.get(currency, {})
    moves: Counter[str] = Counter()
    for customer in {*was, *now}:
        change = now.get(customer, 0) - was.get(customer, 0)
        if customer not in was:
            moves["reactivation" if paid_before(customer) else "new"] += change
        elif customer not in now:
            moves["churn"] -= change
        else:
            moves["expansion" if change > 0 else "contraction"] += abs(change)
    return {
        "stripe.mrr": sum(now.values()),
        **{f"stripe.mrr.{name}": moves[name] for name in _MOVEMENTS},
        "stripe.subscriptions.unpriced": after.unpriced.get(currency, 0),
    }


def _customers(before: set[str], after: set[str], paid_before: Callable[[str], bool]) -> dict[str, object]:
    came = [paid_before(customer) for customer in after - before]
    return {
        "stripe.customers": len(after),
        "stripe.customers.new": came.count(False),
        "stripe.customers.reactivated": came.count(True),
        "stripe.customers.churned": len(before - after),
    }


def _has_paid(of_customer: Mapping[str, Sequence[History]], at: float, customer: str) -> bool:
    return any(history.has_paid(at) for history in of_customer[customer])
