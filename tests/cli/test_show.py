"""`tallyline show`: the same values as a chart, as JSON and as CSV."""

from __future__ import annotations

import csv
import subprocess
from io import StringIO
from typing import TYPE_CHECKING

import pytest
import time_machine

from tests.cli.terminal import Answer, command, in_a_process, make_project, tallyline
from tests.warehouse.publishing import PARIS, at, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROJECT = """\
[project]
timezone = "Europe/Paris"
warehouse = "${WAREHOUSE_URL:-sqlite:///warehouse.db}"

[metrics]
revenue = { title = "Revenue", unit = "USD" }
visits = {}
"""
CODE = """
from tallyline import source

REVENUE = {
    "2026-07-01": {"FR": 3, "DE": 2},
    "2026-07-02": {"FR": 6, "Österreich": 4},
    "2026-07-04": {"FR": 7.5},
    "2026-07-05": {"FR": 2},
}


@source(schedule="@daily")
def sales():
    for date, countries in REVENUE.items():
        for country, revenue in countries.items():
            yield {"date": date, "country": country}, {"revenue": revenue}
"""
DAYS = [
    {"time": "2026-07-01T00:00:00+02:00", "value": 5.0, "part": None, "complete": True},
    {"time": "2026-07-02T00:00:00+02:00", "value": 10.0, "part": None, "complete": True},
    {"time": "2026-07-03T00:00:00+02:00", "value": 0.0, "part": None, "complete": True},
    {"time": "2026-07-04T00:00:00+02:00", "value": 7.5, "part": None, "complete": True},
    {"time": "2026-07-05T00:00:00+02:00", "value": 2.0, "part": None, "complete": False},
]


@pytest.fixture
def noon() -> Iterator[None]:
    """It is noon on the last of the days."""
    with time_machine.travel(at("2026-07-05 12:00", PARIS)):
        yield


