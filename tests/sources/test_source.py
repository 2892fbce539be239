"""Sources: their options, how code declares them, and which window is read next."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tallyline
from tallyline.errors import GraphError, Refused
from tallyline.graph import Graph, run
from tallyline.plan import Combine
from tallyline.sources import Options, Source, SourceDeclaration, check_schedule, source
from tallyline.window import Grain, Window

if TYPE_CHECKING:
    from collections.abc import Iterator

PARIS, UTC_ZONE = ZoneInfo("Europe/Paris"), ZoneInfo("UTC")
NOW = datetime(2026, 7, 14, 10, 30, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def made(**options: Any) -> Source:  # noqa: ANN401  # those of Options
    return Source("orders", Graph, Options(**options))


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def window(since: str, until: str) -> Window:
    return Window(moment(since), moment(until))


@pytest.mark.parametrize(
    ("schedule", "grain"),
    [
        ("@hourly", Grain.HOUR),
        ("@daily", Grain.DAY),
        ("@weekly", Grain.DAY),
        ("@monthly", Grain.DAY),
        ("15 6 * * *", Grain.HOUR),
    ],
)
def test_the_schedule_says_how_finely_the_source_tells_time(schedule: str, grain: Grain) -> None:
    assert Options(schedule=schedule).facts is grain


@pytest.mark.parametrize("grain", [Grain.HOUR, Grain.DAY])
def test_a_grain_goes_before_the_schedule(grain: Grain) -> None:
    assert {Options(schedule=schedule, grain=grain).facts for schedule in ("@hourly", "@daily")} == {grain}


def test_a_source_has_a_grain_or_several() -> None:
    with pytest.raises(Refused, match="a source has either a grain or, where it counts distinct things, grains"):
        Options(grain=Grain.DAY, grains=(Grain.DAY, Grain.WEEK))


def test_a_schedule_that_never_fires_is_refused() -> None:
    with pytest.raises(Refused, match=r'^"0 0 30 2 \*" is no schedule, bad day-of-month; there are'):
        Options(schedule="0 0 30 2 *")


@pytest.mark.parametrize("schedule", ["", "hourly", "@yearly", "* * * *", "* * * * * *", "15 6 * *  *", "daily at 6"])
def test_what_is_no_schedule_is_refused(schedule: str) -> None:
    with pytest.raises(Refused) as refused:
        Options(schedule=schedule)
    assert str(refused.value) == (
        f'"{schedule}" is no schedule; there are @hourly, @daily, @weekly, @monthly and cron lines such as "15 6 * * *"'
    )


def test_named_schedules_and_cron_lines_are_schedules() -> None:
    for schedule in ("@hourly", "@daily", "@weekly", "@monthly", "*/5 * * * *", "0 9 * * MON-FRI"):
        check_schedule(schedule)


@pytest.mark.parametrize("grain", [Grain.WEEK, Grain.MONTH, Grain.QUARTER, Grain.YEAR])
def test_a_source_is_not_coarser_than_a_day(grain: Grain) -> None:
    with pytest.raises(Refused, match=f'^a source cannot have the grain "{grain}"; there are: day, hour$'):
        Options(grain=grain)


def test_a_look_back_ahead_is_refused() -> None:
    with pytest.raises(Refused, match=r"^lookback is -1 day, 0:00:00, a time ahead; give the length of time to read"):
        Options(lookback=-DAY)


def test_a_time_zone_that_does_not_exist_is_refused() -> None:
    with pytest.raises(Refused, match=r'^there is no time zone "Europe/Pariss"; did you mean "Europe/Paris"\?'):
        Options(timezone="Europe/Pariss")


def test_by_default_a_source_is_read_by_the_hour_two_days_back() -> None:
    options = Options()
    assert (options.schedule, options.lookback, options.combine) == ("@hourly", 2 * DAY, Combine.REFUSE)
    assert (options.start, options.timezone, options.snapshot) == (None, None, False)


def test_without_a_start_the_look_back_is_read_up_to_and_with_the_running_hour() -> None:
    assert made().window(NOW, UTC_ZONE) == window("2026-07-12 10:00", "2026-07-14 11:00")


def test_by_the_day_whole_business_days_are_read() -> None:
    """10:30 UTC is 12:30 in Paris, where days begin at 22:00 UTC."""
    assert made(schedule="@daily").window(NOW, PARIS) == window("2026-07-11 22:00", "2026-07-14 22:00")


def test_the_first_read_begins_at_the_start() -> None:
    source = made(start=date(2026, 1, 1))
    assert source.window(NOW, PARIS) == window("2025-12-31 23:00", "2026-07-14 11:00")


def test_a_later_read_begins_a_look_back_before_now() -> None:
    source = made(start=date(2026, 1, 1), lookback=6 * HOUR)
    covered = [window("2026-01-01", "2026-07-14 10:00")]
    assert source.window(NOW, UTC_ZONE, covered) == window("2026-07-14 04:00", "2026-07-14 11:00")


def test_a_read_after_a_long_pause_begins_a_look_back_before_where_the_last_one_ended() -> None:
    source = made(start=date(2026, 1, 1), lookback=6 * HOUR)
    covered = [window("2026-01-01", "2026-07-01 13:00")]
    assert source.window(NOW, UTC_ZONE, covered) == window("2026-07-01 07:00", "2026-07-14 11:00")


def test_a_pause_of_a_source_without_a_start_is_made_up_for() -> None:
    covered = [window("2026-06-01", "2026-07-01 13:00")]
    assert made(lookback=6 * HOUR).window(NOW, UTC_ZONE, covered) == window("2026-07-01 07:00", "2026-07-14 11:00")


def test_a_bucket_that_was_read_only_in_part_is_read_again() -> None:
    source = made(start=date(2026, 1, 1), lookback=0 * HOUR)
    covered = [window("2026-01-01", "2026-07-01 13:25")]
    assert source.window(NOW, UTC_ZONE, covered) == window("2026-07-01 13:00", "2026-07-14 11:00")


def test_a_gap_is_read_again() -> None:
    source = made(start=date(2026, 1, 1), lookback=0 * HOUR)
    covered = [window("2026-01-01", "2026-03-01"), window("2026-03-02", "2026-07-14 10:00")]
    assert source.window(NOW, UTC_ZONE, covered) == window("2026-03-01", "2026-07-14 11:00")


def test_what_was_read_before_the_start_does_not_count() -> None:
    source = made(start=date(2026, 7, 10), lookback=HOUR)
    covered = [window("2026-01-01", "2026-07-09")]
    assert source.window(NOW, UTC_ZONE, covered) == window("2026-07-10", "2026-07-14 11:00")


def test_the_look_back_does_not_go_before_the_start() -> None:
    source = made(start=date(2026, 7, 14))
    covered = [window("2026-07-14", "2026-07-14 10:00")]
    assert source.window(NOW, UTC_ZONE, covered) == window("2026-07-14", "2026-07-14 11:00")


def test_without_a_look_back_the_running_bucket_is_read() -> None:
    source = made(start=date(2026, 7, 14), lookback=timedelta())
    covered = [window("2026-07-14", "2026-07-14 11:00")]
    assert source.window(NOW, UTC_ZONE, covered) == window("2026-07-14 10:00", "2026-07-14 11:00")


@pytest.mark.parametrize(("schedule", "until"), [("@hourly", "2026-07-14 11:00"), ("@daily", "2026-07-15")])
def test_a_snapshot_is_of_the_running_bucket_whatever_was_read(schedule: str, until: str) -> None:
    source = made(schedule=schedule, snapshot=True, start=date(2020, 1, 1))
    running = source.window(NOW, UTC_ZONE, [window("2020-01-01", "2026-07-01")])
    assert running == Window(source.options.facts.floor(NOW, UTC_ZONE), moment(until))


def test_a_source_may_start_today() -> None:
    assert made(start=date(2026, 7, 14)).window(NOW, UTC_ZONE).since == moment("2026-07-14")


def test_a_source_that_starts_later_is_refused() -> None:
    with pytest.raises(Refused, match=r"^orders starts on 2026-07-15, which is yet to come$"):
        made(start=date(2026, 7, 15)).window(NOW, UTC_ZONE)


@settings(deadline=None)
@given(
    st.integers(0, 40 * 24),
    st.integers(0, 96),
    st.sampled_from(["@hourly", "@daily"]),
    st.lists(st.tuples(st.integers(0, 40 * 24), st.integers(1, 300)), max_size=5),
)
def test_no_bucket_since_the_start_is_left_unread(
    hours: int, lookback: int, schedule: str, reads: list[tuple[int, int]]
) -> None:
    """After the next read, everything from the start to the running bucket was read."""
    start = date(2026, 3, 1)  # the clock goes forward on the 29th
    source = made(start=start, lookback=lookback * HOUR, schedule=schedule)
    grain = source.options.facts
    began = moment("2026-02-28 23:00")
    now = began + hours * HOUR + timedelta(minutes=30)
    covered = [Window(began + at * HOUR, began + (at + length) * HOUR).widened(grain, PARIS) for at, length in reads]
    due = source.window(now, PARIS, covered)
    assert due.widened(grain, PARIS) == due
    assert due.since >= began
    assert due.until == grain.after(now, PARIS)
    assert due.since <= max(now - lookback * HOUR, began)
    read = [*covered, due]
    buckets = Window(began, due.until).buckets(grain, PARIS)
    assert [bucket for bucket in buckets if not any(bucket in part for part in read)] == []


def rows_of(declaration: SourceDeclaration, **services: object) -> list[object]:
    """Read a declared source as a run does."""
    rows: list[object] = []
    graph = declaration.named("variable").graph()
    run(graph.followed_by(rows.append), services)
    return rows


ROW = {"time": NOW}, {"users.new": 3}


def test_a_generator_function_is_a_source() -> None:
    @source
    def users() -> Iterator[object]:
        yield ROW
        yield ROW

    assert rows_of(users) == [ROW, ROW]


def test_a_function_that_returns_rows_is_a_source() -> None:
    @source()
    def users() -> list[object]:
        return [ROW]

    assert rows_of(users) == [ROW]


def test_a_source_is_given_services_by_the_names_of_its_parameters() -> None:
    @source
    def users(shop: str, window: Window) -> Iterator[object]:
        yield {"time": window.since, "shop": shop}, {"users.new": 3}

    day = window("2026-07-14", "2026-07-15")
    assert rows_of(users, shop="paris", window=day) == [({"time": day.since, "shop": "paris"}, {"users.new": 3})]


def test_a_graph_is_a_source() -> None:
    assert rows_of(source(Graph([ROW]))) == [ROW]


def test_a_graph_is_a_source_in_every_run() -> None:
    users = source(Graph([ROW]))
    assert rows_of(users) == rows_of(users) == [ROW]


def test_a_function_that_returns_a_graph_makes_a_new_one_for_each_run() -> None:
    made: list[Graph] = []

    @source
    def users() -> Graph:
        made.append(Graph([ROW]))
        return made[-1]

    assert rows_of(users) == rows_of(users) == [ROW]
    assert len(made) == 2


def with_annotation(annotation: object) -> SourceDeclaration:
    def users() -> Any:  # noqa: ANN401  # told by what is put in its place
        return Graph([ROW])

    users.__annotations__["return"] = annotation
    return source(users)


@pytest.mark.parametrize(
    "annotation", [Graph, "Graph", "'Graph'", '"Graph"', "tallyline.Graph", "tallyline.graph.Graph"], ids=repr
)
def test_a_graph_may_be_announced_in_any_way(annotation: object) -> None:
    assert rows_of(with_annotation(annotation)) == [ROW]


@pytest.mark.parametrize("annotation", ["Paragraph", "list[Graph]", list[Graph]], ids=repr)
def test_another_annotation_announces_no_graph(annotation: object) -> None:
    assert with_annotation(annotation).named("users").graph().names == ("users",)


def test_a_function_that_does_not_return_the_graph_it_announced_is_refused() -> None:
    @source
    def users() -> Graph:
        return [ROW]  # type: ignore[return-value]

    with pytest.raises(GraphError, match=r"^users is annotated to return a Graph, but returned \[\("):
        users.named("users").graph()


def test_a_function_that_returns_a_graph_cannot_ask_for_services() -> None:
    with pytest.raises(GraphError) as refused:

        @source
        def users(shop: str) -> Graph:
            return Graph([shop])

    assert str(refused.value) == (
        "users returns a Graph and is given nothing; let the nodes of its graph ask for services"
    )


def test_what_cannot_be_called_is_no_source() -> None:
    with pytest.raises(GraphError, match=r"^3 cannot be a node: a node is an iterable or a callable$"):
        source(3)  # type: ignore[call-overload]


def test_an_object_that_can_be_called_is_a_source() -> None:
    class Users:
        def __call__(self) -> list[object]:
            return [ROW]

    declaration = source(Users())
    assert rows_of(declaration) == [ROW]
    assert declaration.named("variable").name == "variable"


def test_a_source_is_called_as_its_function() -> None:
    @source
    def users() -> list[object]:
        return [ROW]

    assert users.named("alias").name == "users"


def test_a_source_may_be_given_a_name() -> None:
    @source(name="sign-ups")
    def users() -> list[object]:
        return [ROW]

    assert users.named("users").name == "sign-ups"


def test_a_graph_is_called_as_the_variable_that_holds_it() -> None:
    assert source(Graph([ROW])).named("users").name == "users"
    assert source(name="sign-ups")(Graph([ROW])).named("users").name == "sign-ups"


def test_every_option_is_kept() -> None:
    @source(
        schedule="@daily",
        grain="hour",
        start=date(2026, 1, 1),
        lookback=3 * DAY,
        timezone="Asia/Kolkata",
        combine="sum",
        snapshot=True,
    )
    def users() -> list[object]:
        return [ROW]

    assert users.named("users").options == Options(
        schedule="@daily",
        grain=Grain.HOUR,
        start=date(2026, 1, 1),
        lookback=3 * DAY,
        timezone="Asia/Kolkata",
        combine=Combine.SUM,
        snapshot=True,
    )


def test_the_start_of_the_project_stands_where_a_source_has_none() -> None:
    later, none = source(start=date(2026, 5, 1))(Graph([ROW])), source(Graph([ROW]))
    project = date(2020, 1, 1)
    assert later.named("later", start=project).options.start == date(2026, 5, 1)
    assert none.named("none", start=project).options.start == project
    assert none.named("none").options.start is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grain": "dya"}, 'there is no grain "dya"; did you mean "day"? There are: day, hour, month'),
        ({"grain": "week"}, 'a source cannot have the grain "week"; there are: day, hour'),
        ({"combine": "add"}, 'there is no way to combine "add"; there are: last, maximum, minimum, refuse, sum'),
        ({"schedule": "daily"}, '"daily" is no schedule; there are @hourly'),
        ({"timezone": "Pariss"}, 'there is no time zone "Pariss"'),
    ],
)
def test_wrong_options_are_refused_where_they_are_written(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Refused) as refused:
        source(**options)
    assert str(refused.value).startswith(message)


def test_a_declared_function_can_still_be_called_in_tests() -> None:
    @source
    def users(shop: str, limit: int = 2) -> list[str]:
        return [shop] * limit

    assert users("paris") == ["paris"] * 2
    assert users("paris", limit=1) == ["paris"]


def test_a_declared_graph_cannot_be_called() -> None:
    with pytest.raises(
        TypeError, match=r"^a source made of a graph cannot be called; run it with tallyline.graph.run$"
    ):
        source(Graph([ROW]))()


def test_the_decorator_is_in_the_package_itself() -> None:
    assert tallyline.source is source


def test_a_graph_that_starts_with_an_iterator_is_no_source() -> None:
    with pytest.raises(GraphError, match="list_iterator is an iterator, good for one read"):
        source(Graph(iter([ROW])))
