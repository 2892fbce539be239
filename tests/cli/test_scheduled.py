"""What is printed of scheduled runs: a plain line each."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import time_machine

from tallyline.cli.scheduled import Lines
from tallyline.errors import AtWork, NoLongerDue, RunFailed, Unavailable
from tallyline.graph import NodeReport, Report
from tallyline.runner import ReadResult
from tallyline.schedule.telling import Next, Ran
from tallyline.secret import remember
from tallyline.warehouse import Changes, Cleaned
from tests.warehouse.publishing import PARIS, at, window

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = at("2026-07-14 10:30:05", PARIS)
STAMP = "2026-07-14 10:30:05  "
DAY = window("2026-07-13", "2026-07-14", PARIS)
SAID = f"{STAMP}orders  2026-07-13 00:00 … 2026-07-14 00:00  "


@pytest.fixture(autouse=True)
def _clock() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


def ran(changes: Changes | None = None, error: Exception | None = None, rows: int = 0, **others: bool) -> Ran:
    """Return a run of the orders."""
    report = Report([NodeReport("read", rows_out=rows), NodeReport("normalize", rows_in=rows), NodeReport("write")])
    return Ran(ReadResult("orders", DAY, report, changes or Changes(), error=error), 3.14, **others)


def test_a_run_is_told_with_its_window_rows_seconds_and_result(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines(PARIS)
    lines.ran(ran(Changes(added=1200, changed=3, unchanged=4), rows=1207))
    lines.ran(ran(Changes(removed=2), rows=1))
    lines.ran(ran(stopped=True))
    lines.check()
    assert capsys.readouterr() == (
        (
            f"{SAID}1,207 rows, 1,200 new, 3 changed, 3.1 s  done\n"
            f"{SAID}1 row, 2 removed, 3.1 s  done\n"
            f"{SAID}stopped after 3.1 s, nothing was written\n"
        ),
        "",
    )


def test_what_failed_is_told_on_stderr_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines(PARIS)
    lines.ran(ran(error=RunFailed(f"the key {remember('sk_live_Xa9')} was refused")))
    lines.ran(ran(Changes(added=5), error=RunFailed("no")))
    lines.ran(ran(error=LookupError("sk_live_Xa9")))
    out, err = capsys.readouterr()
    first, second, third = err.splitlines()
    assert out == ""
    assert first == f"{SAID}failed after 3.1 s, nothing was written: the key *** was refused"
    assert second == f"{SAID}failed after 3.1 s, the windows before stay written: no"
    assert third == f"{SAID}failed after 3.1 s, nothing was written: LookupError: ***"
    with pytest.raises(RunFailed, match="3 of 3 runs failed: orders"):
        lines.check()


def test_what_another_process_does_is_told_once_and_only_where_nobody_else_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for lines in (Lines(PARIS), Lines(PARIS, once=True)):
        for error in (NoLongerDue("it was read"), AtWork("orders is being read"), AtWork("orders is being read")):
            lines.ran(ran(error=error))
        lines.check()
    assert capsys.readouterr() == (f"{STAMP}orders is being read\n", "")


def test_what_is_next_is_told_by_its_moments(capsys: pytest.CaptureFixture[str]) -> None:
    moments = [NOW, at("2026-07-14 11:00", PARIS), at("2026-07-14 11:00", PARIS), at("2026-07-15", PARIS)]
    coming = [Next(moment, name) for moment, name in zip([*moments, NOW + timedelta(days=9)], "abcde", strict=True)]
    Lines(PARIS).waits(coming)
    Lines(PARIS).waits([])
    said = "next: a at 2026-07-14 10:30:05; b, c at 2026-07-14 11:00; d at 2026-07-15 00:00"
    assert capsys.readouterr() == (f"{STAMP}{said}\n", "")


def test_cleaning_is_told_where_it_removes_something_or_fails(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines(PARIS)
    lines.cleaned("orders", Cleaned())
    lines.cleaned("orders", Cleaned(hours=1200, runs=34))
    lines.cleaned("orders", RunFailed("no"))
    assert capsys.readouterr() == (
        f"{STAMP}orders  1,234 rows that were kept long enough removed\n",
        f"{STAMP}orders  could not be cleaned: no\n",
    )
    with pytest.raises(RunFailed, match="orders could not be cleaned"):
        lines.check()


def test_trouble_is_told_and_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines(PARIS)
    lines.troubled(Unavailable("the warehouse refused: connection failed"), NOW + timedelta(seconds=5))
    lines.recovered()
    assert capsys.readouterr() == (
        f"{STAMP}reading goes on\n",
        f"{STAMP}nothing can be read: the warehouse refused: connection failed; another try at 10:30:10\n",
    )
