"""The tree of errors, grouped by what the runner must do.

::

    TallylineError
    ├── Refused            stop before anything starts: the input or the configuration is wrong (exit 2)
    │   ├── UnknownName    a name that does not exist, with those that do
    │   ├── GraphError     a graph that cannot run as it was built
    │   └── ProjectError   everything that is wrong with a project folder, at once
    └── RunFailed          stop: the run failed and nothing of it was written (exit 1)
        ├── NodeFailed     a node of the graph raised; knows the node, the row and the cause
        ├── SourceFailed   a service said no, or answered what cannot be used
        │   ├── Unavailable       it is down, slow or busy: the same may work later
        │   ├── Denied            it refuses who asks, or what is asked: a person has to do something
        │   └── UnexpectedAnswer  it answers in another shape than is known of it
        ├── OverTime       it took longer than its source lets a run take
        ├── AtWork         another process reads the source already
        │   └── NoLongerDue       or has just read what was due
        └── BadPoint       a row that is not a measurement the plan can take
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "AtWork",
    "BadPoint",
    "Denied",
    "GraphError",
    "NoLongerDue",
    "NodeFailed",
    "OverTime",
    "Problem",
    "ProjectError",
    "Refused",
    "RunFailed",
    "SourceFailed",
    "TallylineError",
    "Unavailable",
    "UnexpectedAnswer",
    "UnknownName",
    "may_work_later",
    "shortened",
    "wait_before_retry",
    "what_exists",
]

LONGEST_ROW = 200


class TallylineError(Exception):
    """The root: everything Tallyline raises on purpose."""


class Refused(TallylineError):
    """The input or the configuration is wrong; nothing was started."""


class UnknownName(Refused):
    """A name that does not exist, in a message that lists those that do.

    >>> str(UnknownName("source", "usres", ["users", "events"]))
    'there is no source "usres"; did you mean "users"? There are: events, users'
    """

    def __init__(self, what: str, name: str, existing: Iterable[str]) -> None:
        super().__init__(f'there is no {what} "{name}"; {what_exists(name, existing)}')


class GraphError(Refused):
    """A graph that cannot run as it was built."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a project: where it stands and what is wrong there; `path` are the keys that lead there."""

    place: str
    message: str
    path: tuple[str | int, ...] = ()

    def __str__(self) -> str:
        """Return the line a user reads.

        >>> print(Problem("tallyline.toml:3 project.timezone", 'there is no time zone "Pariss"'))
        tallyline.toml:3 project.timezone: there is no time zone "Pariss"
        """
        return f"{self.place}: {self.message}"


class ProjectError(Refused):
    """Everything that is wrong with a project folder, each mistake with its place."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        count = "1 mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
        super().__init__("\n  ".join([f"{count} in the project", *map(str, problems)]))
        self.problems = tuple(problems)


class RunFailed(TallylineError):
    """The run failed and nothing of it was written."""


class NodeFailed(RunFailed):
    """A node raised: `node` is its name, `row` what it was given, `__cause__` the error itself.

    `report` is what the run had done until then.
    """

    def __init__(self, node: str, row: object, cause: BaseException) -> None:
        given = "" if row is None else f" at row {shortened(repr(row))}"
        reason = str(cause) if isinstance(cause, TallylineError) else f"{type(cause).__name__}: {cause}"
        super().__init__(f"{node} failed{given}: {reason}")
        self.node = node
        self.row = row
        self.report: object = None
        self.__cause__ = cause


class SourceFailed(RunFailed):
    """A service said no, or answered what cannot be used."""


class Unavailable(SourceFailed):
    """A service is down, slow or busy, and was tried several times: the same may work later.

    `wait` is how long the service asks to be left alone, where it says so.
    """

    def __init__(self, message: str, wait: timedelta | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class Denied(SourceFailed):
    """A service refuses who asks (credentials, permission) or what is asked: trying again does not help."""


class UnexpectedAnswer(SourceFailed):
    """A service answers in another shape than is known of it."""


class OverTime(RunFailed):
    """The run took longer than it may, and was ended."""


class AtWork(RunFailed):
    """Another process reads the source already."""


class NoLongerDue(AtWork):
    """Another process has just read what was due, or tried to."""


class BadPoint(RunFailed):
    """A row that is not a measurement the plan can take."""


def may_work_later(error: BaseException) -> bool:
    """Say whether a run that ended with the error is worth another try without anybody doing something.

    >>> may_work_later(NodeFailed("stripe", None, Unavailable("Stripe is busy")))
    True
    """
    return wait_before_retry(error) is not None


def wait_before_retry(error: BaseException) -> timedelta | None:
    """Return how long at least to wait before the same may work, None where trying again does not help.

    >>> print(wait_before_retry(Denied("Stripe refuses the key")))
    None
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, Unavailable | AtWork):
        cause = cause.__cause__
    if cause is None:
        return None
    return (cause.wait if isinstance(cause, Unavailable) else None) or timedelta()


def what_exists(name: str, existing: Iterable[str]) -> str:
    """Say what exists instead of `name`, the nearest first.

    >>> what_exists("dayly", ["hourly", "daily"])
    'did you mean "daily"? There are: daily, hourly'
    >>> what_exists("anything", [])
    'there are none'
    """
    names = sorted(existing)
    if not names:
        return "there are none"
    near = difflib.get_close_matches(name, names, n=1)
    there_are = f"here are: {', '.join(names)}"
    return f'did you mean "{near[0]}"? T{there_are}' if near else f"t{there_are}"


def shortened(text: str) -> str:
    """Return the text, cut where it is too long to be read."""
    return text if len(text) <= LONGEST_ROW else f"{text[:LONGEST_ROW]}…"
