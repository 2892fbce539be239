"""Payments and balance: charges, refunds, disputes and entries of the balance, counted by when they were created."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tallyline.api import part
from tallyline.sources.stripe.ask import BALANCE, CHARGES, DISPUTES, REFUNDS
from tallyline.sources.stripe.metrics import Tells

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from zoneinfo import ZoneInfo

    from tallyline.api import Api
    from tallyline.sources.stripe.ask import Asked
    from tallyline.sources.stripe.metrics import Currencies, Row
    from tallyline.window import Grain, Window

    Told = Callable[[Mapping[str, Any]], dict[str, int]]

__all__ = ["COUNTED", "counted"]

_SALES = frozenset(
    {
        "charge",
        "charge_failure",
        "dispute",
        "dispute_reversal",
        "partial_capture_reversal",
        "platform_earning",
        "platform_earning_refund",
        "refund",
        "refund_failure",
    }
)
_FEES = frozenset({"fee", "network_cost", "tax"})


def counted(
    api: Api, asked: Asked, told: Told, window: Window, zone: ZoneInfo, grain: Grain, currencies: Currencies
) -> Iterator[Row]:
    """Yield what the items of a list count as, in the bucket in which they were created."""
    sums: defaultdict[tuple[datetime, str], Counter[str]] = defaultdict(Counter)
    within = {"created[gte]": int(window.since.timestamp()), "created[lt]": int(window.until.timestamp())}
    for item in asked.all(api, **within):
        created, currency = part(item, "created", int), part(item, "currency", str)
        counts = told(item)
        if any(counts.values()) and currency in currencies:
            sums[grain.floor(datetime.fromtimestamp(created, UTC), zone), currency].update(counts)
    for (bucket, currency), counts in sums.items():
        yield {"time": bucket, "currency": currency}, dict(counts)


def _charge(charge: Mapping[str, Any]) -> dict[str, int]:
    status = part(charge, "status", str)
    has_failed = status == "failed"
    is_paid = status == "succeeded" and part(charge, "captured", bool)
    return {
        "stripe.payments.succeeded": int(is_paid),
        "stripe.payments.succeeded.amount": part(charge, "amount_captured", int) if is_paid else 0,
        "stripe.payments.failed": int(has_failed),
        "stripe.payments.failed.amount": part(charge, "amount", int) if has_failed else 0,
    }


def _refund(refund: Mapping[str, Any]) -> dict[str, int]:
    came = refund.get("status") not in {"failed", "canceled"}
    return {"stripe.refunds": int(came), "stripe.refunds.amount": part(refund, "amount", int) if came else 0}


def _dispute(dispute: Mapping[str, Any]) -> dict[str, int]:
    return {"stripe.disputes": 1, "stripe.disputes.amount": part(dispute, "amount", int)}


def _booked(entry: Mapping[str, Any]) -> dict[str, int]:
    category, amount, fee = part(entry, "reporting_category", str), part(entry, "amount", int), part(entry, "fee", int)
    if category in _FEES:
        return {"stripe.revenue.gross": 0, "stripe.revenue.fees": fee - amount}
    is_sale = category in _SALES
    return {"stripe.revenue.gross": amount if is_sale else 0, "stripe.revenue.fees": fee if is_sale else 0}


COUNTED: dict[Tells, dict[Asked, Told]] = {
    Tells.PAYMENTS: {CHARGES: _charge, REFUNDS: _refund, DISPUTES: _dispute},
    Tells.BALANCE: {BALANCE: _booked},
}
