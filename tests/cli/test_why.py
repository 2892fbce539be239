"""`tallyline why`, and what `tallyline show` tells of numbers that were revised: where each came from, and before."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from itertools import takewhile
from typing import TYPE_CHECKING

import pytest
import time_machine

from tallyline import __version__
from tests.cli.terminal import Answer, make_project, tallyline
from tests.warehouse.publishing import PARIS, at, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROJECT = """\
[project]
timezone = "Europe/Paris"
warehouse = "${WAREHOUSE_URL}"

[metrics]
revenue = { title = "Revenue", unit = "EUR" }
orders = {}
basket = { title = "Basket", formula = "revenue / orders" }
visits = {}
"""
CODE = """
import json
from pathlib import Path

from tallyline import source

NUMBERS = Path(__file__).with_name("numbers.json")


@source
def sales():
    for time, country, revenue in json.loads(NUMBERS.read_text("utf-8")):
        yield {"time": time, "country": country}, {"revenue": revenue, "orders": 1}
"""
QUERIED = """\
[project]
warehouse = "${WAREHOUSE_URL}"

[services]
shop = "sqlite:///shop.db"

[metrics]
revenue = {}

[sources.till]
kind = "sql"
service = "shop"
schedule = "@daily"
query = '''
    SELECT date, country, sum(price) AS revenue
    FROM sale
    WHERE date >= :since AND date < :until
    GROUP BY date, country
'''
"""
THE_DAY = ("--since", "2026-07-01", "--until", "2026-07-02")
TEN, ELEVEN = "2026-07-01T10:00", "2026-07-01T11:00"


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """Time stands still, first at noon of the day after the numbers'."""
    with time_machine.travel(at("2026-07-02 12:00", PARIS), tick=False) as traveller:
        yield traveller


