"""The Prometheus source, spoken to as its HTTP API is documented: what is asked for, what is made of each answer."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import create_engine

from tallyline import read_prometheus, run
from tallyline.api import Api, opened
from tallyline.errors import Denied, NodeFailed, ProjectError, Refused, Unavailable, UnexpectedAnswer, may_work_later
from tallyline.plan import Metric, Retention
from tallyline.project import Project, load_project
from tallyline.runner import read_source
from tallyline.secret import remember
from tallyline.sources import Options, Source
from tallyline.sources.prometheus import PrometheusSource
from tallyline.warehouse import open_warehouse
from tallyline.window import Grain, Window, parse_moment
from tests.sources.service import Said

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tests.sources.service import Asked, Service

    Row = tuple[dict[str, object], dict[str, object]]
    Pairs = Sequence[tuple[datetime, str]]

UTC_ZONE, PARIS = ZoneInfo("UTC"), ZoneInfo("Europe/Paris")
RANGE, INSTANT = "/api/v1/query_range", "/api/v1/query"
QUERY = "sum by (shop) (increase(orders_total[$range]))"
HOUR = timedelta(hours=1)
LATER = datetime(2026, 8, 1, tzinfo=UTC)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
TOKEN = "planted-token"  # noqa: S105  # that of the test


def at(text: str) -> datetime:
    return parse_moment(text, UTC_ZONE)


MORNING = Window(at("2026-07-14 08:00"), at("2026-07-14 11:00"))


@pytest.fixture
def api(service: Service) -> Iterator[Callable[..., Api]]:
    """Make clients of the service."""
    with ExitStack() as closing:
        yield lambda path="", **who: closing.enter_context(opened(Api(service.url + path, name="prometheus", **who)))


def series(pairs: Pairs, **labels: str) -> dict[str, object]:
    return {"metric": labels, "values": [[moment.timestamp(), value] for moment, value in pairs]}


def matrix(*result: object, **further: object) -> Said:
    return Said({"status": "success", "data": {"resultType": "matrix", "result": list(result)}, **further})


def steps(asked: Asked) -> list[datetime]:
    """Return the moments that a request asks for."""
    start, end, step = (int(asked.params[name]) for name in ("start", "end", "step"))
    return [datetime.fromtimestamp(second, UTC) for second in range(start, end + 1, step)]


def told_everywhere(asked: Asked) -> Said:
    """Answer each step with the hour that it ends at."""
    return matrix(series([(moment, str(moment.hour)) for moment in steps(asked)], shop="paris"))


def read(api: Api, *, window: Window = MORNING, now: datetime = LATER, **options: Any) -> list[Row]:  # noqa: ANN401
    queries: Mapping[str, str] = {options.pop("name", "orders.count"): options.pop("query", QUERY)}
    return list(read_prometheus(api, queries, window, options.pop("zone", UTC_ZONE), now, **options))


def test_a_bucket_is_what_the_query_answers_at_its_end(service: Service, api: Callable[..., Api]) -> None:
    service.answer(RANGE, told_everywhere)
    assert read(api()) == [
        ({"time": at("2026-07-14 08:00"), "shop": "paris"}, {"orders.count": 9.0}),
        ({"time": at("2026-07-14 09:00"), "shop": "paris"}, {"orders.count": 10.0}),
        ({"time": at("2026-07-14 10:00"), "shop": "paris"}, {"orders.count": 11.0}),
    ]
    [asked] = service.asked
    assert asked.params == {
        "query": "sum by (shop) (increase(orders_total[3600s]))",
        "start": str(int(at("2026-07-14 09:00").timestamp())),
        "end": str(int(at("2026-07-14 11:00").timestamp())),
        "step": "3600",
        "partial_response": "false",
    }


def test_the_running_bucket_is_told_as_of_now_and_without_the_one_before(
    service: Service, api: Callable[..., Api]
) -> None:
    service.answer(RANGE, told_everywhere)
    rows = read(api(), now=at("2026-07-14 09:20:30") + timedelta(microseconds=5))
    assert [dims["time"] for dims, _ in rows] == [at("2026-07-14 08:00"), at("2026-07-14 09:00")]
    assert [asked.params["query"][-9:] for asked in service.asked] == ["[3600s]))", "[1230s]))"]
    assert steps(service.asked[1]) == [at("2026-07-14 09:20:30")]


@pytest.mark.parametrize("now", ["2026-07-14 08:00:00", "2026-07-14 08:00:00.9", "2026-07-13"])
def test_what_has_not_begun_is_not_asked_for(service: Service, api: Callable[..., Api], now: str) -> None:
    assert read(api(), now=at(now)) == []
    assert service.asked == []


@pytest.mark.parametrize(
    ("since", "until", "lengths"),
    [
        ("2026-03-27", "2026-04-01", ["86400s", "82800s", "86400s"]),
        ("2026-10-24", "2026-10-26", ["86400s", "90000s"]),
        ("2026-07-14", "2026-07-16", ["86400s"]),
    ],
)
def test_days_are_as_long_as_the_clock_makes_them(
    service: Service, api: Callable[..., Api], since: str, until: str, lengths: list[str]
) -> None:
    service.answer(RANGE, told_everywhere)
    window = Window(parse_moment(since, PARIS), parse_moment(until, PARIS))
    rows = read(api(), window=window, now=at("2027-01-01"), grain=Grain.DAY, zone=PARIS)
    assert [dims["time"] for dims, _ in rows] == list(window.buckets(Grain.DAY, PARIS))
    assert [asked.params["query"].partition("[")[2][:6] for asked in service.asked] == lengths
    assert steps(service.asked[-1])[-1] == window.until


def test_a_long_window_is_asked_for_in_chunks(service: Service, api: Callable[..., Api]) -> None:
    service.answer(RANGE, told_everywhere)
    day = Window(at("2026-07-14"), at("2026-07-15"))
    rows = read(api(), window=day, points=10)
    assert [dims["time"] for dims, _ in rows] == list(day.buckets(Grain.HOUR, UTC_ZONE))
    assert [len(steps(asked)) for asked in service.asked] == [10, 10, 4]


def test_by_default_a_chunk_keeps_to_the_limit_of_the_server(service: Service, api: Callable[..., Api]) -> None:
    service.answer(RANGE, matrix())
    years = Window(at("2023-01-01"), at("2026-01-01"))
    assert read(api(), window=years) == []
    assert [len(steps(asked)) for asked in service.asked] == [11_000, 11_000, 3 * 8760 + 24 - 22_000]
    assert len({moment for asked in service.asked for moment in steps(asked)}) == 3 * 8760 + 24


def test_nothing_told_is_no_row(service: Service, api: Callable[..., Api]) -> None:
    service.answer(RANGE, matrix())
    assert read(api()) == []


def test_every_query_is_asked(service: Service, api: Callable[..., Api]) -> None:
    service.answer(RANGE, told_everywhere)
    queries = {"orders.count": "a", "orders.open": "b"}
    rows = list(read_prometheus(api(), queries, MORNING, UTC_ZONE, LATER))
    assert [name for _, metrics in rows for name in metrics] == ["orders.count"] * 3 + ["orders.open"] * 3


@pytest.mark.parametrize("text", ["NaN", "+Inf", "-Inf"])
def test_what_is_no_finite_number_was_not_measured(service: Service, api: Callable[..., Api], text: str) -> None:
    pairs = [(at("2026-07-14 09:00"), "1.5"), (at("2026-07-14 10:00"), text), (at("2026-07-14 11:00"), "2e3")]
    service.answer(RANGE, matrix(series(pairs)))
    assert [metrics["orders.count"] for _, metrics in read(api())] == [1.5, None, 2000]


def test_a_bucket_missing_between_others_was_not_measured(service: Service, api: Callable[..., Api]) -> None:
    service.answer(RANGE, matrix(series([(at("2026-07-14 09:00"), "1"), (at("2026-07-14 11:00"), "3")])))
    assert [metrics["orders.count"] for _, metrics in read(api())] == [1, None, 3]


def test_a_series_is_told_from_its_first_to_its_last_bucket(service: Service, api: Callable[..., Api]) -> None:
    service.answer(RANGE, matrix(series([(at("2026-07-14 10:00"), "1")])))
    assert read(api()) == [({"time": at("2026-07-14 09:00")}, {"orders.count": 1})]


@pytest.mark.parametrize(
    ("labels", "dims"),
    [
        ({}, {"job": "shop", "instance": "a:1"}),
        ({"job": "service"}, {"service": "shop"}),
        ({"job": "job", "instance": "host", "pod": "pod"}, {"job": "shop", "host": "a:1"}),
    ],
)
def test_labels_become_dims(
    service: Service, api: Callable[..., Api], labels: dict[str, str], dims: dict[str, str]
) -> None:
    told = series([(at("2026-07-14 10:00"), "1")], __name__="orders_total", job="shop", instance="a:1")
    service.answer(RANGE, matrix(told))
    assert read(api(), labels=labels) == [({"time": at("2026-07-14 09:00"), **dims}, {"orders.count": 1})]


def test_labels_become_parts_of_the_name(service: Service, api: Callable[..., Api]) -> None:
    pairs = [(at("2026-07-14 10:00"), "1")]
    told = [series(pairs, queue=queue, vhost="/", state="Ready") for queue in ("pages", "New-Pages.v2")]
    service.answer(RANGE, matrix(*told))
    rows = read(api(), name="queue.{queue}.{state}", labels={"vhost": "vhost", "queue": "queue"})
    assert rows == [
        ({"time": at("2026-07-14 09:00"), "vhost": "/"}, {"queue.pages.ready": 1}),
        ({"time": at("2026-07-14 09:00"), "vhost": "/"}, {"queue.new_pages_v2.ready": 1}),
    ]


def test_a_label_that_the_name_needs_and_no_series_has_is_told(service: Service, api: Callable[..., Api]) -> None:
    service.answer(RANGE, matrix(series([(at("2026-07-14 10:00"), "1")], job="shop", instance="a:1")))
    said = (
        r'^queue\.\{queue\}\.messages needs the label "queue", and a series of the answer has instance, job; '
        r"keep it in the query, as in sum by \(queue\) \(…\)$"
    )
    with pytest.raises(UnexpectedAnswer, match=said):
        read(api(), name="queue.{queue}.messages")


@pytest.mark.parametrize("label", ["time", "date", "hour"])
def test_a_label_that_would_say_when_is_told(service: Service, api: Callable[..., Api], label: str) -> None:
    service.answer(RANGE, matrix(series([(at("2026-07-14 10:00"), "1")], **{label: "x"})))
    with pytest.raises(UnexpectedAnswer, match=f'^the label "{label}" of the answer for orders.count would say when; '):
        read(api())
    assert read(api(), labels={label: "told"}) == [({"time": at("2026-07-14 09:00"), "told": "x"}, {"orders.count": 1})]


def test_a_dollar_of_a_regular_expression_stays(service: Service, api: Callable[..., Api]) -> None:
    service.answer(RANGE, matrix())
    read(api(), query='increase(orders_total{shop=~"a$|b$", ranges="$ranges"}[$range])')
    assert service.asked[0].params["query"] == 'increase(orders_total{shop=~"a$|b$", ranges="$ranges"}[3600s])'


def test_a_service_may_lie_below_a_path(service: Service, api: Callable[..., Api]) -> None:
    service.answer(f"/prom{RANGE}", told_everywhere)
    assert len(read(api("/prom/"))) == 3


def test_who_asks_is_sent(service: Service, api: Callable[..., Api]) -> None:
    service.answer(RANGE, told_everywhere)
    read(api(token=TOKEN, headers={"X-Scope-OrgID": "shop"}))
    assert {"authorization": f"Bearer {TOKEN}", "x-scope-orgid": "shop"}.items() <= service.asked[0].headers.items()


# What goes wrong


def test_it_waits_as_long_as_it_is_asked_to(service: Service, api: Callable[..., Api], waits: list[float]) -> None:
    busy = Said({"status": "error"}, 429, {"Retry-After": "7"})
    service.answer(RANGE, busy, matrix(series([(at("2026-07-14 10:00"), "1")])))
    assert len(read(api())) == 1
    assert waits == [7]


def test_a_server_that_fails_once_is_asked_again(service: Service, api: Callable[..., Api]) -> None:
    service.answer(RANGE, Said("broken", 500), matrix(series([(at("2026-07-14 10:00"), "1")])))
    assert len(read(api())) == 1


def test_half_of_an_answer_is_asked_for_again(service: Service, api: Callable[..., Api]) -> None:
    whole = series([(at("2026-07-14 10:00"), "1")])
    half = Said({"status": "success", "data": {"resultType": "matrix", "result": [whole]}}, half=True)
    service.answer(RANGE, half, matrix(whole))
    assert len(read(api())) == 1


def test_an_answer_that_does_not_come_in_time_may_come_later(service: Service, api: Callable[..., Api]) -> None:
    service.answer(RANGE, Said(late=True))
    with pytest.raises(Unavailable, match=r"did not answer in time; orders\.count asks for sum by"):
        read(api(timeout=timedelta(milliseconds=50)))


def error(kind: str, told: str, status: int) -> Said:
    return Said({"status": "error", "errorType": kind, "error": told}, status)


def test_a_query_that_takes_too_long_may_work_later(service: Service, api: Callable[..., Api]) -> None:
    service.answer(RANGE, error("timeout", "query timed out in expression evaluation", 503))
    with pytest.raises(Unavailable, match=r"query timed out in expression evaluation.*; orders\.count asks for sum"):
        read(api())
    assert len(service.asked) == 5


def test_how_long_to_leave_it_alone_is_kept(service: Service, api: Callable[..., Api]) -> None:
    service.answer(RANGE, Said("quota", 429, {"Retry-After": "3600"}))
    with pytest.raises(Unavailable) as unavailable:
        read(api())
    assert unavailable.value.wait == HOUR


@pytest.mark.parametrize(
    ("kind", "told", "status"),
    [
        ("bad_data", 'invalid parameter "query": 1:5: parse error: unclosed left parenthesis', 400),
        ("execution", "query processing would load too many samples into memory in query execution", 422),
    ],
)
def test_what_prometheus_refuses_is_told_in_its_words_with_the_query(
    service: Service, api: Callable[..., Api], kind: str, told: str, status: int
) -> None:
    service.answer(RANGE, error(kind, told, status))
    with pytest.raises(Denied) as denied:
        read(api())
    assert told[-40:] in str(denied.value)
    assert str(denied.value).endswith("; orders.count asks for sum by (shop) (increase(orders_total[3600s]))")
    assert len(service.asked) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_who_may_not_ask_is_told_what_it_takes(service: Service, api: Callable[..., Api], status: int) -> None:
    service.answer(RANGE, Said("no", status))
    with pytest.raises(Denied, match=r"it needs a token, or a user and a password, that may query Prometheus"):
        read(api())
    assert len(service.asked) == 1


@pytest.mark.parametrize(
    ("kind", "raised"),
    [("bad_data", Denied), ("execution", Denied), ("timeout", Unavailable), ("unavailable", Unavailable)],
)
def test_an_error_that_comes_as_a_success_is_one(
    service: Service, api: Callable[..., Api], kind: str, raised: type[Exception]
) -> None:
    service.answer(RANGE, error(kind, "no such thing", 200))
    with pytest.raises(raised, match=f"^prometheus answered an error, {kind}: no such thing; orders.count asks for "):
        read(api())


@pytest.mark.parametrize(
    ("warning", "raised"),
    [
        ("receive store 10.0.0.7: connection refused", Unavailable),
        ("PromQL warning: bucket label le is missing", Denied),
    ],
)
def test_an_answer_that_may_not_be_whole_is_refused_unless_it_is_accepted(
    service: Service, api: Callable[..., Api], warning: str, raised: type[Exception]
) -> None:
    service.answer(RANGE, matrix(series([(at("2026-07-14 10:00"), "1")]), warnings=[warning]))
    with pytest.raises(raised, match=f"^the answer for orders.count may not be whole: {warning}; it asks for sum"):
        read(api())
    assert len(read(api(), accept_warnings=True)) == 1


def test_what_is_only_said_is_no_warning(service: Service, api: Callable[..., Api]) -> None:
    info = "PromQL info: metric might not be a counter"
    service.answer(RANGE, matrix(series([(at("2026-07-14 10:00"), "1")]), infos=[info], warnings=[info]))
    assert len(read(api())) == 1


END = int(at("2026-07-14 10:00").timestamp())
GOOD = [END, "1"]
PLACE = '"values" of the answer for orders.count are '


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({}, 'the answer has no "data.resultType"; it is {"status": "success", "data": {}}'),
        (
            {"resultType": "vector", "result": []},
            '"data.resultType" of the answer for orders.count is "vector", where "matrix" is expected',
        ),
        ({"resultType": "matrix"}, 'the answer has no "data.result"'),
        ({"resultType": "matrix", "result": {}}, '"data.result" of the answer is {}, where a list is expected'),
        ({"resultType": "matrix", "result": [{"values": [GOOD]}]}, 'the answer has no "metric"'),
        ({"resultType": "matrix", "result": [{"metric": {}}]}, 'the answer has no "values"'),
        ({"resultType": "matrix", "result": [{"metric": {}, "values": []}]}, f"{PLACE}[], where pairs"),
        ({"resultType": "matrix", "result": [{"metric": {}, "values": [END]}]}, f"{PLACE}[{END}], where"),
        ({"resultType": "matrix", "result": [{"metric": {}, "values": [[END, "much"]]}]}, "'much']], where pairs"),
        ({"resultType": "matrix", "result": [{"metric": {}, "values": [[END, None]]}]}, "None]], where pairs"),
        ({"resultType": "matrix", "result": [{"metric": {}, "values": [[END + 60, "1"]]}]}, f"{PLACE}[["),
        ({"resultType": "matrix", "result": [{"metric": {}, "values": [GOOD, [END + 0.5, "1"]]}]}, f"{PLACE}[["),
        (
            {"resultType": "matrix", "result": [{"metric": {}, "histograms": [GOOD]}]},
            "orders.count answers native histograms; ask for histogram_count() or histogram_sum() of them",
        ),
    ],
)
def test_a_changed_schema_is_told(service: Service, api: Callable[..., Api], data: object, said: str) -> None:
    service.answer(RANGE, Said({"status": "success", "data": data}))
    with pytest.raises(UnexpectedAnswer) as told:
        read(api())
    assert said in str(told.value)
    assert not may_work_later(told.value)


@pytest.mark.parametrize("body", [{}, [], {"status": 1}, {"status": "error"}, b"<html>Log in</html>"])
def test_an_answer_of_something_else_is_told(service: Service, api: Callable[..., Api], body: object) -> None:
    service.answer(RANGE, Said(body))
    with pytest.raises(UnexpectedAnswer):
        read(api())


def test_a_database_is_no_prometheus() -> None:
    engine: Any = create_engine("sqlite://")
    said = r'^Prometheus is spoken to by HTTP, and the service is a Engine; .*: prometheus = "http://localhost:9090"$'
    with pytest.raises(Refused, match=said):
        read(engine)


# As a project declares it


def declared(**keys: Any) -> PrometheusSource:  # noqa: ANN401  # those of the table
    return PrometheusSource(service="prometheus", **{"alive": ""} | keys)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, "it asks for nothing; give it queries, or a pack: there are kubernetes, nginx, nginx-vts, node, "),
        ({"pack": "redi"}, 'there is no pack "redi"; did you mean "redis"?'),
        ({"packs": ("node", "reddit")}, 'there is no pack "reddit"; did you mean "redis"?'),
        ({"queries": {"Orders": "x"}}, '"Orders" is not a metric\'s name; '),
        ({"queries": {"queue.{queue": "x"}}, '"queue.{queue" is not a metric\'s name; '),
        ({"queries": {"a": "rate(b[$__range])"}}, "a asks for $__range, which is Grafana's; write $range for"),
        ({"queries": {"a": "rate(b[${__interval}])"}}, "a asks for ${__interval, which is Grafana's; "),
        ({"queries": {"a": "b"}, "points": 0}, "points is 0; give a number above zero"),
        ({"pack": "redis", "match": '{job="redis"}'}, 'match is {job="redis"}; write it without the braces'),
        ({"pack": "redis", "labels": {"tick": "time"}}, 'the label tick cannot be called "time", which says when; '),
        ({"pack": "redis", "labels": {"a": "x", "b": "x"}}, 'two labels are called "x"; choose another name for a'),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused) as refused:
        declared(**keys)
    assert str(refused.value).startswith(said)


def test_the_definition_changes_with_the_numbers_meaning() -> None:
    told = [
        declared(queries={"a": "b"}),
        declared(queries={"a": "c"}),
        declared(queries={"a": "b"}, labels={"x": "x"}),
        declared(pack="redis"),
        declared(pack="redis", match='job="redis"'),
        declared(pack="redis", by=("job",)),
    ]
    assert told[0].definition == "a = b\nalive = "
    assert len({each.definition for each in told}) == len(told)
    assert declared(queries={"a": "b"}, points=7).definition == told[0].definition


PROJECT = """
[project]
timezone = "Europe/Paris"

