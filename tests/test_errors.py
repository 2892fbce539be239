"""What errors say: what was wrong with the value, and what exists instead."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tallyline.errors import (
    AtWork,
    BadPoint,
    Denied,
    GraphError,
    NodeFailed,
    NoLongerDue,
    OverTime,
    Problem,
    ProjectError,
    Refused,
    RunFailed,
    SourceFailed,
    TallylineError,
    Unavailable,
    UnknownName,
    wait_before_retry,
    what_exists,
)


@pytest.mark.parametrize("kind", [UnknownName, GraphError, ProjectError])
def test_what_is_wrong_before_a_run_is_refused(kind: type[Exception]) -> None:
    assert issubclass(kind, Refused)
    assert not issubclass(kind, RunFailed)


@pytest.mark.parametrize("kind", [NodeFailed, SourceFailed, BadPoint, OverTime, AtWork, NoLongerDue])
def test_what_goes_wrong_in_a_run_fails_it(kind: type[Exception]) -> None:
    assert issubclass(kind, RunFailed)
    assert not issubclass(kind, Refused)


@pytest.mark.parametrize("kind", [Refused, RunFailed])
def test_every_error_has_one_root(kind: type[Exception]) -> None:
    assert issubclass(kind, TallylineError)


def test_an_unknown_name_is_told_with_the_nearest_one_and_with_all() -> None:
    assert str(UnknownName("source", "usres", ["users", "events"])) == (
        'there is no source "usres"; did you mean "users"? There are: events, users'
    )


def test_a_name_that_is_near_to_none_is_told_with_all() -> None:
    assert what_exists("zzz", iter(["users", "events"])) == "there are: events, users"


def test_where_nothing_exists_that_is_said() -> None:
    assert str(UnknownName("source", "users", [])) == 'there is no source "users"; there are none'


def test_one_mistake_is_counted_in_the_singular() -> None:
    error = ProjectError([Problem("tallyline.toml:3 project.timezone", "wrong")])
    assert str(error) == "1 mistake in the project\n  tallyline.toml:3 project.timezone: wrong"


def test_all_mistakes_are_told_each_in_a_line_of_its_own() -> None:
    problems = [Problem("tallyline.toml:3", "first"), Problem("sources.py:7", "second")]
    error = ProjectError(problems)
    assert str(error).splitlines() == [
        "2 mistakes in the project",
        "  tallyline.toml:3: first",
        "  sources.py:7: second",
    ]
    assert error.problems == tuple(problems)


def test_a_failed_node_is_told_with_the_row_and_the_cause() -> None:
    cause = ZeroDivisionError("division by zero")
    error = NodeFailed("ratio", {"users": 0}, cause)
    assert str(error) == "ratio failed at row {'users': 0}: ZeroDivisionError: division by zero"
    assert (error.node, error.row, error.__cause__) == ("ratio", {"users": 0}, cause)


@pytest.mark.parametrize(("row", "told"), [(0, "0"), ("", "''"), (False, "False"), ([], "[]")])
def test_a_falsy_row_is_told_too(row: object, told: str) -> None:
    assert str(NodeFailed("ratio", row, ValueError("no"))) == f"ratio failed at row {told}: ValueError: no"


def test_a_node_that_failed_without_a_row_names_none() -> None:
    assert str(NodeFailed("orders", None, OSError("gone"))) == "orders failed: OSError: gone"


def test_an_error_of_our_own_is_told_by_its_message_alone() -> None:
    assert str(NodeFailed("orders", None, SourceFailed("the shop refused"))) == "orders failed: the shop refused"


def test_a_long_row_is_told_by_its_first_200_characters() -> None:
    row = "x" * 1000
    error = NodeFailed("ratio", row, ValueError("no"))
    assert str(error) == f"ratio failed at row '{'x' * 199}…: ValueError: no"  # the quote is the first of the 200
    assert error.row is row


@pytest.mark.parametrize(
    ("error", "wait"),
    [
        (Unavailable("it is away"), timedelta()),
        (Unavailable("too many requests", wait=timedelta(minutes=5)), timedelta(minutes=5)),
        (NodeFailed("shop", None, Unavailable("it is away")), timedelta()),
        (AtWork("another process reads it"), timedelta()),
        (Denied("it refuses the key"), None),
        (OverTime("it took too long"), None),
        (LookupError(), None),
    ],
)
def test_what_may_work_later_says_after_how_long(error: Exception, wait: timedelta | None) -> None:
    assert wait_before_retry(error) == wait
