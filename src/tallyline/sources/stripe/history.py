"""How subscriptions were at a moment of the past: as they are now, back through Stripe's events."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from tallyline.api import part
from tallyline.errors import Refused
from tallyline.sources.stripe.ask import EVENTS, SUBSCRIPTIONS
from tallyline.sources.stripe.mrr import PAYS, Terms
from tallyline.sources.stripe.subscriptions import Known, terms_of
from tallyline.window import Grain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from zoneinfo import ZoneInfo

    from tallyline.api import Api
    from tallyline.sources.stripe.metrics import Currencies
    from tallyline.window import Window

__all__ = ["History", "check_reach", "histories"]

EVENTS_KEPT = timedelta(days=30)
_CHANGES = ("customer.subscription.created", "customer.subscription.updated", "customer.subscription.deleted")
_DISCOUNT_CHANGES = ("customer.discount.created", "customer.discount.updated", "customer.discount.deleted")


def check_reach(window: Window, zone: ZoneInfo, now: datetime) -> None:
    """Refuse a window that begins before the events that Stripe keeps."""
    reach = now - EVENTS_KEPT
    if window.since >= reach:
        return
    first = Grain.DAY.ceil(reach, zone).astimezone(zone).date()
    msg = (
        f"stripe.mrr can be told from {first} on, since Stripe keeps events for {EVENTS_KEPT.days} days, and the "
        f'window is {window.text(zone)}; give start = {first} to a source that tells = ["subscriptions"], or write '
        "estimated_history = true"
    )
    raise Refused(msg)


@dataclass(frozen=True, slots=True)
class History:
    """A subscription's terms before the first event that is known of it, and after each; events reach back that far."""

    times: Sequence[int]
    terms: Sequence[Terms]
    reach: float

    @property
    def last(self) -> Terms:
        """How it is now."""
        return self.terms[-1]

    def until(self, moment: float) -> Sequence[Terms]:
        """Return how it was up to a moment, nothing where it was not there yet."""
        return self.terms[: bisect_left(self.times, moment) + 1] if self.last.created < moment else ()

    def at(self, moment: float) -> Terms | None:
        """Return how it was at a moment."""
        known = self.until(moment)
        return known[-1] if known else None

    def revenue(self, at: float) -> int:
        """Return the monthly recurring revenue at a moment."""
        terms = self.at(at)
        if terms is None:
            return 0
        return terms.revenue(at) if at >= self.reach else terms.estimated(at)

    def is_unpriced(self, at: float) -> bool:
        """Say whether a part of what is paid at a moment is not known."""
        terms = self.at(at)
        return terms is not None and terms.status in PAYS and not terms.is_whole

    def has_paid(self, at: float) -> bool:
        """Say whether it was ever paid for until a moment."""
        return any(terms.has_paid(at) for terms in self.until(at))


class _Event(NamedTuple):
    """What happened to a subscription, and how it was before and after."""

    created: int
    kind: int
    before: Terms
    after: Terms


def histories(api: Api, now: datetime, currencies: Currencies) -> Iterator[History]:
    """Yield all subscriptions there are, or were, in the currencies that are told."""
    reach = math.ceil((now - EVENTS_KEPT).timestamp())
    known = Known(api)
    present: dict[str, Terms] = {}
    expand = ["data.discounts.source.coupon", "data.items.data.discounts"]
    for told in SUBSCRIPTIONS.all(api, status="all", **{"expand[]": expand}):
        if part(told, "currency", str) in currencies:
            known.learn(told)
            present[part(told, "id", str)] = terms_of(told, known)
    # after the subscriptions: what has changed since they were read is among the events
    events = _events(api, reach, known, currencies)
    for name in {**present, **events}:
        of_it = events.get(name, [])
        last = present.get(name) or of_it[-1].after
        terms = [of_it[0].before, *(event.after for event in of_it[:-1]), last] if of_it else [last]
        yield History([event.created for event in of_it], terms, reach)


def _events(api: Api, since: int, known: Known, currencies: Currencies) -> dict[str, list[_Event]]:
    """Return the events of each subscription, the oldest first."""
    events: defaultdict[str, list[_Event]] = defaultdict(list)
    for told in EVENTS.all(api, **{"types[]": _DISCOUNT_CHANGES, "created[gte]": since}):
        known.learn_discount(part(told, "data.object", dict))
    for told in EVENTS.all(api, **{"types[]": _CHANGES, "created[gte]": since}):
        kind = _CHANGES.index(part(told, "type", str))
        if part(told, "data.object.currency", str) in currencies:
            before, after = terms_of(_before(told), known), terms_of(part(told, "data.object", dict), known)
            events[part(told, "data.object.id", str)].insert(0, _Event(part(told, "created", int), kind, before, after))
    return {name: sorted(of_it, key=itemgetter(0, 1)) for name, of_it in events.items()}


def _before(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the subscription as it was before an event."""
    after = part(event, "data.object", dict)
    match event["type"]:
        case "customer.subscription.updated":
            return _merged(after, event["data"].get("previous_attributes") or {})
        case "customer.subscription.deleted":  # it was ended, and Stripe does not tell what it was until then
            in_trial = (after.get("trial_end") or 0) > part(event, "created", int)
            return {**after, "status": "trialing" if in_trial else "active", "ended_at": None}
        case _:
            return after


def _merged(after: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    of_both = {
        name: _merged(after[name], value)
        for name, value in before.items()
        if isinstance(value, dict) and isinstance(after.get(name), dict)
    }
    return {**after, **before, **of_both}
