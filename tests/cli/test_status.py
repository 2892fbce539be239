"""`tallyline status`: how the last run ended, what was read and what was not, and which look-back fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import time_machine

from tests.cli.terminal import Answer, make_project, tallyline
from tests.warehouse.publishing import PARIS, at

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROJECT = """\
[project]
timezone = "Europe/Paris"
warehouse = "${WAREHOUSE_URL}"

[metrics]
orders = {}
visits = {}
"""
CODE = """
from datetime import timedelta
from pathlib import Path

from tallyline import Grain, Window, source

HERE = Path(__file__).parent


@source
def shop(window, zone, missing):
    if (HERE / "closed").exists():
        raise OSError("the shop is closed")
    turn = int((HERE / "turn").read_text("utf-8")) if (HERE / "turn").exists() else 1
    asleep = (HERE / "asleep").exists()
    for hour in window.buckets(Grain.HOUR, zone):
        if asleep and hour.hour % 6 == 0:
            missing(Window(hour, hour + timedelta(hours=1)))
        else:
            yield {"time": hour}, {"orders": turn}


@source(schedule="@daily")
def web(window):
    yield {"time": window.since}, {"visits": 1}
"""
NEVER_READ: dict[str, object] = {
    "source": "web",
    "state": "never read",
    "error": "",
    "read_until": None,
    "final_until": None,
    "gaps": [],
    "failed": [],
    "missing": [],
    "latest_change_seconds": None,
    "advice": "",
    "due_at": "2026-07-09T22:00:00+00:00",
}
SHOP_NEVER_READ = "shop  never read  due since 2026-07-10 09:00"
WEB_NEVER_READ = "web  never read  due since 2026-07-10 00:00"
DUE = "2026-07-10T07:00:00+00:00"


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """Time stands still, first at half past nine."""
    with time_machine.travel(at("2026-07-10 09:30", PARIS), tick=False) as traveller:
        yield traveller


@pytest.fixture
def project(tmp_path: Path, warehouse_url: str, clock: object, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that was not read yet."""
    monkeypatch.setenv("WAREHOUSE_URL", warehouse_url)
    return make_project(tmp_path / "project", PROJECT, CODE)


def read(project: Path, since: str, until: str) -> int:
    """Read the shop, and return the exit status."""
    return tallyline("read", "shop", "--write", "--since", since, "--until", until, project=project).status


def status(project: Path) -> Answer:
    """Ask how the sources are."""
    return tallyline("status", project=project)


def status_of_shop(project: Path) -> dict[str, object]:
    """Return what is told of the shop as JSON."""
    told: dict[str, object] = tallyline("status", "--json", project=project).data[0]
    return told


def test_sources_that_were_never_read_are_told_and_nothing_is_made(project: Path, tmp_path: Path) -> None:
    assert status(project) == Answer(0, f"{SHOP_NEVER_READ}\n{WEB_NEVER_READ}\n", "")
    assert tallyline("status", "--json", project=project).data == [
        {**NEVER_READ, "source": "shop", "due_at": DUE},
        NEVER_READ,
    ]
    assert not (tmp_path / "warehouse.db").exists()


def test_a_preview_is_no_read(project: Path) -> None:
    assert tallyline("read", "all", project=project).status == 0
    assert status(project).out == f"{SHOP_NEVER_READ}\n{WEB_NEVER_READ}\n"


def test_what_was_read_is_final_once_its_look_back_has_passed(project: Path) -> None:
    assert read(project, "2026-07-01", "2026-07-10T10:00") == 0
    assert status(project) == Answer(
        0,
        "shop  done  read up to 2026-07-10 09:30, final up to 2026-07-08 09:30  due at 2026-07-10 10:00\n"
        f"{WEB_NEVER_READ}\n",
        "",
    )


def test_what_is_new_is_not_final_yet(project: Path) -> None:
    assert read(project, "2026-07-09", "2026-07-10") == 0
    told = "shop  done  read up to 2026-07-10 00:00, final up to nothing yet  due since 2026-07-10 09:00"
    assert status(project).out.splitlines()[0] == told


def test_what_the_source_itself_does_not_know_is_told_the_newest_alone(project: Path) -> None:
    (project / "asleep").touch()
    assert read(project, "2026-07-08", "2026-07-10") == 0
    assert status(project).out.splitlines()[1:-1] == [
        "   not known to the source: 3 before 2026-07-08 20:00 (--json has them all)",
        "   not known to the source: 2026-07-08 20:00 … 2026-07-08 21:00",
        "   not known to the source: 2026-07-09 02:00 … 2026-07-09 03:00",
        "   not known to the source: 2026-07-09 08:00 … 2026-07-09 09:00",
        "   not known to the source: 2026-07-09 14:00 … 2026-07-09 15:00",
        "   not known to the source: 2026-07-09 20:00 … 2026-07-09 21:00",
    ]
    missing = status_of_shop(project)["missing"]
    assert isinstance(missing, list)
    assert len(missing) == 8
    assert missing[0] == {"since": "2026-07-08T00:00:00+00:00", "until": "2026-07-08T01:00:00+00:00"}


