"""From rows of any source to points of the warehouse: when, of what and how much, or why not."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from itertools import permutations
from types import MappingProxyType
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tallyline.errors import BadPoint
from tallyline.plan import Combine, Kind, Metric, Normalizer, Point, Points, Sketch
from tallyline.window import Grain, Window, start_of_day

PARIS, KOLKATA, UTC_ZONE = ZoneInfo("Europe/Paris"), ZoneInfo("Asia/Kolkata"), ZoneInfo("UTC")
PLAN = {name: Metric(name) for name in ("users.new", "users.total", "revenue.paid")}
JULY = Window(datetime(2026, 6, 30, 22, tzinfo=UTC), datetime(2026, 7, 31, 22, tzinfo=UTC))  # in Paris
TEN = datetime(2026, 7, 14, 8, tzinfo=UTC)  # ten o'clock in Paris


def normalizer(
    *,
    grain: Grain = Grain.HOUR,
    zone: ZoneInfo = PARIS,
    source_zone: ZoneInfo | None = None,
    window: Window = JULY,
    snapshot: bool = False,
) -> Normalizer:
    return Normalizer(PLAN, window, grain, zone, source_zone or zone, snapshot)


def bucket(normalize: Normalizer, **dims: object) -> datetime:
    (point,) = normalize((dims, {"users.new": 1}))
    return point.bucket


def refusal(normalize: Normalizer, row: object) -> str:
    with pytest.raises(BadPoint) as refused:
        list(normalize(row))
    return str(refused.value)


@pytest.mark.parametrize(
    "told",
    [
        datetime(2026, 7, 14, 8, 34, 56, tzinfo=UTC),
        datetime(2026, 7, 14, 10, 34, tzinfo=PARIS),
        datetime(2026, 7, 14, 14, 4, tzinfo=timezone(timedelta(hours=5, minutes=30))),
        datetime(2026, 7, 14, 10, 34),  # noqa: DTZ001  # in the source's zone
        "2026-07-14T10:34:56",
        "2026-07-14 10:34",
        "2026-07-14T08:34Z",
        "2026-07-14T04:34-04:00",
        "20260714T103456",
        TEN.timestamp(),
        int(TEN.timestamp()) + 3599,
    ],
)
def test_a_time_is_kept_under_the_hour_that_holds_it(told: object) -> None:
    assert bucket(normalizer(), time=told) == TEN


@pytest.mark.parametrize("hour", [10, "10", "010", 10.0, Decimal(10), Decimal("10.0")], ids=repr)
@pytest.mark.parametrize(
    "day", [date(2026, 7, 14), datetime(2026, 7, 14, 23, tzinfo=UTC), "2026-07-14", "20260714", 20260714], ids=repr
)
def test_a_date_with_an_hour_is_that_hour(day: object, hour: object) -> None:
    assert bucket(normalizer(), date=day, hour=hour) == TEN


def test_a_date_alone_is_a_business_day() -> None:
    day = start_of_day(date(2026, 7, 14), PARIS)
    assert bucket(normalizer(grain=Grain.DAY), date="2026-07-14") == day == datetime(2026, 7, 13, 22, tzinfo=UTC)


def test_a_time_is_kept_under_the_business_day_that_holds_it() -> None:
    late = "2026-07-14T23:30Z"  # half past one of the next day in Paris
    assert bucket(normalizer(grain=Grain.DAY), time=late) == start_of_day(date(2026, 7, 15), PARIS)


def test_a_date_with_an_hour_is_kept_under_the_business_day_that_holds_it() -> None:
    normalize = normalizer(grain=Grain.DAY, source_zone=KOLKATA)
    assert bucket(normalize, date="2026-07-15", hour=3) == start_of_day(date(2026, 7, 14), PARIS)  # 23:30 in Paris
    assert bucket(normalize, date="2026-07-15", hour=4) == start_of_day(date(2026, 7, 15), PARIS)  # 00:30 in Paris


@pytest.mark.parametrize("told", [{"time": "2026-07-14 13:30"}, {"date": "2026-07-14", "hour": 13}])
def test_times_without_an_offset_are_in_the_zone_of_the_source(told: dict[str, object]) -> None:
    """13:30 in Kolkata is 8:00 UTC; 13:00 is 7:30, in the hour before."""
    in_kolkata = bucket(normalizer(source_zone=KOLKATA), **told)
    assert in_kolkata == (TEN if "time" in told else TEN - timedelta(hours=1))


def test_a_time_with_an_offset_is_the_same_in_every_zone() -> None:
    assert bucket(normalizer(source_zone=KOLKATA), time="2026-07-14T08:00Z") == TEN


def test_time_says_when_where_there_is_a_date_too() -> None:
    assert bucket(normalizer(), time=TEN, date="2026-07-20", hour=3) == TEN


def test_a_time_that_is_none_leaves_it_to_the_date() -> None:
    assert bucket(normalizer(), time=None, date="2026-07-14", hour=10) == TEN


def test_an_hour_that_is_none_leaves_a_whole_day() -> None:
    day = bucket(normalizer(grain=Grain.DAY), date="2026-07-14", hour=None)
    assert day == start_of_day(date(2026, 7, 14), PARIS)


def test_a_snapshot_needs_no_time() -> None:
    now = Window(TEN, TEN + timedelta(hours=1))
    assert bucket(normalizer(window=now, snapshot=True)) == TEN


def test_a_snapshot_may_tell_its_time() -> None:
    now = Window(TEN, TEN + timedelta(hours=1))
    assert bucket(normalizer(window=now, snapshot=True), time=TEN + timedelta(minutes=5)) == TEN


@settings(deadline=None)
@given(
    st.integers(int(JULY.since.timestamp()), int(JULY.until.timestamp()) - 1), st.sampled_from([Grain.HOUR, Grain.DAY])
)
def test_all_ways_to_tell_a_time_are_one(seconds: int, grain: Grain) -> None:
    moment = datetime.fromtimestamp(seconds, UTC)
    local = moment.astimezone(PARIS)
    ways: list[dict[str, object]] = [
        {"time": moment},
        {"time": seconds},
        {"time": float(seconds)},
        {"time": moment.isoformat()},
        {"time": local},
        {"time": local.replace(tzinfo=None)},  # the clock is not changed in July
        {"time": local.replace(tzinfo=None).isoformat(" ")},
        {"date": local.date(), "hour": local.hour},
        {"date": str(local.date()), "hour": f"{local.hour:02}"},
    ]
    assert {bucket(normalizer(grain=grain), **way) for way in ways} == {grain.floor(moment, PARIS)}


def test_the_first_and_the_last_moment_of_the_window_are_in_it() -> None:
    assert bucket(normalizer(), time=JULY.since) == JULY.since
    assert bucket(normalizer(), time=JULY.until - timedelta(microseconds=1)) == JULY.until - timedelta(hours=1)


@pytest.mark.parametrize("moment", [JULY.until, JULY.since - timedelta(microseconds=1)])
def test_a_row_outside_of_the_window_is_refused(moment: datetime) -> None:
    assert refusal(normalizer(), ({"time": moment, "country": "FR"}, {"users.new": 1})) == (
        f"time={moment} is outside of the window 2026-07-01 00:00 … 2026-08-01 00:00; "
        "keep the query between :since and :until"
    )


def test_a_date_and_an_hour_outside_of_the_window_are_told() -> None:
    assert refusal(normalizer(), ({"date": "2026-08-01", "hour": 0}, {})).startswith(
        "date=2026-08-01, hour=0 is outside of the window"
    )


@pytest.mark.parametrize(
    "told",
    [
        {"time": "0001-01-01T00:00+14:00"},
        {"time": "0001-01-01"},
        {"time": datetime(1, 1, 1)},  # noqa: DTZ001
        {"time": "9999-12-31T23:59Z"},
        {"date": "0001-01-01", "hour": 0},
        {"date": date(1, 1, 1)},
    ],
)
@pytest.mark.parametrize("zone", [KOLKATA, ZoneInfo("America/New_York"), UTC_ZONE])
def test_a_time_at_the_ends_of_the_calendar_is_refused(told: dict[str, object], zone: ZoneInfo) -> None:
    said = refusal(normalizer(grain=Grain.DAY, zone=zone), (told, {"users.new": 1}))
    assert "is outside of the window" in said or said == f"the calendar does not hold the time of {told}"


@pytest.mark.parametrize(
    "told",
    ["", "noon", "2026-07-14 24:01", 1e300, -1e300, math.inf, math.nan, True, date(2026, 7, 14), time(10), [TEN]],
)
def test_what_is_no_time_is_refused(told: object) -> None:
    assert refusal(normalizer(), ({"time": told}, {"users.new": 1})) == (
        f"time={told!r} is not a time; give a datetime, ISO 8601 text or seconds since 1970"
    )


@pytest.mark.parametrize("told", ["", "14.7.2026", "2026-07-14 10:00", "2026-02-30", 5, True, 2026.0714])
def test_what_is_no_date_is_refused(told: object) -> None:
    assert refusal(normalizer(), ({"date": told, "hour": 3}, {"users.new": 1})) == (
        f"date={told!r} is not a date; give a date or text such as 2026-01-31 or 20260131"
    )


@pytest.mark.parametrize("told", [24, -1, "24", "", "noon", 3.5, True, math.nan, math.inf], ids=repr)
def test_what_is_no_hour_is_refused(told: object) -> None:
    assert refusal(normalizer(), ({"date": "2026-07-14", "hour": told}, {"users.new": 1})) == (
        f"hour={told!r} is not an hour from 0 to 23"
    )


@pytest.mark.parametrize("dims", [{}, {"country": "FR"}, {"hour": 3}, {"time": None, "date": None}])
def test_a_row_without_a_time_is_refused(dims: dict[str, object]) -> None:
    assert refusal(normalizer(), (dims, {"users.new": 1})) == (
        f"the row has no time: its dims {dims} need `time`, or `date` with an optional `hour`"
    )


def test_a_whole_day_is_refused_by_the_hour() -> None:
    assert refusal(normalizer(), ({"date": "2026-07-14"}, {"users.new": 1})) == (
        '2026-07-14 is a whole day, but the source is read by the hour; add `hour`, or declare grain = "day"'
    )


def test_a_day_of_another_zone_is_refused() -> None:
    assert refusal(normalizer(grain=Grain.DAY, source_zone=KOLKATA), ({"date": "2026-07-14"}, {"users.new": 1})) == (
        "2026-07-14 is a day in Asia/Kolkata, and no day in Europe/Paris; give `time`, or `date` with `hour`"
    )


@pytest.mark.parametrize("value", [3, 3.0, Decimal(3), Decimal("3.0"), Fraction(3), Fraction(9, 3)])
def test_numbers_of_every_kind_are_kept(value: object) -> None:
    assert [point.value for point in normalizer()(({"time": TEN}, {"users.new": value}))] == [3.0]


@pytest.mark.parametrize("value", [0, 0.0, Decimal(0), False], ids=repr)
def test_zero_is_measured(value: object) -> None:
    assert [point.value for point in normalizer()(({"time": TEN}, {"users.new": value}))] == [0.0]


def test_none_was_not_measured() -> None:
    metrics = {"users.new": None, "users.total": 0}
    assert [point.metric for point in normalizer()(({"time": TEN}, metrics))] == ["users.total"]


@pytest.mark.parametrize("metrics", [{}, {"users.new": None}])
def test_a_row_without_a_number_makes_no_point(metrics: dict[str, object]) -> None:
    assert list(normalizer()(({"time": TEN}, metrics))) == []


def test_each_metric_of_a_row_makes_a_point() -> None:
    row = {"time": TEN, "country": "FR"}, {"users.new": 3, "revenue.paid": 9.5}
    assert list(normalizer()(row)) == [
        Point("users.new", '{"country":"FR"}', TEN, 3.0),
        Point("revenue.paid", '{"country":"FR"}', TEN, 9.5),
    ]


def test_a_metric_that_is_not_in_the_plan_is_refused() -> None:
    assert refusal(normalizer(), ({"time": TEN}, {"users.nwe": 3})) == (
        'there is no metric in the plan called "users.nwe"; did you mean "users.new"? '
        "There are: revenue.paid, users.new, users.total"
    )


def test_a_metric_whose_name_is_no_text_is_refused() -> None:
    assert refusal(normalizer(), ({"time": TEN}, {7: 3})).startswith('there is no metric in the plan called "7"')


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, Decimal("NaN"), Decimal("sNaN"), Decimal("-Infinity")]
)
def test_what_is_not_finite_is_refused(value: object) -> None:
    assert refusal(normalizer(), ({"time": TEN}, {"users.new": value})) == (
        f"users.new is {value!r}: only finite numbers can be kept; leave out what was not measured"
    )


@pytest.mark.parametrize("value", [10**400, Fraction(10**400), 10**5000], ids=["int", "fraction", "no text"])
def test_what_is_too_great_is_refused(value: object) -> None:
    said = refusal(normalizer(), ({"time": TEN}, {"users.new": value}))
    assert said == "users.new is greater than any number that can be kept"


@pytest.mark.parametrize("value", ["3", "", b"3", [3], {"n": 3}, 3j, date(2026, 7, 14)], ids=repr)
def test_what_is_no_number_is_refused(value: object) -> None:
    assert refusal(normalizer(), ({"time": TEN}, {"users.new": value})) == (
        f"users.new is {value!r}: a metric is a number; text belongs in the dims"
    )


def test_a_metric_among_the_dims_is_refused() -> None:
    assert refusal(normalizer(), ({"time": TEN, "users.new": "three"}, {})) == (
        "users.new='three' stands among the dims, but users.new is a metric: give it as a number"
    )


def test_a_metric_among_the_dims_that_was_not_measured_is_left_out() -> None:
    assert series(**{"users.new": None}) == "{}"


@pytest.mark.parametrize(
    "row",
    [
        None,
        "row",
        "ab",
        {"time": TEN},
        ({"time": TEN},),
        ({"time": TEN}, {"users.new": 1}, {}),
        ({"time": TEN}, 3),
        ({"time": TEN}, [("users.new", 3)]),
        ([("time", TEN)], {"users.new": 3}),
    ],
)
def test_a_row_of_another_shape_is_refused(row: object) -> None:
    assert refusal(normalizer(), row) == "a source gives pairs of dicts, (dims, metrics), and nothing else"


def test_a_pair_of_any_mappings_is_a_row() -> None:
    row = [MappingProxyType({"time": TEN}), MappingProxyType({"users.new": 3})]
    assert list(normalizer()(row)) == [Point("users.new", "{}", TEN, 3.0)]


def test_a_row_is_not_changed() -> None:
    dims, metrics = {"time": TEN, "country": "FR", "plan": None}, {"users.new": 3, "users.total": None}
    before = dict(dims), dict(metrics)
    list(normalizer()((dims, metrics)))
    assert (dims, metrics) == before


def series(**dims: object) -> str:
    (point,) = normalizer()(({"time": TEN, **dims}, {"users.new": 1}))
    return point.dims


def test_dims_are_canonical_whatever_the_order_of_their_keys() -> None:
    dims = {"country": "FR", "plan": "pro", "channel": "ads"}
    told = {series(**dict(order)) for order in permutations(dims.items())}
    assert told == {'{"channel":"ads","country":"FR","plan":"pro"}'}


def test_a_dim_that_is_none_is_left_out() -> None:
    assert series(country="FR", plan=None) == series(country="FR")


def test_an_empty_dim_is_kept() -> None:
    assert series(country="") == '{"country":""}'


def test_what_says_when_is_no_dim() -> None:
    (point,) = normalizer()(({"time": TEN, "date": "2026-07-14", "hour": 3, "plan": "pro"}, {"users.new": 1}))
    assert point.dims == '{"plan":"pro"}'


@pytest.mark.parametrize(
    ("value", "text"), [(7, "7"), (True, "True"), (Decimal("1.50"), "1.50"), (date(2026, 7, 14), "2026-07-14")]
)
def test_dims_are_text(value: object, text: str) -> None:
    assert json.loads(series(plan=value)) == {"plan": text}


@settings(deadline=None)
@given(
    st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=4).filter(
        lambda d: not {"time", "date", "hour"} & d.keys()
    )
)
@example({"größe": "日本 ☕", "\n": '"\\'})
def test_dims_survive_in_every_script(dims: dict[str, str]) -> None:
    (point,) = normalizer()(({**dims, "time": TEN}, {"users.new": 1}))
    assert json.loads(point.dims) == dims


_DIM = st.sampled_from(
    ["1", 1, True, 1.0, Decimal(1), "True", None, "", "FR", Combine.SUM, "sum", [1], date(2026, 7, 14)]
)
_DIMS = st.dictionaries(st.sampled_from(["1", 1, True, "plan", "country", Combine.SUM, "sum"]), _DIM, max_size=4)


@settings(deadline=None)
@given(st.lists(_DIMS, min_size=2, max_size=8))
@example([{"plan": 1}, {"plan": True}, {"plan": "1"}])
@example([{1: "FR"}, {True: "FR"}, {"1": "FR"}])
def test_what_was_told_before_does_not_change_what_dims_mean(told: list[dict[object, object]]) -> None:
    normalize = normalizer()
    rows = [({"time": TEN, **dims}, {"users.new": 1}) for dims in told]
    assert [list(normalize(row)) for row in rows] == [list(normalizer()(row)) for row in rows]


def test_dims_of_more_than_1000_characters_are_refused() -> None:
    text = f'{{"text":"{"x" * 1000}"}}'
    assert refusal(normalizer(), ({"time": TEN, "text": "x" * 1000}, {"users.new": 1})) == (
        f"the dims have 1011 characters, at most 1000 can be kept: {text[:80]}…"
    )


POINT = Point("users.new", "{}", TEN, 5.0)


def combined(combine: Combine, *values: float) -> list[object]:
    points = Points(combine)
    for value in values:
        points.add(POINT._replace(value=value))
    return [point.value for point in points]


@pytest.mark.parametrize(
    ("combine", "value"),
    [(Combine.SUM, 5 + 2 + 3), (Combine.LAST, 3), (Combine.MINIMUM, 2), (Combine.MAXIMUM, 5)],
)
def test_values_for_one_series_and_bucket_are_combined(combine: Combine, value: float) -> None:
    assert combined(combine, 5, 2, 3) == [value]


@pytest.mark.parametrize("combine", Combine)
def test_one_value_is_not_combined(combine: Combine) -> None:
    assert combined(combine, 5) == [5]


def test_a_second_value_is_refused_where_nothing_else_was_declared() -> None:
    points = Points()
    points.add(POINT)
    with pytest.raises(BadPoint) as refused:
        points.add(POINT)
    assert str(refused.value) == (
        "users.new {} has two values for 2026-07-14 08:00 UTC; "
        'group them in the source, or declare combine = "sum", "last", "minimum" or "maximum"'
    )


@pytest.mark.parametrize(
    "other",
    [
        POINT._replace(metric="users.total"),
        POINT._replace(dims='{"country":"FR"}'),
        POINT._replace(bucket=TEN + timedelta(hours=1)),
    ],
)
def test_another_metric_series_or_bucket_is_another_point(other: Point) -> None:
    points = Points()
    points.add(POINT)
    points.add(other)
    assert list(points) == [POINT, other]


KEYS = st.tuples(st.sampled_from("abc"), st.integers(0, 3))


@settings(deadline=None)
@given(st.lists(st.tuples(KEYS, st.integers(-100, 100))))
def test_points_are_summed_as_by_hand_series_by_series(rows: list[tuple[tuple[str, int], int]]) -> None:
    points = Points(Combine.SUM)
    by_hand: dict[tuple[str, int], int] = {}
    for (metric, hour), value in rows:
        points.add(Point(metric, "{}", TEN + timedelta(hours=hour), float(value)))
        by_hand[metric, hour] = by_hand.get((metric, hour), 0) + value
    assert len(points) == len(by_hand)
    assert sorted((point.metric, point.bucket, point.value) for point in points) == sorted(
        (metric, TEN + timedelta(hours=hour), value) for (metric, hour), value in by_hand.items()
    )
    assert [metric for metric, _ in points.series] == list(dict.fromkeys(metric for metric, _ in by_hand))


API = {
    "api.time": Metric("api.time", kind=Kind.DURATION),
    "api.rate": Metric("api.rate", kind=Kind.FORMULA, formula="users.new / 2"),
}


def durations(*rows: dict[str, object]) -> list[Point]:
    """Return the points of rows of one hour."""
    normalize, points = Normalizer(API, JULY, Grain.HOUR, PARIS, PARIS), Points()
    for metrics in rows:
        for point in normalize(({"time": TEN}, metrics)):
            points.add(point)
    return list(points)


def test_durations_are_given_one_by_one_in_lists_or_as_sketches_and_are_put_together() -> None:
    sketches = [Sketch.of([1, 2, 3]), Sketch.of([4, 5])]
    [point] = durations(
        {"api.time": 6}, {"api.time": sketches[0]}, {"api.time": [7, 8.5]}, {"api.time": sketches[1]}, {"api.time": 9}
    )
    assert isinstance(point.value, Sketch)
    assert point.value.count == 9
    assert point.value.mean == pytest.approx(45.5 / 9)


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ({"api.time": -1}, "api.time is -1: a duration is not below zero"),
        ({"api.time": [1, -0.5]}, "api.time is -0.5: a duration is not below zero"),
        ({"api.rate": 3}, "api.rate is worked out from other metrics; give those"),
    ],
)
def test_what_is_no_duration_or_not_measured_at_all_is_refused(metrics: dict[str, object], message: str) -> None:
    with pytest.raises(BadPoint, match=f"^{message}$"):
        durations(metrics)
