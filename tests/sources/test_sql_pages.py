"""The examples on the pages about databases, timings and workers do what the pages say."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import time_machine

from tallyline.database import database_url, open_database
from tests.cli.terminal import make_project, tallyline
from tests.warehouse.publishing import facts

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = re.compile(r"^```\{code-block\} \w+\n:caption: (?P<name>\S+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
QUERIES = re.compile(r"^```toml\n(?P<text>\[sources.*?)^```$", re.MULTILINE | re.DOTALL)
NOW = datetime(2026, 7, 14, 15, 20, tzinfo=UTC)
REPORTS = [
    ("10:00", "render-1", '{"state": "active", "queue": 4}'),
    ("10:00", "render-2", '{"state": "idle", "queue": 0}'),
    ("11:00", "render-1", '{"state": "active", "queue": 1}'),
    ("11:30", "render-1", '{"state": "idle", "queue": 0}'),
    ("11:30", "render-2", '{"state": "idle", "queue": 0}'),
    ("11:30", "render-3", '{"state": "stopping", "queue": 2}'),
]


@pytest.fixture
def pages(pytestconfig: pytest.Config) -> Path:
    """Where the pages are."""
    return pytestconfig.rootpath / "docs/sources"


def project_of(page: Path, folder: Path) -> Path:
    """Write the project that a page shows."""
    files = {block["name"]: block["text"] for block in BLOCK.finditer(page.read_text("utf-8"))}
    return make_project(folder / "project", files["tallyline.toml"], files.get("sources.py", ""))


def write(url: str, *statements: str) -> None:
    """Write to a database, past what is tested."""
    engine = open_database(database_url(url))
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


@time_machine.travel(NOW, tick=False)
def hourly(folder: Path) -> list[tuple[str, str, str, float]]:
    """Read all sources of a project, and return the hourly values."""
    answer = tallyline("read", "all", "--write", project=folder)
    assert answer.status == 0, answer.err + answer.out
    told = facts(f"sqlite:///{folder}/warehouse.db", "hourly")
    return [(metric, time[11:16], dims, value) for metric, time, dims, value in told]


def write_reports(url: str, kind: str) -> None:
    """Let workers report."""
    told = ", ".join(f"('2026-07-14 {time}:00', '{worker}', '{said}')" for time, worker, said in REPORTS)
    columns = f"recorded_at TIMESTAMP, worker TEXT, attributes {kind}"
    write(url, f"CREATE TABLE workers ({columns})", f"INSERT INTO workers VALUES {told}")  # noqa: S608


WORKERS = [
    ("workers.active", "10:00", "{}", 1),
    ("workers.active", "11:00", "{}", 0),
    ("workers.idle", "10:00", "{}", 1),
    ("workers.idle", "11:00", "{}", 2),
    ("workers.total", "10:00", "{}", 2),
    ("workers.total", "11:00", "{}", 3),
]


def test_workers_are_counted_by_ten_lines(
    pages: Path, warehouse_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_reports(warehouse_url, "TEXT" if warehouse_url.startswith("sqlite") else "JSONB")
    monkeypatch.setenv("SHOP_URL", warehouse_url)
    folder = project_of(pages / "workers.md", tmp_path)
    code = [line for line in (folder / "sources.py").read_text("utf-8").splitlines() if line.strip()]
    assert len([line for line in code if not line.startswith(("import", "from"))]) <= 10
    assert hourly(folder) == WORKERS


def test_workers_are_counted_by_the_database(
    pages: Path, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_reports(postgres_url, "JSONB")
    monkeypatch.setenv("SHOP_URL", postgres_url)
    folder = project_of(pages / "workers.md", tmp_path)
    (folder / "sources.py").unlink()
    [query] = QUERIES.finditer((pages / "workers.md").read_text("utf-8"))
    with (folder / "tallyline.toml").open("a", encoding="utf-8") as file:
        file.write(query["text"])
    assert hourly(folder) == WORKERS


def test_timings_of_the_page_have_a_right_percentile_of_the_day(
    pages: Path, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        postgres_url,
        "CREATE TABLE requests (started_at TIMESTAMP, endpoint TEXT, milliseconds INTEGER)",
        "INSERT INTO requests SELECT TIMESTAMP '2026-07-14' + n * interval '1 minute', '/pages', n FROM "
        "generate_series(1, 600) AS n",
    )
    monkeypatch.setenv("PRODUCT_URL", postgres_url)
    folder = project_of(pages / "timings.md", tmp_path)
    assert len(hourly(folder)) == 11
    with time_machine.travel(NOW, tick=False):
        told = tallyline("show", "api.time.p95", "--by", "day", "--last", "1d", "--json", project=folder)
    assert told.data[0]["value"] == pytest.approx(570, rel=0.004)


def test_the_sources_of_the_page_are_read(
    pages: Path, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        postgres_url,
        "CREATE TABLE orders AS SELECT TIMESTAMP '2026-07-14 10:20' AS created_at, 'FR' AS country, 3.5 AS total",
        "CREATE TABLE web_logins AS SELECT TIMESTAMP '2026-07-14 10:20' AS at",
        "CREATE TABLE app_logins AS SELECT TIMESTAMP '2026-07-14 11:20' AS at",
        "CREATE TABLE users AS SELECT TIMESTAMP '2026-07-14 10:20' AS created_at",
        "CREATE TABLE api_keys AS SELECT TIMESTAMP '2026-07-14 10:20' AS created_at",
    )
    monkeypatch.setenv("SHOP_URL", postgres_url)
    folder = project_of(pages / "sql.md", tmp_path)
    assert hourly(folder) == [
        ("logins.count", "10:00", '{"client": "web"}', 1),
        ("logins.count", "11:00", '{"client": "app"}', 1),
        ("orders.count", "10:00", '{"country": "FR"}', 1),
        ("orders.revenue", "10:00", '{"country": "FR"}', 3.5),
    ]
    days = facts(f"sqlite:///{folder}/warehouse.db", "daily")
    assert {(fact[0], fact[3]) for fact in days if fact[0].endswith(".total") and fact[1] > "2026-07-14"} == {
        ("apikeys.total", 1),
        ("users.total", 1),
    }
