"""A long window is read in parts, each a run of its own; a read that was ended goes on after those it wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import time_machine

from tests.cli.terminal import Answer, make_project, tallyline
from tests.warehouse.publishing import at, facts, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROJECT = """\
[project]
warehouse = "${WAREHOUSE_URL}"

[metrics]
orders = {}
"""
CODE = """
import signal
from datetime import timedelta
from pathlib import Path

from tallyline import Grain, source

HERE = Path(__file__).parent


@source(at_once=timedelta(days=10), parallel=PARALLEL)
def shop(window, zone):
    with (HERE / "asked").open("a", encoding="utf-8") as asked:
        asked.write(f"{window.since:%m-%d} {window.until:%m-%d}\\n")
    for hour in window.buckets(Grain.HOUR, zone):
        yield {"time": hour}, {"orders": MORE + hour.hour}
    if window.since.day == 21 and (HERE / "closed").exists():
        raise OSError("the shop is closed")
    if window.since.day == 21 and (HERE / "interrupted").exists():
        signal.raise_signal(signal.SIGINT)
        while True:
            yield {"time": window.since}, {"orders": None}
"""
QUERIED = """\
[project]
warehouse = "${{WAREHOUSE_URL}}"

[services]
shop = "sqlite:///shop.db"

[sources.till]
kind = "sql"
service = "shop"
query = "SELECT 1"
{option}
"""
JANUARY = ("--since", "2026-01-01", "--until", "2026-02-01")
PARTS = ["01-01 01-11", "01-11 01-21", "01-21 01-31", "01-31 02-01"]
HOURS = 31 * 24
DAY = sum(range(24))


@pytest.fixture(autouse=True)
def clock() -> Iterator[time_machine.Traveller]:
    """It is February."""
    with time_machine.travel(at("2026-02-02 12:00"), tick=False) as traveller:
        yield traveller


@pytest.fixture
def project(tmp_path: Path, warehouse_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that reads ten days at once and notes which."""
    monkeypatch.setenv("WAREHOUSE_URL", warehouse_url)
    return project_of(tmp_path / "project")


def project_of(folder: Path, *, parallel: int = 1, more: int = 0) -> Path:
    """Write the project: so many parts at a time, and so much more in each hour."""
    return make_project(folder, PROJECT, CODE.replace("PARALLEL", str(parallel)).replace("MORE", str(more)))


def read(project: Path, *arguments: str) -> Answer:
    """Read January."""
    return tallyline("read", "shop", *JANUARY, *arguments, project=project)


def asked(project: Path) -> list[str]:
    """Return which windows the source was asked for since this was looked at last."""
    windows = (project / "asked").read_text(encoding="utf-8").splitlines()
    (project / "asked").unlink()
    return windows


def runs(url: str) -> list[tuple[str, int]]:
    """Return how the runs ended, and how many values were new, the oldest first."""
    return [(state, added) for state, added in rows_of(url, "SELECT state, added FROM run ORDER BY id")]


def days(project: Path) -> list[float]:
    """Return the orders of each day."""
    told = tallyline("show", "orders", "--json", project=project).data
    return [value["value"] for value in told]


def test_a_long_window_is_several_runs(project: Path, warehouse_url: str) -> None:
    assert read(project, "--write").status == 0
    assert asked(project) == PARTS
    assert runs(warehouse_url) == [("done", 240), ("done", 240), ("done", 240), ("done", 24)]
    assert days(project) == [DAY] * 31


def test_counts_are_summed_and_printed_once(project: Path) -> None:
    assert read(project, "--write") == Answer(
        0,
        """\
shop  2026-01-01 00:00 … 2026-02-01 00:00
 - shop in=4 out=744 [done]
 - normalize in=744 out=744 [done]
 - write in=744 out=0 [done]
   744 new, 0 changed, 0 removed, 0 as before
""",
        "",
    )


def test_json_tells_one_read_of_the_whole_window(project: Path) -> None:
    [result] = read(project, "--write", "--json").data
    assert (result["since"], result["until"]) == ("2026-01-01T00:00:00+00:00", "2026-02-01T00:00:00+00:00")
    assert result["changes"] == {"added": HOURS, "changed": 0, "removed": 0, "unchanged": 0}
    assert [(node["name"], node["out"]) for node in result["report"]["nodes"]] == [
        ("shop", HOURS),
        ("normalize", HOURS),
        ("write", 0),
    ]


def test_a_window_that_is_not_longer_is_one_run(project: Path, warehouse_url: str) -> None:
    ten_days = ("--since", "2026-01-01", "--until", "2026-01-11")
    assert tallyline("read", "shop", "--write", *ten_days, project=project).status == 0
    assert asked(project) == PARTS[:1]
    assert runs(warehouse_url) == [("done", 240)]


