"""The Stripe source, by its real client, from a service on loopback that answers in Stripe's published shapes."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tallyline
from tallyline.api import Api, opened
from tallyline.errors import Denied, NodeFailed, Refused, Unavailable, UnexpectedAnswer, UnknownName, may_work_later
from tallyline.graph import node, run
from tallyline.project import load_project
from tallyline.sources.stripe import VERSION, StripeSource, Tells, read_stripe
from tallyline.window import Grain, Window
from tests.cli.terminal import make_project
from tests.cli.terminal import tallyline as typed
from tests.sources.service import Said, serving

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from tests.sources.service import Asked, Service

    Row = tuple[dict[str, Any], dict[str, Any]]

PARIS, UTC_ZONE = ZoneInfo("Europe/Paris"), ZoneInfo("UTC")
NOW = datetime(2026, 7, 14, 12, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
JULY = Window(datetime(2026, 7, 10, tzinfo=UTC), datetime(2026, 7, 15, tzinfo=UTC))
LISTS = ("charges", "refunds", "disputes", "balance_transactions", "subscriptions", "events", "coupons")


def at(text: str) -> int:
    """Return a moment of July 2026, as Stripe tells it."""
    return int(datetime.fromisoformat(f"2026-07-{text}").replace(tzinfo=UTC).timestamp())


def listing(*items: dict[str, Any], page: int = 100) -> Any:  # noqa: ANN401  # what a Service takes for an answer
    """Answer as a list of Stripe's does: the newest first, by pages, between two moments, of some types."""

    def answered(asked: Asked) -> Said:
        since, until = int(asked.params.get("created[gte]", 0)), int(asked.params.get("created[lt]", 1 << 40))
        types = asked.every.get("types[]", [item.get("type") for item in items])
        found = [item for item in items if since <= item.get("created", since) < until and item.get("type") in types]
        found.sort(key=lambda item: -item.get("created", 0))
        after = (
            [item["id"] for item in found].index(asked.params["starting_after"]) + 1
            if "starting_after" in asked.params
            else 0
        )
        size = min(page, int(asked.params["limit"]))
        return Said({"object": "list", "data": found[after : after + size], "has_more": after + size < len(found)})

    return answered


def answer(service: Service, **lists: Iterable[dict[str, Any]]) -> None:
    """Let the service answer lists, empty ones where none is given."""
    for name in LISTS:
        service.answer(f"/v1/{name}", listing(*lists.get(name, ())))


def rows(service: Service, window: Window = JULY, *, zone: ZoneInfo = UTC_ZONE, **options: Any) -> list[Row]:  # noqa: ANN401
    """Read to the end."""
    with opened(Api(service.url, name="stripe", token="rk_test")) as api:  # noqa: S106
        return list(read_stripe(api, window, zone, options.pop("now", NOW), **options))


def by_day(found: list[Row], metric: str, **dims: str) -> dict[str, Any]:
    """Return a metric's values by the day."""
    told = {
        (row["time"], *row.items()): values for row, values in found if metric in values and dims.items() <= row.items()
    }
    return {f"{key[0]:%d}": values[metric] for key, values in told.items()}


def charge(name: str, created: int, amount: int = 1000, **changed: Any) -> dict[str, Any]:  # noqa: ANN401
    return {
        "id": name,
        "object": "charge",
        "amount": amount,
        "amount_captured": amount,
        "captured": True,
        "created": created,
        "currency": "eur",
        "status": "succeeded",
        **changed,
    }


def price(amount: float | str | None = 1000, interval: str = "month", every: int = 1, **changed: Any) -> dict[str, Any]:  # noqa: ANN401
    whole = amount if isinstance(amount, int) else None
    return {
        "id": "price_1",
        "object": "price",
        "billing_scheme": "per_unit",
        "currency": "eur",
        "product": "prod_1",
        "recurring": {"interval": interval, "interval_count": every, "usage_type": "licensed"},
        "transform_quantity": None,
        "unit_amount": whole,
        "unit_amount_decimal": None if amount is None else str(amount),
        **changed,
    }


def items(*prices: dict[str, Any], quantity: int | None = 1) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [{"price": each, "quantity": quantity, "discounts": []} for each in prices]
    return {"object": "list", "data": parts, "has_more": False}


def subscription(name: str = "sub_1", **changed: Any) -> dict[str, Any]:  # noqa: ANN401
    made = changed.get("created", at("01"))
    return {
        "id": name,
        "object": "subscription",
        "created": made,
        "currency": "eur",
        "customer": name.replace("sub", "cus"),
        "discounts": [],
        "ended_at": None,
        "items": items(price()),
        "pause_collection": None,
        "start_date": made,
        "status": "active",
        "trial_end": None,
        **changed,
    }


def event(kind: str, created: int, told: dict[str, Any], **before: Any) -> dict[str, Any]:  # noqa: ANN401
    data = {"object": told, **({"previous_attributes": before} if before else {})}
    return {"id": f"evt_{kind}_{told['id']}_{created}", "type": f"customer.{kind}", "created": created, "data": data}


def mrr(service: Service, **lists: Iterable[dict[str, Any]]) -> int:
    """Return the monthly recurring revenue of the last day."""
    answer(service, **lists)
    found = rows(service, Window(JULY.until - DAY, JULY.until), tells=["subscriptions"])
    return int(by_day(found, "stripe.mrr")["14"])


