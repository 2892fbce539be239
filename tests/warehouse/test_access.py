"""A role for dashboards reads the public views of a PostgreSQL warehouse, and can do nothing else."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import ProgrammingError

from tallyline.errors import Refused
from tallyline.warehouse import open_warehouse
from tallyline.warehouse.views import NAMES
from tests.cli.terminal import make_project, tallyline
from tests.warehouse.publishing import UTC_ZONE, publish, reading, rows_of, window

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY = window("2026-07-14", "2026-07-15")
TOLD = reading([({"time": "2026-07-14 10:00", "country": "FR"}, {"users.new": 3})], DAY)


@pytest.fixture
def filled(postgres_url: str) -> Iterator[str]:
    """The URL of a warehouse with a value; the roles that the test makes are dropped in the end."""
    with open_warehouse(postgres_url, UTC_ZONE, write=True) as warehouse:
        publish(warehouse, TOLD)
    yield postgres_url
    rows_of(postgres_url, "DROP OWNED BY viewer; DROP ROLE viewer")


def as_viewer(url: str) -> str:
    """Return the URL for the role; the server of the tests trusts local connections."""
    return make_url(url).set(username="viewer").render_as_string(hide_password=False)


@pytest.mark.parametrize("view", NAMES)
def test_it_reads_every_view(filled: str, view: str) -> None:
    grant(filled)
    assert rows_of(as_viewer(filled), f"SELECT count(*) FROM {view}")[0][0] >= 0  # noqa: S608
    assert rows_of(as_viewer(filled), "SELECT value FROM daily") == [(3,)]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM hourly_value",
        "SELECT * FROM setting",
        "INSERT INTO setting VALUES ('a', 'b')",
        "DELETE FROM coverage",
        "UPDATE runs SET state = 'done'",
        "CREATE TABLE mine (n INTEGER)",
        "CREATE ROLE other",
    ],
)
def test_it_can_do_nothing_else(filled: str, statement: str) -> None:
    grant(filled)
    engine = create_engine(as_viewer(filled))
    with engine.connect() as connection:
        connection.exec_driver_sql("SET TRANSACTION READ WRITE")
        with pytest.raises(ProgrammingError, match="permission denied"):
            connection.exec_driver_sql(statement)
    engine.dispose()


def grant(url: str, password: str = "a p'ss%wörd") -> None:  # noqa: S107  # made up
    with open_warehouse(url, UTC_ZONE, write=True) as warehouse:
        warehouse.grant_reading("viewer", password)


def test_its_password_is_kept_as_a_hash_and_may_be_changed(filled: str) -> None:
    hashes = set()
    for password in ("first", "second"):
        grant(filled, password)
        [(kept,)] = rows_of(filled, "SELECT rolpassword FROM pg_authid WHERE rolname = 'viewer'")
        hashes.add(kept)
    assert len(hashes) == 2
    assert all(kept.startswith("SCRAM-SHA-256$") for kept in hashes)


def test_a_command_makes_it_and_tells_no_password(filled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_URL", filled)
    monkeypatch.setenv("VIEWER_PASSWORD", "planted-secret")
    folder = make_project(tmp_path / "project", '[project]\nwarehouse = "${WAREHOUSE_URL}"\n')
    answer = tallyline("grant", "viewer", "--password-from", "VIEWER_PASSWORD", project=folder)
    assert (answer.status, answer.out) == (0, "viewer may read the warehouse's views, and nothing else\n")
    assert "planted-secret" not in answer.out + answer.err
    assert rows_of(as_viewer(os.environ["WAREHOUSE_URL"]), "SELECT value FROM hourly") == [(3,)]


def test_a_password_that_is_not_set_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VIEWER_PASSWORD", raising=False)
    folder = make_project(tmp_path / "project", "")
    answer = tallyline("grant", "viewer", "--password-from", "VIEWER_PASSWORD", project=folder)
    assert answer.status == 2
    assert "the environment variable VIEWER_PASSWORD is not set; put the role's password there" in answer.err


@pytest.mark.parametrize("role", ["Viewer", "drop table", "x; --", "", "ä"])
def test_names_that_would_have_to_be_quoted_are_refused(postgres_url: str, role: str) -> None:
    with (
        open_warehouse(postgres_url, UTC_ZONE, write=True) as warehouse,
        pytest.raises(Refused, match="cannot be a role's name; use lower case letters, digits and _"),
    ):
        warehouse.grant_reading(role, "secret")


def test_sqlite_has_no_roles() -> None:
    with (
        open_warehouse("sqlite://", UTC_ZONE, write=True) as warehouse,
        pytest.raises(Refused, match="SQLite has no roles; let the dashboard open the file read-only"),
    ):
        warehouse.grant_reading("viewer", "secret")