def test_where_a_part_fails_those_before_stay(project: Path, warehouse_url: str) -> None:
    (project / "closed").touch()
    answer = read(project, "--write")
    assert (answer.status, answer.out) == (
        1,
        """\
shop  2026-01-01 00:00 … 2026-02-01 00:00
 - shop in=3 out=607 err=1 [failed]
 - normalize in=607 out=607 [stopped]
 - write in=607 out=0 [stopped]
   480 new, 0 changed, 0 removed, 0 as before
""",
    )
    assert answer.err == (
        "   failed; the windows before stay written, and the same command goes on from there: "
        "shop failed: OSError: the shop is closed\n"
        "error: 1 of 1 sources failed: shop\n"
    )
    assert asked(project) == PARTS[:3]
    assert runs(warehouse_url) == [("done", 240), ("done", 240), ("failed", 0)]
    assert days(project) == [DAY] * 20


def test_the_same_command_goes_on_after_the_parts_that_were_written(project: Path, warehouse_url: str) -> None:
    (project / "closed").touch()
    assert read(project, "--write").status == 1
    assert asked(project) == PARTS[:3]
    assert read(project, "--write").status == 1
    assert asked(project) == PARTS[2:3]
    (project / "closed").unlink()
    assert read(project, "--write") == Answer(
        0,
        """\
shop  2026-01-01 00:00 … 2026-02-01 00:00
 - shop in=2 out=264 [done]
 - normalize in=264 out=264 [done]
 - write in=264 out=0 [done]
   264 new, 0 changed, 0 removed, 0 as before
""",
        "",
    )
    assert asked(project) == PARTS[2:]
    assert runs(warehouse_url) == [
        ("done", 240), ("done", 240), ("failed", 0), ("failed", 0), ("done", 240), ("done", 24)
    ]  # fmt: skip
    assert days(project) == [DAY] * 31


def test_where_the_first_part_fails_nothing_is_written(project: Path, warehouse_url: str) -> None:
    (project / "closed").touch()
    window = ("--since", "2026-01-21", "--until", "2026-02-01")
    answer = tallyline("read", "shop", "--write", *window, project=project)
    assert answer.status == 1
    assert answer.err.startswith("   failed, nothing was written: shop failed: OSError: the shop is closed\n")
    assert facts(warehouse_url, "hourly") == []


def test_ctrl_c_leaves_the_parts_before_and_the_same_command_goes_on(project: Path, warehouse_url: str) -> None:
    (project / "interrupted").touch()
    answer = read(project, "--write")
    assert (answer.status, answer.err) == (1, "\ninterrupted: nothing of what was under way was written\n")
    assert asked(project) == PARTS[:3]
    assert runs(warehouse_url) == [("done", 240), ("done", 240), ("stopped", 0)]
    assert days(project) == [DAY] * 20
    (project / "interrupted").unlink()
    assert read(project, "--write").status == 0
    assert asked(project) == PARTS[2:]
    assert days(project) == [DAY] * 31


def test_once_all_was_written_the_same_command_reads_all_of_it_again(project: Path) -> None:
    for _ in range(2):
        assert read(project, "--write").status == 0
        assert asked(project) == PARTS


def test_a_read_that_failed_and_was_ended_begins_anew_the_next_time(project: Path) -> None:
    (project / "closed").touch()
    assert read(project, "--write").status == 1
    (project / "closed").unlink()
    assert read(project, "--write").status == 0
    assert asked(project) == [*PARTS[:3], *PARTS[2:]]
    assert read(project, "--write").status == 0
    assert asked(project) == PARTS


def test_another_window_begins_at_its_own_beginning(project: Path) -> None:
    (project / "closed").touch()
    assert read(project, "--write").status == 1
    assert asked(project) == PARTS[:3]
    other = ("--since", "2026-01-02", "--until", "2026-02-01")
    assert tallyline("read", "shop", "--write", *other, project=project).status == 0
    assert asked(project) == ["01-02 01-12", "01-12 01-22", "01-22 02-01"]


def test_a_source_that_was_changed_meanwhile_begins_at_the_beginning(project: Path) -> None:
    (project / "closed").touch()
    assert read(project, "--write").status == 1
    (project / "closed").unlink()
    project_of(project, more=1)
    assert asked(project) == PARTS[:3]
    assert read(project, "--write").status == 0
    assert asked(project) == PARTS
    assert days(project) == [DAY + 24] * 31


def test_a_preview_remembers_nothing(project: Path, tmp_path: Path) -> None:
    (project / "closed").touch()
    for _ in range(2):
        assert read(project).status == 1
        assert asked(project) == PARTS[:3]
    assert not (tmp_path / "warehouse.db").exists()


def test_a_preview_does_not_go_on_where_a_read_was_ended(project: Path) -> None:
    (project / "closed").touch()
    assert read(project, "--write").status == 1
    assert asked(project) == PARTS[:3]
    (project / "closed").unlink()
    answer = read(project)
    assert asked(project) == PARTS
    assert "   would be: 264 new, 0 changed, 0 removed, 480 as before\n" in answer.out