def unpriced(service: Service) -> int:
    """Return how many subscriptions are not whole in the revenue of the last day."""
    return int(by_day(rows(service, tells=["subscriptions"]), "stripe.subscriptions.unpriced")["14"])


MOVEMENTS = ("new", "expansion", "contraction", "churn", "reactivation")


def moved(found: list[Row], day: str) -> dict[str, int]:
    """Return the movements of a day that are not zero."""
    of_day = {name: by_day(found, f"stripe.mrr.{name}")[day] for name in MOVEMENTS}
    return {name: value for name, value in of_day.items() if value}


def test_payments_are_counted_and_summed_up_by_the_day_in_minor_units(service: Service) -> None:
    answer(
        service,
        charges=[
            charge("ch_1", at("10 00:00"), 999),
            charge("ch_2", at("10 23:59"), 1),
            charge("ch_3", at("11 08:00"), 5000, status="failed", captured=False, amount_captured=0),
            charge("ch_4", at("11 09:00"), 5000, amount_captured=4000),
        ],
        refunds=[{"id": "re_1", "created": at("12 08:00"), "amount": 300, "currency": "eur", "status": "succeeded"}],
        disputes=[{"id": "dp_1", "created": at("12 09:00"), "amount": 4000, "currency": "eur", "status": "lost"}],
    )
    found = rows(service, tells=["payments"])
    assert by_day(found, "stripe.payments.succeeded") == {"10": 2, "11": 1}
    assert by_day(found, "stripe.payments.succeeded.amount") == {"10": 1000, "11": 4000}
    assert by_day(found, "stripe.payments.failed") == {"10": 0, "11": 1}
    assert by_day(found, "stripe.payments.failed.amount") == {"10": 0, "11": 5000}
    assert (by_day(found, "stripe.refunds"), by_day(found, "stripe.refunds.amount")) == ({"12": 1}, {"12": 300})
    assert (by_day(found, "stripe.disputes"), by_day(found, "stripe.disputes.amount")) == ({"12": 1}, {"12": 4000})
    assert {dims["currency"] for dims, _ in found} == {"eur"}
    assert all(isinstance(value, int) for _, values in found for value in values.values())


@pytest.mark.parametrize("changed", [{"status": "pending"}, {"captured": False, "amount_captured": 0}])
def test_what_is_not_settled_is_no_payment(service: Service, changed: dict[str, Any]) -> None:
    answer(service, charges=[charge("ch_1", at("10"), **changed)])
    assert rows(service, tells=["payments"]) == []


@pytest.mark.parametrize("status", ["failed", "canceled"])
def test_a_refund_that_did_not_come_is_none(service: Service, status: str) -> None:
    refund = {"id": "re_1", "created": at("12"), "amount": 300, "currency": "eur", "status": status}
    answer(service, refunds=[refund])
    assert rows(service, tells=["payments"]) == []


def test_days_are_those_of_the_business_zone(service: Service) -> None:
    """22:30 UTC is half past midnight in Paris."""
    answer(service, charges=[charge("ch_1", at("10 22:30"))])
    window = Window(JULY.since - 2 * HOUR, JULY.until - 2 * HOUR)
    [(dims, _)] = rows(service, window, zone=PARIS, tells=["payments"])
    assert dims["time"].astimezone(PARIS).day == 11
    assert service.asked[0].params["created[gte]"] == str(at("09 22:00"))
    assert service.asked[0].params["created[lt]"] == str(at("14 22:00"))


def test_hours_are_told_where_they_are_asked_for(service: Service) -> None:
    answer(service, charges=[charge("ch_1", at("10 22:30"))])
    [(dims, _)] = rows(service, grain=Grain.HOUR, tells=["payments"])
    assert dims["time"] == datetime(2026, 7, 10, 22, tzinfo=UTC)


def test_what_the_balance_earned_is_sales_less_fees(service: Service) -> None:
    def booked(category: str, amount: int, fee: int = 0) -> dict[str, Any]:
        name = f"txn_{category}"
        told = {"id": name, "created": at("10"), "currency": "eur", "amount": amount, "fee": fee, "net": amount - fee}
        return {**told, "reporting_category": category}

    answer(
        service,
        balance_transactions=[
            booked("charge", 10_000, 320),
            booked("refund", -1000),
            booked("dispute", -2000, 1500),
            booked("fee", -70),
            booked("payout", -5000),
        ],
    )
    [(_, values)] = rows(service, tells=["balance"])
    assert values == {"stripe.revenue.gross": 7000, "stripe.revenue.fees": 1890}
    assert StripeSource("stripe").metrics["stripe.revenue.net"].formula == "stripe.revenue.gross - stripe.revenue.fees"


def test_three_pages_are_read(service: Service) -> None:
    service.answer("/v1/charges", listing(*(charge(f"ch_{n}", at("10") + n) for n in range(5)), page=2))
    for name in ("refunds", "disputes"):
        service.answer(f"/v1/{name}", listing())
    found = rows(service, tells=["payments"])
    assert by_day(found, "stripe.payments.succeeded") == {"10": 5}
    after = [asked.params.get("starting_after") for asked in service.asked if asked.path == "/v1/charges"]
    assert after == [None, "ch_3", "ch_1"]


def test_an_empty_window_has_no_payments_and_no_revenue(service: Service) -> None:
    answer(service)
    assert rows(service, tells=["payments", "balance"]) == []
    assert [values["stripe.customers"] for _, values in rows(service, tells=["subscriptions"])] == [0] * 5


