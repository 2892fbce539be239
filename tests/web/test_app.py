"""What the page answers at each of its addresses."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from starlette.testclient import TestClient

from tallyline.dashboards import Dashboard, Panel, Shows, Size
from tallyline.errors import RunFailed
from tallyline.sources import Source, source
from tallyline.web import make_app
from tallyline.web.security import HEADERS
from tallyline.window import Grain, Window, start_of_day
from tests.web.company import NOW, TODAY, ZONE, publish

if TYPE_CHECKING:
    from collections.abc import Callable

    from httpx2 import Response

    from tallyline.warehouse import Warehouse

    Visit = Callable[..., TestClient]

YESTERDAY = TODAY - timedelta(days=1)
LAST_SUNDAY = TODAY - timedelta(days=8)


def midnight(day: date) -> int:
    return int(start_of_day(day, ZONE).timestamp())


def days(first: date, last: date) -> Window:
    return Window(start_of_day(first, ZONE), start_of_day(last + timedelta(days=1), ZONE))


def publish_days(
    warehouse: Warehouse, metric: str, values: dict[date, float], source: str = "product", **dims: str
) -> None:
    window = days(min(values), max(values))
    publish(
        warehouse,
        source,
        window,
        Grain.DAY,
        [({"date": day, **dims}, {metric: value}) for day, value in values.items()],
    )


def is_guarded(answer: Response) -> bool:
    return all(answer.headers.get(name) == value for name, value in HEADERS.items())


def planned(name: str, schedule: str) -> Source:
    """A source of that schedule, which nobody reads here."""
    return source(schedule=schedule)(list).named(name)


def panel(client: TestClient, query: str = "") -> dict[str, Any]:
    answer = client.get(f"/dashboards/main/data{query}")
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()["panels"][0]
    return told


def test_home_leads_to_the_first_dashboard_and_keeps_the_range(visit: Visit) -> None:
    home = visit("revenue").get("/?last=7d")
    assert (home.status_code, home.headers["location"]) == (307, "/dashboards/main?last=7d")


def test_a_dashboard_names_its_panels_and_the_ways_to_the_others(visit: Visit) -> None:
    page = visit("revenue", Panel("visits", title="Who came"), others=(Dashboard("growth", "Growth", ()),))
    html = page.get("/dashboards/main").text
    assert '<h2 id="title-1">Revenue</h2>' in html
    assert '<h2 id="title-2">Who came</h2>' in html
    assert 'href="/dashboards/growth"' in html


def test_names_are_escaped_wherever_they_stand(visit: Visit) -> None:
    script = "<script>alert(1)</script>"
    page = visit(Panel("revenue", title=script), title=script, dashboard=script)
    for address in ("/dashboards/main", "/runs", f"/dashboards/{script.replace('/', '')}"):
        html = page.get(address).text
        assert "<script>" not in html
        assert "&lt;script&gt;" in html


def test_an_unknown_dashboard_is_a_page_with_those_that_exist(visit: Visit) -> None:
    answer = visit("revenue", dashboard="The main one").get("/dashboards/mian")
    assert answer.status_code == 404
    assert "there is no dashboard &#34;mian&#34;; did you mean &#34;main&#34;?" in answer.text
    assert '<a href="/dashboards/main">The main one</a>' in answer.text


def test_the_data_of_an_unknown_dashboard_is_an_error_in_json(visit: Visit) -> None:
    answer = visit("revenue").get("/dashboards/mian/data")
    assert answer.status_code == 404
    assert 'there is no dashboard "mian"' in answer.json()["error"]


def test_numbers_are_exact_and_gaps_are_null(visit: Visit, warehouse: Warehouse) -> None:
    values = {LAST_SUNDAY: 0.1, YESTERDAY - timedelta(days=2): 1234567.89, YESTERDAY: 0.3}
    publish_days(warehouse, "users.paying", values)
    told = panel(visit("users.paying"))
    assert told["times"] == [midnight(LAST_SUNDAY + timedelta(days=n)) for n in range(8)]
    assert told["lines"] == [
        {"label": "Paying users", "values": [0.1, None, None, None, None, 1234567.89, None, 0.3], "before": []}
    ]
    assert (told["title"], told["unit"], told["by"], told["kind"]) == ("Paying users", "users", "day", "level")


def test_days_that_were_read_and_counted_nothing_are_zero(visit: Visit, warehouse: Warehouse) -> None:
    publish_days(warehouse, "revenue", {LAST_SUNDAY: 2, YESTERDAY: 3})
    assert panel(visit("revenue"))["lines"] == [{"label": "Revenue", "values": [2, 0, 0, 0, 0, 0, 0, 3], "before": []}]


def test_the_headline_is_the_last_complete_day_beside_the_same_weekday(visit: Visit, warehouse: Warehouse) -> None:
    publish_days(warehouse, "revenue", {LAST_SUNDAY: 200, YESTERDAY: 250, TODAY: 3})
    told = panel(visit("revenue"))
    assert told["headline"] == {
        "time": midnight(YESTERDAY),
        "value": 250,
        "compared_with": midnight(LAST_SUNDAY),
        "before": 200,
        "change": 0.25,
    }
    assert told["incomplete_from"] == midnight(TODAY)


def test_the_headline_of_a_range_that_only_holds_today_is_compared_too(visit: Visit, warehouse: Warehouse) -> None:
    publish_days(warehouse, "revenue", {LAST_SUNDAY: 200, YESTERDAY: 250, TODAY: 3})
    headline = panel(visit("revenue"), "?last=1d")["headline"]
    assert (headline["time"], headline["before"]) == (midnight(YESTERDAY), 200)


def test_a_headline_is_not_older_than_what_it_could_be_compared_with(visit: Visit, warehouse: Warehouse) -> None:
    publish_days(warehouse, "users.paying", {TODAY - timedelta(days=9): 200, TODAY: 3})
    assert panel(visit("users.paying"), "?last=1d")["headline"] is None


def test_parts_are_lines_and_together_the_total_without_noise(visit: Visit, warehouse: Warehouse) -> None:
    window = days(YESTERDAY, YESTERDAY)
    rows = [({"date": YESTERDAY, "plan": plan}, {"revenue": value}) for plan, value in (("a", 0.1), ("b", 0.2))]
    publish(warehouse, "product", window, Grain.DAY, rows)
    told = panel(visit(Panel("revenue", split="plan")))
    assert [(line["label"], line["values"]) for line in told["lines"]] == [("b", [0.2]), ("a", [0.1])]
    assert (told["total"], told["headline"]["value"]) == ([0.3], 0.3)


def test_a_panel_without_data_says_what_to_do_and_spares_the_others(visit: Visit, warehouse: Warehouse) -> None:
    publish_days(warehouse, "revenue", {YESTERDAY: 5})
    first, second = visit("churn", "revenue").get("/dashboards/main/data").json()["panels"]
    assert first == {
        "title": "Users who left",
        "shows": "metric",
        "message": "Nothing has been read for churn yet.",
        "command": "tallyline read all --write",
    }
    assert second["lines"][0]["values"] == [5]


def test_a_range_in_which_nothing_is_known_is_said_so(visit: Visit, warehouse: Warehouse) -> None:
    publish_days(warehouse, "revenue", {date(2025, 1, 1): 5})
    assert panel(visit("revenue"))["message"].startswith("Nothing is known of revenue in this range.")


def test_a_metric_outside_of_the_plan_is_that_panels_message(visit: Visit) -> None:
    assert panel(visit("revenu"))["message"].startswith('there is no metric in the plan called "revenu"')


def test_hours_of_a_metric_known_by_the_day_are_refused_in_its_panel(visit: Visit, warehouse: Warehouse) -> None:
    publish_days(warehouse, "revenue", {YESTERDAY: 5})
    assert "known by the day, not by the hour" in panel(visit("revenue"), "?by=hour")["message"]


def test_a_range_told_in_hours_shows_hours_where_they_are_known(visit: Visit, warehouse: Warehouse) -> None:
    publish_days(warehouse, "revenue", {YESTERDAY: 5})
    hour = Grain.HOUR.floor(NOW, ZONE)
    window = Window(hour - timedelta(hours=2), hour + timedelta(hours=1))
    publish(warehouse, "api", window, Grain.HOUR, [({"time": hour}, {"api.calls": 7})])
    page = visit("revenue", "api.calls")
    by = [each["by"] for each in page.get("/dashboards/main/data?last=24h").json()["panels"]]
    assert by == ["day", "hour"]
    assert [each["by"] for each in page.get("/dashboards/main/data?last=24h&by=week").json()["panels"]] == ["week"] * 2


def test_more_points_than_can_be_drawn_are_refused_in_the_panel(visit: Visit, warehouse: Warehouse) -> None:
    publish_days(warehouse, "revenue", {YESTERDAY: 5})
    assert "too many to draw" in panel(visit("revenue"), "?since=1980-01-01&by=hour")["message"]


def test_a_metric_that_fell_silent_is_drawn_up_to_now(visit: Visit, warehouse: Warehouse) -> None:
    publish_days(warehouse, "revenue", {TODAY - timedelta(days=3): 5})
    publish_days(warehouse, "visits", {TODAY - timedelta(days=2): 5}, source="analytics")
    silent, late = visit("revenue", "visits").get("/dashboards/main/data").json()["panels"]
    assert silent["silent_until"] == midnight(TODAY)
    assert late["silent_until"] is None


def test_the_answer_says_how_fresh_it_is_and_which_sources_fail(visit: Visit, warehouse: Warehouse) -> None:
    page = visit("revenue")
    assert page.get("/dashboards/main/data").json()["read"] == {"at": None, "failing": []}
    publish_days(warehouse, "revenue", {YESTERDAY: 5})
    failed = warehouse.begin("analytics", days(YESTERDAY, TODAY))
    warehouse.end(failed, state="failed", error="no", report={})
    read = page.get("/dashboards/main/data").json()["read"]
    assert read == {"at": int(NOW.timestamp()), "failing": ["analytics"]}


def test_a_source_that_failed_and_then_was_read_does_not_fail(visit: Visit, warehouse: Warehouse) -> None:
    failed = warehouse.begin("product", days(YESTERDAY, TODAY))
    warehouse.end(failed, state="failed", error="no", report={})
    publish_days(warehouse, "revenue", {YESTERDAY: 5})
    warehouse.begin("product", days(YESTERDAY, TODAY))
    assert visit("revenue").get("/dashboards/main/data").json()["read"]["failing"] == []


def test_a_panel_tells_up_to_when_its_sources_are_known(visit: Visit, warehouse: Warehouse) -> None:
    publish_days(warehouse, "revenue", {YESTERDAY: 5})
    publish_days(warehouse, "visits", {LAST_SUNDAY: 5}, source="analytics")
    revenue, visits = visit("revenue", "visits").get("/dashboards/main/data").json()["panels"]
    assert revenue["age"] == {"until": midnight(TODAY), "late": False, "sources": ["product"]}
    assert visits["age"] == {
        "until": midnight(LAST_SUNDAY + timedelta(days=1)),
        "late": False,
        "sources": ["analytics"],
    }


@pytest.mark.parametrize(
    ("schedule", "last", "is_late"),
    [
        ("@daily", YESTERDAY, False),
        ("@daily", YESTERDAY - timedelta(days=1), False),  # that of this morning may still run
        ("@daily", YESTERDAY - timedelta(days=2), True),
        ("@hourly", YESTERDAY, True),
        ("@monthly", LAST_SUNDAY, False),
    ],
)
def test_data_is_late_where_the_schedule_fired_twice_since(
    visit: Visit, warehouse: Warehouse, schedule: str, last: date, *, is_late: bool
) -> None:
    publish_days(warehouse, "revenue", {last: 5})
    page = visit("revenue", Panel(shows=Shows.FRESHNESS), sources={"product": planned("product", schedule)})
    revenue, freshness = page.get("/dashboards/main/data").json()["panels"]
    assert (revenue["age"]["late"], freshness["sources"][0]["late"]) == (is_late, is_late)


def test_a_formula_is_as_old_as_the_oldest_of_its_parts(visit: Visit, warehouse: Warehouse) -> None:
    publish_days(warehouse, "users.new", {YESTERDAY: 5})
    publish_days(warehouse, "users.paying", {LAST_SUNDAY: 5, YESTERDAY: 4}, source="stripe")
    failed = warehouse.begin("product", days(YESTERDAY, TODAY))
    warehouse.end(failed, state="failed", error="no", report={})
    told = panel(visit("paying"))
    assert told["share"] is True
    assert told["lines"][0]["values"] == [1.25]
    assert told["age"] == {"until": midnight(TODAY), "late": False, "sources": ["product", "stripe"]}


def test_a_formula_of_which_a_part_was_never_read_names_it(visit: Visit, warehouse: Warehouse) -> None:
    publish_days(warehouse, "users.new", {YESTERDAY: 5})
    assert panel(visit("paying"))["message"] == "Nothing has been read for users.paying yet."


def test_a_dim_that_does_not_exist_is_that_panels_message(visit: Visit, warehouse: Warehouse) -> None:
    publish_days(warehouse, "revenue", {YESTERDAY: 5}, plan="a")
    message = panel(visit(Panel("revenue", where={"plna": "a"})))["message"]
    assert message.startswith('there is no dim of revenue called "plna"; did you mean "plan"?')


def test_a_comparison_and_a_target_are_told_at_the_panels_own_grain(visit: Visit, warehouse: Warehouse) -> None:
    publish_days(warehouse, "revenue", {YESTERDAY - timedelta(days=n): 10.0 + n for n in range(15)})
    page = visit(Panel("revenue", compare=Grain.DAY, target=11))
    told = panel(page, "?last=2d")
    assert (told["compare"], told["target"]) == ("day", 11)
    assert [(line["values"], line["before"]) for line in told["lines"]] == [([10], [11])]
    assert told["headline"]["compared_with"] == midnight(YESTERDAY - timedelta(days=1))
    by_week = panel(page, "?by=week")
    assert (by_week["compare"], by_week["target"]) == (None, None)


def test_freshness_has_a_row_for_each_source_of_the_project_those_in_need_first(
    visit: Visit, warehouse: Warehouse
) -> None:
    publish_days(warehouse, "visits", {LAST_SUNDAY: 5}, source="late")
    publish_days(warehouse, "revenue", {YESTERDAY: 5}, source="failing")
    publish_days(warehouse, "users.new", {YESTERDAY: 5}, source="gone")
    failed = warehouse.begin("failing", days(YESTERDAY, TODAY))
    warehouse.end(failed, state="failed", error=f"403\n{'x' * 400}", report={})
    warehouse.begin("failing", days(YESTERDAY, TODAY))
    sources = {name: planned(name, "@daily") for name in ("new", "late", "failing")}
    rows = panel(visit(Panel(shows=Shows.FRESHNESS), sources=sources))["sources"]
    assert [row["source"] for row in rows] == ["failing", "late", "new"]
    assert rows[0] == {
        "source": "failing",
        "until": midnight(TODAY),
        "late": False,
        "final_until": midnight(TODAY),
        "state": "running",
        "run": failed + 1,
        "at": int(NOW.timestamp()),
        "next": midnight(TODAY + timedelta(days=1)),
        "failing": True,
        "error": "403",
    }
    assert (rows[2]["state"], rows[2]["until"], rows[2]["run"]) == ("never read", None, None)


def test_runs_are_told_by_state_with_the_newest_failures(visit: Visit, warehouse: Warehouse) -> None:
    publish_days(warehouse, "revenue", {YESTERDAY: 5})
    failed = warehouse.begin("product", days(YESTERDAY, TODAY))
    warehouse.end(failed, state="failed", error="x" * 400, report={})
    page = visit(Panel(shows=Shows.RUNS))
    told = panel(page, "?last=2d")
    assert (told["title"], told["by"], told["times"]) == ("Runs", "day", [midnight(YESTERDAY), midnight(TODAY)])
    assert told["lines"] == [{"label": "done", "values": [0, 1]}, {"label": "failed", "values": [0, 1]}]
    [failure] = told["failures"]
    assert (failure["run"], failure["source"], failure["error"]) == (failed, "product", f"{'x' * 300}…")
    assert panel(page, "?last=24h")["by"] == "hour"
    assert panel(page, "?by=week")["by"] == "week"
    assert "too many to draw" in panel(page, "?since=1980-01-01&by=hour")["message"]


def test_coverage_is_told_up_to_now_and_cut_to_the_range(visit: Visit, warehouse: Warehouse) -> None:
    publish_days(warehouse, "revenue", {LAST_SUNDAY: 5, TODAY: 1})
    failed = warehouse.begin("analytics", days(YESTERDAY, TODAY))
    warehouse.end(failed, state="failed", error="no", report={})
    page = visit(Panel(shows=Shows.COVERAGE))
    now = int(NOW.timestamp())
    told = panel(page, "?last=2d")
    assert (told["since"], told["until"]) == (midnight(YESTERDAY), now)
    assert told["sources"] == [
        {"source": "analytics", "stretches": [[midnight(YESTERDAY), now, "failed"]]},
        {"source": "product", "stretches": [[midnight(YESTERDAY), now, "final"]]},
    ]
    assert panel(page, "?since=2027-01-01&until=2027-01-02")["sources"][0]["stretches"] == []


def test_panels_of_one_size_stand_in_a_row_with_their_descriptions(visit: Visit) -> None:
    small = Panel("revenue", size=Size.SMALL, description="What was <paid>.")
    html = visit(Panel("visits", size=Size.WIDE, description="Who came."), *[small] * 5).get("/dashboards/main").text
    assert html.index('<div class="row wides">') < html.index('<div class="row smalls columns-3">')
    assert '<p class="description">Who came.</p>' in html
    assert 'role="tooltip" id="about-6">What was &lt;paid&gt;.</span>' in html


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("last=1parsec", '"1parsec" is not a length of time; write a number and h, d, w, m, q or y, such as 30d'),
        ("since=2026-11-20&until=2026-11-10", "the window ends (2026-11-09 23:00 UTC) before it begins"),
        ("by=fortnight", 'there is no grain "fortnight"; there are: day, hour, month'),
    ],
)
def test_a_bad_range_is_refused_with_the_reason(visit: Visit, query: str, message: str) -> None:
    answer = visit("revenue").get(f"/dashboards/main/data?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(message)


def test_runs_tell_what_happened(visit: Visit, warehouse: Warehouse) -> None:
    publish_days(warehouse, "revenue", {YESTERDAY: 1, TODAY: 1234})
    failed = warehouse.begin("analytics", days(YESTERDAY, TODAY))
    warehouse.end(failed, state="failed", error="line 1\n<b>line 2</b>", report={"nodes": None})
    html = visit("revenue").get("/runs").text
    assert html.index("analytics") < html.index("product")
    assert "<pre>line 1\n&lt;b&gt;line 2&lt;/b&gt;</pre>" in html
    assert '2026-11-22 00:00 <span class="to">…</span> 2026-11-24 00:00' in html
    assert '<time datetime="2026-11-23T13:20:00+00:00">2026-11-23 14:20</time>' in html
    assert '<span class="name">read_product</span>\n              <span class="counts">0 → 2</span>' in html


def test_a_run_has_an_address_of_its_own(visit: Visit, warehouse: Warehouse) -> None:
    publish_days(warehouse, "revenue", {YESTERDAY: 1})
    publish_days(warehouse, "visits", {YESTERDAY: 1}, source="analytics")
    page = visit("revenue")
    html = page.get("/runs/1").text
    assert "<h1>Run 1 of product</h1>" in html
    assert ("read_product" in html, "read_analytics" in html) == (True, False)


@pytest.mark.parametrize("number", ["0", "7", "99999999999999999999999"])
def test_a_run_that_the_ledger_does_not_have_is_said_so(visit: Visit, number: str) -> None:
    answer = visit("revenue").get(f"/runs/{number}")
    assert answer.status_code == 404
    assert f"The ledger has no run {number}. Old runs may have been cleaned away." in answer.text


def test_a_metric_that_cannot_be_put_together_has_lines_and_no_number(visit: Visit, warehouse: Warehouse) -> None:
    window, plans = days(YESTERDAY, YESTERDAY), ("a", "b")
    rows = (({"date": YESTERDAY, "plan": plan}, {"visitors": 3.0}) for plan in plans)
    publish(warehouse, "product", window, Grain.DAY, rows)
    told = panel(visit(Panel("visitors", split="plan")))
    assert ([line["values"] for line in told["lines"]], told["total"], told["headline"]) == ([[3], [3]], None, None)


def test_runs_without_any_say_how_to_begin(visit: Visit) -> None:
    assert "<code>tallyline read all --write</code>" in visit("revenue").get("/runs").text


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/", 307),
        ("/dashboards/main", 200),
        ("/dashboards/main/data", 200),
        ("/dashboards/main/data?last=never", 400),
        ("/dashboards/other", 404),
        ("/nowhere", 404),
        ("/runs", 200),
        ("/runs/", 307),
        ("/runs/7", 404),
        ("/static/page.css", 200),
        ("/static/nothing.js", 404),
        ("/static/../app.py", 404),
    ],
)
def test_every_answer_carries_the_security_headers(visit: Visit, address: str, status: int) -> None:
    answer = visit("revenue").get(address)
    assert answer.status_code == status
    assert is_guarded(answer)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "0.0.0.0:7411"])
def test_other_hosts_are_refused(visit: Visit, host: str) -> None:
    answer = visit("revenue").get("/runs", headers={"host": host})
    assert answer.status_code == 400
    assert is_guarded(answer)


def test_localhost_is_this_machine_too(visit: Visit) -> None:
    assert visit("revenue", base_url="http://localhost:7411").get("/runs").status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("address", ["/", "/dashboards/main", "/dashboards/main/data", "/runs", "/static/page.css"])
def test_the_page_can_only_be_read(visit: Visit, method: str, address: str) -> None:
    answer = visit("revenue").request(method, address)
    assert answer.status_code == 405
    assert is_guarded(answer)


def test_head_is_answered(visit: Visit) -> None:
    assert visit("revenue").head("/dashboards/main").status_code == 200


def test_a_warehouse_that_refuses_is_told_and_a_fault_of_ours_is_not_explained(
    visit: Visit, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(error: Exception) -> Callable[..., None]:
        def failing(*_: object) -> None:
            raise error

        return failing

    monkeypatch.setattr(type(warehouse), "runs", fail(RunFailed("the warehouse refused: it is away")))
    away = visit("revenue").get("/runs")
    assert (away.status_code, "the warehouse refused: it is away" in away.text) == (503, True)
    monkeypatch.setattr(type(warehouse), "overview", fail(RunFailed("the warehouse refused: it is away")))
    assert visit("revenue").get("/dashboards/main/data").json() == {"error": "the warehouse refused: it is away"}
    monkeypatch.setattr(type(warehouse), "runs", fail(ZeroDivisionError("secret")))
    broken = visit("revenue").get("/runs")
    assert (broken.status_code, "secret" in broken.text) == (500, False)
    assert is_guarded(broken)


def test_a_project_without_dashboards_still_shows_its_runs(warehouse: Warehouse) -> None:
    app = make_app(title="Pagesnap", zone=ZONE, plan={}, dashboards=[], warehouse=warehouse)
    page = TestClient(app, base_url="http://127.0.0.1", follow_redirects=False)
    assert (page.get("/").status_code, page.get("/runs").status_code) == (404, 200)