def test_a_preview_lists_the_values_that_would_differ(project: Path) -> None:
    assert read(project, "--write").status == 0
    project_of(project, more=1000)
    assert read(project).out == """\
shop  2026-01-01 00:00 … 2026-02-01 00:00
 - shop in=4 out=744 [done]
 - normalize in=744 out=744 [done]
 - compare in=744 out=0 [done]
   would be: 0 new, 744 changed, 0 removed, 0 as before
""" + "".join(f"   2026-01-01 0{hour}:00  orders {{}}  {hour} → 1,00{hour}\n" for hour in range(10)) + (
        "   … and others; --json lists up to 100 for each window\n"
    )  # fmt: skip
    assert days(project) == [DAY] * 31


def test_a_preview_lists_those_of_each_part_as_json(project: Path) -> None:
    assert read(project, "--write").status == 0
    project_of(project, more=1)
    [result] = read(project, "--json").data
    assert len(result["differing"]) == 100 + 100 + 100 + 24
    assert result["differing"][-1] == {
        "metric": "orders",
        "dims": {},
        "time": "2026-01-31T23:00:00+00:00",
        "before": 23.0,
        "after": 24.0,
    }


def test_a_value_that_would_be_gone_is_told(project: Path) -> None:
    assert read(project, "--write").status == 0
    text = (project / "sources.py").read_text(encoding="utf-8")
    gone = text.replace(
        '{"orders": 0 + hour.hour}', '{"orders": None if f"{hour:%d %H}" in ("05 07", "25 08") else hour.hour}'
    )
    (project / "sources.py").write_text(gone, encoding="utf-8")
    assert read(project).out.splitlines()[-3:] == [
        "   would be: 0 new, 0 changed, 2 removed, 742 as before",
        "   2026-01-05 07:00  orders {}  7 → gone",
        "   2026-01-25 08:00  orders {}  8 → gone",
    ]


def test_parts_that_are_read_at_the_same_time_give_the_same_numbers(
    project: Path, warehouse_url: str, tmp_path: Path
) -> None:
    assert read(project, "--write").status == 0
    one_by_one = [*facts(warehouse_url, "hourly"), *facts(warehouse_url, "daily")]
    assert asked(project) == PARTS
    project_of(project, parallel=3)
    [again] = read(project, "--write", "--json").data
    assert again["changes"] == {"added": 0, "changed": 0, "removed": 0, "unchanged": HOURS}
    assert sorted(asked(project)) == PARTS
    assert [*facts(warehouse_url, "hourly"), *facts(warehouse_url, "daily")] == one_by_one


def test_parts_that_are_read_at_the_same_time_are_all_written(project: Path, warehouse_url: str) -> None:
    project_of(project, parallel=3)
    [result] = read(project, "--write", "--json").data
    assert result["changes"] == {"added": HOURS, "changed": 0, "removed": 0, "unchanged": 0}
    assert sorted(runs(warehouse_url)) == [("done", 24), ("done", 240), ("done", 240), ("done", 240)]
    assert days(project) == [DAY] * 31


def test_where_one_of_those_fails_that_are_read_at_the_same_time_the_same_command_goes_on(project: Path) -> None:
    project_of(project, parallel=3)
    (project / "closed").touch()
    assert read(project, "--write").status == 1
    assert days(project)[:20] == [DAY] * 20
    assert PARTS[2] in asked(project)
    (project / "closed").unlink()
    assert read(project, "--write").status == 0
    assert sorted(asked(project)) == PARTS[2:]
    assert days(project) == [DAY] * 31


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ('at_once = "soon"', '"soon" is not a length of time; write a number and min, h, d or w, such as 2d'),
        ("at_once = 10", '10 is no length of time; write a text such as "2d" or "36h"'),
        ("at_once = true", 'True is no length of time; write a text such as "2d" or "36h"'),
    ],
)
def test_a_wrong_length_is_told_with_its_line(tmp_path: Path, option: str, problem: str) -> None:
    project = make_project(tmp_path / "wrong", QUERIED.format(option=option))
    answer = tallyline("read", "till", project=project)
    assert answer == Answer(
        2, "", f"error: 1 mistake in the project\n  tallyline.toml:11 sources.till.at_once: {problem}\n"
    )


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ('at_once = "6h"', "at_once is 6:00:00, less than a day; give the length of time to read at once"),
        ("parallel = 0", "parallel is 0; give a number above zero"),
    ],
)
def test_too_little_at_once_is_refused(tmp_path: Path, option: str, problem: str) -> None:
    project = make_project(tmp_path / "wrong", QUERIED.format(option=option))
    answer = tallyline("read", "till", project=project)
    assert (answer.status, answer.out) == (2, "")
    assert problem in answer.err


def test_a_source_in_toml_is_read_in_parts(tmp_path: Path, warehouse_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_URL", warehouse_url)
    text = QUERIED.format(option='at_once = "2w"\nparallel = 2').replace(
        "SELECT 1", "SELECT :since AS time, 1 AS orders"
    )
    project = make_project(tmp_path / "queried", text + "\n[metrics]\norders = {}\n")
    (project / "shop.db").touch()
    answer = tallyline("read", "till", "--write", *JANUARY, project=project)
    assert (answer.status, answer.out.splitlines()[-1]) == (0, "   3 new, 0 changed, 0 removed, 0 as before")
    assert runs(warehouse_url) == [("done", 1)] * 3
