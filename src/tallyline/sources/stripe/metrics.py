"""What is told: the metrics of each part of Stripe, and the currencies that their amounts are in."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from tallyline.errors import Refused
from tallyline.plan import Kind, Metric

if TYPE_CHECKING:
    Row = tuple[dict[str, object], dict[str, object]]

__all__ = ["METRICS", "Currencies", "Tells"]

MINOR_UNITS = "minor units"


class Tells(StrEnum):
    """What the source tells: payments, what the balance earned of them, what subscriptions bring."""

    PAYMENTS = "payments"
    BALANCE = "balance"
    SUBSCRIPTIONS = "subscriptions"


@dataclass(frozen=True, slots=True)
class Currencies:
    """The currencies to tell; where none are named, the one that there is."""

    named: frozenset[str]
    seen: set[str] = field(default_factory=set)

    def __contains__(self, currency: str) -> bool:
        """Say whether to tell it; raise Refused where it is a second one, and none are named."""
        if self.named:
            return currency in self.named
        self.seen.add(currency)
        if len(self.seen) > 1:
            told = sorted(self.seen)
            quoted = ", ".join(f'"{each}"' for each in told)
            msg = (
                f"amounts are in {' and '.join(told)}, which cannot be added up; write currencies = [{quoted}] to tell "
                "each by itself, and split by currency where they are shown"
            )
            raise Refused(msg)
        return True


METRICS = {
    Tells.PAYMENTS: (
        Metric("stripe.payments.succeeded", "Payments", "payments"),
        Metric("stripe.payments.succeeded.amount", "Paid", MINOR_UNITS),
        Metric("stripe.payments.failed", "Failed payments", "payments"),
        Metric("stripe.payments.failed.amount", "Failed to be paid", MINOR_UNITS),
        Metric(
            "stripe.payments.failure_rate",
            "Share of payments that failed",
            kind=Kind.FORMULA,
            formula="stripe.payments.failed / (stripe.payments.failed + stripe.payments.succeeded)",
        ),
        Metric("stripe.refunds", "Refunds", "refunds"),
        Metric("stripe.refunds.amount", "Refunded", MINOR_UNITS),
        Metric("stripe.disputes", "Disputes", "disputes"),
        Metric("stripe.disputes.amount", "Disputed", MINOR_UNITS),
    ),
    Tells.BALANCE: (
        Metric("stripe.revenue.gross", "Gross revenue", MINOR_UNITS),
        Metric("stripe.revenue.fees", "Fees", MINOR_UNITS),
        Metric(
            "stripe.revenue.net",
            "Net revenue",
            kind=Kind.FORMULA,
            formula="stripe.revenue.gross - stripe.revenue.fees",
        ),
    ),
    Tells.SUBSCRIPTIONS: (
        Metric("stripe.mrr", "Monthly recurring revenue", MINOR_UNITS, Kind.LEVEL),
        Metric("stripe.mrr.new", "MRR of new customers", MINOR_UNITS),
        Metric("stripe.mrr.expansion", "MRR by expansion", MINOR_UNITS),
        Metric("stripe.mrr.contraction", "MRR lost by contraction", MINOR_UNITS),
        Metric("stripe.mrr.churn", "MRR lost by churn", MINOR_UNITS),
        Metric("stripe.mrr.reactivation", "MRR of customers who came back", MINOR_UNITS),
        Metric(
            "stripe.mrr.net_new",
            "Net new MRR",
            kind=Kind.FORMULA,
            formula="stripe.mrr.new + stripe.mrr.expansion + stripe.mrr.reactivation"
            " - stripe.mrr.contraction - stripe.mrr.churn",
        ),
        Metric("stripe.subscriptions.unpriced", "Subscriptions partly outside of MRR", "subscriptions", Kind.LEVEL),
        Metric("stripe.customers", "Customers who pay", "customers", Kind.LEVEL),
        Metric("stripe.customers.new", "New customers", "customers"),
        Metric("stripe.customers.reactivated", "Customers who came back", "customers"),
        Metric("stripe.customers.churned", "Customers lost", "customers"),
    ),
}
