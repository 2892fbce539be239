"""Subscriptions as Stripe tells them, with the discounts and prices that they only name."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeVar

from tallyline.api import part
from tallyline.sources.stripe.ask import COUPONS, PRICES
from tallyline.sources.stripe.mrr import PAYS, Discount, Item, Terms

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tallyline.api import Api

__all__ = ["Known", "terms_of"]

_MONTHLY = {"day": Fraction(365, 12), "week": Fraction(52, 12), "month": Fraction(1), "year": Fraction(1, 12)}

T = TypeVar("T")


def terms_of(told: Mapping[str, Any], known: Known) -> Terms:
    """Return the terms of a subscription; its parts without a fixed price are left out."""
    currency, status = part(told, "currency", str), part(told, "status", str)
    parts = [_item(item, currency, known) for item in part(told, "items.data", list)]
    items, discounts = _those(parts), known.taken_off(told, currency)
    return Terms(
        part(told, "customer" if told.get("customer") else "customer_account", str),
        currency,
        part(told, "created", int),
        "unpaid" if told.get("pause_collection") and status in PAYS else status,
        items,
        _those(discounts),
        max(part(told, "start_date", int), told.get("trial_end") or 0),
        told.get("ended_at") or math.inf,
        is_whole=all(parts)
        and all(discounts)
        and all(item.is_whole for item in items)
        and not told["items"].get("has_more"),
    )


def _item(item: Mapping[str, Any], currency: str, known: Known) -> Item | None:
    """Return a part of a subscription, None where its price is not fixed."""
    price, recurring = part(item, "price", dict), part(item, "price.recurring", dict)
    if recurring.get("usage_type") == "metered" or price.get("billing_scheme") == "tiered":
        return None
    amount, interval = known.unit_amount(price, currency), part(recurring, "interval", str)
    if amount is None or interval not in _MONTHLY:
        return None
    monthly = _MONTHLY[interval] / part(recurring, "interval_count", int)
    discounts = known.taken_off(item, currency)
    price_a_month = amount * _units(item, price) * monthly
    return Item(str(price.get("product")), price_a_month, monthly, _those(discounts), is_whole=all(discounts))


def _those(found: Iterable[T | None]) -> tuple[T, ...]:
    return tuple(each for each in found if each is not None)


def _units(item: Mapping[str, Any], price: Mapping[str, Any]) -> int:
    count, packed = 1 if item.get("quantity") is None else part(item, "quantity", int), price.get("transform_quantity")
    if not packed:
        return count
    packs = Fraction(count, part(packed, "divide_by", int))
    return math.ceil(packs) if part(packed, "round", str) == "up" else math.floor(packs)


@dataclass(slots=True)
class Known:
    """What subscriptions only name: discounts, their coupons, and prices in other currencies than their own."""

    api: Api
    discounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    coupons: dict[str, dict[str, Any]] | None = None
    prices: dict[str, dict[str, Any]] = field(default_factory=dict)

    def learn(self, subscription: Mapping[str, Any]) -> None:
        """Keep the discounts of a subscription and of its items."""
        for each in [subscription, *part(subscription, "items.data", list)]:
            for discount in _discounts_of(each):
                if isinstance(discount, dict):
                    self.learn_discount(discount)

    def learn_discount(self, discount: dict[str, Any]) -> None:
        """Keep a discount; those of older versions of the API have no name, and are never only named."""
        if "id" in discount:
            self.discounts.setdefault(part(discount, "id", str), discount)

    def taken_off(self, told: Mapping[str, Any], currency: str) -> list[Discount | None]:
        """Return what the discounts of a subscription or an item take off, None for one that is not known."""
        return [self._discount(each, currency) for each in _discounts_of(told)]

    def _discount(self, told: str | dict[str, Any], currency: str) -> Discount | None:
        discount = self.discounts.get(told) if isinstance(told, str) else told
        coupon = self._coupon(discount) if discount else None
        if discount is None or coupon is None:
            return None
        off = coupon if coupon.get("currency") == currency else (coupon.get("currency_options") or {}).get(currency, {})
        if coupon.get("percent_off") is None and off.get("amount_off") is None:
            return None
        return Discount(
            Fraction(str(coupon.get("percent_off") or 0)) / 100,
            off.get("amount_off") or 0,
            0 if coupon.get("duration") == "once" else discount.get("end") or math.inf,
            frozenset((coupon.get("applies_to") or {}).get("products", ())),
        )

    def _coupon(self, discount: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return a coupon as the list has it, with its products; or as the discount does, where it was deleted."""
        told = discount.get("coupon") or (discount.get("source") or {}).get("coupon")
        if self.coupons is None:
            expand = ["data.applies_to", "data.currency_options"]
            self.coupons = {part(each, "id", str): each for each in COUPONS.all(self.api, **{"expand[]": expand})}
        name = told.get("id") if isinstance(told, dict) else told
        return self.coupons.get(str(name)) or (told if isinstance(told, dict) else None)

    def unit_amount(self, price: Mapping[str, Any], currency: str) -> Fraction | None:
        """Return what one costs each time that it is billed."""
        told = price if price.get("currency") == currency else self._options(part(price, "id", str)).get(currency, {})
        amount = told.get("unit_amount_decimal") or told.get("unit_amount")
        return None if amount is None else Fraction(str(amount))

    def _options(self, price: str) -> dict[str, Any]:
        if price not in self.prices:
            answer = self.api.get(f"{PRICES.path}/{price}", {"expand[]": ["currency_options"]}, needs=PRICES.needs)
            self.prices[price] = answer.data.get("currency_options") or {}
        return self.prices[price]


def _discounts_of(told: Mapping[str, Any]) -> list[Any]:
    single = told.get("discount")  # so events of older versions of the API have it
    return told.get("discounts") or ([single] if single else [])