@pytest.fixture
def project(tmp_path: Path, warehouse_url: str, clock: object, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose numbers stand in a file."""
    monkeypatch.setenv("WAREHOUSE_URL", warehouse_url)
    return make_project(tmp_path / "project", PROJECT, CODE)


@pytest.fixture
def revised(project: Path, clock: time_machine.Traveller) -> Path:
    """The project, read twice: a number was changed meanwhile, and another one removed."""
    read(project, [TEN, "FR", 3], [ELEVEN, "FR", 4], [ELEVEN, "DE", 8])
    clock.move_to(at("2026-07-03 09:30", PARIS))
    read(project, [TEN, "FR", 5.5], [ELEVEN, "FR", 4])
    return project


def read(project: Path, *rows: list[object]) -> None:
    """Read and write these numbers for the day."""
    (project / "numbers.json").write_text(json.dumps(rows), encoding="utf-8")
    assert tallyline("read", "sales", "--write", *THE_DAY, project=project).status == 0


def why(project: Path, *arguments: str) -> Answer:
    """Ask where a number comes from."""
    return tallyline("why", *arguments, project=project)


def facts_told(answer: Answer) -> list[str]:
    """Return what was told before the code or the query, line by line."""
    assert answer.status == 0
    return list(takewhile(lambda line: not line.startswith("run "), answer.out.splitlines()))


def revenue_by_day(project: Path, *arguments: str) -> list[float]:
    """Return the revenue of each day."""
    answer = tallyline("show", "revenue", "--json", *arguments, project=project)
    assert answer.status == 0
    return [value["value"] for value in answer.data]


def test_the_values_of_now_and_before_to_the_letter(revised: Path, warehouse_url: str) -> None:
    [(code,)] = rows_of(warehouse_url, "SELECT DISTINCT definition FROM run")
    text = """\
    @source
    def sales():
        for time, country, revenue in json.loads(NUMBERS.read_text("utf-8")):
            yield {"time": time, "country": country}, {"revenue": revenue, "orders": 1}
"""
    assert why(revised, "revenue", "2026-07-01") == Answer(
        0,
        f"""\
revenue country=DE, 01 Jul 2026
  nothing since 2026-07-03 09:30, by run 2 of sales, Tallyline {__version__}
  8 since 2026-07-02 12:00 until 2026-07-03 09:30, by run 1 of sales, Tallyline {__version__}
revenue country=FR, 01 Jul 2026
  9.5 since 2026-07-03 09:30, by run 2 of sales, Tallyline {__version__}
  7 since 2026-07-02 12:00 until 2026-07-03 09:30, by run 1 of sales, Tallyline {__version__}
run 2 read of sales ({code}), from 2026-07-01 00:00 up to 2026-07-02 00:00:
{text}""",
        "",
    )


def test_a_time_asks_for_the_hour(revised: Path) -> None:
    assert facts_told(why(revised, "revenue", "2026-07-01T10:20")) == [
        "revenue country=FR, 01 Jul 2026 10:00",
        f"  5.5 since 2026-07-03 09:30, by run 2 of sales, Tallyline {__version__}",
        f"  3 since 2026-07-02 12:00 until 2026-07-03 09:30, by run 1 of sales, Tallyline {__version__}",
    ]


def test_a_time_with_an_offset_asks_for_the_hour_of_the_business_zone(revised: Path) -> None:
    told = [why(revised, "revenue", time).out for time in ("2026-07-01T08:00Z", "2026-07-01 10:00", TEN)]
    assert "01 Jul 2026 10:00\n" in told[0]
    assert told == [told[0]] * 3


def test_a_value_that_stayed_has_no_history(revised: Path) -> None:
    assert facts_told(why(revised, "revenue", ELEVEN, "--dim", "country=FR")) == [
        "revenue country=FR, 01 Jul 2026 11:00",
        f"  4 since 2026-07-02 12:00, by run 1 of sales, Tallyline {__version__}",
    ]


def test_a_value_that_came_back_is_told_with_the_time_between(revised: Path, clock: time_machine.Traveller) -> None:
    clock.move_to(at("2026-07-04 10:00", PARIS))
    read(revised, [TEN, "FR", 5.5], [ELEVEN, "FR", 4], [ELEVEN, "DE", 6])
    assert facts_told(why(revised, "revenue", "2026-07-01", "--dim", "country=DE")) == [
        "revenue country=DE, 01 Jul 2026",
        f"  6 since 2026-07-04 10:00, by run 3 of sales, Tallyline {__version__}",
        f"  8 since 2026-07-02 12:00 until 2026-07-03 09:30, by run 1 of sales, Tallyline {__version__}",
    ]


def test_great_numbers_are_grouped(project: Path) -> None:
    read(project, [TEN, "FR", 1234567.25])
    assert facts_told(why(project, "revenue", "2026-07-01"))[1].startswith("  1,234,567.25 since ")


@pytest.mark.parametrize(
    ("dims", "series"),
    [
        ((), ["country=DE", "country=FR"]),
        (("country=FR",), ["country=FR"]),
        (("country=DE",), ["country=DE"]),
    ],
)
def test_a_dim_narrows(revised: Path, dims: tuple[str, ...], series: list[str]) -> None:
    narrowed = [word for dim in dims for word in ("--dim", dim)]
    told = facts_told(why(revised, "revenue", "2026-07-01", *narrowed))
    assert [line for line in told if not line.startswith(" ")] == [f"revenue {dim}, 01 Jul 2026" for dim in series]


def test_a_dim_needs_a_value(revised: Path) -> None:
    answer = why(revised, "revenue", "2026-07-01", "--dim", "country")
    assert (answer.status, answer.out) == (2, "")
    assert '"country" is not DIM=VALUE, such as country=FR' in answer.err


def test_json_tells_each_version_with_its_run_and_what_replaced_it(revised: Path, warehouse_url: str) -> None:
    [(code,)] = rows_of(warehouse_url, "SELECT DISTINCT definition FROM run")

    def run(number: int, ended_at: str) -> dict[str, object]:
        return {
            "id": number,
            "source": "sales",
            "since": "2026-06-30T22:00:00+00:00",
            "until": "2026-07-01T22:00:00+00:00",
            "ended_at": ended_at,
            "version": __version__,
            "code": code,
        }

    first, second = run(1, "2026-07-02T10:00:00+00:00"), run(2, "2026-07-03T07:30:00+00:00")
    removed, changed = why(revised, "revenue", "2026-07-01", "--json").data
    assert changed.pop("definition").splitlines()[:2] == ["@source", "def sales():"]
    assert changed == {
        "metric": "revenue",
        "dims": {"country": "FR"},
        "source": "sales",
        "grain": "day",
        "time": "2026-06-30T22:00:00+00:00",
        "now": 9.5,
        "versions": [
            {"value": 9.5, "run": second, "replaced_by": None},
            {"value": 7.0, "run": first, "replaced_by": second},
        ],
    }
    assert removed["now"] is None
    assert removed["versions"] == [{"value": 8.0, "run": first, "replaced_by": second}]


def test_a_formula_names_its_parts(project: Path) -> None:
    read(project, [TEN, "FR", 3])
    assert facts_told(why(project, "basket", "2026-07-01")) == [
        "basket = revenue / orders",
        "revenue country=FR, 01 Jul 2026",
        f"  3 since 2026-07-02 12:00, by run 1 of sales, Tallyline {__version__}",
        "orders country=FR, 01 Jul 2026",
        f"  1 since 2026-07-02 12:00, by run 1 of sales, Tallyline {__version__}",
    ]
    assert [part["metric"] for part in why(project, "basket", "2026-07-01", "--json").data] == ["revenue", "orders"]


def test_the_query_is_printed_once_with_its_window(
    tmp_path: Path, warehouse_url: str, clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAREHOUSE_URL", warehouse_url)
    project = make_project(tmp_path / "queried", QUERIED)
    with closing(sqlite3.connect(project / "shop.db")) as shop, shop:
        shop.execute("CREATE TABLE sale (date, country, price)")
        shop.execute("INSERT INTO sale VALUES ('2026-07-01', 'FR', 3), ('2026-07-01', 'DE', 4)")
    assert tallyline("read", "till", "--write", *THE_DAY, project=project).status == 0
    [(code,)] = rows_of(warehouse_url, "SELECT definition FROM run")
    assert why(project, "revenue", "2026-07-01").out.splitlines() == [
        "revenue country=DE, 01 Jul 2026",
        f"  4 since 2026-07-02 10:00, by run 1 of till, Tallyline {__version__}",
        "revenue country=FR, 01 Jul 2026",
        f"  3 since 2026-07-02 10:00, by run 1 of till, Tallyline {__version__}",
        f"run 1 read of till ({code}), from 2026-07-01 00:00 up to 2026-07-02 00:00:",
        "    SELECT date, country, sum(price) AS revenue",
        "    FROM sale",
        "    WHERE date >= :since AND date < :until",
        "    GROUP BY date, country",
    ]


def test_the_code_is_told_as_it_was_when_it_ran(revised: Path) -> None:
    make_project(revised, PROJECT, CODE.replace('"orders": 1', '"orders": 2'))
    told = why(revised, "revenue", "2026-07-01")
    assert '"orders": 1' in told.out
    assert '"orders": 2' not in told.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["revenue", "2026-07-05"], "nothing was ever known of revenue for that day"),
        (["revenue", "2026-07-01T15:00"], "nothing was ever known of revenue for that hour"),
        (["revenue", "2026-07-01", "--dim", "country=AT"], "nothing was ever known of revenue for that day"),
        (["visits", "2026-07-01"], "nothing was ever known of visits for that day"),
        (["basket", "2026-07-05"], "nothing was ever known of basket for that day"),
    ],
)
def test_of_what_was_never_known_nothing_is_told(revised: Path, arguments: list[str], message: str) -> None:
    assert why(revised, *arguments) == Answer(1, "", f"error: {message}\n")
    assert why(revised, *arguments, "--json") == Answer(0, "[]\n", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["revenu", "2026-07-01"],
            (
                'there is no metric in the plan called "revenu"; did you mean "revenue"? '
                "There are: basket, orders, revenue, visits"
            ),
        ),
        (
            ["revenue", "soon"],
            '"soon" is not a time; write 2026-01-31, 2026-01-31T10:00 or 2026-01-31T10:00+02:00',
        ),
    ],
)
def test_what_is_not_there_to_be_asked_for_is_refused(revised: Path, arguments: list[str], message: str) -> None:
    assert why(revised, *arguments) == Answer(2, "", f"error: {message}\n")


def test_where_nothing_was_read_yet_nothing_is_made(project: Path, tmp_path: Path) -> None:
    assert why(project, "revenue", "2026-07-01").status == 1
    assert not (tmp_path / "warehouse.db").exists()


def test_each_past_state_of_a_number_that_was_revised_is_shown(revised: Path, clock: time_machine.Traveller) -> None:
    clock.move_to(at("2026-07-04 11:00", PARIS))
    read(revised, [TEN, "FR", 6])
    clock.move_to(at("2026-07-05 11:00", PARIS))
    read(revised, [TEN, "FR", 6], [ELEVEN, "FR", 2])
    states: dict[str, list[float]] = {
        "2026-07-01": [],
        "2026-07-02T11:59": [],
        "2026-07-02T12:00": [3 + 4 + 8],
        "2026-07-03": [3 + 4 + 8],
        "2026-07-03T09:29": [3 + 4 + 8],
        "2026-07-03T09:30": [5.5 + 4],
        "2026-07-04T11:00": [6],
        "2026-07-05T11:00": [6 + 2],
        "2027-01-01": [6 + 2],
    }
    assert {moment: revenue_by_day(revised, "--as-of", moment) for moment in states} == states
    assert revenue_by_day(revised) == [6 + 2]


def test_what_was_known_is_narrowed_and_split_by_the_hour(revised: Path) -> None:
    then = ("--as-of", "2026-07-03", "--by", "hour")
    assert revenue_by_day(revised, *then, "--until", "2026-07-01T12:00", "--where", "country=DE") == [8]
    told = tallyline("show", "revenue", *then, "--split", "country", "--json", project=revised).data
    assert [(value["time"][11:16], value["part"], value["value"]) for value in told if value["value"]] == [
        ("10:00", "FR", 3),
        ("11:00", "DE", 8),
        ("11:00", "FR", 4),
    ]


def test_a_formula_is_evaluated_from_what_was_known(revised: Path) -> None:
    told = tallyline("show", "basket", "--as-of", "2026-07-03", "--json", project=revised).data
    assert [value["value"] for value in told] == [(3 + 4 + 8) / 3]


def test_a_day_that_was_read_in_part_then_was_not_complete(project: Path, clock: time_machine.Traveller) -> None:
    clock.move_to(at("2026-07-01 15:00", PARIS))
    read(project, [TEN, "FR", 3])
    clock.move_to(at("2026-07-02 09:00", PARIS))
    read(project, [TEN, "FR", 3])
    [then], [now] = (
        tallyline("show", "revenue", "--json", *as_of, project=project).data
        for as_of in (("--as-of", "2026-07-01T16:00"), ())
    )
    assert (then["value"], then["complete"]) == (3, False)
    assert (now["value"], now["complete"]) == (3, True)


def test_a_moment_that_is_none_is_refused(revised: Path) -> None:
    answer = tallyline("show", "revenue", "--as-of", "then", project=revised)
    assert (answer.status, answer.out) == (2, "")
    assert answer.err.startswith('error: "then" is not a time; write 2026-01-31')


@pytest.fixture
def years(project: Path, clock: time_machine.Traveller) -> Path:
    """The project with three Wednesdays of 2025 and three of 2026, each known by itself."""
    days = {"2025-06-18": 1, "2025-06-25": 2, "2025-07-02": 4, "2026-06-17": 8, "2026-06-24": 16, "2026-07-01": 32}
    numbers = [[f"{day}T10:00", "FR", revenue] for day, revenue in days.items()]
    for day in days:
        text = json.dumps([row for row in numbers if str(row[0]).startswith(day)])
        (project / "numbers.json").write_text(text, encoding="utf-8")
        until = f"{day[:8]}{int(day[8:]) + 1:02}"
        assert tallyline("read", "sales", "--write", "--since", day, "--until", until, project=project).status == 0
    return project


COMPARED: dict[tuple[str, str], list[tuple[str, float, float | None]]] = {
    ("day", "day"): [("2026-06-17", 8, None), ("2026-06-24", 16, None), ("2026-07-01", 32, None)],
    ("day", "week"): [("2026-06-17", 8, None), ("2026-06-24", 16, 8), ("2026-07-01", 32, 16)],
    ("day", "month"): [("2026-06-17", 8, None), ("2026-06-24", 16, None), ("2026-07-01", 32, None)],
    ("week", "week"): [("2026-06-15", 8, None), ("2026-06-22", 16, 8), ("2026-06-29", 32, 16)],
    ("week", "year"): [("2026-06-15", 8, 1), ("2026-06-22", 16, 2), ("2026-06-29", 32, 4)],
    ("month", "month"): [("2026-06-01", 8 + 16, None), ("2026-07-01", 32, 8 + 16)],
    ("month", "year"): [("2026-06-01", 8 + 16, 1 + 2), ("2026-07-01", 32, 4)],
    ("quarter", "year"): [("2026-04-01", 8 + 16, 1 + 2), ("2026-07-01", 32, 4)],
    ("year", "year"): [("2026-01-01", 8 + 16 + 32, 1 + 2 + 4)],
}


def compared(project: Path, by: str, compare: str, *arguments: str) -> Answer:
    """Show the revenue of 2026 beside what it is compared with."""
    asked = ("--by", by, "--compare", compare, "--since", "2026-01-01", *arguments)
    return tallyline("show", "revenue", *asked, project=project)


def test_each_value_is_compared_with_an_earlier_one(years: Path) -> None:
    assert {
        asked: [
            (value["time"][:10], value["value"], value["before"]) for value in compared(years, *asked, "--json").data
        ]
        for asked in COMPARED
    } == COMPARED


def test_what_is_compared_is_a_column_of_csv(years: Path) -> None:
    assert (
        compared(years, "month", "year", "--csv").out
        == """\
time,value,part,complete,before
2026-06-01T00:00:00+02:00,24.0,,False,3.0
2026-07-01T00:00:00+02:00,32.0,,False,4.0
"""
    )


def test_parts_are_compared_with_the_same_part(revised: Path) -> None:
    told = tallyline(
        "show", "revenue", "--by", "hour", "--compare", "hour", "--split", "country", "--json", "--as-of", "2026-07-03",
        project=revised,
    ).data  # fmt: skip
    of_elevens = {value["part"]: (value["value"], value["before"]) for value in told if value["time"][11:13] == "11"}
    assert of_elevens == {"DE": (8, 0), "FR": (4, 3)}


def test_without_comparison_there_is_no_column_for_it(revised: Path) -> None:
    [value] = tallyline("show", "revenue", "--json", project=revised).data
    assert list(value) == ["time", "value", "part", "complete"]


@pytest.mark.parametrize(("by", "compare"), [("week", "day"), ("day", "hour"), ("month", "week"), ("year", "quarter")])
def test_a_comparison_shorter_than_the_grain_is_refused(revised: Path, by: str, compare: str) -> None:
    assert tallyline("show", "revenue", "--by", by, "--compare", compare, "--json", project=revised) == Answer(
        2, "", f"error: {by}s cannot be compared with those a {compare} before; name a longer time\n"
    )
