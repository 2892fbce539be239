"""A simulated Stripe: the subscriptions and payments of the product database, in the shapes of Stripe's API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tallyline.api import Answer, Api, Request
from tallyline.demo.services.company import Company, no_answer, simulated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    Items = Callable[[Mapping[str, Any]], list[dict[str, Any]]]

__all__ = ["stripe_of"]

_EVER = 2**40
_FEE_SHARE, _FEE_CENTS = 0.029, 30
_PAYMENTS = """
    SELECT id, user_id, strftime('%s', created_at) + 0, amount_cents, status FROM payments
    WHERE created_at >= datetime(:since, 'unixepoch') AND created_at < datetime(:until, 'unixepoch')
        AND id < :before AND status IN ({}) ORDER BY id DESC LIMIT :limit
"""
_SUBSCRIPTIONS = """
    SELECT id, user_id, plan, amount_cents, strftime('%s', started_at) + 0, strftime('%s', ended_at) + 0
    FROM subscriptions WHERE id < :before ORDER BY id DESC LIMIT :limit
"""
_CREATED, _DELETED = "customer.subscription.created", "customer.subscription.deleted"


def stripe_of(product: Path) -> Api:
    """Return a Stripe that knows the customers of the simulated company whose product database that is."""
    return simulated("stripe", "https://api.stripe.com", _Stripe(Company(product)).answer)


class _Stripe:
    """Lists of what Stripe keeps, the newest first, page by page."""

    def __init__(self, company: Company) -> None:
        self._company = company
        self._lists: dict[str, Items] = {
            "/v1/charges": self._charges,
            "/v1/refunds": self._refunds,
            "/v1/disputes": _none,
            "/v1/balance_transactions": self._balance,
            "/v1/subscriptions": self._subscriptions,
            "/v1/events": self._events,
            "/v1/coupons": _none,
            "/v1/prices": _none,
        }

    def answer(self, asked: Request) -> Answer:
        """Return a page of a list; one item more than fits is looked for, to know whether there are more."""
        if asked.path not in self._lists:
            raise no_answer("Stripe", asked.path, self._lists)
        limit = int(asked.params.get("limit", 10))
        items = self._lists[asked.path](asked.params)
        page = {"object": "list", "url": asked.path, "data": items[:limit], "has_more": len(items) > limit}
        return Answer(page, {})

    def _payments(self, params: Mapping[str, Any], statuses: str, before: int | None = None) -> list[Any]:
        return self._company.ask(
            _PAYMENTS.format(statuses),
            since=int(params.get("created[gte]", 0)),
            until=int(params.get("created[lt]", _EVER)),
            before=_before(params) if before is None else before,
            limit=int(params.get("limit", 10)) + 1,
        )

    def _charges(self, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [_charge(*payment) for payment in self._payments(params, "'paid', 'refunded', 'failed'")]

    def _refunds(self, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [
            {**_of("refund", "re", number, created, cents), "status": "succeeded", "charge": f"ch_{number:08}"}
            for number, _, created, cents, _ in self._payments(params, "'refunded'")
        ]

    def _balance(self, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return what moved the balance: number 2 n is the charge of payment n, 2 n + 1 its refund."""
        before = _before(params)
        entries = []
        for number, _, created, cents, status in self._payments(params, "'paid', 'refunded'", (before + 1) // 2):
            if status == "refunded":
                entries.append(_entry("refund", 2 * number + 1, created, -cents, 0))
            entries.append(_entry("charge", 2 * number, created, cents, round(cents * _FEE_SHARE) + _FEE_CENTS))
        return [entry for entry in entries if int(entry["id"][4:]) < before]

    def _subscriptions(self, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        rows = self._company.ask(_SUBSCRIPTIONS, before=_before(params), limit=int(params.get("limit", 10)) + 1)
        return [_subscription(*row) for row in rows]

    def _events(self, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return what happened to subscriptions; there are few enough to be made anew for each page."""
        types, since = params.get("types[]", [_CREATED, _DELETED]), int(params.get("created[gte]", 0))
        events = []
        for row in self._company.ask(_SUBSCRIPTIONS, before=_EVER, limit=_EVER):
            began, ended = row[-2:]
            happened = [(_CREATED, began, _subscription(*(*row[:-1], None)))]
            happened += [(_DELETED, ended, _subscription(*row))] if ended else []
            events += [_event(*each) for each in happened if each[0] in types and each[1] >= since]
        events.sort(key=lambda event: (event["created"], event["id"]), reverse=True)
        names = [event["id"] for event in events]
        after = params.get("starting_after")
        return events[names.index(after) + 1 :] if after else events


def _none(_: Mapping[str, Any]) -> list[dict[str, Any]]:
    return []


def _before(params: Mapping[str, Any]) -> int:
    return int(params["starting_after"].rpartition("_")[2]) if "starting_after" in params else _EVER


def _of(kind: str, prefix: str, number: int, created: int, cents: int) -> dict[str, Any]:
    return {"id": f"{prefix}_{number:08}", "object": kind, "created": created, "amount": cents, "currency": "usd"}


def _charge(number: int, user: int, created: int, cents: int, status: str) -> dict[str, Any]:
    is_paid = status != "failed"
    return {
        **_of("charge", "ch", number, created, cents),
        "customer": f"cus_{user:08}",
        "status": "succeeded" if is_paid else "failed",
        "captured": is_paid,
        "amount_captured": cents if is_paid else 0,
        "refunded": status == "refunded",
        "failure_code": None if is_paid else "card_declined",
    }


def _entry(category: str, number: int, created: int, cents: int, fee: int) -> dict[str, Any]:
    told = _of("balance_transaction", "txn", number, created, cents)
    return {**told, "reporting_category": category, "type": category, "fee": fee, "net": cents - fee}


def _subscription(number: int, user: int, plan: str, cents: int, began: int, ended: int | None) -> dict[str, Any]:
    price = {
        "id": f"price_{plan}",
        "object": "price",
        "product": f"prod_{plan}",
        "currency": "usd",
        "billing_scheme": "per_unit",
        "unit_amount": cents,
        "unit_amount_decimal": str(cents),
        "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"},
    }
    item = {"id": f"si_{number:08}", "object": "subscription_item", "quantity": 1, "discounts": [], "price": price}
    return {
        "id": f"sub_{number:08}",
        "object": "subscription",
        "customer": f"cus_{user:08}",
        "currency": "usd",
        "status": "canceled" if ended else "active",
        "created": began,
        "start_date": began,
        "trial_end": None,
        "ended_at": ended,
        "pause_collection": None,
        "discounts": [],
        "items": {"object": "list", "data": [item], "has_more": False},
    }


def _event(kind: str, created: int, subscription: dict[str, Any]) -> dict[str, Any]:
    name = f"evt_{subscription['id'].removeprefix('sub_')}{int(kind == _DELETED)}"
    return {"id": name, "object": "event", "type": kind, "created": created, "data": {"object": subscription}}