def test_the_key_and_the_version_of_the_api_are_sent(service: Service) -> None:
    answer(service)
    rows(service)
    assert {asked.headers["authorization"] for asked in service.asked} == {"Bearer rk_test"}
    assert {asked.headers["stripe-version"] for asked in service.asked} == {VERSION}


@pytest.mark.parametrize(
    ("busy", "waited"),
    [(Said({"error": {"type": "rate_limit"}}, 429, {"Retry-After": "7"}), 7), (Said({}, 500), None)],
)
def test_what_is_busy_or_broken_is_asked_again(
    service: Service, waits: list[float], busy: Said, waited: float | None
) -> None:
    answer(service)
    whole = listing(charge("ch_1", at("10")))
    service.answer("/v1/charges", lambda asked: whole(asked) if waits else busy)
    assert by_day(rows(service, tells=["payments"]), "stripe.payments.succeeded") == {"10": 1}
    assert len(waits) == 1
    assert waited is None or waits == [waited]


def test_half_of_an_answer_is_asked_for_again(service: Service) -> None:
    answer(service)
    body = {"object": "list", "data": [charge("ch_1", at("10"))], "has_more": False}
    service.answer("/v1/charges", Said(body, half=True), Said(body))
    assert by_day(rows(service, tells=["payments"]), "stripe.payments.succeeded") == {"10": 1}


def test_an_answer_that_does_not_come_in_time_may_come_later(service: Service) -> None:
    service.answer("/v1/charges", Said(late=True))
    hurried = Api(service.url, name="stripe", timeout=timedelta(milliseconds=50))
    with opened(hurried) as api, pytest.raises(Unavailable, match="did not answer in time") as late:
        list(read_stripe(api, JULY, UTC_ZONE, NOW, tells=["payments"]))
    assert may_work_later(late.value)


def test_a_key_that_is_not_known_is_denied(service: Service) -> None:
    said = {"error": {"message": "Invalid API Key provided: rk_live_***", "type": "invalid_request_error"}}
    service.answer("/v1/charges", Said(said, 401))
    with pytest.raises(Denied, match="Invalid API Key provided") as denied:
        rows(service, tells=["payments"])
    assert len(service.asked) == 1
    assert not may_work_later(denied.value)


@pytest.mark.parametrize(
    ("resource", "told"),
    [
        ("charges", '"Charges and Refunds" (rak_charge_read)'),
        ("disputes", '"Disputes" (rak_dispute_read)'),
        ("balance_transactions", '"Balance" (rak_balance_read)'),
        ("subscriptions", '"Subscriptions" (rak_subscription_read)'),
        ("events", '"Events" (rak_event_read)'),
    ],
)
def test_a_permission_that_is_missing_is_named(service: Service, resource: str, told: str) -> None:
    answer(service)
    service.answer(f"/v1/{resource}", Said({"error": {"type": "invalid_request_error"}}, 403))
    with pytest.raises(Denied) as denied:
        rows(service)
    assert f"it needs a restricted key that may read {told}" in str(denied.value)


@pytest.mark.parametrize(
    ("lists", "said"),
    [
        ({"charges": [charge("ch_1", at("10"), status=None)]}, '^"status" of the answer is null, where text'),
        (
            {"charges": [charge("ch_1", at("10"), amount_captured="1.00")]},
            '^"amount_captured" .* "1.00", where a whole',
        ),
        ({"subscriptions": [subscription(items={"url": "/v1"})]}, '^the answer has no "items.data"'),
        ({"subscriptions": [subscription(items=items({"id": "price_1"}))]}, '^the answer has no "price.recurring"'),
    ],
)
def test_a_shape_that_is_not_known_is_shown(service: Service, lists: dict[str, Any], said: str) -> None:
    answer(service, **lists)
    with pytest.raises(UnexpectedAnswer, match=said):
        rows(service)


def test_a_list_that_is_none_is_shown(service: Service) -> None:
    answer(service)
    service.answer("/v1/charges", Said({"charges": []}))
    with pytest.raises(UnexpectedAnswer, match=r'^the answer has no "data"; it is \{"charges": '):
        rows(service)


@pytest.mark.parametrize(
    ("told", "monthly"),
    [
        (price(1000), 1000),
        (price(12_000, "year"), 1000),
        (price(1000, "week"), 4333),
        (price(100, "day"), 3042),
        (price(1000, "month", 3), 333),
        (price(250, "year", 2), 10),
        (price("0.5"), 0),
        (price("1.5"), 2),
        (price("2.5"), 2),
        (price(1000, currency="jpy", currency_options={}), 0),
    ],
)
def test_what_recurs_is_brought_to_a_month_and_rounded_once(
    service: Service, told: dict[str, Any], monthly: int
) -> None:
    service.answer("/v1/prices/price_1", Said({"id": "price_1", "currency_options": {}}))
    assert mrr(service, subscriptions=[subscription(items=items(told))]) == monthly


def test_rounding_is_of_the_subscription_and_not_of_its_parts(service: Service) -> None:
    third = price(1000, "month", 3)
    assert mrr(service, subscriptions=[subscription(items=items(third, third, third))]) == 1000


@pytest.mark.parametrize(("way", "packs"), [("up", 3), ("down", 2)])
def test_quantities_are_counted_and_packed(service: Service, way: str, packs: int) -> None:
    assert mrr(service, subscriptions=[subscription(items=items(price(), quantity=7))]) == 7000
    packed = price(transform_quantity={"divide_by": 10, "round": way})
    assert mrr(service, subscriptions=[subscription(items=items(packed, quantity=25))]) == packs * 1000


