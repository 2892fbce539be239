"""The chart in the terminal, to the letter: columns, gaps, zero, what is not complete, and as much as fits."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from tallyline.cli.chart import chart, short
from tallyline.plan import Kind, Metric
from tallyline.warehouse import Value
from tallyline.window import Grain

UTC_ZONE = ZoneInfo("UTC")
REVENUE = Metric("revenue", "Revenue", "USD")


def day(number: int, value: float, part: str | None = None, *, complete: bool = True) -> Value:
    """Return the value of a day of July."""
    return Value(datetime(2026, 7, number, tzinfo=UTC), float(value), part, complete)


def drawn(*values: Value, width: int = 40, metric: Metric = REVENUE) -> str:
    """Return the chart under its title."""
    title, _, below = chart(values, metric, Grain.DAY, UTC_ZONE, width=width).partition("\n\n")
    assert title.startswith("Revenue by day")
    return below


def test_columns_stand_on_zero_with_gaps_and_hatching() -> None:
    values = (day(1, 5), day(2, 10), day(4, 7.5), day(5, 2, complete=False))
    assert (
        drawn(*values)
        == """\
10 ┤      █████
   ┤      █████
   ┤      █████       ▄▄▄▄▄
   ┤      █████       █████
   ┤      █████       █████
   ┤█████ █████       █████
   ┤█████ █████       █████
   ┤█████ █████       █████
   ┤█████ █████       █████ ░░░░░
 0 ┤█████ █████       █████ ░░░░░
    01 Jul 2026        05 Jul 2026
last complete: 7.5 (04 Jul 2026)
░ not complete yet: 2 so far (05 Jul 2026)"""
    )


def test_the_title_has_the_grain_and_the_unit() -> None:
    assert chart([day(1, 5)], REVENUE, Grain.DAY, UTC_ZONE).startswith("Revenue by day, in USD\n")
    assert chart([day(1, 5)], Metric("revenue"), Grain.MONTH, UTC_ZONE).startswith("revenue by month\n")


def test_a_share_of_one_is_told_in_per_cent() -> None:
    share = Metric("activation", "Activation", kind=Kind.FORMULA, formula="a / b", share=True)
    title, *lines = chart([day(1, 0.554)], share, Grain.DAY, UTC_ZONE).splitlines()
    assert title == "Activation by day, in %"
    assert lines[1].startswith("55.40 ┤")
    assert lines[-1] == "last complete: 55.4 (01 Jul 2026)"


def test_zero_is_a_line_and_a_gap_is_nothing() -> None:
    [zeros] = [line for line in drawn(day(1, 0), day(2, 8), day(4, 0)).splitlines() if line.startswith("0 ┤")]
    assert zeros == "0 ┤_____ █████       _____"


def test_all_zero_is_one_line() -> None:
    assert drawn(day(1, 0), day(2, 0)).splitlines()[:2] == ["0 ┤_____ _____", "   01 Jul 2026 02 Jul 2026"]


def test_what_is_less_than_zero_hangs_below_it() -> None:
    assert drawn(day(1, -5), day(2, 5), day(3, 0), day(4, -1)).splitlines()[:10] == [
        " 5 ┤      █████",
        "   ┤      █████",
        "   ┤      █████",
        "   ┤      █████",
        " 0 ┤      █████ _____",
        "   ┤█████             █████",
        "   ┤█████",
        "   ┤█████",
        "   ┤█████",
        "-5 ┤█████",
    ]


def test_nothing_but_less_than_zero_hangs_from_the_top() -> None:
    lines = drawn(day(1, -5)).splitlines()
    assert (lines[0], lines[1], lines[10]) == (" 0 ┤", "   ┤█████", "-5 ┤█████")


def test_parts_are_drawn_one_by_one_the_greatest_first_over_the_same_days() -> None:
    blocks = drawn(day(1, 1, "a"), day(1, 3, None), day(1, 2, "b"), day(2, 1, "a")).split("\n\n")
    assert [block.splitlines()[0] for block in blocks] == ["(none)", "a", "b"]
    assert {block.splitlines()[-2].strip() for block in blocks} == {"01 Jul 2026 02 Jul 2026"}
    assert [block.splitlines()[-1] for block in blocks] == [
        "last complete: 3 (01 Jul 2026)",
        "last complete: 1 (02 Jul 2026)",
        "last complete: 2 (01 Jul 2026)",
    ]


def test_the_last_columns_are_drawn_where_not_all_fit() -> None:
    lines = drawn(*(day(number, number) for number in range(1, 31)), width=20).splitlines()
    assert lines[0] == "30 ┤             ▃▅█"
    assert lines[9] == " 0 ┤████████████████"
    assert lines[-1] == "the last 16 of 30 days; a longer --by shows more"
    assert max(map(len, lines[:10])) == 20


@pytest.mark.parametrize("width", [1, 3, 12, 25, 40, 80, 200])
def test_no_column_goes_beyond_the_width(width: int) -> None:
    columns = drawn(*(day(number, 1234.5 * number) for number in range(1, 31)), width=width).splitlines()[:10]
    assert max(map(len, columns)) <= max(width, len("37k ┤█"))


def test_a_single_column_is_named_once() -> None:
    assert drawn(day(1, 5)).splitlines()[-2:] == ["   01 Jul 2026", "last complete: 5 (01 Jul 2026)"]


def test_nothing_known_says_what_to_do() -> None:
    assert drawn() == "Nothing is known for this time. To read the sources: tallyline read all --write"


@pytest.mark.parametrize(
    ("by", "told"),
    [
        ("hour", "01 Jul 2026 02:00"),
        ("day", "01 Jul 2026"),
        ("week", "29 Jun 2026"),
        ("month", "Jul 2026"),
        ("year", "2026"),
    ],
)
def test_times_are_told_in_the_business_zone_as_finely_as_needed(by: str, told: str) -> None:
    paris = ZoneInfo("Europe/Paris")
    value = Value(Grain(by).floor(datetime(2026, 7, 1, tzinfo=UTC), paris), 5.0, None, complete=True)
    assert chart([value], REVENUE, Grain(by), paris).endswith(f"last complete: 5 ({told})")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0, "0"),
        (0.5, "0.5"),
        (0.00123456, "0.00123"),
        (-0.5, "-0.5"),
        (2.345, "2.35"),
        (9_999, "9,999"),
        (10_000, "10k"),
        (-56_789, "-56.8k"),
        (999_999, "1,000k"),
        (1_000_000, "1M"),
        (1_234_567_890, "1.23G"),
        (5e13, "50,000G"),
    ],
)
def test_numbers_are_short(value: float, told: str) -> None:
    assert short(value) == told