[services]
prometheus = "http://localhost:9090"

[metrics]
"orders.count" = {{ title = "Orders", unit = "orders" }}
"redis.memory.used" = {{ title = "Redis", unit = "B", kind = "maximum" }}

[sources.numbers]
kind = "prometheus"
service = "prometheus"
{keys}
"""


def project(folder: Path, keys: str) -> Project:
    (folder / "tallyline.toml").write_text(PROJECT.format(keys=keys), encoding="utf-8")
    return load_project(folder)


def test_a_project_declares_packs_and_queries_of_its_own(tmp_path: Path) -> None:
    made = project(
        tmp_path,
        """
        packs = ["redis", "nginx"]
        match = 'env="live"'
        by = ["job"]
        labels = { job = "service" }
        queries = { "orders.count" = "increase(orders_total{$match}[$range])", "redis.keys" = "vector(1)" }
        """,
    )
    assert {"redis.cache.hit_rate", "nginx.requests", "orders.count"} <= made.plan.keys()
    assert made.plan["redis.memory.used"] == Metric(
        "redis.memory.used", "Redis", "B", made.plan["redis.memory.used"].kind
    )
    lines = made.source("numbers").definition.splitlines()
    assert 'orders.count = increase(orders_total{env="live"}[$range])' in lines
    assert "redis.keys = vector(1)" in lines
    assert 'nginx.requests = sum by (job) (increase(nginx_http_requests_total{env="live"}[$range]))' in lines
    assert "label job = service" in lines


def test_mistakes_of_a_project_are_told_with_their_place(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r'tallyline\.toml:\d+ sources\.numbers: there is no pack "reddit"'):
        project(tmp_path, 'pack = "reddit"')
    with pytest.raises(ProjectError, match=r'sources\.numbers\.querys: there is no key "querys"; did you mean "quer'):
        project(tmp_path, 'querys = { "orders.count" = "x" }')


def run_once(source: PrometheusSource, api: Api, *plan: Metric) -> tuple[object, str]:
    """Read into a warehouse; return the error, and all that the ledger keeps of the run."""
    options = Options(start=at("2026-07-14").date())
    named = Source("numbers", lambda: source.graph("numbers"), options, source.definition)
    made = Project(
        Path(), "Shop", "sqlite://", UTC_ZONE, {metric.name: metric for metric in plan}, {"prometheus": api},
        {"numbers": named}, (), Retention(),
    )  # fmt: skip
    with open_warehouse("sqlite://", UTC_ZONE, write=True, clock=lambda: LATER) as warehouse:
        result = read_source(made, named, warehouse, MORNING, now=LATER, write=True)
        return result.error, str([(entry.error, entry.report) for entry in warehouse.runs()])


def test_a_name_that_is_not_in_the_plan_is_told(service: Service, api: Callable[..., Api]) -> None:
    service.answer(RANGE, matrix(series([(at("2026-07-14 10:00"), "1")], queue="mails")))
    source = declared(queries={"queue.{queue}.messages": "sum by (queue) (waiting)"})
    failed, _ = run_once(source, api(), Metric("queue.pages.messages"))
    assert 'there is no metric in the plan called "queue.mails.messages"; did you mean "queue.pages.messages"?' in str(
        failed
    )


def test_series_that_differ_only_in_labels_that_are_not_kept_are_told(
    service: Service, api: Callable[..., Api]
) -> None:
    pairs = [(at("2026-07-14 10:00"), "1")]
    service.answer(RANGE, matrix(series(pairs, job="a", pod="x"), series(pairs, job="a", pod="y")))
    failed, _ = run_once(declared(queries={"orders.count": "x"}, labels={"job": "job"}), api(), Metric("orders.count"))
    assert 'orders.count {"job":"a"} has two values' in str(failed)


def test_a_secret_that_prometheus_repeats_is_shown_nowhere(
    service: Service, api: Callable[..., Api], capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    service.answer(RANGE, Said({"status": "error", "errorType": "bad_data", "error": f"no {TOKEN}"}, 400))
    failed, ledger = run_once(
        declared(queries={"orders.count": "x"}), api(token=remember(TOKEN)), Metric("orders.count")
    )
    assert service.asked[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert isinstance(failed, NodeFailed)
    assert "no ***" in str(failed)
    assert TOKEN not in "".join([str(failed), ledger, *capfd.readouterr(), caplog.text])


def tried(source: PrometheusSource, api: Api) -> list[object]:
    """Return the lines of a source's probe."""
    lines: list[object] = []
    run(source.probe("numbers").followed_by(lines.append), {"prometheus": api})
    return lines


