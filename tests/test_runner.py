"""One recorded run: what its source is given, what becomes of its rows, and what the ledger says of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tallyline import Grain, Graph, Window, service, source
from tallyline.errors import GraphError, NodeFailed, Refused, SourceFailed
from tallyline.graph import draw, node
from tallyline.plan import Retention
from tallyline.project import Project
from tallyline.runner import ReadResult, choose_window, outline, read_source
from tallyline.warehouse import Changes, open_warehouse
from tests.warehouse.publishing import PARIS, PLAN, UTC_ZONE, at, facts, window

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from tallyline.graph import Report
    from tallyline.sources import SourceDeclaration
    from tallyline.warehouse import Warehouse

    Rows = Iterator[tuple[dict[str, object], dict[str, object]]]

DAY = window("2026-07-14", "2026-07-15")
NOW = at("2026-07-14 15:20")


@pytest.fixture
def warehouse(warehouse_url: str) -> Iterator[Warehouse]:
    """An empty warehouse."""
    with open_warehouse(warehouse_url, UTC_ZONE, write=True, clock=lambda: NOW) as warehouse:
        yield warehouse


def project_of(
    declared: SourceDeclaration, *, zone: ZoneInfo = UTC_ZONE, services: Mapping[str, object] | None = None
) -> Project:
    """Return a project with this one source, called numbers."""
    return Project(
        Path(), "Shop", "sqlite://", zone, PLAN, services or {}, {"numbers": declared.named("numbers")}, (), Retention()
    )


def read(
    declared: SourceDeclaration,
    warehouse: Warehouse,
    *,
    write: bool = True,
    zone: ZoneInfo = UTC_ZONE,
    services: Mapping[str, object] | None = None,
) -> ReadResult:
    """Read a source for the day."""
    project = project_of(declared, zone=zone, services=services)
    return read_source(project, project.source("numbers"), warehouse, DAY, now=NOW, write=write)


@source(name="numbers")
def three_hours() -> Rows:
    """Give three hours."""
    for hour in (8, 9, 10):
        yield {"time": f"2026-07-14 {hour:02}:00"}, {"users.new": hour}


def failing(error: BaseException) -> SourceDeclaration:
    """Return a source that gives a row and then fails."""

    @source(name="numbers")
    def numbers() -> Rows:
        yield {"time": "2026-07-14 08:00"}, {"users.new": 8}
        raise error

    return numbers


def test_what_was_read_is_written_and_entered(warehouse: Warehouse, warehouse_url: str) -> None:
    result = read(three_hours, warehouse)
    assert (result.source, result.window, result.changes, result.error) == ("numbers", DAY, Changes(added=3), None)
    assert [fact.value for fact in facts(warehouse_url, "hourly")] == [8, 9, 10]
    [run] = warehouse.runs()
    assert (run.source, run.window, run.state, run.changes) == ("numbers", DAY, "done", Changes(added=3))
    assert run.report == result.report.as_dict()
    assert [node.name for node in result.report.nodes] == ["three_hours", "normalize", "write"]


def test_without_write_nothing_is_written_nor_entered(warehouse: Warehouse, warehouse_url: str) -> None:
    result = read(three_hours, warehouse, write=False)
    assert result.changes == Changes(added=3)
    assert facts(warehouse_url, "hourly") == []
    assert warehouse.runs() == []


def test_a_source_is_given_what_it_asks_for(warehouse: Warehouse) -> None:
    given: dict[str, object] = {}

    @source(name="numbers", timezone="Europe/Paris")
    def numbers(window: Window, now: datetime, zone: ZoneInfo, source_zone: ZoneInfo, shop: str) -> Rows:
        given.update(window=window, now=now, zone=zone, source_zone=source_zone, shop=shop)
        yield {"time": window.since}, {"users.new": 1}

    assert read(numbers, warehouse, services={"shop": service(lambda: "open")}).error is None
    assert given == {"window": DAY, "now": NOW, "zone": UTC_ZONE, "source_zone": PARIS, "shop": "open"}


def test_times_without_an_offset_are_in_the_zone_of_the_source(warehouse: Warehouse, warehouse_url: str) -> None:
    @source(name="numbers", timezone="Europe/Paris")
    def numbers() -> Rows:
        yield {"time": "2026-07-14 10:00"}, {"users.new": 1}

    assert read(numbers, warehouse).error is None
    assert [fact.time for fact in facts(warehouse_url, "hourly")] == ["2026-07-14T08:00:00+00:00"]


def test_a_graph_may_end_in_several_nodes(warehouse: Warehouse, warehouse_url: str) -> None:
    @source(name="numbers")
    def numbers() -> Graph:
        graph = Graph([8, 9])
        graph["list"] >> new_users
        graph["list"] >> all_users
        return graph

    assert read(numbers, warehouse).changes == Changes(added=4)
    assert [(fact.metric, fact.value) for fact in facts(warehouse_url, "daily")] == [
        ("users.new", 8 + 9),
        ("users.total", 9),
    ]


def new_users(hour: int) -> tuple[dict[str, object], dict[str, object]]:
    return {"date": "2026-07-14", "hour": hour}, {"users.new": hour}


def all_users(hour: int) -> tuple[dict[str, object], dict[str, object]]:
    return {"date": "2026-07-14", "hour": hour}, {"users.total": hour}


def test_two_values_for_one_hour_are_refused_or_combined_as_declared(warehouse: Warehouse) -> None:
    def twice() -> Rows:
        for value in (3, 4):
            yield {"time": "2026-07-14 08:00"}, {"users.new": value}

    refused = read(source(name="numbers")(twice), warehouse)
    assert "users.new {} has two values for 2026-07-14 08:00 UTC" in str(refused.error)
    assert read(source(name="numbers", combine="sum")(twice), warehouse).error is None
    assert [value.value for value in warehouse.query("users.new")] == [3 + 4]


def failed_with_nothing_written(result: ReadResult, warehouse: Warehouse, warehouse_url: str) -> None:
    """Check that a run failed, that the ledger says why, and that it wrote nothing."""
    assert result.error is not None
    assert result.changes == Changes()
    [run] = warehouse.runs()
    assert (run.state, run.error, run.changes) == ("failed", str(result.error), Changes())
    assert run.report == result.report.as_dict()
    assert facts(warehouse_url, "hourly") == []


def test_a_source_that_raises_fails_the_run(warehouse: Warehouse, warehouse_url: str) -> None:
    result = read(failing(SourceFailed("the shop is closed")), warehouse)
    assert isinstance(result.error, NodeFailed)
    assert str(result.error) == "numbers failed: the shop is closed"
    assert (result.report.state, result.report["numbers"].state) == ("failed", "failed")
    failed_with_nothing_written(result, warehouse, warehouse_url)


def test_an_error_of_any_other_kind_fails_it_too(warehouse: Warehouse, warehouse_url: str) -> None:
    result = read(failing(ZeroDivisionError("division by zero")), warehouse)
    assert str(result.error) == "numbers failed: ZeroDivisionError: division by zero"
    failed_with_nothing_written(result, warehouse, warehouse_url)


def test_a_row_that_is_no_measurement_fails_it(warehouse: Warehouse, warehouse_url: str) -> None:
    @source(name="numbers")
    def numbers() -> Rows:
        yield {"time": "2026-07-14 08:00"}, {"users.new": "many"}

    result = read(numbers, warehouse)
    assert "users.new is 'many': a metric is a number; text belongs in the dims" in str(result.error)
    failed_with_nothing_written(result, warehouse, warehouse_url)


def test_a_service_that_cannot_be_opened_is_a_refusal(warehouse: Warehouse, warehouse_url: str) -> None:
    def shut() -> object:
        msg = "there is no shop"
        raise Refused(msg)

    @source(name="numbers")
    def numbers(shop: object) -> Rows:
        yield {"time": "2026-07-14 08:00"}, {"users.new": 1}

    result = read(numbers, warehouse, services={"shop": service(shut)})
    assert type(result.error) is Refused
    failed_with_nothing_written(result, warehouse, warehouse_url)


def test_a_service_that_does_not_exist_is_a_refusal(warehouse: Warehouse, warehouse_url: str) -> None:
    @source(name="numbers")
    def numbers(shpo: object) -> Rows:
        yield {"time": "2026-07-14 08:00"}, {"users.new": 1}

    result = read(numbers, warehouse, services={"shop": 1})
    assert isinstance(result.error, GraphError)
    assert 'numbers asks for the service "shpo", which does not exist; did you mean "shop"?' in str(result.error)
    failed_with_nothing_written(result, warehouse, warehouse_url)


def test_a_run_that_is_interrupted_is_entered_as_stopped_and_goes_on_being_interrupted(
    warehouse: Warehouse, warehouse_url: str
) -> None:
    with pytest.raises(KeyboardInterrupt):
        read(failing(KeyboardInterrupt()), warehouse)
    [run] = warehouse.runs()
    assert (run.state, run.error, run.report["state"]) == ("stopped", "KeyboardInterrupt", "stopped")
    assert facts(warehouse_url, "hourly") == []


def test_an_error_of_our_own_is_raised_and_entered_without_what_it_says(warehouse: Warehouse) -> None:
    def observe(report: Report) -> None:
        msg = f"a secret, {report.state}"
        raise LookupError(msg)

    project = project_of(three_hours)
    with pytest.raises(LookupError):
        read_source(project, project.source("numbers"), warehouse, DAY, now=NOW, write=True, observe=observe)
    [run] = warehouse.runs()
    assert (run.state, run.error) == ("failed", "LookupError")


def test_a_run_is_observed_to_its_end(warehouse: Warehouse) -> None:
    seen: list[str] = []
    project = project_of(three_hours)
    read_source(
        project,
        project.source("numbers"),
        warehouse,
        DAY,
        now=NOW,
        write=True,
        observe=lambda report: seen.append(str(report.state)),
    )
    assert seen[-1] == "done"


def chosen(declared: SourceDeclaration, warehouse: Warehouse, **ends: datetime) -> Window:
    """Return the window that is chosen for a source."""
    return choose_window(declared.named("numbers"), warehouse, UTC_ZONE, now=NOW, **ends)


def test_the_window_is_the_sources_own(warehouse: Warehouse) -> None:
    assert chosen(three_hours, warehouse) == window("2026-07-12 15:00", "2026-07-14 16:00")


def test_either_end_of_the_window_may_be_chosen(warehouse: Warehouse) -> None:
    assert chosen(three_hours, warehouse, since=at("2026-07-01 10:10")) == window(
        "2026-07-01 10:00", "2026-07-14 16:00"
    )
    assert chosen(three_hours, warehouse, until=at("2026-07-13 10:10")) == window(
        "2026-07-12 15:00", "2026-07-13 11:00"
    )


def test_the_window_of_a_source_by_the_day_is_widened_to_days(warehouse: Warehouse) -> None:
    daily = source(name="numbers", grain=Grain.DAY)(three_hours.work)
    both = {"since": at("2026-07-01 10:10"), "until": at("2026-07-02 10:10")}
    assert chosen(daily, warehouse, **both) == window("2026-07-01", "2026-07-03")


def test_the_window_of_a_snapshot_is_the_running_hour(warehouse: Warehouse) -> None:
    snapshot = source(name="numbers", snapshot=True)(three_hours.work)
    assert chosen(snapshot, warehouse, since=at("2026-07-01")) == window("2026-07-14 15:00", "2026-07-14 16:00")


def test_a_window_that_would_end_before_it_begins_is_refused(warehouse: Warehouse) -> None:
    with pytest.raises(Refused, match="before it begins"):
        chosen(three_hours, warehouse, since=at("2026-07-20"))


def test_the_outline_is_what_a_read_with_write_runs(warehouse: Warehouse) -> None:
    names = [node.name for node in read(three_hours, warehouse).report.nodes]
    assert draw(outline(three_hours.named("numbers"))).split() == [names[0], "└──", names[1], "└──", names[2]]


def only_even(row: int) -> tuple[dict[str, object], dict[str, object]]:
    """Fail on every other row."""
    if row % 2:
        msg = f"{row} is odd"
        raise ValueError(msg)
    return {"time": f"2026-07-14 {row:02}:00"}, {"users.new": row}


@pytest.mark.parametrize(("budget", "state"), [(None, "done"), (2, "done"), (1, "failed")])
def test_report_ledger_and_result_agree_on_rows_that_were_skipped(
    budget: int | None, state: str, warehouse: Warehouse
) -> None:
    numbers = source(Graph(range(4), node(only_even, on_error="skip", max_errors=budget)))
    result = read(numbers, warehouse)
    [run] = warehouse.runs()
    skipped = result.report["only_even"].skipped
    assert (run.state, str(result.report.state), result.error is None) == (state, state, state == "done")
    assert run.report == result.report.as_dict()
    assert skipped == (2 if state == "done" else 1)
    assert result.report["only_even"].samples[0].error == "ValueError: 1 is odd"
    assert result.changes.added == (2 if state == "done" else 0)