@pytest.fixture
def project(noon: None, tmp_path: Path, warehouse_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that was read then."""
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("WAREHOUSE_URL", warehouse_url)
    folder = make_project(tmp_path / "project", PROJECT, CODE)
    assert tallyline("read", "all", "--write", "--since", "2026-07-01", project=folder).status == 0
    return folder


def show(project: Path, *arguments: str) -> Answer:
    """Show the revenue."""
    return tallyline("show", "revenue", *arguments, project=project)


def values(answer: Answer) -> list[float]:
    """Return the values that were told as JSON."""
    return [value["value"] for value in answer.data]


def test_the_chart_to_the_letter(project: Path) -> None:
    assert show(project) == Answer(
        0,
        """\
Revenue by day, in USD

10 ┤      █████
   ┤      █████
   ┤      █████       ▄▄▄▄▄
   ┤      █████       █████
   ┤      █████       █████
   ┤█████ █████       █████
   ┤█████ █████       █████
   ┤█████ █████       █████
   ┤█████ █████       █████ ░░░░░
 0 ┤█████ █████ _____ █████ ░░░░░
    01 Jul 2026        05 Jul 2026
last complete: 7.5 (04 Jul 2026)
░ not complete yet: 2 so far (05 Jul 2026)
""",
        "",
    )


def test_json_has_times_with_their_offset_and_what_is_not_complete(project: Path) -> None:
    assert show(project, "--json").data == DAYS


def test_csv_has_the_same(project: Path) -> None:
    answer = show(project, "--csv")
    assert answer.out.splitlines()[0] == "time,value,part,complete"
    told = list(csv.DictReader(StringIO(answer.out)))
    assert told == [{key: "" if value is None else str(value) for key, value in day.items()} for day in DAYS]


def test_the_grain_is_chosen(project: Path) -> None:
    assert show(project, "--by", "month", "--json").data == [
        {"time": "2026-07-01T00:00:00+02:00", "value": 5 + 10 + 7.5 + 2, "part": None, "complete": False}
    ]


def test_a_dim_is_split(project: Path) -> None:
    parts = [
        (value["part"], value["value"])
        for value in show(project, "--split", "country", "--json").data
        if value["value"]
    ]
    assert parts == [("DE", 2), ("FR", 3), ("FR", 6), ("Österreich", 4), ("FR", 7.5), ("FR", 2)]


def test_a_dim_that_no_series_has_is_refused(project: Path) -> None:
    answer = show(project, "--split", "planet", "--json")
    assert answer.status == 2
    assert answer.err == 'error: there is no dim of revenue called "planet"; there are: country\n'


def test_the_chart_of_parts_names_them(project: Path) -> None:
    lines = show(project, "--split", "country").out.splitlines()
    assert [lines[index + 1] for index, line in enumerate(lines) if not line] == ["FR", "Österreich", "DE"]


def test_a_dim_is_narrowed(project: Path) -> None:
    assert values(show(project, "--where", "country=FR", "--json")) == [3, 6, 0, 7.5, 2]
    assert values(show(project, "--where", "country=Österreich", "--json")) == [4, 0, 0, 0]
    assert show(project, "--where", "country=FR", "--where", "plan=pro").status == 2


def test_a_value_to_be_kept_may_hold_an_equals_sign(project: Path) -> None:
    assert values(show(project, "--where", "country=a=b", "--json")) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--since", "2026-07-02"], [10, 0, 7.5, 2]),
        (["--until", "2026-07-02"], [5]),
        (["--since", "2026-07-02", "--until", "2026-07-05"], [10, 0, 7.5]),
        (["--since", "2026-07-01T22:00Z", "--until", "2026-07-04T21:59Z"], [10, 0, 7.5]),
        (["--last", "1d"], [2]),
        (["--last", "2d"], [7.5, 2]),
        (["--last", "1w"], [5, 10, 0, 7.5, 2]),
        (["--last", "1h"], [2]),
        (["--since", "2026-08-01"], []),
    ],
)
def test_a_window_is_chosen(project: Path, arguments: list[str], told: list[float]) -> None:
    assert values(show(project, *arguments, "--json")) == told


def test_nothing_in_the_window_is_said(project: Path) -> None:
    answer = show(project, "--since", "2026-08-01")
    assert answer.status == 0
    assert "Nothing is known for this time." in answer.out


def test_a_metric_that_was_never_written_has_no_values(project: Path) -> None:
    assert tallyline("show", "visits", "--json", project=project).data == []
    assert tallyline("show", "visits", "--csv", project=project).out == "time,value,part,complete\n"
    assert "Nothing is known for this time." in tallyline("show", "visits", project=project).out


def test_where_nothing_was_read_yet_nothing_is_made(
    tmp_path: Path, warehouse_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAREHOUSE_URL", warehouse_url)
    project = make_project(tmp_path / "unread", PROJECT, CODE)
    assert "Nothing is known for this time." in show(project).out
    assert not (tmp_path / "warehouse.db").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--json", "--csv"], "only one of --json, --csv and --sql can be had at once"),
        (["--sql", "--compare", "week"], "--sql tells values as they are now, and no others; leave out --compare and"),
        (["--sql", "--as-of", "2026-07-01"], "--sql tells values as they are now, and no others; leave out --compare"),
        (["--last", "2d", "--since", "2026-07-01"], "--last says when the window begins and ends; leave out --since"),
        (["--last", "2d", "--until", "2026-07-01"], "--last says when the window begins and ends; leave out --since"),
        (["--last", "2x"], '"2x" is not a length of time; write a number and h, d, w, m, q or y, such as 30d'),
        (["--since", "soon"], '"soon" is not a time; write 2026-01-31'),
        (["--since", "2026-07-02", "--until", "2026-07-01"], "the window ends (2026-06-30 22:00 UTC) before it begins"),
        (["--where", "country"], '"country" is not DIM=VALUE, such as country=FR'),
        (["--where", "=FR"], '"=FR" is not DIM=VALUE, such as country=FR'),
        (["--by", "minute"], "'minute' is not one of 'hour', 'day', 'week', 'month', 'quarter', 'year'"),
        (["--by", "hour"], "revenue is known by the day, not by the hour; ask by day, week, month, quarter or year"),
    ],
)
def test_what_cannot_be_shown_is_refused(project: Path, arguments: list[str], message: str) -> None:
    answer = show(project, *arguments)
    assert (answer.status, answer.out) == (2, "")
    assert message in answer.err


def test_the_sql_that_is_printed_tells_what_the_chart_draws(project: Path, warehouse_url: str) -> None:
    answer = show(project, "--sql", "--where", "country=FR")
    assert (answer.status, answer.err) == (0, "")
    told = [value for *_, value in rows_of(warehouse_url, answer.out)]
    assert told == values(show(project, "--json", "--where", "country=FR")) == [3, 6, 0, 7.5, 2]


def test_an_unknown_metric_is_refused_with_those_of_the_plan(project: Path) -> None:
    answer = tallyline("show", "revenu", project=project)
    assert answer.status == 2
    assert answer.err == (
        'error: there is no metric in the plan called "revenu"; did you mean "revenue"? There are: revenue, visits\n'
    )


@pytest.mark.parametrize("arguments", [["show", "revenue"], ["inspect"], ["read", "all"]])
def test_what_is_piped_has_no_colours(project: Path, arguments: list[str]) -> None:
    answer = in_a_process(*arguments, "--project", project)
    assert "\x1b" not in answer.out + answer.err
    assert answer.out


def test_a_reader_that_goes_away_is_no_reason_for_a_traceback(project: Path) -> None:
    words = command("show", "revenue", "--project", project)
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1
