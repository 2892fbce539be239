"""The demo's company, read once by the real sources: what its services tell agrees with its product database."""

from __future__ import annotations

import csv
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

import pytest
import time_machine

from tallyline.dashboards import Shows, Size, read_panel
from tallyline.demo import projects
from tallyline.plan import named
from tallyline.project import load_project
from tallyline.warehouse import open_warehouse
from tallyline.window import Grain, Window, start_of_day
from tests.cli.terminal import Answer, tallyline
from tests.warehouse.publishing import rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tallyline.project import Project

NOW = datetime(2026, 7, 14, 10, 30, tzinfo=UTC)
DAYS = 90


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Answer]]:
    folder = tmp_path_factory.mktemp("demo") / "pagesnap"
    with pytest.MonkeyPatch.context() as patch, time_machine.travel(NOW, tick=False):
        patch.setattr(projects, "DAYS_OF_COMPANY", DAYS)
        patch.chdir(folder.parent)
        yield folder, tallyline("demo", folder, "--no-up")


@pytest.fixture(scope="module")
def folder(company: tuple[Path, Answer]) -> Path:
    return company[0]


@cache
def known_project(folder: Path) -> Project:
    return load_project(folder)


def product(folder: Path, question: str) -> float:
    """Return a number of the product database; `:NAME` stands for when the source of that name starts."""
    project = known_project(folder)
    starts = {name: source.options.start for name, source in project.sources.items()}
    known = {name: f"{start_of_day(day, project.zone):%Y-%m-%d %H:%M:%S}" for name, day in starts.items() if day}
    with closing(sqlite3.connect(folder / "product.db")) as database:
        [(answer,)] = database.execute(question, known).fetchall()
        return float(answer or 0)


def days(folder: Path, metric: str, *, split: str | None = None, part: str | None = None) -> list[float]:
    project = known_project(folder)
    url = f"sqlite:///{folder}/warehouse.db"
    with open_warehouse(url, project.zone, write=False, plan=project.plan) as warehouse:
        values = warehouse.query(metric, by=Grain.DAY, since=NOW - timedelta(days=2 * DAYS), until=NOW, split=split)
    return [value.value for value in values if value.part == part]


def test_every_source_was_read(company: tuple[Path, Answer]) -> None:
    folder, answer = company
    assert (answer.status, answer.err) == (0, "")
    states = rows_of(f"sqlite:///{folder}/warehouse.db", "SELECT DISTINCT source, state FROM run")
    assert sorted(states) == [(source, "done") for source in sorted(known_project(folder).sources)]


def test_every_kind_is_there() -> None:
    template = projects._text("company", "tallyline.toml") + projects._text("company", "support.toml")  # noqa: SLF001
    kinds = ("dlt", "google-analytics", "prometheus", "sentry", "singer", "sql", "stripe")
    assert [kind for kind in kinds if f'kind = "{kind}"' not in template] == []


def test_every_panel_has_values_a_title_and_a_unit(folder: Path) -> None:
    project = known_project(folder)
    window = Window(NOW - timedelta(days=30), NOW)
    with open_warehouse(f"sqlite:///{folder}/warehouse.db", project.zone, plan=project.plan) as warehouse:
        for panel in (panel for dashboard in project.dashboards for panel in dashboard.panels if panel.metric):
            metric = named(project.plan, panel.metric)
            assert panel.title or metric.title, panel.metric
            assert metric.unit, panel.metric
            data = read_panel(panel, metric, warehouse, window, project.zone)
            assert data.headline, panel.metric
            assert panel.split or len(data.lines) == 1, panel.metric


def test_there_are_the_dashboards_of_the_talk(folder: Path) -> None:
    dashboards = {dashboard.name: dashboard for dashboard in known_project(folder).dashboards}
    assert {"acquisition", "quality", "public", "pipeline"} <= set(dashboards)
    assert [name for name, dashboard in dashboards.items() if dashboard.public] == ["public"]
    assert {panel.shows for panel in dashboards["pipeline"].panels} == {Shows.FRESHNESS, Shows.RUNS, Shows.COVERAGE}
    for name in ("acquisition", "quality", "revenue"):  # the metric that matters first, with its target
        assert dashboards[name].panels[0].size is Size.WIDE
        assert dashboards[name].panels[0].target
        assert dashboards[name].description


