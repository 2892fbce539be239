"""The demo's company in Grafana: each panel tells the numbers of the page and of `show --json`, on either database."""

from __future__ import annotations

import math
import re
import shutil
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import time_machine

from tallyline.cli import show
from tallyline.dashboards import read_runs, stretches
from tallyline.dashboards.grafana.pipeline_sql import COVERED
from tallyline.dashboards.grafana.rules import rule_groups
from tallyline.demo import projects
from tallyline.plan import named
from tallyline.warehouse import open_warehouse
from tallyline.window import Grain, Window
from tests.cli.terminal import tallyline
from tests.dashboards.comparing import Grafana
from tests.dashboards.expanding import OWN, asked, expanded, moment
from tests.dashboards.exported import Exported, query_of
from tests.postgres import new_database
from tests.warehouse.publishing import rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

    from tallyline.dashboards import Panel
    from tests.dashboards.comparing import Told

NOW = datetime(2026, 7, 14, 10, 30, tzinfo=UTC)
DAYS = 40
MONTH = Window(NOW - timedelta(days=30), NOW + timedelta(minutes=1))
WAREHOUSE = 'warehouse = "sqlite:///warehouse.db"'


@pytest.fixture(scope="module")
def at_noon() -> Iterator[None]:
    """It is noon in Paris, on a Tuesday."""
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture(scope="module")
def on_sqlite(at_noon: None, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """The company in a file, read and exported."""
    folder = tmp_path_factory.mktemp("demo") / "pagesnap"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(projects, "DAYS_OF_COMPANY", DAYS)
        assert tallyline("demo", folder, "--no-up").status == 0
    exported = Exported(folder, folder / "deploy")
    fail(exported)
    exported.export()
    return exported


@pytest.fixture(scope="module")
def on_postgresql(
    on_sqlite: Exported, postgres: Engine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Exported]:
    """The same company on PostgreSQL, asked as a role that only reads."""
    folder = tmp_path_factory.mktemp("demo") / "pagesnap"
    shutil.copytree(on_sqlite.folder, folder, ignore=shutil.ignore_patterns("warehouse.db*", "deploy"))
    file = folder / "tallyline.toml"
    file.write_text(file.read_text("utf-8").replace(WAREHOUSE, 'warehouse = "${COMPANY_URL}"'), "utf-8")
    role = f"grafana_{uuid4().hex}"
    with new_database(postgres, "demo") as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMPANY_URL", url)
        patch.setenv("GRAFANA_PASSWORD", uuid4().hex)
        assert tallyline("read", "all", "--write", project=folder).status == 0
        assert tallyline("grant", role, "--password-from", "GRAFANA_PASSWORD", project=folder).status == 0
        exported = Exported(folder, folder / "deploy", role)
        fail(exported)
        exported.export()
        yield exported


@pytest.fixture(params=["sqlite", "postgresql"])
def exported(request: pytest.FixtureRequest) -> Exported:
    """The company on either database."""
    told: Exported = request.getfixturevalue(f"on_{request.param}")
    return told


def fail(exported: Exported) -> None:
    """Let a run fail and one be lost, each in a window before the first that was read, with a gap between."""
    with open_warehouse(exported.url, exported.project.zone, write=True) as warehouse:
        for source, state in (("visits", "failed"), ("signups", "lost")):
            begin = warehouse.coverage(source)[0].window.since - timedelta(days=9)
            run = warehouse.begin(source, Window(begin, begin + timedelta(days=2)))
            warehouse.end(run, state=state, error=f"{source} was {state}\nand more", report={})


def test_each_panel_tells_the_numbers_of_the_page(exported: Exported) -> None:
    assert not list(exported.differences(Window(NOW - timedelta(days=30, hours=5), NOW)))


@pytest.mark.parametrize("by", [Grain.DAY, Grain.MONTH])
def test_each_panel_tells_the_numbers_of_the_page_by_another_grain(exported: Exported, by: Grain) -> None:
    told = [(metric, what) for metric, what in exported.differences(MONTH, by) if not what.startswith("headline")]
    assert not [(metric, what) for metric, what in told if metric != "visitors"]  # which each grain counts anew


def test_each_panel_tells_the_numbers_of_show(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(show, "load_project", lambda _: exported.project)  # once, not for each panel
    with asked(exported.url, exported.role) as ask:
        grafana, panels = Grafana(ask, MONTH, OWN), 0
        for panel, queries in exported.panels():
            if queries.complete:
                drawn = grafana.lines(queries.complete, queries.dialect)
                drawn |= grafana.lines(queries.running, queries.dialect)
                assert_same(drawn, as_lines(exported, panel, drawn), panel)
            else:
                drawn = grafana.lines(queries.recent, queries.dialect)
                assert_same(
                    within(drawn, panel, exported), within(as_lines(exported, panel, drawn), panel, exported), panel
                )
            panels += 1
    assert panels > 40


def as_lines(exported: Exported, panel: Panel, drawn: Told) -> Told:
    """Return what `show --json` tells, its parts as the lines that are drawn: those that have none are the others."""
    names = {name for _, name in drawn}
    others = next((name for name in names if re.fullmatch(r"other \(\d+\)", name)), "")
    kind, lines = named(exported.project.plan, panel.metric).kind, defaultdict(list)
    for (time, part), value in exported.shown(panel, MONTH).items():
        name = (part or f"no {panel.split}") if panel.split else next(iter(names))
        lines[time, name if name in names else others].append(value)
    return {key: float(kind.over_series(values)) for key, values in lines.items()}  # type: ignore[arg-type]


def within(told: Told, panel: Panel, exported: Exported) -> Told:
    """Return the complete buckets of the month."""
    zone = exported.project.zone
    since, until = panel.by.floor(MONTH.since, zone), panel.by.floor(NOW, zone)
    return {key: value for key, value in told.items() if since <= key[0] < until}


def assert_same(told: Told, expected: Told, panel: Panel) -> None:
    assert told.keys() == expected.keys(), panel
    assert [key for key in told if not math.isclose(told[key], expected[key], rel_tol=1e-11)] == [], panel


def pipeline(exported: Exported, kind: str, title: str) -> str:
    """Return the query of a panel of the pipeline's dashboard."""
    dashboard = exported.dashboards[exported.definitions.names.dashboard("pipeline")]
    [panel] = [panel for panel in dashboard["panels"] if (panel["type"], panel["title"]) == (kind, title)]
    [target] = panel["targets"]
    return query_of(target)


def test_runs_are_those_of_the_page(exported: Exported) -> None:
    zone, window = exported.project.zone, Window(NOW - timedelta(days=3), MONTH.until)
    with open_warehouse(exported.url, zone) as warehouse:
        page = read_runs(warehouse, window, Grain.DAY, zone, NOW)
    expected = {
        (time, line.label): value
        for line in page.lines
        for time, value in zip(page.times, line.values, strict=True)
        if value
    }
    with asked(exported.url, exported.role) as ask:
        query = pipeline(exported, "timeseries", "Runs by how they ended")
        told = Grafana(ask, window, OWN).lines(query, exported.dialect)
        newest = ask(expanded(pipeline(exported, "table", "Newest runs"), window, exported.dialect))
    assert {key: value for key, value in told.items() if value} == expected
    assert {state for _, state in expected} == {"done", "failed", "lost"}
    with open_warehouse(exported.url, zone) as warehouse:
        runs = warehouse.runs(20)
    assert [(row["source"], row["state"], row["written"]) for row in newest] == [
        (run.source, run.state, run.changes.total) for run in runs
    ]


def test_what_was_read_is_what_the_page_shows(exported: Exported) -> None:
    window = Window(NOW - timedelta(days=800), NOW)
    with open_warehouse(exported.url, exported.project.zone) as warehouse:
        coverage = {name: stretches(warehouse.coverage(name), window) for name in exported.project.sources}
    with asked(exported.url, exported.role) as ask:
        told = Grafana(ask, window, OWN).lines(pipeline(exported, "state-timeline", "What was read"), exported.dialect)
    numbers = {number: state for state, number in COVERED.items()}
    edges = sorted({time for time, _ in told})
    for source, expected in coverage.items():
        for edge in edges:
            known = [each.state for each in expected if each.window.since <= edge < each.window.until]
            assert ([numbers[int(told[edge, source])]] if (edge, source) in told else []) == known
    assert {"failed", "gap", "final", "provisional"} <= {each.state for told in coverage.values() for each in told}


def test_sources_are_as_fresh_as_the_page_says(exported: Exported) -> None:
    with open_warehouse(exported.url, exported.project.zone) as warehouse:
        overview = warehouse.overview(exported.project.sources)
    with asked(exported.url, exported.role) as ask:
        rows = ask(expanded(pipeline(exported, "table", "How fresh the data is"), MONTH, exported.dialect))
        [[now]] = [row.values() for row in ask(NOW_OF[exported.dialect])]
    assert {row["source"] for row in rows} == set(overview.sources)
    assert [row["source"] for row in rows[:2]] == ["visits", "signups"]  # which need somebody
    for row in rows:
        known = overview.sources[row["source"]]
        assert known.known_until
        assert known.newest
        assert row["age"] == pytest.approx(float(now) - known.known_until.timestamp(), abs=60)
        assert (row["state"], moment_of(row["started_at"])) == (known.newest.state, known.newest.started_at)
        assert moment_of(row["final_until"]) == known.final_until
        assert row["error"] == (known.newest.error if known.is_failing else "")


NOW_OF = {"sqlite": "SELECT strftime('%s', 'now')", "postgresql": "SELECT extract(epoch FROM now())"}


def moment_of(told: object) -> datetime | None:
    return None if told is None else moment(told)


def test_every_other_query_is_answered(exported: Exported) -> None:
    """Of variables, of marks, and of alert rules, which see no macros of a range."""
    with asked(exported.url, exported.role) as ask:
        for dashboard in exported.dashboards.values():
            for variable in dashboard["templating"]["list"]:
                if variable["type"] == "query":
                    parts = [row["part"] for row in ask(variable["query"])]
                    assert parts == sorted(set(parts))
                    assert parts
            for annotation in dashboard["annotations"]["list"][1:]:
                assert {*annotation["target"]} >= {"refId"}
                for row in ask(expanded(query_of(annotation["target"]), MONTH, exported.dialect)):
                    assert [*row] == ["time", "timeEnd", "text", "tags"]


def test_failed_runs_are_marked_where_their_metrics_are_shown(exported: Exported) -> None:
    marked = {}
    with asked(exported.url, exported.role) as ask:
        for uid, dashboard in exported.dashboards.items():
            for annotation in dashboard["annotations"]["list"][1:]:
                rows = ask(expanded(query_of(annotation["target"]), MONTH, exported.dialect))
                marked[uid.rpartition("-")[2]] = sorted(row["tags"] for row in rows)
    assert marked["acquisition"] == marked["pipeline"] == ["failed,visits", "lost,signups"]
    assert marked["revenue"] == []


def test_a_part_that_is_chosen_is_drawn_alone(exported: Exported) -> None:
    [queries] = [queries for panel, queries in exported.panels() if panel.title == "New users by channel"]
    with asked(exported.url, exported.role) as ask:
        every = Grafana(ask, MONTH, OWN).lines(queries.complete, exported.dialect)
        some = Grafana(ask, MONTH, {**OWN, "channel": ["ads", "it's"]}).lines(queries.complete, exported.dialect)
    assert {name for _, name in some} == {"ads"}
    assert some == {key: value for key, value in every.items() if key[1] == "ads"}


def test_alert_rules_ask_for_one_number(exported: Exported) -> None:
    late, targets = rule_groups(exported.definitions)
    with asked(exported.url, exported.role) as ask:
        for rule in [*late["rules"], *targets["rules"]]:
            query = query_of(rule["data"][0]["model"])
            assert "$" not in query
            rows = ask(query)
            assert all(len(row) == 1 for row in rows)
            assert len(rows) == 1 if rule in late["rules"] else len(rows) <= 1
    [(runs,)] = rows_of(exported.url, "SELECT count(*) FROM run")
    assert runs