METERED = {"interval": "month", "interval_count": 1, "usage_type": "metered"}


@pytest.mark.parametrize(
    "open_ended",
    [price(billing_scheme="tiered", unit_amount=None), price(recurring=METERED), price(None), price(1000, "eon")],
)
def test_a_price_that_is_not_fixed_is_left_out_and_counted(service: Service, open_ended: dict[str, Any]) -> None:
    assert mrr(service, subscriptions=[subscription(items=items(price(), open_ended))]) == 1000
    assert unpriced(service) == 1


def test_more_items_than_are_told_are_counted_as_left_out(service: Service) -> None:
    assert mrr(service, subscriptions=[subscription(items=items(price()) | {"has_more": True})]) == 1000
    assert unpriced(service) == 1


def test_a_price_in_several_currencies_counts_in_that_of_the_subscription(service: Service) -> None:
    options = {"eur": {"unit_amount": 900, "unit_amount_decimal": "900"}}
    service.answer("/v1/prices/price_1", Said({"id": "price_1", "currency_options": options}))
    in_dollars = subscription(items=items(price(1000, currency="usd")))
    assert mrr(service, subscriptions=[in_dollars, in_dollars | {"id": "sub_2"}]) == 1800
    asked = [asked.every for asked in service.asked if asked.path == "/v1/prices/price_1"]
    assert asked == [{"expand[]": ["currency_options"]}]
    assert unpriced(service) == 0


@pytest.mark.parametrize(
    ("changed", "recurs"),
    [
        ({"status": "active"}, True),
        ({"status": "past_due"}, True),
        ({"status": "trialing", "trial_end": at("20")}, False),
        ({"status": "incomplete"}, False),
        ({"status": "unpaid"}, False),
        ({"status": "paused"}, False),
        ({"status": "canceled", "ended_at": at("02")}, False),
        ({"pause_collection": {"behavior": "void", "resumes_at": None}}, False),
    ],
)
def test_what_is_paid_recurs(service: Service, changed: dict[str, Any], recurs: bool) -> None:  # noqa: FBT001
    assert mrr(service, subscriptions=[subscription(**changed)]) == (1000 if recurs else 0)


def discount(name: str = "di_1", *, coupon: object, end: int | None = None) -> dict[str, Any]:
    return {"id": name, "object": "discount", "end": end, "source": {"coupon": coupon, "type": "coupon"}}


def coupon(name: str = "co_1", **changed: Any) -> dict[str, Any]:  # noqa: ANN401
    none = {"percent_off": None, "amount_off": None, "currency": None}
    return {"id": name, "object": "coupon", "duration": "forever", **none, **changed}


@pytest.mark.parametrize(
    ("off", "end", "left"),
    [
        (coupon(percent_off=25.5), None, 1490),
        (coupon(percent_off=50, duration="once"), None, 2000),
        (coupon(percent_off=50, duration="repeating"), at("20"), 1000),
        (coupon(percent_off=50, duration="repeating"), at("12"), 2000),
        (coupon(amount_off=500, currency="eur"), None, 1500),
        (coupon(amount_off=9000, currency="eur"), None, 0),
        (coupon(amount_off=500, currency="usd", currency_options={"eur": {"amount_off": 400}}), None, 1600),
        (coupon(percent_off=100, applies_to={"products": ["prod_1"]}), None, 1000),
        (coupon(amount_off=1500, currency="eur", applies_to={"products": ["prod_1"]}), None, 1000),
    ],
)
def test_a_discount_that_lasts_is_taken_off(service: Service, off: dict[str, Any], end: int | None, left: int) -> None:
    two = items(price(), price(product="prod_2"))
    told = subscription(items=two, discounts=[discount(coupon="co_1", end=end)])
    assert mrr(service, subscriptions=[told], coupons=[off]) == left


def test_discounts_are_taken_off_one_after_the_other_first_those_of_the_item(service: Service) -> None:
    told = subscription(discounts=[discount("di_1", coupon="co_1"), discount("di_2", coupon="co_2")])
    told["items"]["data"][0]["discounts"] = [discount("di_3", coupon="co_1")]
    coupons = [coupon("co_1", percent_off=10), coupon("co_2", amount_off=10, currency="eur")]
    assert mrr(service, subscriptions=[told], coupons=coupons) == 800


def test_a_yearly_discount_is_brought_to_a_month(service: Service) -> None:
    told = subscription(items=items(price(12_000, "year")), discounts=[discount(coupon="co_1")])
    assert mrr(service, subscriptions=[told], coupons=[coupon(amount_off=1200, currency="eur")]) == 900


def test_a_coupon_that_was_deleted_is_known_from_its_discount(service: Service) -> None:
    told = subscription(discounts=[discount(coupon=coupon(percent_off=50))])
    assert mrr(service, subscriptions=[told]) == 500
    [asked, *_] = [asked for asked in service.asked if asked.path == "/v1/subscriptions"]
    assert asked.every["expand[]"] == ["data.discounts.source.coupon", "data.items.data.discounts"]


@pytest.mark.parametrize("unknown", ["di_9", discount(coupon="co_9"), discount(coupon=coupon())])
def test_a_discount_that_is_not_known_is_counted(service: Service, unknown: object) -> None:
    assert mrr(service, subscriptions=[subscription(discounts=[unknown])]) == 1000
    assert unpriced(service) == 1