FAILED_AT_FIRST = f"""\
shop  failed  due since 2026-07-10 09:00
   shop failed: OSError: the shop is closed
   failed: 2026-07-01 00:00 … 2026-07-03 00:00
{WEB_NEVER_READ}
"""


def test_a_source_that_fails_the_first_time_says_why(project: Path) -> None:
    (project / "closed").touch()
    assert read(project, "2026-07-01", "2026-07-03") == 1
    assert status(project) == Answer(0, FAILED_AT_FIRST, "")
    assert status_of_shop(project) == {
        **NEVER_READ,
        "source": "shop",
        "due_at": DUE,
        "state": "failed",
        "error": "shop failed: OSError: the shop is closed",
        "failed": [{"since": "2026-06-30T22:00:00+00:00", "until": "2026-07-02T22:00:00+00:00"}],
    }


def test_windows_that_failed_are_named_without_what_was_read_before(project: Path) -> None:
    assert read(project, "2026-07-01", "2026-07-03") == 0
    (project / "closed").touch()
    assert read(project, "2026-07-02", "2026-07-05") == 1
    assert status(project) == Answer(
        0,
        f"""\
shop  failed  read up to 2026-07-03 00:00, final up to 2026-07-03 00:00  due since 2026-07-10 09:00
   shop failed: OSError: the shop is closed
   failed: 2026-07-03 00:00 … 2026-07-05 00:00
{WEB_NEVER_READ}
""",
        "",
    )


def test_windows_that_failed_are_told_no_more_once_they_were_read(project: Path) -> None:
    (project / "closed").touch()
    assert read(project, "2026-07-01", "2026-07-05") == 1
    (project / "closed").unlink()
    assert read(project, "2026-07-01", "2026-07-03") == 0
    assert status_of_shop(project)["failed"] == [
        {"since": "2026-07-02T22:00:00+00:00", "until": "2026-07-04T22:00:00+00:00"}
    ]
    assert read(project, "2026-07-01", "2026-07-05") == 0
    told = status_of_shop(project)
    assert (told["state"], told["error"], told["failed"]) == ("done", "", [])


def test_gaps_between_what_was_read_are_named(project: Path) -> None:
    for day in ("2026-07-01", "2026-07-03", "2026-07-06"):
        assert read(project, day, f"{day}T12:00") == 0
    assert status(project) == Answer(
        0,
        f"""\
shop  done  read up to 2026-07-06 12:00, final up to 2026-07-06 12:00  due since 2026-07-10 09:00
   not read: 2026-07-01 12:00 … 2026-07-03 00:00
   not read: 2026-07-03 12:00 … 2026-07-06 00:00
{WEB_NEVER_READ}
""",
        "",
    )
    assert status_of_shop(project)["gaps"] == [
        {"since": "2026-07-01T10:00:00+00:00", "until": "2026-07-02T22:00:00+00:00"},
        {"since": "2026-07-03T10:00:00+00:00", "until": "2026-07-05T22:00:00+00:00"},
    ]


def test_a_window_that_failed_is_no_gap(project: Path) -> None:
    assert read(project, "2026-07-01", "2026-07-02") == 0
    assert read(project, "2026-07-04", "2026-07-05") == 0
    (project / "closed").touch()
    assert read(project, "2026-07-02", "2026-07-03") == 1
    assert status(project).out.splitlines()[2:4] == [
        "   not read: 2026-07-03 00:00 … 2026-07-04 00:00",
        "   failed: 2026-07-02 00:00 … 2026-07-03 00:00",
    ]


def test_a_longer_look_back_is_proposed_where_values_changed_at_its_end(
    project: Path, clock: time_machine.Traveller
) -> None:
    assert read(project, "2026-07-01", "2026-07-10") == 0
    (project / "turn").write_text("2", encoding="utf-8")
    assert read(project, "2026-07-08", "2026-07-09") == 0
    advice = 'values still changed 3d after their end, where the look-back ends: set lookback = "5d"'
    told = status_of_shop(project)
    assert told["latest_change_seconds"] == (48 + 8.5) * 3600  # the first hour of 8 July ended at one
    assert told["advice"] == advice
    assert status(project).out.splitlines()[1] == f"   {advice}"


def test_a_source_that_failed_is_due_again_at_the_next_tick(project: Path, clock: time_machine.Traveller) -> None:
    (project / "closed").touch()
    assert tallyline("up", "--once", project=project).status == 1
    assert status(project).out.splitlines()[0] == "shop  failed  due at 2026-07-10 10:00"
    clock.move_to(at("2026-07-10 10:00", PARIS))
    assert status(project).out.splitlines()[0] == "shop  failed  due since 2026-07-10 10:00"
