"""A warehouse that the first release made is brought to this one, and keeps every number."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, text

from tallyline.errors import Refused
from tallyline.warehouse import Changes, migrations, open_warehouse
from tallyline.warehouse.connections import Connections
from tallyline.window import Grain, Window
from tests.warehouse.calendars import assert_whole
from tests.warehouse.publishing import PARIS, UTC_ZONE, at, facts, publish, reading, rows_of, window

if TYPE_CHECKING:
    from tests.warehouse.publishing import Fact

FIRST = Path(__file__).parent / "releases" / "0.1.0.db"
MOMENTS = {"bucket", "since", "until", "started_at", "ended_at"}
VIEWS = ("hourly", "daily")


@pytest.fixture
def first_release(warehouse_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a warehouse as version 0.1.0 left it: its own file, and the same rows in its tables of PostgreSQL."""
    if warehouse_url.startswith("sqlite"):
        shutil.copy(FIRST, tmp_path / "warehouse.db")
        return warehouse_url
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "MIGRATIONS", migrations.MIGRATIONS[:1])
        connections = Connections(warehouse_url)
        migrations.migrate(connections, PARIS)
        connections.close()
    copy_rows(warehouse_url)
    return warehouse_url


def copy_rows(url: str) -> None:
    """Fill the tables of the first release with what its file holds."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with closing(sqlite3.connect(FIRST)) as file, engine.begin() as connection:
        file.row_factory = sqlite3.Row
        for table in ("setting", "metric", "series", "hourly_value", "daily_value", "run"):
            rows = [dict(row) for row in file.execute(f"SELECT * FROM {table}")]  # noqa: S608  # its own tables
            names = list(rows[0])
            marks = ", ".join(f"to_timestamp(:{name})" if name in MOMENTS else f":{name}" for name in names)
            connection.execute(text(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})"), rows)  # noqa: S608
        for table in ("metric", "series", "run"):
            connection.execute(text(f"SELECT setval('{table}_id_seq', 10000)"))
    engine.dispose()


def told_by_the_first_release() -> dict[str, list[Fact]]:
    return {grain: facts(f"sqlite:///{FIRST}", grain) for grain in VIEWS}


def test_every_number_is_kept(first_release: str) -> None:
    with open_warehouse(first_release, PARIS, write=True):
        pass
    assert {grain: facts(first_release, grain) for grain in VIEWS} == told_by_the_first_release()
    assert len(told_by_the_first_release()["hourly"]) == 696


def test_the_runs_are_kept_and_one_that_was_open_is_lost_at_the_next(first_release: str) -> None:
    with open_warehouse(first_release, PARIS, write=True) as warehouse:
        assert [run.state for run in warehouse.runs()] == ["running", "failed", "done", "done", "done"]


def test_what_had_been_read_is_covered(first_release: str) -> None:
    with open_warehouse(first_release, PARIS, write=True) as warehouse:
        whole = window("2026-03-26", "2026-04-01", PARIS)
        assert warehouse.covered("shop") == warehouse.covered("days") == [Window(whole.since, whole.until)]
        assert all(value.complete for value in warehouse.query("users.new"))


def test_every_value_is_known_to_be_of_a_run_of_its_source(first_release: str) -> None:
    with open_warehouse(first_release, PARIS, write=True):
        pass
    for table in ("hourly_value", "daily_value"):
        wrote = rows_of(
            first_release,
            f"""SELECT DISTINCT series.source, run.source FROM {table}
                JOIN series ON series.id = {table}.series_id LEFT JOIN run ON run.id = {table}.run_id""",  # noqa: S608
        )
        assert wrote
        assert all(owner == writer for owner, writer in wrote)


def test_it_goes_on_where_the_first_release_stopped(first_release: str) -> None:
    day = window("2026-04-01", "2026-04-02", PARIS)
    rows = [({"time": hour, "country": "FR"}, {"users.new": 1}) for hour in day.buckets(Grain.HOUR, PARIS)]
    with open_warehouse(first_release, PARIS, write=True, clock=lambda: at("2026-04-03")) as warehouse:
        told = reading(rows, day, zone=PARIS, sources=("shop", "days"))
        assert publish(warehouse, told) == Changes(added=24)
        assert publish(warehouse, told) == Changes(unchanged=24)
        [value] = warehouse.query("users.new", since=day.since)
        assert value.value == 24


def test_the_same_window_read_again_changes_nothing(first_release: str) -> None:
    before = told_by_the_first_release()["hourly"]
    whole = window("2026-03-26", "2026-04-01", PARIS)
    rows = [({"time": fact.time, **json.loads(fact.dims)}, {fact.metric: fact.value}) for fact in before]
    with open_warehouse(first_release, PARIS, write=True) as warehouse:
        assert publish(warehouse, reading(rows, whole, zone=PARIS)) == Changes(unchanged=len(before))


def test_the_calendar_holds_all_that_is_kept(first_release: str) -> None:
    with open_warehouse(first_release, PARIS, write=True) as warehouse:
        assert_whole(first_release, PARIS, window("2026-03-26", "2026-04-01", PARIS))
        [(known,)] = rows_of(
            first_release, "SELECT count(*) FROM known WHERE metric = 'users.new' AND grain = 'day' AND complete"
        )
        assert known == 6
        [(_, value)] = rows_of(first_release, warehouse.sql("users.new", by="month", until=at("2026-04-01", PARIS)))
        [month] = warehouse.query("users.new", by="month", until=at("2026-04-01", PARIS))
        assert value == month.value


def test_the_calendar_is_cut_in_the_zone_of_the_warehouse_where_a_project_names_another(first_release: str) -> None:
    with pytest.raises(Refused, match="are cut in Europe/Paris"), open_warehouse(first_release, UTC_ZONE, write=True):
        pass
    with open_warehouse(first_release, PARIS, write=True):
        assert_whole(first_release, PARIS, window("2026-03-26", "2026-04-01", PARIS))


def test_what_was_restated_before_an_upgrade_is_known_after_it(
    warehouse_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def restated() -> list[tuple[object, ...]]:
        return rows_of(warehouse_url, "SELECT grain, value, run, replaced_by FROM restatements ORDER BY 1, 2, 3, 4")

    day = window("2026-07-14", "2026-07-15")
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "MIGRATIONS", migrations.MIGRATIONS[:3])
        with open_warehouse(warehouse_url, UTC_ZONE, write=True) as warehouse:
            for value in (3, 4, 5):
                publish(warehouse, reading([({"time": "2026-07-14 10:00"}, {"users.new": value})], day))
    before = restated()
    assert before == [("day", 3, 1, 2), ("day", 4, 2, 3), ("hour", 3, 1, 2), ("hour", 4, 2, 3)]
    with open_warehouse(warehouse_url, UTC_ZONE, write=True) as warehouse:
        publish(warehouse, reading([({"time": "2026-07-14 10:00"}, {"users.new": 6})], day))
        (history,) = warehouse.history("users.new", at("2026-07-14 10:00"), by="hour")
    assert [version.value for version in history.versions] == [6, 5, 4, 3]
    assert restated() == sorted([*before, ("day", 5, 3, 4), ("hour", 5, 3, 4)])
