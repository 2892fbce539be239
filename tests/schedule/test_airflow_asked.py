"""Whichever way a run of Airflow was started, it is known which window it is for, or it is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from tallyline.errors import Refused
from tallyline.graph import Graph
from tallyline.schedule.airflow.asked import Asked, parts_of, window_asked
from tallyline.schedule.intervals import intervals_before
from tallyline.sources import Options, Source
from tallyline.window import Grain
from tests.warehouse.publishing import PARIS, UTC_ZONE, at, window

NOW = at("2026-11-23 02:20")
HOUR = timedelta(hours=1)


def source(**options: Any) -> Source:  # noqa: ANN401  # as Options takes them
    return Source("orders", lambda: Graph([()]), Options(**{"lookback": timedelta(), **options}))


def asked(run_type: str = "manual", /, **told: Any) -> Asked:  # noqa: ANN401  # as Asked takes it
    return Asked(run_type=run_type, **{"run_after": NOW, **told})


def text(started: Asked, of: Source | None = None) -> str:
    return window_asked(started, of or source(), UTC_ZONE, NOW).text(UTC_ZONE)


def interval(since: str, until: str) -> dict[str, datetime]:
    return {"since": at(since), "until": at(until)}


@pytest.mark.parametrize("run_type", ["scheduled", "backfill"])
def test_the_interval_of_the_schedule_is_the_window(run_type: str) -> None:
    at_four = interval("2026-11-10 04:00", "2026-11-10 05:00")
    started = asked(run_type, logical_date=at("2026-11-10 04:00"), **at_four)
    assert text(started) == "2026-11-10 04:00 … 2026-11-10 05:00"


def test_the_look_back_is_read_before_it() -> None:
    started = asked("scheduled", **interval("2026-11-10 04:00", "2026-11-10 05:00"))
    assert text(started, source(lookback=2 * HOUR)) == "2026-11-10 02:00 … 2026-11-10 05:00"


def test_nothing_before_the_start_of_the_source_is_read() -> None:
    late = source(start=date(2026, 11, 10), lookback=timedelta(days=2))
    assert text(asked("scheduled", **interval("2026-11-10 04:00", "2026-11-10 05:00")), late).startswith("2026-11-10")
    with pytest.raises(Refused, match="ends before the source starts, on 2026-11-10"):
        text(asked("backfill", **interval("2026-11-09 04:00", "2026-11-09 05:00")), late)


def test_a_manual_run_with_a_date_is_for_the_interval_that_ends_there() -> None:
    """As the REST API and the button of the page have it: the interval is the last before the logical date."""
    given = interval("2026-11-10 04:00", "2026-11-10 05:00")
    for date_given in ("2026-11-10 05:00", "2026-11-10 05:59"):
        assert text(asked(logical_date=at(date_given), **given)) == "2026-11-10 04:00 … 2026-11-10 05:00"


def test_an_interval_that_holds_its_date_was_asked_for() -> None:
    given = interval("2026-11-10 00:00", "2026-11-11 00:00")
    assert text(asked(logical_date=at("2026-11-10 00:00"), **given)) == "2026-11-10 00:00 … 2026-11-11 00:00"


@pytest.mark.parametrize("run_type", ["manual", "operator_triggered"])
@pytest.mark.parametrize("date_given", ["2026-11-18 07:00", "2026-11-23 00:00", "2026-11-23 03:00", "2026-12-01 00:00"])
def test_a_date_with_another_interval_is_refused(run_type: str, date_given: str) -> None:
    """As `airflow dags trigger --logical-date` makes it: the interval is that of the present moment."""
    given = interval("2026-11-23 01:00", "2026-11-23 02:00")
    with pytest.raises(Refused, match=r"Airflow made the interval 2026-11-23 01:00 … .* give start and end"):
        text(asked(run_type, logical_date=at(date_given), **given))


def test_a_manual_run_without_a_date_is_for_the_last_complete_interval() -> None:
    assert text(asked()) == "2026-11-23 01:00 … 2026-11-23 02:00"
    assert text(asked(), source(schedule="@daily")) == "2026-11-22 00:00 … 2026-11-23 00:00"
    assert text(asked(), source(schedule="15 */6 * * *")) == "2026-11-22 18:00 … 2026-11-23 01:00"


@pytest.mark.parametrize("run_type", ["scheduled", "backfill"])
def test_an_automatic_run_without_an_interval_is_refused(run_type: str) -> None:
    with pytest.raises(Refused, match=f"Airflow told no interval for a {run_type} run"):
        text(asked(run_type))


def test_an_empty_interval_is_refused() -> None:
    with pytest.raises(Refused, match="the window is empty"):
        text(asked("scheduled", **interval("2026-11-10 04:00", "2026-11-10 04:00")))


def test_start_and_end_are_the_window_in_whole_buckets() -> None:
    started = asked(conf={"start": "2026-11-01", "end": "2026-11-03T10:20"})
    assert text(started) == "2026-11-01 00:00 … 2026-11-03 11:00"
    daily = source(grain=Grain.DAY, lookback=timedelta(days=2))
    assert text(started, daily) == "2026-11-01 00:00 … 2026-11-04 00:00"  # and no look-back


def test_start_and_end_are_told_in_the_business_zone() -> None:
    told = {"start": "2026-11-01", "end": "2026-11-01T12:00+00:00"}
    found = window_asked(asked(conf=told), source(), PARIS, NOW)
    assert found == window("2026-10-31 23:00", "2026-11-01 12:00")


def test_parameters_that_were_left_empty_mean_nothing() -> None:
    assert text(asked(conf={"start": None, "end": ""})) == "2026-11-23 01:00 … 2026-11-23 02:00"


@pytest.mark.parametrize(
    ("conf", "said"),
    [
        ({"start": "2026-11-01"}, "end is missing; give both start and end"),
        ({"end": "2026-11-01", "start": None}, "start is missing; give both start and end"),
        ({"start": "the first", "end": "2026-11-02"}, '"the first" is not a time'),
        ({"start": 5, "end": "2026-11-02"}, '"5" is not a time'),
        ({"start": "2026-11-03", "end": "2026-11-02"}, "before it begins"),
        ({"start": "2026-12-01", "end": "2026-12-02"}, "2026-12-01 00:00 … 2026-12-02 00:00 is yet to come"),
        ({"stat": "2026-11-01", "end": "2026-11-02"}, 'there is no parameter "stat"; did you mean "start"?'),
    ],
)
def test_parameters_that_name_no_window_are_refused(conf: dict[str, object], said: str) -> None:
    with pytest.raises(Refused) as refused:
        text(asked(conf=conf))
    assert said in str(refused.value)


def test_a_backfill_has_intervals_of_its_own() -> None:
    given = interval("2026-11-10 04:00", "2026-11-10 05:00")
    with pytest.raises(Refused, match="start and end are for runs that you trigger; a backfill run"):
        text(asked("backfill", conf={"start": "2026-11-01", "end": "2026-11-02"}, **given))


def test_a_snapshot_tells_the_present() -> None:
    of_now, old = source(snapshot=True), interval("2026-11-10 04:00", "2026-11-10 05:00")
    for started in (asked(), asked("scheduled", **old)):
        assert text(started, of_now) == "2026-11-23 02:00 … 2026-11-23 03:00"
    for refused in (asked("backfill", **old), asked(conf={"start": "2026-11-01", "end": "2026-11-02"})):
        with pytest.raises(Refused, match="orders is a snapshot, which tells only the present"):
            text(refused, of_now)


def test_a_long_window_is_read_in_parts() -> None:
    whole = window("2026-01-01", "2026-01-06 12:00")
    parts = parts_of(whole, source(at_once=timedelta(days=2)), UTC_ZONE)
    assert [part.text(UTC_ZONE) for part in parts] == [
        "2026-01-01 00:00 … 2026-01-03 00:00",
        "2026-01-03 00:00 … 2026-01-05 00:00",
        "2026-01-05 00:00 … 2026-01-06 12:00",
    ]
    assert parts_of(whole, source(at_once=timedelta(days=2), snapshot=True), UTC_ZONE) == [whole]


@pytest.mark.parametrize("schedule", ["@hourly", "@daily", "30 2 * * *", "0 */2 * * *", "*/20 * * * *"])
@pytest.mark.parametrize("changed", ["2026-03-29 12:00", "2026-10-25 12:00"])
def test_no_hour_is_left_out_where_the_clock_changes(schedule: str, changed: str) -> None:
    of, moment = source(schedule=schedule), at(changed)
    intervals = [next(intervals_before(schedule, moment - hours * HOUR, PARIS)) for hours in range(48)]
    found = [
        window_asked(asked("scheduled", since=each.since, until=each.until), of, PARIS, moment)
        for each in dict.fromkeys(reversed(intervals))
    ]
    assert all(before.until >= after.since for before, after in pairwise(found))
    assert found[-1].until >= moment.astimezone(UTC) - timedelta(days=1)
