"""What a panel shows: lines, the period before them, a headline and a target; on both databases."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest

from tallyline.dashboards import Panel, read_panel
from tallyline.errors import UnknownName
from tallyline.plan import Kind, Metric, with_units
from tallyline.warehouse import open_warehouse
from tallyline.window import Grain, Window, start_of_day
from tests.warehouse.publishing import PARIS, publish, reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tallyline.dashboards import PanelData
    from tallyline.warehouse import Warehouse

MONDAY = date(2026, 11, 2)
NOW = start_of_day(date(2026, 11, 15), PARIS) + timedelta(hours=10)
PLAN = with_units(
    {
        metric.name: metric
        for metric in (
            Metric("users.new", "New users", "users"),
            Metric("users.activated", "Activated users", "users"),
            Metric("users.total", "Users", "users", Kind.LEVEL),
            Metric("activation", "Activation", formula="users.activated / users.new", kind=Kind.FORMULA),
        )
    }
)


@pytest.fixture
def warehouse(warehouse_url: str) -> Iterator[Warehouse]:
    """An empty warehouse, on the morning of a Sunday."""
    with open_warehouse(warehouse_url, PARIS, write=True, clock=lambda: NOW, plan=PLAN) as warehouse:
        yield warehouse


def day(number: int) -> date:
    """The day so many days after the first Monday."""
    return MONDAY + timedelta(days=number)


def days(first: int, last: int) -> Window:
    return Window(start_of_day(day(first), PARIS), start_of_day(day(last + 1), PARIS))


def put(warehouse: Warehouse, values: Mapping[int, Mapping[str, float]], source: str = "shop", **dims: str) -> None:
    """Publish values of some days, as a source that has read up to the last of them."""
    rows = [({"date": day(number), **dims}, told) for number, told in values.items()]
    told = reading(rows, days(min(values), max(values)), source=source, grain=Grain.DAY, zone=PARIS, plan=PLAN)
    publish(warehouse, told, PLAN)


def put_new(warehouse: Warehouse, values: Mapping[int, float], source: str = "shop", **dims: str) -> None:
    put(warehouse, {number: {"users.new": value} for number, value in values.items()}, source, **dims)


def shown(warehouse: Warehouse, panel: Panel, first: int = 7, last: int = 13, by: Grain | None = None) -> PanelData:
    return read_panel(panel, PLAN[panel.metric], warehouse, days(first, last), PARIS, by=by)


COUNTED = {number: float(number + 1) for number in range(14)}


def test_without_a_comparison_nothing_is_drawn_before(warehouse: Warehouse) -> None:
    put_new(warehouse, COUNTED)
    data = shown(warehouse, Panel("users.new"))
    assert data.compare is None
    assert [(line.values, line.before) for line in data.lines] == [([8, 9, 10, 11, 12, 13, 14], [])]


def test_each_day_has_the_one_a_week_before(warehouse: Warehouse) -> None:
    put_new(warehouse, COUNTED)
    data = shown(warehouse, Panel("users.new", compare=Grain.WEEK))
    assert data.compare is Grain.WEEK
    assert [(line.values, line.before) for line in data.lines] == [([8, 9, 10, 11, 12, 13, 14], [1, 2, 3, 4, 5, 6, 7])]


def test_the_same_values_are_before_as_the_query_tells(warehouse: Warehouse) -> None:
    put_new(warehouse, COUNTED)
    data = shown(warehouse, Panel("users.new", compare=Grain.DAY))
    window = days(7, 13)
    told = warehouse.query("users.new", since=window.since, until=window.until, compare=Grain.DAY)
    assert data.lines[0].before == [value.before for value in told]


def test_what_is_before_goes_on_in_a_gap_and_is_none_where_it_is_not_known(warehouse: Warehouse) -> None:
    totals = {number: {"users.total": float(number)} for number in (1, 2, 7, 9)}
    put(warehouse, totals)
    [line] = shown(warehouse, Panel("users.total", compare=Grain.WEEK), 7, 9).lines
    assert (line.values, line.before) == ([7, None, 9], [None, 1, 2])


def test_parts_have_their_own_values_before(warehouse: Warehouse) -> None:
    rows = [
        ({"date": day(number), "country": country}, {"users.new": float(number * factor)})
        for number in (6, 7)
        for country, factor in (("FR", 1), ("DE", 10))
    ]
    publish(warehouse, reading(rows, days(6, 7), grain=Grain.DAY, zone=PARIS, plan=PLAN), PLAN)
    data = shown(warehouse, Panel("users.new", split="country", compare=Grain.DAY), 7, 7)
    assert [(line.label, line.values, line.before) for line in data.lines] == [("DE", [70], [60]), ("FR", [7], [6])]
    assert data.headline
    assert (data.headline.value, data.headline.before) == (77, 66)


def test_what_is_left_over_is_gathered_before_as_well(warehouse: Warehouse) -> None:
    rows = [
        ({"date": day(number), "country": f"C{country}"}, {"users.new": float(country + number)})
        for number in (6, 7)
        for country in range(12)
    ]
    publish(warehouse, reading(rows, days(6, 7), grain=Grain.DAY, zone=PARIS, plan=PLAN), PLAN)
    other = shown(warehouse, Panel("users.new", split="country", compare=Grain.DAY), 7, 7).lines[-1]
    assert (other.label, other.values, other.before) == ("other (4)", [7 + 8 + 9 + 10], [6 + 7 + 8 + 9])


def test_the_headline_is_compared_with_what_the_panel_says(warehouse: Warehouse) -> None:
    put_new(warehouse, COUNTED)
    usual = shown(warehouse, Panel("users.new")).headline
    daily = shown(warehouse, Panel("users.new", compare=Grain.DAY)).headline
    assert usual
    assert daily
    assert (usual.before, usual.change) == (6, (13 - 6) / 6)  # the running Sunday is left out
    assert (daily.before, daily.compared_with) == (12, start_of_day(day(11), PARIS))


@pytest.mark.parametrize("compare", [None, Grain.WEEK])
def test_a_bucket_that_was_read_in_part_is_nothing_to_compare_with(warehouse: Warehouse, compare: Grain | None) -> None:
    hours = Window(start_of_day(day(5), PARIS) + timedelta(hours=12), start_of_day(day(13), PARIS))
    rows = [({"date": day(number), "hour": 13}, {"users.new": 5.0}) for number in range(5, 13)]
    publish(warehouse, reading(rows, hours, grain=Grain.HOUR, zone=PARIS, plan=PLAN), PLAN)
    headline = shown(warehouse, Panel("users.new", compare=compare)).headline
    assert headline
    assert (headline.time, headline.value) == (start_of_day(day(12), PARIS), 5)
    assert headline.before is None


def test_at_a_longer_grain_than_the_comparison_the_bucket_before_is_compared(warehouse: Warehouse) -> None:
    put_new(warehouse, COUNTED)
    data = shown(warehouse, Panel("users.new", compare=Grain.DAY), by=Grain.WEEK)
    assert data.compare is None
    assert data.lines[0].before == []
    assert data.headline
    assert data.headline.compared_with == start_of_day(day(-7), PARIS)


def test_a_target_is_for_the_panels_own_grain_alone(warehouse: Warehouse) -> None:
    put_new(warehouse, COUNTED)
    panel = Panel("users.new", target=10)
    assert shown(warehouse, panel).target == 10
    assert shown(warehouse, panel, by=Grain.DAY).target == 10
    assert shown(warehouse, panel, by=Grain.WEEK).target is None


def test_only_the_series_with_these_dims_are_told(warehouse: Warehouse) -> None:
    rows = [
        ({"date": day(7), "country": country, "plan": plan}, {"users.new": value})
        for country, plan, value in (("FR", "a", 1.0), ("FR", "b", 2.0), ("DE", "a", 40.0))
    ]
    publish(warehouse, reading(rows, days(7, 7), grain=Grain.DAY, zone=PARIS, plan=PLAN), PLAN)
    data = shown(warehouse, Panel("users.new", where={"country": "FR"}), 7, 7)
    assert data.lines[0].values == [3]
    split = shown(warehouse, Panel("users.new", where={"country": "FR"}, split="plan"), 7, 7)
    assert [(line.label, line.values) for line in split.lines] == [("b", [2]), ("a", [1])]
    assert split.total == [3]


def test_a_dim_that_no_series_has_is_told(warehouse: Warehouse) -> None:
    put_new(warehouse, COUNTED, country="FR")
    with pytest.raises(UnknownName, match=r'there is no dim of users.new called "contry"; did you mean'):
        shown(warehouse, Panel("users.new", where={"contry": "FR"}))


def test_a_formula_is_compared_as_a_whole(warehouse: Warehouse) -> None:
    values = {0: (4.0, 1.0), 7: (4.0, 3.0)}
    put(warehouse, {number: {"users.new": new, "users.activated": of} for number, (new, of) in values.items()})
    data = shown(warehouse, Panel("activation", compare=Grain.WEEK), 7, 7)
    assert [(line.values, line.before) for line in data.lines] == [([0.75], [0.25])]
    assert PLAN["activation"].share