def test_the_days_of_a_subscription_are_told_from_its_events(service: Service) -> None:
    bigger, smaller = items(price(3000)), items(price(2000))
    now = subscription(created=at("11"), status="canceled", ended_at=at("14 09:00"), items=smaller)
    began = subscription(created=at("11"), trial_end=None)
    answer(
        service,
        subscriptions=[now],
        events=[
            event("subscription.created", at("11"), began),
            event("subscription.updated", at("12 08:00"), began | {"items": bigger}, items=began["items"]),
            event("subscription.updated", at("13 08:00"), began | {"items": smaller}, items=bigger),
            event("subscription.deleted", at("14 09:00"), now),
        ],
    )
    found = rows(service, tells=["subscriptions"])
    assert by_day(found, "stripe.mrr") == {"10": 0, "11": 1000, "12": 3000, "13": 2000, "14": 0}
    assert [moved(found, str(day)) for day in range(10, 15)] == [
        {},
        {"new": 1000},
        {"expansion": 2000},
        {"contraction": 1000},
        {"churn": 2000},
    ]
    assert by_day(found, "stripe.customers") == {"10": 0, "11": 1, "12": 1, "13": 1, "14": 0}
    assert by_day(found, "stripe.customers.new")["11"] == by_day(found, "stripe.customers.churned")["14"] == 1


def test_before_the_first_event_that_is_known_it_was_as_the_event_says(service: Service) -> None:
    told = subscription(created=at("01"), items=items(price(3000)))
    before = {"items": items(price(2000)), "quantity": 1}
    answer(service, subscriptions=[told], events=[event("subscription.updated", at("12 08:00"), told, **before)])
    assert by_day(rows(service, tells=["subscriptions"]), "stripe.mrr")["11"] == 2000


def test_a_subscription_that_ended_was_paid_until_then_unless_it_was_a_trial(service: Service) -> None:
    ended: dict[str, Any] = {"status": "canceled", "ended_at": at("12 08:00")}
    paid, tried = subscription(**ended), subscription("sub_2", **ended, trial_end=at("20"))
    events = [event("subscription.deleted", at("12 08:00"), each) for each in (paid, tried)]
    answer(service, subscriptions=[paid, tried], events=events)
    assert by_day(rows(service, tells=["subscriptions"]), "stripe.mrr") == {
        "10": 1000,
        "11": 1000,
        "12": 0,
        "13": 0,
        "14": 0,
    }


def test_a_trial_that_becomes_paid_is_new_and_an_unpaid_one_that_is_paid_comes_back(service: Service) -> None:
    tried, owed = subscription(trial_end=at("12 08:00")), subscription("sub_2")
    answer(
        service,
        subscriptions=[tried, owed],
        events=[
            event("subscription.updated", at("12 08:00"), tried, status="trialing"),
            event("subscription.updated", at("13 08:00"), owed, status="unpaid"),
        ],
    )
    found = rows(service, tells=["subscriptions"])
    assert (moved(found, "12"), moved(found, "13")) == ({"new": 1000}, {"reactivation": 1000})
    assert by_day(found, "stripe.customers.reactivated")["13"] == 1


def test_a_customer_who_comes_back_with_another_subscription_is_not_new(service: Service) -> None:
    gone = subscription(created=at("01"), status="canceled", ended_at=at("05"))
    back = subscription("sub_2", created=at("13"), customer="cus_1")
    answer(service, subscriptions=[gone, back], events=[event("subscription.created", at("13"), back)])
    assert moved(rows(service, tells=["subscriptions"]), "13") == {"reactivation": 1000}


def test_a_trial_that_was_cancelled_does_not_make_a_customer(service: Service) -> None:
    gone = subscription(created=at("01"), status="canceled", ended_at=at("05"), trial_end=at("05"))
    back = subscription("sub_2", created=at("13"), customer="cus_1")
    answer(service, subscriptions=[gone, back], events=[event("subscription.created", at("13"), back)])
    assert moved(rows(service, tells=["subscriptions"]), "13") == {"new": 1000}


def test_subscriptions_of_one_customer_are_put_together(service: Service) -> None:
    """Who changes from one to another on one day has not gone, and is not new."""
    old = subscription(status="canceled", ended_at=at("13 08:00"))
    new = subscription("sub_2", created=at("13 09:00"), customer="cus_1", items=items(price(1500)))
    events = [
        event("subscription.deleted", at("13 08:00"), old),
        event("subscription.created", at("13 09:00"), new),
    ]
    answer(service, subscriptions=[old, new], events=events)
    found = rows(service, tells=["subscriptions"])
    assert moved(found, "13") == {"expansion": 500}
    assert set(by_day(found, "stripe.customers").values()) == {1}


def test_a_discount_that_ran_out_or_was_removed_is_told_as_it_was(service: Service) -> None:
    runs_out = subscription(discounts=[discount(coupon="co_1", end=at("12 08:00"))])
    removed = subscription("sub_2", discounts=[])
    taken_off = discount("di_2", coupon="co_1")
    events = [
        event("discount.deleted", at("13 08:00"), taken_off),
        event("subscription.updated", at("13 08:00"), removed, discounts=["di_2"]),
    ]
    answer(service, subscriptions=[runs_out, removed], events=events, coupons=[coupon(percent_off=50)])
    found = rows(service, tells=["subscriptions"])
    assert by_day(found, "stripe.mrr") == {"10": 1000, "11": 1000, "12": 1500, "13": 2000, "14": 2000}
    assert set(by_day(found, "stripe.subscriptions.unpriced").values()) == {0}


