"""Asking Stripe: by which version of its API, and with which permission each of its lists is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tallyline.api import After, Request, as_api, part

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tallyline.api import Api

__all__ = [
    "BALANCE",
    "CHARGES",
    "COUPONS",
    "DISPUTES",
    "EVENTS",
    "PRICES",
    "REFUNDS",
    "SUBSCRIPTIONS",
    "VERSION",
    "Asked",
    "checked",
]

URL = "https://api.stripe.com"
VERSION = "2026-06-24.dahlia"


def checked(api: object) -> Api:
    """Return the service, made ready for Stripe; raise Refused where it is none that is spoken to by HTTP."""
    stripe = as_api(api, "Stripe", 'stripe = { token = "${STRIPE_KEY}" }')
    # the version whose shapes are known here, and not the account's own
    return stripe.default(URL).with_headers({"Stripe-Version": VERSION})


@dataclass(frozen=True, slots=True)
class Asked:
    """A list of Stripe's, and the permission that reading it takes, as the Dashboard and as its errors call it."""

    resource: str
    permission: str
    slug: str

    @property
    def path(self) -> str:
        """Where it is asked."""
        return f"/v1/{self.resource}"

    @property
    def needs(self) -> str:
        """What to grant, where reading it is refused."""
        return f'a restricted key that may read "{self.permission}" ({self.slug})'

    def all(self, api: Api, **params: object) -> Iterator[dict[str, Any]]:
        """Yield everything that is in the list, the newest first."""
        for page in api.pages(Request(self.path, {"limit": 100, **params}), After(), needs=self.needs):
            yield from part(page.data, "data", list)


CHARGES = Asked("charges", "Charges and Refunds", "rak_charge_read")
REFUNDS = Asked("refunds", "Charges and Refunds", "rak_charge_read")
DISPUTES = Asked("disputes", "Disputes", "rak_dispute_read")
BALANCE = Asked("balance_transactions", "Balance", "rak_balance_read")
SUBSCRIPTIONS = Asked("subscriptions", "Subscriptions", "rak_subscription_read")
EVENTS = Asked("events", "Events", "rak_event_read")
COUPONS = Asked("coupons", "Coupons", "rak_coupon_read")
PRICES = Asked("prices", "Prices", "rak_plan_read")