def vector(*result: object, **further: object) -> Said:
    return Said({"status": "success", "data": {"resultType": "vector", "result": list(result)}, **further})


def test_a_probe_tells_the_version_and_what_nothing_is_scraped_for(service: Service, api: Callable[..., Api]) -> None:
    service.answer("/api/v1/status/buildinfo", Said({"status": "success", "data": {"version": "2.42.0"}}))
    service.answer(INSTANT, vector({"metric": {}, "value": [0, "1"]}, infos=["PromQL info: a"]), vector())
    assert tried(declared(queries={"a": "x[$range]", "b": "y"}), api()) == [
        "Prometheus 2.42.0 answers",
        "a: PromQL info: a",
        "b has no value now: nothing that is scraped answers to y",
        "1 of 2 queries have values now",
    ]
    assert [asked.params for asked in service.asked[1:]] == [{"query": "x[3600s]"}, {"query": "y"}]


def test_a_probe_does_without_the_version(service: Service, api: Callable[..., Api]) -> None:
    service.answer(INSTANT, vector({"metric": {}, "value": [0, "1"]}))
    first, last = tried(declared(queries={"a": "x"}), api())
    assert str(first).startswith("it does not tell its version: prometheus: GET api/v1/status/buildinfo answered 404")
    assert last == "1 of 1 queries have values now"