def test_events_in_the_shape_of_an_older_version_of_the_api_are_read(service: Service) -> None:
    """Events are told as the account's own version has it, whatever version is asked for."""
    told = subscription()
    old = {**told, "discount": None, "current_period_end": at("20")}
    del old["discounts"]
    half_off = {"object": "discount", "end": at("12"), "coupon": coupon(percent_off=50)}
    removed = {"id": "evt_1", "type": "customer.discount.deleted", "created": at("12"), "data": {"object": half_off}}
    events = [
        event("subscription.updated", at("12 08:00"), old | {"discount": half_off}, discount={"end": None}),
        event("subscription.updated", at("13 08:00"), old, discount=half_off),
    ]
    answer(service, subscriptions=[told], events=[*events, removed])
    found = by_day(rows(service, tells=["subscriptions"]), "stripe.mrr")
    assert found == {"10": 500, "11": 500, "12": 1000, "13": 1000, "14": 1000}


def test_what_began_after_the_subscriptions_were_read_is_told_of_by_its_events(service: Service) -> None:
    made = subscription(created=at("14 08:00"))
    answer(
        service,
        subscriptions=[],
        events=[
            event("subscription.created", at("14 08:00"), made),
            event("subscription.deleted", at("14 13:00"), made | {"status": "canceled", "ended_at": at("14 13:00")}),
        ],
    )
    assert by_day(rows(service, tells=["subscriptions"]), "stripe.mrr") == {
        "10": 0,
        "11": 0,
        "12": 0,
        "13": 0,
        "14": 1000,
    }


def test_the_running_day_is_told_as_it_is_now_and_later_ones_not_at_all(service: Service) -> None:
    answer(service, subscriptions=[subscription()])
    found = rows(service, Window(JULY.since, JULY.until + 3 * DAY), tells=["subscriptions"])
    assert list(by_day(found, "stripe.mrr")) == ["10", "11", "12", "13", "14"]


def test_hours_and_days_tell_the_same_revenue(service: Service) -> None:
    made = subscription(created=at("11 08:00"))
    answer(service, subscriptions=[made], events=[event("subscription.created", at("11 08:00"), made)])
    hours, days = (rows(service, grain=grain, tells=["subscriptions"]) for grain in (Grain.HOUR, Grain.DAY))
    assert by_day(hours, "stripe.mrr") == by_day(days, "stripe.mrr")
    assert sum(values.get("stripe.mrr.new", 0) for _, values in hours) == 1000


LONG_AGO = Window(datetime(2026, 6, 1, tzinfo=UTC), JULY.until)


def test_revenue_from_before_the_events_is_refused_and_what_to_write_is_told(service: Service) -> None:
    with pytest.raises(Refused) as refused:
        rows(service, LONG_AGO)
    assert str(refused.value) == (
        "stripe.mrr can be told from 2026-06-15 on, since Stripe keeps events for 30 days, and the window is "
        '2026-06-01 00:00 … 2026-07-15 00:00; give start = 2026-06-15 to a source that tells = ["subscriptions"], '
        "or write estimated_history = true"
    )
    assert service.asked == []


def test_payments_from_before_the_events_are_told(service: Service) -> None:
    answer(service, charges=[charge("ch_1", at("10") - 35 * 24 * 3600)])
    assert len(rows(service, LONG_AGO, tells=["payments", "balance"])) == 1


def test_an_estimate_goes_by_the_dates_of_the_subscriptions(service: Service) -> None:
    june = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp())
    day = 24 * 3600
    answer(
        service,
        subscriptions=[
            subscription("sub_1", created=june + 2 * day),
            subscription("sub_2", created=june - day, trial_end=june + 4 * day),
            subscription("sub_3", created=june - day, status="canceled", ended_at=june + 6 * day),
            subscription("sub_4", created=june - day, status="unpaid"),
        ],
    )
    found = rows(service, LONG_AGO, tells=["subscriptions"], estimated_history=True)
    values = [values["stripe.mrr"] for _, values in found if "stripe.mrr" in values]
    assert values[:8] == [1000, 1000, 2000, 2000, 3000, 3000, 2000, 2000]
    assert values[8:] == [2000] * 36


def test_several_currencies_are_refused_until_they_are_named(service: Service) -> None:
    two = [charge("ch_1", at("10")), charge("ch_2", at("10"), currency="jpy")]
    in_yen = subscription("sub_2", currency="jpy")
    changed = [event("subscription.updated", at("11"), in_yen)]
    answer(service, charges=two, subscriptions=[subscription(), in_yen], events=changed)
    for tells in Tells.PAYMENTS, Tells.SUBSCRIPTIONS:
        with pytest.raises(Refused, match=r'^amounts are in eur and jpy, .*write currencies = \["eur", "jpy"\]'):
            rows(service, tells=[tells])
    service.answer("/v1/prices/price_1", Said({"currency_options": {"jpy": {"unit_amount": 160}}}))
    named = rows(service, currencies=["eur", "jpy"])
    assert by_day(named, "stripe.payments.succeeded", currency="jpy") == {"10": 1}
    assert by_day(named, "stripe.mrr", currency="jpy")["14"] == 160
    assert {dims.get("currency") for dims, _ in rows(service, currencies=["eur"])} == {"eur", None}
    assert by_day(named, "stripe.customers")["14"] == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tells": ()}, "^it tells nothing; there are: payments, balance, subscriptions$"),
        ({"currencies": ("EUR",)}, '^"EUR" is no currency; write its ISO code in lower case, such as eur$'),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused, match=said):
        StripeSource("stripe", **options)


