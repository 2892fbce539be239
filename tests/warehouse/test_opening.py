"""Opening a warehouse: made by itself, brought to this release, refused where it cannot be the right one."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine, inspect

from tallyline.errors import Refused, RunFailed
from tallyline.warehouse import migrations, open_warehouse, schema
from tallyline.window import Grain
from tests.warehouse.publishing import PARIS, PLAN, UTC_ZONE, facts, publish, reading, rows_of, window

if TYPE_CHECKING:
    from pathlib import Path

    from tallyline.warehouse import Warehouse

COLUMNS = ["metric", "time", "value", "dims", "source", "complete", "sketch"]
DAY = window("2026-07-14", "2026-07-15")
TOLD = reading([({"time": "2026-07-14 10:00", "country": "FR"}, {"users.new": 3})], DAY)


def tables_of(url: str) -> dict[str, list[Any]]:
    """Return the tables of a database, with their columns."""
    engine = create_engine(url)
    inspector = inspect(engine)
    tables = {name: list(inspector.get_columns(name)) for name in inspector.get_table_names()}
    engine.dispose()
    return tables


def test_a_new_warehouse_is_empty(warehouse: Warehouse) -> None:
    assert warehouse.metrics() == {}
    assert warehouse.runs() == []
    assert warehouse.covered("shop") == []


def test_migrations_make_the_tables_that_the_code_speaks_of(warehouse: Warehouse, warehouse_url: str) -> None:
    made = tables_of(warehouse_url)
    assert made.keys() == {*schema.metadata.tables, "migration"}
    for name, table in schema.metadata.tables.items():
        assert [column["name"] for column in made[name]] == list(table.columns.keys())
        nullable = {column["name"] for column in made[name] if column["nullable"] and not column.get("primary_key")}
        assert nullable == {column.name for column in table.columns if column.nullable}


def test_migrations_make_the_keys_that_the_code_speaks_of(warehouse: Warehouse, warehouse_url: str) -> None:
    engine = create_engine(warehouse_url)
    inspector = inspect(engine)
    restated = {table.name for table in schema.RESTATEMENTS.values()} if engine.name == "postgresql" else set()
    for name, table in schema.metadata.tables.items():
        key = inspector.get_pk_constraint(name)["constrained_columns"]
        expected = [column.name for column in table.primary_key]
        assert key == (["replaced_by", "series_id", "bucket"] if name in restated else expected), name
    engine.dispose()


@pytest.mark.parametrize("view", ["hourly", "daily"])
def test_the_views_have_the_columns_that_are_documented(warehouse: Warehouse, warehouse_url: str, view: str) -> None:
    engine = create_engine(warehouse_url)
    assert [column["name"] for column in inspect(engine).get_columns(view)] == COLUMNS
    engine.dispose()


@pytest.mark.parametrize("view", ["hourly", "daily"])
def test_the_views_are_asked_for_a_dim_in_the_same_words(warehouse: Warehouse, warehouse_url: str, view: str) -> None:
    rows = [
        ({"time": "2026-07-14 10:00", "country": country}, {"users.new": value})
        for country, value in {"FR": 3, "DE": 4, "Österreich": 5}.items()
    ]
    publish(warehouse, reading(rows, DAY))
    by_country = f"SELECT dims ->> 'country', sum(value) FROM {view} WHERE metric = 'users.new' GROUP BY 1"  # noqa: S608
    assert dict(rows_of(warehouse_url, by_country)) == {"FR": 3, "DE": 4, "Österreich": 5}
    only_france = f"SELECT value FROM {view} WHERE dims ->> 'country' = 'FR'"  # noqa: S608
    assert rows_of(warehouse_url, only_france) == [(3,)]


def test_opening_again_finds_what_was_written(warehouse_url: str) -> None:
    for changes in (1, 0):
        with open_warehouse(warehouse_url, UTC_ZONE, write=True) as warehouse:
            assert publish(warehouse, TOLD).total == changes


def test_to_read_only_a_missing_warehouse_is_an_empty_one_and_is_not_made(warehouse_url: str, tmp_path: Path) -> None:
    with open_warehouse(warehouse_url, UTC_ZONE) as warehouse:
        assert warehouse.metrics() == {}
        assert warehouse.preview(TOLD, PLAN).changes.added == 1
    assert list(tmp_path.iterdir()) == []
    if not warehouse_url.startswith("sqlite"):
        assert tables_of(warehouse_url) == {}


def test_one_written_before_is_read_where_nothing_is_to_be_written(warehouse_url: str) -> None:
    with open_warehouse(warehouse_url, UTC_ZONE, write=True) as warehouse:
        publish(warehouse, TOLD)
    with open_warehouse(warehouse_url, UTC_ZONE) as warehouse:
        assert [value.value for value in warehouse.query("users.new")] == [3]


def test_a_newer_warehouse_is_refused(warehouse_url: str) -> None:
    with open_warehouse(warehouse_url, UTC_ZONE, write=True):
        pass
    rows_of(warehouse_url, "INSERT INTO migration (number, name) VALUES (99, 'of tomorrow')")
    for write in (False, True):
        newer = r"made by a newer release of Tallyline \(step 99, this one knows \d\); upgrade: pip install --upgrade"
        with pytest.raises(Refused, match=newer), open_warehouse(warehouse_url, UTC_ZONE, write=write):
            pass


def test_a_step_that_fails_leaves_no_trace_and_one_that_does_not_keeps_what_was_there(
    warehouse_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_warehouse(warehouse_url, UTC_ZONE, write=True) as warehouse:
        publish(warehouse, TOLD)
    steps = migrations.MIGRATIONS
    half = migrations.Migration("half a step", ("CREATE TABLE half (n INTEGER)", "CREATE NONSENSE"))
    monkeypatch.setattr(migrations, "MIGRATIONS", (*steps, half))
    with pytest.raises(RunFailed, match="the warehouse refused: "), open_warehouse(warehouse_url, UTC_ZONE, write=True):
        pass
    assert "half" not in tables_of(warehouse_url)
    whole = migrations.Migration("a whole step", ("CREATE TABLE whole (n INTEGER)",))
    monkeypatch.setattr(migrations, "MIGRATIONS", (*steps, whole))
    with open_warehouse(warehouse_url, UTC_ZONE, write=True) as warehouse:
        assert [value.value for value in warehouse.query("users.new")] == [3]
    assert "whole" in tables_of(warehouse_url)
    assert rows_of(warehouse_url, "SELECT max(number) FROM migration") == [(len(steps) + 1,)]


def test_another_time_zone_is_refused(warehouse_url: str) -> None:
    with open_warehouse(warehouse_url, UTC_ZONE, write=True) as warehouse:
        publish(warehouse, TOLD)
    cut = r"the days of this warehouse are cut in UTC, the project says Europe/Paris; use a new warehouse"
    for write in (False, True):
        with pytest.raises(Refused, match=cut), open_warehouse(warehouse_url, PARIS, write=write):
            pass


def test_many_may_open_a_new_warehouse_at_once(warehouse_url: str) -> None:
    together = threading.Barrier(8, timeout=60)

    def begin(number: int) -> int:
        together.wait()
        with open_warehouse(warehouse_url, UTC_ZONE, write=True) as warehouse:
            return warehouse.begin(f"source{number}", DAY)

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(begin, range(8))) == list(range(1, 9))
    assert rows_of(warehouse_url, "SELECT count(*) FROM migration") == [(len(migrations.MIGRATIONS),)]


def test_many_may_publish_at_once_and_none_gets_in_the_way_of_another(warehouse_url: str) -> None:
    together = threading.Barrier(4, timeout=60)

    def publish_own(number: int) -> int:
        rows = [
            ({"time": hour, "by": f"{number}"}, {"users.new": number, "users.total": number})
            for hour in DAY.buckets(Grain.HOUR, UTC_ZONE)
        ]
        told = reading(rows, DAY, source=f"source{number}", sources=[f"source{each}" for each in range(4)])
        with open_warehouse(warehouse_url, UTC_ZONE, write=True) as warehouse:
            together.wait()
            return publish(warehouse, told).added

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(publish_own, range(4))) == [48] * 4
    with open_warehouse(warehouse_url, UTC_ZONE) as warehouse:
        assert [value.value for value in warehouse.query("users.new")] == [24 * (0 + 1 + 2 + 3)]
        assert [value.value for value in warehouse.query("users.total")] == [0 + 1 + 2 + 3]
        assert {run.state for run in warehouse.runs()} == {"done"}


def test_what_is_read_is_not_held_up_by_what_is_being_written(warehouse_url: str) -> None:
    with open_warehouse(warehouse_url, UTC_ZONE, write=True) as warehouse:
        publish(warehouse, TOLD)
        writer = create_engine(warehouse_url)
        with writer.begin() as connection:
            connection.exec_driver_sql("UPDATE daily_value SET value = 99")
            assert [value.value for value in warehouse.query("users.new")] == [3]
        writer.dispose()
        assert [value.value for value in warehouse.query("users.new")] == [99]


def test_a_warehouse_in_memory_lives_as_long_as_it_is_open() -> None:
    with open_warehouse("sqlite://", UTC_ZONE, write=True) as warehouse:
        publish(warehouse, TOLD)
        assert [value.value for value in warehouse.query("users.new")] == [3]
    with open_warehouse("sqlite://", UTC_ZONE, write=True) as warehouse:
        assert warehouse.metrics() == {}


def test_a_relative_file_lies_in_the_folder(tmp_path: Path) -> None:
    with open_warehouse("sqlite:///numbers.db", UTC_ZONE, folder=tmp_path, write=True) as warehouse:
        publish(warehouse, TOLD)
    assert len(facts(f"sqlite:///{tmp_path / 'numbers.db'}", "hourly")) == 1


def test_other_databases_are_refused() -> None:
    kept = r"a warehouse cannot be kept in mysql; there are: postgresql, sqlite"
    with pytest.raises(Refused, match=kept), open_warehouse("mysql://localhost/numbers", UTC_ZONE):
        pass


def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    file = tmp_path / "warehouse.db"
    file.write_text("this is a letter, and was never meant to be a database\n" * 100, encoding="utf-8")
    said = "the warehouse refused: file is not a database"
    with pytest.raises(RunFailed, match=said), open_warehouse(f"sqlite:///{file}", UTC_ZONE, write=True):
        pass


def test_a_folder_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    file = tmp_path / "nowhere" / "warehouse.db"
    said = "the warehouse refused: unable to open database file"
    with pytest.raises(RunFailed, match=said), open_warehouse(f"sqlite:///{file}", UTC_ZONE, write=True):
        pass