def test_a_probe_fails_where_a_query_is_refused(service: Service, api: Callable[..., Api]) -> None:
    service.answer("/api/v1/status/buildinfo", Said({"status": "success", "data": {"version": "2.42.0"}}))
    service.answer(INSTANT, error("bad_data", "parse error", 400))
    with pytest.raises(NodeFailed, match=r"parse error.*; a asks for x"):
        tried(declared(queries={"a": "x"}), api())


def test_what_shows_whether_anything_is_scraped_is_asked_for_first(service: Service, api: Callable[..., Api]) -> None:
    service.answer(RANGE, matrix(), matrix())
    failed, _ = run_once(
        declared(queries={"orders.count": QUERY}, alive="up{$match} == 1", match='job="a"'),
        api(),
        Metric("orders.count"),
    )
    assert failed is None
    assert next(asked.params["query"] for asked in service.asked) == 'count(up{job="a"} == 1)'


def test_a_probe_says_where_nothing_shows_that_anything_is_scraped(service: Service, api: Callable[..., Api]) -> None:
    service.answer("/api/v1/status/buildinfo", Said({"status": "success", "data": {"version": "2.42.0"}}))
    service.answer(INSTANT, vector({"metric": {}, "value": [0, "1"]}), vector())
    assert tried(declared(queries={"a": "x"}, alive="up"), api())[1:] == [
        "alive has no value now, so that nothing is known: nothing that is scraped answers to up",
        "1 of 1 queries have values now",
    ]