def test_a_part_that_does_not_exist_is_refused(service: Service) -> None:
    with pytest.raises(UnknownName, match=r'^there is no part of Stripe "payment"; did you mean "payments"\?'):
        rows(service, tells=["payment"])


def test_a_service_that_is_a_database_is_refused() -> None:
    shop: Any = object()
    with pytest.raises(Refused, match=r'^Stripe is spoken to by HTTP.*: stripe = \{ token = "\$\{STRIPE_KEY\}" \}$'):
        next(read_stripe(shop, JULY, UTC_ZONE, NOW))


def test_it_is_asked_for_at_its_own_address_where_none_is_given() -> None:
    with opened(Api(name="stripe")) as api:
        with pytest.raises(Refused, match=r"^stripe\.mrr can be told"):
            next(read_stripe(api, LONG_AGO, UTC_ZONE, NOW))
        assert api.url == "https://api.stripe.com"


def test_what_may_be_read_is_told(service: Service) -> None:
    answer(service)
    service.answer("/v1/prices", Said({"data": [], "has_more": False}))
    assert probed(service) == [
        "may read charges",
        "may read refunds",
        "may read disputes",
        "may read balance transactions",
        "may read subscriptions",
        "may read events",
        "may read coupons",
        "may read prices",
    ]
    assert {asked.params["limit"] for asked in service.asked} == {"1"}


def test_every_permission_that_is_missing_is_told_at_once(service: Service) -> None:
    answer(service)
    for name in ("disputes", "events", "prices"):
        service.answer(f"/v1/{name}", Said({"error": {}}, 403))
    with pytest.raises(NodeFailed) as failed:
        probed(service)
    assert [slug in str(failed.value) for slug in ("rak_dispute_read", "rak_event_read", "rak_plan_read")] == [True] * 3


def test_a_key_that_is_not_known_is_told_once(service: Service) -> None:
    for name in (*LISTS, "prices"):
        service.answer(f"/v1/{name}", Said({"error": {}}, 401))
    with pytest.raises(NodeFailed) as failed:
        probed(service)
    assert str(failed.value).count("401") == 1


def probed(service: Service) -> list[str]:
    """Return what the probe says."""
    said: list[str] = []
    with opened(Api(service.url, name="stripe")) as api:
        run(StripeSource("stripe").probe("revenue").followed_by(node(said.append)), {"stripe": api})
    return said


PROJECT = """
[project]
start = 2026-07-10

[services.stripe]
url = "{url}"
token = "${{STRIPE_KEY}}"

[sources.payments]
kind = "stripe"
service = "stripe"
tells = ["payments"]
schedule = "@daily"
currencies = ["eur"]
"""


