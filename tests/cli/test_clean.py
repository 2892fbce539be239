"""`tallyline clean`: what would go, what goes, and what it says of what it keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import time_machine

from tests.cli.terminal import Answer, make_project, tallyline
from tests.warehouse.publishing import at, facts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROJECT = """\
[project]
warehouse = "${WAREHOUSE_URL}"

[metrics]
orders = {}
stock = { kind = "level" }
visitors = { kind = "distinct" }

[retention]
"""
CODE = """
from datetime import timedelta
from pathlib import Path

from tallyline import Grain, source

HERE = Path(__file__).parent


@source
def shop(window, zone):
    turn = int((HERE / "turn").read_text("utf-8"))
    for hour in window.buckets(Grain.HOUR, zone):
        yield {"time": hour}, {"orders": turn + hour.hour, "stock": hour.day}


@source
def web(window):
    for day in range(3):
        yield {"time": window.since + timedelta(days=day)}, {"visitors": 5}
"""
MONTH = ("--since", "2026-06-01", "--until", "2026-07-01")
HOURS = 2 * 30 * 24
KEPT = "hours that were never rolled up into days were kept: without their days, they would be lost"
KEEPS_ALL = 'the project keeps everything; say how long in tallyline.toml: [retention] with hours = "400d"'


@pytest.fixture(autouse=True)
def clock() -> Iterator[time_machine.Traveller]:
    """Time stands still, first on the day after the numbers'."""
    with time_machine.travel(at("2026-07-01 12:00"), tick=False) as traveller:
        yield traveller


