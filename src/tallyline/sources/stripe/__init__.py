"""`kind = "stripe"`: recurring revenue and what moves it, customers, payments, refunds, disputes and fees.

All amounts are whole numbers of minor units. What subscriptions came to at a moment of the past is worked out from how
they are now, back through Stripe's events, which it keeps for 30 days.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tallyline.errors import Denied, Refused, UnknownName
from tallyline.graph import Graph, node
from tallyline.sources.kinds import Kind
from tallyline.sources.stripe.ask import COUPONS, EVENTS, PRICES, SUBSCRIPTIONS, VERSION, checked
from tallyline.sources.stripe.history import check_reach, histories
from tallyline.sources.stripe.metrics import METRICS, Currencies, Tells
from tallyline.sources.stripe.movements import moved
from tallyline.sources.stripe.payments import COUNTED, counted
from tallyline.window import Grain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from tallyline.api import Api
    from tallyline.plan import Metric
    from tallyline.sources.stripe.metrics import Row
    from tallyline.window import Window

__all__ = ["VERSION", "StripeSource", "Tells", "read_stripe"]

_ASKED = {
    **{tells: tuple(lists) for tells, lists in COUNTED.items()},
    Tells.SUBSCRIPTIONS: (SUBSCRIPTIONS, EVENTS, COUPONS, PRICES),
}


@dataclass(frozen=True, slots=True)
class StripeSource(Kind):
    """Reads from Stripe what `tells` names: all of payments, balance and subscriptions by default.

    `currencies` are the ISO codes, in lower case, of those to tell; what is in another is left out. Where none is
    named, amounts in more than one are refused, since they cannot be added up. With `estimated_history`, days from
    which Stripe has no events any more are worked out from the dates of the subscriptions, with the prices of today.
    """

    service: str
    tells: tuple[Tells, ...] = tuple(Tells)
    currencies: tuple[str, ...] = ()
    estimated_history: bool = False

    def __post_init__(self) -> None:
        """Refuse to tell nothing, and what is no currency."""
        if not self.tells:
            msg = f"it tells nothing; there are: {', '.join(Tells)}"
            raise Refused(msg)
        for currency in self.currencies:
            if not (len(currency) == len("eur") and currency.isascii() and currency.isalpha() and currency.islower()):
                msg = f'"{currency}" is no currency; write its ISO code in lower case, such as eur'
                raise Refused(msg)

    @property
    def definition(self) -> str:
        """What is told, and by which version of Stripe's API."""
        told = f"Stripe {VERSION}: {', '.join(self.tells)}"
        only = f"; in {', '.join(self.currencies)}" if self.currencies else ""
        return f"{told}{only}{'; history estimated' if self.estimated_history else ''}"

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """The metrics of what is told."""
        return {metric.name: metric for tells in Tells if tells in self.tells for metric in METRICS[tells]}

    def graph(self, name: str) -> Graph:
        """Return the graph of one node, which bears the source's name."""
        return Graph(node(self.rows, name=name, services={"api": self.service}))

    def rows(self, api: Api, window: Window, zone: ZoneInfo, now: datetime, grain: Grain) -> Iterator[Row]:
        """Yield `(dims, metrics)` for each bucket and currency."""
        return read_stripe(
            api,
            window,
            zone,
            now,
            grain=grain,
            tells=self.tells,
            currencies=self.currencies,
            estimated_history=self.estimated_history,
        )

    def probe(self, name: str) -> Graph:
        """Return a graph that tries to read one of everything."""
        return Graph(node(self.tried, name=name, services={"api": self.service}))

    def tried(self, api: Api) -> Iterator[str]:
        """Yield a line for what may be read; raises Denied with every permission that is missing."""
        api, refused, allowed = checked(api), list[str](), 0
        for asked in (asked for tells in Tells if tells in self.tells for asked in _ASKED[tells]):
            try:
                api.get(asked.path, {"limit": 1}, needs=asked.needs)
            except Denied as denied:
                refused.append(str(denied))
                continue
            allowed += 1
            yield f"may read {asked.resource.replace('_', ' ')}"
        if refused:
            raise Denied("\n".join(refused if allowed else refused[:1]))


def read_stripe(
    api: Api,
    window: Window,
    zone: ZoneInfo,
    now: datetime,
    *,
    grain: Grain = Grain.DAY,
    tells: Iterable[str] = tuple(Tells),
    currencies: Sequence[str] = (),
    estimated_history: bool = False,
) -> Iterator[Row]:
    """Yield `(dims, metrics)` for each bucket and currency.

    This is what ``kind = "stripe"`` does, for sources in code: `StripeSource` says what the rest means. Buckets are
    hours or days of `zone`, and ``time`` is when they begin, in UTC; levels are those of their end, or of `now` where
    that comes first. Amounts are whole numbers of minor units. Raises Unavailable, Denied with the permission that is
    missing, UnexpectedAnswer, or Refused where Stripe does not know so long ago, or amounts are in several currencies.

    >>> def revenue(stripe, window, zone, now):
    ...     yield from read_stripe(stripe, window, zone, now, tells=["subscriptions"], currencies=["eur"])
    """
    api, tells = checked(api), frozenset(tells)
    for unknown in tells - set(Tells):
        what = "part of Stripe"
        raise UnknownName(what, unknown, list(Tells))
    if Tells.SUBSCRIPTIONS in tells and not estimated_history:
        check_reach(window, zone, now)
    for each in (Tells.PAYMENTS, Tells.BALANCE):
        chosen = Currencies(frozenset(currencies))
        for asked, told in COUNTED[each].items() if each in tells else ():
            yield from counted(api, asked, told, window, zone, grain, chosen)
    if Tells.SUBSCRIPTIONS in tells:
        found = list(histories(api, now, Currencies(frozenset(currencies))))
        yield from moved(found, window, zone, now, grain)