def test_a_project_reads_it_and_its_key_is_shown_nowhere(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("STRIPE_KEY", "rk_live_planted")
    project = make_project(tmp_path / "company", PROJECT.format(url=service.url))
    answer(service, charges=[charge("ch_1", at("10 08:00"), 1234, description="by rk_live_planted")])
    read = ("read", "payments", "--write", "--since", "2026-07-10", "--until", "2026-07-12")
    assert typed(*read, project=project).status == 0
    assert typed("record", "payments", *read[3:], project=project).status == 0
    shown = typed("show", "stripe.payments.succeeded.amount", "--since", "2026-07-10", "--json", project=project)
    assert 1234 in [value["value"] for value in shown.data]
    service.answer("/v1/charges", Said({"error": {"message": "no such key: rk_live_planted"}}, 401))
    failed = typed(*read, project=project)
    assert (failed.status, "***" in failed.err) == (1, True)
    kept = b"".join(file.read_bytes() for file in project.rglob("*") if file.is_file())
    told = failed.out + failed.err + shown.out + caplog.text + kept.decode(errors="replace")
    assert "rk_live_planted" not in told
    assert "no such key: ***" in told


def test_its_metrics_come_with_it_and_its_definition_says_what_is_told(tmp_path: Path) -> None:
    project = load_project(make_project(tmp_path, PROJECT.format(url="http://127.0.0.1:9")))
    assert {name for name in project.plan if name.startswith("stripe.")} == {
        "stripe.payments.succeeded",
        "stripe.payments.succeeded.amount",
        "stripe.payments.failed",
        "stripe.payments.failed.amount",
        "stripe.payments.failure_rate",
        "stripe.refunds",
        "stripe.refunds.amount",
        "stripe.disputes",
        "stripe.disputes.amount",
    }
    assert project.sources["payments"].definition == f"Stripe {VERSION}: payments; in eur"
    assert StripeSource("s", estimated_history=True).definition.endswith("subscriptions; history estimated")


def test_it_is_there_from_python() -> None:
    assert tallyline.read_stripe is read_stripe


AMOUNTS = st.sampled_from([0, 700, 1000, 2500])
STATUSES = st.sampled_from(["active", "past_due", "trialing", "unpaid", "paused"])
STEPS = st.lists(st.tuples(st.integers(1, 400), AMOUNTS, STATUSES), max_size=5)
PAID = ("active", "past_due")


@dataclass
class Life:
    """A subscription drawn at random: how it was from when on, and what Stripe tells of it."""

    states: list[tuple[int, dict[str, Any]]]
    events: list[dict[str, Any]]

    @classmethod
    def drawn(cls, name: str, hours: int, steps: list[tuple[int, int, str]], customer: int, *, ends: bool) -> Life:
        """Begin so many hours after the 10th of July, and change so many hours later, again and again."""
        told = subscription(name, created=at("10") + hours * 3600, customer=f"cus_{customer}")
        life = cls([(told["created"], told)], [event("subscription.created", told["created"], told)])
        for later, amount, status in steps:
            life.go_on("updated", later, items=items(price(amount)), status=status)
        if ends and life.states[-1][1]["status"] in PAID:
            life.go_on("deleted", 5, status="canceled", ended_at=life.states[-1][0] + 5 * 3600)
        life.states = [(moment, state) for moment, state in life.states if moment < at("14 12:00")]
        return life

    def go_on(self, kind: str, hours: int, **changed: Any) -> None:  # noqa: ANN401
        """Change after so many hours."""
        moment, told = self.states[-1]
        before = {key: told[key] for key in changed} if kind == "updated" else {}
        self.states.append((moment + hours * 3600, told | changed))
        self.events.append(event(f"subscription.{kind}", moment + hours * 3600, told | changed, **before))

    def at(self, moment: int) -> dict[str, int]:
        """Return what its customer pays at a moment."""
        state = [state for when, state in self.states if when < moment][-1:]
        paid = [each for each in state if each["status"] in PAID]
        return {each["customer"]: each["items"]["data"][0]["price"]["unit_amount"] for each in paid}


LIVES = st.builds(Life.drawn, st.uuids().map(str), st.integers(-900, 100), STEPS, st.integers(0, 2), ends=st.booleans())


@pytest.fixture(scope="module")
def stripe() -> Iterator[tuple[Service, Api]]:
    """A service and its client, for many reads."""
    with serving() as service, opened(Api(service.url, name="stripe")) as api:
        yield service, api


@settings(deadline=None, max_examples=50)
@given(st.lists(LIVES, max_size=6))
def test_revenue_is_what_it_was_before_and_what_has_moved(stripe: tuple[Service, Api], lives: list[Life]) -> None:
    """Of any subscriptions: every day ends with what the day before ended with, and its movements."""
    reach = at("14 12:00") - 30 * 24 * 3600
    events = [each for life in lives for each in life.events if reach <= each["created"] < at("14 12:00")]
    lives = [life for life in lives if life.states]
    service, api = stripe
    answer(service, subscriptions=[life.states[-1][1] for life in lives], events=events)
    found = list(read_stripe(api, JULY, UTC_ZONE, NOW, tells=["subscriptions"]))
    ends = [at("10") + days * 24 * 3600 for days in range(5)] + [at("14 12:00")]
    paid = [sum((Counter(life.at(moment)) for life in lives), Counter()) for moment in ends]
    total = [of_day.total() for of_day in paid]
    revenue, came = by_day(found, "stripe.mrr"), by_day(found, "stripe.customers.new")
    assert list(revenue.values()) == (total[1:] if lives else [])
    for (before, after), day in zip(pairwise(total), revenue, strict=False):
        lost = {"contraction", "churn"}
        assert after == before + sum(-moves if way in lost else moves for way, moves in moved(found, day).items())
    customers = [len(+of_day) for of_day in paid]
    assert list(by_day(found, "stripe.customers").values()) == customers[1:]
    back, gone = by_day(found, "stripe.customers.reactivated"), by_day(found, "stripe.customers.churned")
    for (before, after), day in zip(pairwise(customers), came, strict=True):
        assert after == before + came[day] + back[day] - gone[day]


@pytest.mark.realdata
def test_the_examples_that_stripe_publishes_become_right_metrics(service: Service, pytestconfig: pytest.Config) -> None:
    """Of every object Stripe publishes an example; each is an hour old here, and else as published."""
    file = pytestconfig.rootpath.parent / "shared/data/stripe/fixtures3.json"
    if not file.is_file():
        pytest.skip("no real data beside this checkout")
    examples = json.loads(file.read_text("utf-8"))["resources"]
    hour = {"created": at("14 11:00")}
    lists = {f"{name}s": [examples[name] | hour] for name in ("charge", "refund", "dispute", "balance_transaction")}
    told = examples["subscription"]
    answer(service, **lists, subscriptions=[told], coupons=[examples["coupon"]], events=[examples["event"]])
    found = rows(service)
    day = {name: value for dims, values in found if dims["time"].day == 14 for name, value in values.items()}
    assert {name: value for name, value in day.items() if value} == {
        "stripe.refunds": 1,
        "stripe.refunds.amount": 100,
        "stripe.disputes": 1,
        "stripe.disputes.amount": 1000,
        "stripe.revenue.gross": 100,
    }, "the example of a charge was not captured, that of a subscription is paused"
    captured = {"captured": True, "amount_captured": examples["charge"]["amount"]}
    plain = told | {"pause_collection": None, "trial_end": None, "ended_at": None}
    plain["items"]["data"][0]["price"]["transform_quantity"] = None  # of more than a billion, in the example
    plain["discounts"] = [examples["discount"] | {"end": None, "source": {"coupon": examples["coupon"]["id"]}}]
    answer(service, charges=[examples["charge"] | hour | captured], subscriptions=[plain], coupons=[examples["coupon"]])
    found = rows(service, tells=["payments", "subscriptions"])
    assert by_day(found, "stripe.payments.succeeded.amount", currency="usd") == {"14": 100}
    assert by_day(found, "stripe.mrr", currency="usd")["14"] == 1490
    assert by_day(found, "stripe.customers")["14"] == 1
