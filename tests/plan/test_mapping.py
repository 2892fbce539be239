"""What an item of another system says: when, of what and how much, or why it cannot be told."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from tallyline.errors import UnexpectedAnswer
from tallyline.plan.mapping import ItemMapping, as_moment
from tests.warehouse.publishing import PARIS, at, window

DAY = window("2026-07-14", "2026-07-15", PARIS)
TEN = at("2026-07-14 10:00", PARIS)
ORDERS = ItemMapping("at", {"orders.count": 1, "orders.revenue": "total"}, {"country": "billing.country?"})


@pytest.mark.parametrize(
    "told",
    [
        datetime(2026, 7, 14, 8, tzinfo=UTC),
        datetime(2026, 7, 14, 10),  # noqa: DTZ001  # in the zone of the source
        datetime(2026, 7, 14, 4, tzinfo=ZoneInfo("America/New_York")),
        "2026-07-14 10:00",
        "2026-07-14T08:00:00Z",
        1784016000,
        1784016000.0,
        Decimal(1784016000),
    ],
    ids=repr,
)
def test_a_time_is_told_in_any_of_the_usual_ways(told: object) -> None:
    assert as_moment(told, PARIS) == TEN
    assert ORDERS.row({"at": told, "total": 3}, DAY, PARIS) == (
        {"time": TEN, "country": None},
        {"orders.count": 1, "orders.revenue": 3},
    )


def test_a_date_is_when_its_business_day_begins() -> None:
    assert as_moment(date(2026, 7, 14), PARIS) == DAY.since
    assert ORDERS.row({"at": date(2026, 7, 15), "total": 3}, DAY, PARIS) is None  # the day after


@pytest.mark.parametrize("told", ["soon", "", True, None, 1e300, [TEN], "0001-01-01"], ids=repr)
def test_what_is_no_time_is_told_with_the_item_that_has_it(told: object) -> None:
    with pytest.raises(UnexpectedAnswer) as refused:
        ORDERS.row({"at": told, "total": 3}, DAY, PARIS)
    assert str(refused.value).startswith('"at" is ')
    assert "where a time (ISO 8601 text, or seconds since 1970) is expected; the item is {" in str(refused.value)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"total": 3}, 'an item has no "at"; write "at?" if it may be missing. It is {"total": 3}'),
        ({"at": "2026-07-14", "total": "much"}, '"total" is "much", where a number is expected'),
        (
            {"at": "2026-07-14", "total": 3, "billing": {"country": ["FR"]}},
            '"billing.country?" is ["FR"], where text is expected',
        ),
    ],
)
def test_what_an_item_lacks_or_has_in_another_form_is_told(item: dict[str, object], message: str) -> None:
    with pytest.raises(UnexpectedAnswer) as refused:
        ORDERS.row(item, DAY, PARIS)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize("item", [{}, {"billing": None}, {"billing": {}}, {"billing": "cash"}, {"billing": []}])
def test_what_may_be_missing_is_left_out(item: dict[str, object]) -> None:
    row = ORDERS.row({"at": TEN, "total": "71.50", **item}, DAY, PARIS)
    assert row == ({"time": TEN, "country": None}, {"orders.count": 1, "orders.revenue": 71.5})