@pytest.mark.parametrize(
    ("metric", "question"),
    [
        ("visits.sessions", "SELECT sum(sessions) FROM visits"),
        ("users.new", "SELECT count(*) FROM users"),
        ("users.activated", "SELECT count(activated_at) FROM users"),
        ("screenshots.time.count", "SELECT count(*) FROM events WHERE name = 'screenshot.taken'"),
        (
            "redis.cache.hits",
            "SELECT count(*) FROM events WHERE name = 'screenshot.cached' AND created_at >= :machines",
        ),
        (
            "rabbitmq.messages.redelivered",
            "SELECT count(*) FROM events WHERE name = 'screenshot.failed' AND created_at >= :machines",
        ),
        ("sentry.sessions", "SELECT sum(sessions) FROM visits WHERE hour >= :stability"),
        ("stripe.payments.failed", "SELECT count(*) FROM payments WHERE status = 'failed'"),
        ("stripe.refunds.amount", "SELECT sum(amount_cents) FROM payments WHERE status = 'refunded'"),
        ("stripe.revenue.gross", "SELECT sum(amount_cents) FROM payments WHERE status = 'paid'"),
        ("revenue.paid", "SELECT sum(amount_cents) / 100.0 FROM payments WHERE status = 'paid'"),
        ("stripe.mrr.new", "SELECT sum(amount_cents) FROM subscriptions"),
        ("stripe.mrr.churn", "SELECT sum(amount_cents) FROM subscriptions WHERE ended_at IS NOT NULL"),
    ],
)
def test_sums_are_those_of_the_product_database(folder: Path, metric: str, question: str) -> None:
    assert sum(days(folder, metric)) == pytest.approx(product(folder, question))


@pytest.mark.parametrize(
    ("metric", "question"),
    [
        ("users.total", "SELECT count(*) FROM users"),
        ("apikeys.total", "SELECT count(*) FROM api_keys"),
        ("stripe.customers", "SELECT count(*) FROM users WHERE plan <> 'free'"),
        ("subscriptions.active", "SELECT count(*) FROM users WHERE plan <> 'free'"),
        ("mrr", "SELECT sum(amount_cents) / 100.0 FROM subscriptions WHERE ended_at IS NULL"),
    ],
)
def test_what_there_is_at_last_agrees_with_the_product_database(folder: Path, metric: str, question: str) -> None:
    assert days(folder, metric)[-1] == pytest.approx(product(folder, question))


def test_sentry_has_an_error_for_each_of_the_api(folder: Path) -> None:
    told = sum(days(folder, "sentry.errors", split="project", part="api"))
    assert told == product(folder, "SELECT count(*) FROM events WHERE name = 'api.error' AND created_at >= :stability")


def test_the_incident_is_seen_by_who_watches(folder: Path) -> None:
    for metric in ("rabbitmq.queue.longest", "screenshots.time.p95", "workers.down"):
        told = days(folder, metric)
        assert max(told) > 2 * sorted(told)[len(told) // 2]
    assert sum(days(folder, "sentry.errors.dropped")) >= 40


@pytest.mark.parametrize(
    ("file", "metric"), [("newsletter.csv", "newsletter.subscribed"), ("tickets.csv", "tickets.opened")]
)
def test_files_are_read_whole(folder: Path, file: str, metric: str) -> None:
    with (folder / file).open(encoding="utf-8", newline="") as lines:
        assert sum(days(folder, metric)) == len(list(csv.DictReader(lines))) > 0


def test_fewer_visitors_than_sessions_and_fewer_still_of_the_week(folder: Path) -> None:
    assert 0 < sum(days(folder, "visitors")) < sum(days(folder, "visits.sessions"))
    weeks = tallyline("show", "visitors", "--by", "week", "--json", project=folder).data
    assert 0 < sum(week["value"] for week in weeks) < sum(days(folder, "visitors"))


def test_second_read_changes_nothing(folder: Path) -> None:
    metrics = ("mrr", "sentry.errors", "nginx.requests", "visits.sessions")
    before = [days(folder, metric)[:-1] for metric in metrics]
    again = tallyline("demo", folder, "--no-up")
    assert (again.status, again.err) == (0, "")
    sources = len(known_project(folder).sources)
    query = f"SELECT sum(changed), sum(removed) FROM (SELECT * FROM run ORDER BY id DESC LIMIT {sources})"  # noqa: S608
    assert rows_of(f"sqlite:///{folder}/warehouse.db", query) == [(0, 0)]
    after = [days(folder, metric) for metric in metrics]
    assert [now[: len(was)] for now, was in zip(after, before, strict=True)] == before


def test_without_dlt_the_rest_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projects, "find_spec", lambda _: None)
    monkeypatch.setattr(projects, "DAYS_OF_COMPANY", 2)
    answer = tallyline("demo", tmp_path / "demo", "--no-up")
    assert (answer.status, answer.err) == (0, "")
    assert 'without dlt, there are no support tickets; it comes with pip install "tallyline[dlt]"' in answer.out
    assert "tickets" not in load_project(tmp_path / "demo").sources
    assert not (tmp_path / "demo" / "support.py").exists()


def test_doctor_finds_nothing_wrong(folder: Path) -> None:
    answer = tallyline("doctor", "--json", project=folder)
    assert (answer.status, answer.err) == (0, "")
