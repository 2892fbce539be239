"""What the scheduler does, line by line: a line a run, and what is next."""

from __future__ import annotations

import traceback
from itertools import groupby, islice
from operator import attrgetter
from typing import TYPE_CHECKING

import click

from tallyline.errors import NoLongerDue, Refused, RunFailed, TallylineError
from tallyline.secret import masked
from tallyline.window import utc_now

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from tallyline.runner import ReadResult
    from tallyline.schedule.telling import Next, Ran
    from tallyline.warehouse import Cleaned
    from tallyline.window import Window

__all__ = ["Lines"]

_MOST_MOMENTS = 3


class Lines:
    """Prints what happens; what fails on stderr, as those want it whom a cron sends mail."""

    def __init__(self, zone: ZoneInfo, *, once: bool = False) -> None:
        """Take the business zone, in which times are told; what is done but `once` is not left without a word."""
        self._zone = zone
        self._once = once
        self._elsewhere: set[str] = set()
        self._runs: list[Ran] = []
        self._not_cleaned: list[str] = []

    def ran(self, run: Ran) -> None:
        """Print a run that has ended; what another process does, only where nobody else would say so."""
        if run.is_elsewhere:
            self._is_elsewhere(run.result)
            return
        self._runs.append(run)
        what = f"{run.result.source}  {_text(run.result.window, self._zone)}"
        if run.stopped:
            self._say(f"{what}  stopped after {run.seconds:.1f} s, nothing was written")
        elif run.result.error is None:
            self._say(f"{what}  {_numbers(run)}, {run.seconds:.1f} s  done")
        else:
            self._complain(f"{what}  failed after {run.seconds:.1f} s, {_written(run)}: {_reason(run.result.error)}")

    def cleaned(self, source: str, cleaned: Cleaned | Exception) -> None:
        """Print what was removed of a source, if anything was."""
        if isinstance(cleaned, Exception):
            self._not_cleaned.append(source)
            self._complain(f"{source}  could not be cleaned: {_reason(cleaned)}")
        elif cleaned.total:
            self._say(f"{source}  {cleaned.total:,} rows that were kept long enough removed")

    def troubled(self, error: Exception, until: datetime) -> None:
        """Print what keeps all from going on."""
        self._complain(f"nothing can be read: {_reason(error)}; another try at {until.astimezone(self._zone):%H:%M:%S}")

    def recovered(self) -> None:
        """Print that it goes on."""
        self._say("reading goes on")

    def waits(self, coming: Sequence[Next]) -> None:
        """Print what is next."""
        moments = groupby(coming, key=attrgetter("moment"))
        told = [f"{', '.join(each.source for each in some)} at {self._at(moment)}" for moment, some in moments]
        if told:
            self._say(f"next: {'; '.join(islice(told, _MOST_MOMENTS))}")

    def check(self) -> None:
        """Raise RunFailed where a run has failed or something was not cleaned, Refused where all were refused."""
        failed = [run for run in self._runs if run.result.error is not None]
        if failed:
            names = ", ".join(dict.fromkeys(run.result.source for run in failed))
            msg = f"{len(failed)} of {len(self._runs)} runs failed: {names}"
            raise Refused(msg) if all(isinstance(run.result.error, Refused) for run in failed) else RunFailed(msg)
        if self._not_cleaned:
            msg = f"{', '.join(self._not_cleaned)} could not be cleaned"
            raise RunFailed(msg)

    def _is_elsewhere(self, result: ReadResult) -> None:
        if self._once and not isinstance(result.error, NoLongerDue) and result.source not in self._elsewhere:
            self._elsewhere.add(result.source)
            self._say(str(result.error))

    def _at(self, moment: datetime) -> str:
        local = moment.astimezone(self._zone).replace(microsecond=0)
        return f"{local:%Y-%m-%d %H:%M:%S}".removesuffix(":00")

    def _say(self, text: str) -> None:
        click.echo(f"{utc_now().astimezone(self._zone):%Y-%m-%d %H:%M:%S}  {text}")

    def _complain(self, text: str) -> None:
        click.echo(f"{utc_now().astimezone(self._zone):%Y-%m-%d %H:%M:%S}  {text}", err=True)


def _text(window: Window | None, zone: ZoneInfo) -> str:
    return window.text(zone) if window else ""


def _numbers(run: Ran) -> str:
    changes = run.result.changes
    told = {"new": changes.added, "changed": changes.changed, "removed": changes.removed}
    rows = "1 row" if run.rows == 1 else f"{run.rows:,} rows"
    return ", ".join([rows, *(f"{count:,} {what}" for what, count in told.items() if count)])


def _written(run: Ran) -> str:
    return "the windows before stay written" if run.result.changes.total else "nothing was written"


def _reason(error: Exception) -> str:
    if isinstance(error, TallylineError):
        return masked(str(error))
    return masked("".join(traceback.format_exception(error)).rstrip())  # a fault of ours, or of a project's code
