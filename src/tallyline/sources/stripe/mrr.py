"""Monthly recurring revenue: what the items of a subscription cost a month, less its discounts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["PAYS", "Discount", "Item", "Terms"]

PAYS = frozenset({"active", "past_due"})
_HAS_PAID = PAYS | {"unpaid", "canceled"}


@dataclass(frozen=True, slots=True)
class Terms:
    """A subscription as it is from one event to the next; whole, unless a part of its price is not known."""

    customer: str
    currency: str
    created: int
    status: str
    items: tuple[Item, ...]
    discounts: tuple[Discount, ...]
    pays_from: int
    ended_at: float
    is_whole: bool

    def price(self, at: float) -> int:
        """Return what it costs a month, whether it is paid or not."""
        items = [each for item in self.items for each in _less([item], item.discounts, at)]
        return round(_sum(_less(items, self.discounts, at)))

    def revenue(self, at: float) -> int:
        """Return the monthly recurring revenue."""
        return self.price(at) if self.status in PAYS else 0

    def estimated(self, at: float) -> int:
        """Return the revenue at a moment that no event is known of, as if nothing but its end had changed since."""
        return self.price(at) if self.status in PAYS | {"canceled"} and self.pays_from < at <= self.ended_at else 0

    def has_paid(self, at: float) -> bool:
        """Say whether it was ever paid for until then."""
        return self.status in _HAS_PAID and self.pays_from < min(at, self.ended_at) and self.price(at) > 0


@dataclass(frozen=True, slots=True)
class Item:
    """A part of a subscription: what it costs a month, how often in a month it is billed, what is taken off."""

    product: str
    price: Fraction
    monthly: Fraction
    discounts: tuple[Discount, ...]
    is_whole: bool


@dataclass(frozen=True, slots=True)
class Discount:
    """What is taken off: a share, or an amount each time that is billed; until when, and of which products or all."""

    share: Fraction
    amount: int
    until: float
    products: frozenset[str]

    def applied(self, items: list[Item], at: float) -> list[Item]:
        """Return the items with what they cost a month less this."""
        of_it = [item for item in items if self._covers(item)]
        total = _sum(of_it)
        if at > self.until or not total:
            return items
        left = max(Fraction(0), 1 - self.share - self.amount * of_it[0].monthly / total)
        return [replace(item, price=item.price * left) if self._covers(item) else item for item in items]

    def _covers(self, item: Item) -> bool:
        return not self.products or item.product in self.products


def _less(items: list[Item], discounts: Iterable[Discount], at: float) -> list[Item]:
    for discount in discounts:
        items = discount.applied(items, at)
    return items


def _sum(items: Iterable[Item]) -> Fraction:
    return sum((item.price for item in items), Fraction(0))