@pytest.fixture
def project(tmp_path: Path, warehouse_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose shop was read for a month."""
    monkeypatch.setenv("WAREHOUSE_URL", warehouse_url)
    folder = keeping(tmp_path / "project", "")
    read(folder)
    return folder


def keeping(folder: Path, retention: str) -> Path:
    """Write the project, with how long it keeps what."""
    return make_project(folder, PROJECT + retention, CODE)


def read(project: Path, *, turn: int = 1) -> None:
    """Read the shop for the month."""
    (project / "turn").write_text(str(turn), encoding="utf-8")
    assert tallyline("read", "shop", "--write", *MONTH, project=project).status == 0


def clean(project: Path, *arguments: str) -> Answer:
    """Clean."""
    return tallyline("clean", *arguments, project=project)


def shown(project: Path) -> list[object]:
    """Return what is shown by the day, the week and the month."""
    asked = [(metric, by) for metric in ("orders", "stock") for by in ("day", "week", "month")]
    return [tallyline("show", metric, "--by", by, "--json", project=project).data for metric, by in asked]


def test_where_the_project_keeps_everything_it_is_refused(project: Path) -> None:
    assert clean(project, "all", "--write") == Answer(2, "", f"error: {KEEPS_ALL}\n")


def test_a_source_that_there_is_not_is_refused(project: Path) -> None:
    keeping(project, 'days = "20d"')
    assert clean(project, "shops", "--write") == Answer(
        2, "", 'error: there is no source "shops"; did you mean "shop"? There are: shop, web\n'
    )


@pytest.mark.parametrize(
    ("retention", "problem"),
    [
        (
            'hours = "long"',
            'tallyline.toml:10 retention.hours: "long" is not a length of time; write a number and min, h, d or w',
        ),
        ('hours = "90d"\ndays = "30d"', "days would be kept for less time (30 days) than their hours (90 days)"),
        ('weeks = "30d"', "weeks"),
    ],
)
def test_a_retention_that_makes_no_sense_is_refused(project: Path, retention: str, problem: str) -> None:
    keeping(project, retention)
    answer = clean(project, "all", "--write")
    assert (answer.status, answer.out) == (2, "")
    assert problem in answer.err


def test_where_nothing_was_read_yet_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_URL", f"sqlite:///{tmp_path / 'unread.db'}")
    project = keeping(tmp_path / "unread", 'days = "20d"')
    assert clean(project, "shop").status == 0
    assert not (tmp_path / "unread.db").exists()


def test_days_are_cleaned_to_the_letter(project: Path, warehouse_url: str) -> None:
    keeping(project, 'days = "20d"')
    assert clean(project, "all").out.startswith("shop  480 hours, 20 days would go; --write removes them\n")
    assert len(facts(warehouse_url, "daily")) == 60
    assert clean(project, "all", "--write") == Answer(
        0, "shop  480 hours, 20 days removed\nweb  nothing to remove\n", ""
    )
    assert len(facts(warehouse_url, "daily")) == 40
    assert clean(project, "all", "--write") == Answer(0, "shop  nothing to remove\nweb  nothing to remove\n", "")


def test_a_source_that_is_named_twice_is_cleaned_once(project: Path) -> None:
    keeping(project, 'days = "20d"')
    assert clean(project, "shop", "shop", "--write").out == "shop  480 hours, 20 days removed\n"


def test_json_tells_the_numbers_of_each_source(project: Path) -> None:
    keeping(project, 'days = "20d"\nrestatements = "1d"\nruns = "1d"')
    numbers = {"hours": 480, "days": 20, "restatements": 0, "runs": 0, "refused": {}}
    assert clean(project, "all", "--json").data == {"shop": numbers, "web": {**numbers, "hours": 0, "days": 0}}


def test_what_was_known_before_restated_values_were_cleaned_is_refused(
    project: Path, clock: time_machine.Traveller
) -> None:
    clock.move_to(at("2026-07-02 12:00"))
    read(project, turn=2)
    clock.move_to(at("2026-07-20 12:00"))
    keeping(project, 'restatements = "10d"')
    as_of = ("show", "orders", "--by", "month", "--json", "--as-of")
    days = 30 * sum(range(24))
    assert [tallyline(*as_of, day, project=project).data[0]["value"] for day in ("2026-07-02", "2026-07-03")] == [
        days + 30 * 24,
        days + 30 * 24 * 2,
    ]
    assert clean(project, "shop", "--write").out == f"shop  {30 * 24 + 30} restatements removed\n"
    assert tallyline(*as_of, "2026-07-02", project=project) == Answer(
        2, "", "error: what was known before 2026-07-10 was cleaned away; ask for a later day\n"
    )
    assert tallyline(*as_of, "2026-07-11", project=project).data[0]["value"] == days + 30 * 24 * 2


def test_a_preview_of_restatements_refuses_nothing_afterwards(project: Path, clock: time_machine.Traveller) -> None:
    clock.move_to(at("2026-07-20 12:00"))
    keeping(project, 'restatements = "10d"')
    assert clean(project, "shop").status == 0
    assert tallyline("show", "orders", "--as-of", "2026-07-02", "--json", project=project).status == 0


def test_a_number_whose_run_was_cleaned_is_told_without_it(project: Path, clock: time_machine.Traveller) -> None:
    clock.move_to(at("2026-07-20 12:00"))
    read(project)
    keeping(project, 'runs = "10d"')
    assert clean(project, "shop", "--write", "--json").data["shop"]["runs"] == 1
    answer = tallyline("why", "orders", "2026-06-01", project=project)
    assert answer == Answer(0, "orders, 01 Jun 2026\n  300, by a run that the ledger has no more\n", "")


def test_a_preview_says_what_would_go_and_changes_nothing(project: Path, warehouse_url: str) -> None:
    keeping(project, 'hours = "10d"')
    before = facts(warehouse_url, "hourly")
    assert clean(project, "shop") == Answer(0, "shop  960 hours would go; --write removes them\n", "")
    assert facts(warehouse_url, "hourly") == before


def test_hours_are_removed_and_a_second_time_nothing(project: Path, warehouse_url: str) -> None:
    keeping(project, 'hours = "10d"')
    assert clean(project, "shop", "--write") == Answer(0, "shop  960 hours removed\n", "")
    assert len(facts(warehouse_url, "hourly")) == HOURS - 960
    assert clean(project, "shop", "--write") == Answer(0, "shop  nothing to remove\n", "")
    assert len(facts(warehouse_url, "hourly")) == HOURS - 960


def test_days_weeks_and_months_are_as_they_were_before_hours_were_removed(project: Path, warehouse_url: str) -> None:
    keeping(project, 'hours = "10d"')
    before, days = shown(project), facts(warehouse_url, "daily")
    assert clean(project, "shop", "--write").status == 0
    assert (shown(project), facts(warehouse_url, "daily")) == (before, days)


def test_hours_that_were_never_rolled_up_are_kept_and_told(project: Path, warehouse_url: str) -> None:
    assert tallyline("read", "web", "--write", *MONTH, project=project).status == 0
    keeping(project, 'hours = "10d"')
    told = "   visitors: 3 hours are old enough, and were never rolled up\n"
    assert clean(project, "all", "--write") == Answer(
        1, f"shop  960 hours removed\nweb  nothing to remove\n{told}", f"error: {KEPT}\n"
    )
    assert [fact.metric for fact in facts(warehouse_url, "hourly")].count("visitors") == 3
    answer = clean(project, "web", "--json")
    assert (answer.status, answer.data["web"]["refused"]) == (1, {"visitors": 3})


def test_a_part_of_a_day_whose_hours_were_cleaned_is_not_read(project: Path, warehouse_url: str) -> None:
    keeping(project, 'hours = "10d"')
    assert clean(project, "shop", "--write").status == 0
    before, days = shown(project), facts(warehouse_url, "daily")
    part = ("--since", "2026-06-05T10:00", "--until", "2026-06-07")
    answer = tallyline("read", "shop", "--write", *part, project=project)
    assert (answer.status, answer.err) == (
        1,
        (
            "   failed, nothing was written: shop is read for a part of a day whose hours were cleaned away "
            "(those before 2026-06-21); read whole days: --since 2026-06-05\n"
            "error: 1 of 1 sources failed: shop\n"
        ),
    )
    assert (shown(project), facts(warehouse_url, "daily")) == (before, days)


def test_whole_days_whose_hours_were_cleaned_are_read_and_give_the_same_totals(project: Path) -> None:
    keeping(project, 'hours = "10d"')
    before = shown(project)
    assert clean(project, "shop", "--write").status == 0
    whole = ("--since", "2026-06-05", "--until", "2026-06-07")
    answer = tallyline("read", "shop", "--write", *whole, project=project)
    assert (answer.status, answer.out.splitlines()[-1]) == (0, "   96 new, 0 changed, 0 removed, 0 as before")
    assert shown(project) == before


def test_the_file_gets_smaller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "warehouse.db"
    monkeypatch.setenv("WAREHOUSE_URL", f"sqlite:///{file}")
    project = keeping(tmp_path / "project", 'hours = "4d"')
    read(project)
    before = file.stat().st_size
    assert clean(project, "shop").status == 0
    assert file.stat().st_size == before
    assert clean(project, "shop", "--write").status == 0
    assert file.stat().st_size < before
