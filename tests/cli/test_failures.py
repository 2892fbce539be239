"""What goes wrong is told once and clearly, with the right exit status; nothing is written and no secret is told."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest

from tallyline.secret import remember
from tests.cli.terminal import Answer, in_a_process, make_project, tallyline
from tests.warehouse.publishing import facts, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

PLANTED = "pl4nted-p4ssword"
PROJECT = """\
[project]
warehouse = "${WAREHOUSE_URL}"
start = 2024-01-01

[services]
shop = "${SHOP_URL}"

[metrics]
orders = { unit = "orders" }

[sources.orders]
kind = "sql"
service = "shop"
schedule = "@daily"
at_once = "9999d"
query = "SELECT '2024-01-14' AS date, count(*) AS orders FROM bought"
"""


@pytest.fixture
def project(tmp_path: Path, warehouse_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that only lacks its shop."""
    monkeypatch.setenv("WAREHOUSE_URL", warehouse_url)
    return make_project(tmp_path / "project", PROJECT)


@pytest.fixture
def sqlite_shop(tmp_path: Path) -> str:
    """A shop with an order."""
    with closing(sqlite3.connect(tmp_path / "shop.db")) as shop, shop:
        shop.execute("CREATE TABLE bought (what TEXT)")
        shop.execute("INSERT INTO bought VALUES ('a record')")
    return f"sqlite:///{tmp_path / 'shop.db'}"


@pytest.fixture(scope="module")
def guarded(postgres: Engine) -> Iterator[str]:
    """The URL of a user whom PostgreSQL lets in by the planted password only."""
    name = f"reader_{uuid4().hex}"
    url = postgres.url.set(drivername="postgresql", username=name, password=PLANTED)
    with postgres.connect() as server:
        rules = Path(str(server.exec_driver_sql("SHOW hba_file").scalar()))
        before = rules.read_text(encoding="utf-8")
        server.exec_driver_sql(f"CREATE ROLE {name} LOGIN PASSWORD '{PLANTED}'")
        rules.write_text(
            f"local all {name} scram-sha-256\nhost all {name} all scram-sha-256\n{before}", encoding="utf-8"
        )
        server.exec_driver_sql("SELECT pg_reload_conf()")
        wait_until_guarded(with_wrong_password(url.render_as_string(hide_password=False)))
        yield url.render_as_string(hide_password=False)
        rules.write_text(before, encoding="utf-8")
        server.exec_driver_sql("SELECT pg_reload_conf()")
        server.exec_driver_sql(f"DROP ROLE {name}")


def wait_until_guarded(url: str) -> None:
    """Wait until the server has read its rules again."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            return
    pytest.fail("PostgreSQL lets everybody in")


def with_wrong_password(url: str) -> str:
    """Return the URL with a password that holds the planted one."""
    return url.replace(PLANTED, f"{PLANTED}-but-wrong")


def nothing_was_written(warehouse_url: str, error: str) -> None:
    """Check that the only trace is a line of the ledger that says what happened."""
    assert facts(warehouse_url, "hourly") == facts(warehouse_url, "daily") == []
    assert rows_of(warehouse_url, "SELECT name FROM metric") == []
    [(state, ended_at, kept)] = rows_of(warehouse_url, "SELECT state, ended_at, error FROM run")
    assert state == "failed"
    assert ended_at is not None
    assert error in kept
    assert not any(PLANTED in str(row) for row in rows_of(warehouse_url, "SELECT * FROM run"))


def told_once(answer: Answer, status: int, message: str) -> None:
    """Check that a command ended with this status and one message, without a traceback or a secret."""
    assert answer.status == status
    assert answer.err.count(message) == 1
    assert not any(part in answer.out + answer.err for part in ("Traceback", PLANTED, "sqlalche.me", "[SQL"))


def failed_to_read(project: Path, warehouse_url: str, status: int, message: str) -> None:
    """Check all of this for the one source of the project."""
    answer = tallyline("read", "all", "--write", project=project)
    told_once(answer, status, message)
    first, last = answer.err.splitlines()
    assert first.startswith("   failed, nothing was written: ")
    assert last == "error: 1 of 1 sources failed: orders"
    nothing_was_written(warehouse_url, message)


def test_the_project_reads_where_nothing_is_wrong(
    project: Path, warehouse_url: str, sqlite_shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_URL", sqlite_shop)
    answer = tallyline("read", "all", "--write", project=project)
    assert (answer.status, answer.err) == (0, "")
    assert [fact.value for fact in facts(warehouse_url, "daily")] == [1]


def test_a_wrong_password(project: Path, warehouse_url: str, guarded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_URL", with_wrong_password(guarded))
    failed_to_read(project, warehouse_url, 1, "password authentication failed for user")


def test_the_right_password_is_let_in(project: Path, guarded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_URL", guarded)
    answer = tallyline("read", "all", project=project)
    told_once(answer, 1, 'relation "bought" does not exist')


def test_a_wrong_password_of_the_warehouse(
    project: Path, guarded: str, sqlite_shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_URL", sqlite_shop)
    monkeypatch.setenv("WAREHOUSE_URL", with_wrong_password(guarded))
    for command in (["read", "all"], ["read", "all", "--write"], ["show", "orders"]):
        answer = tallyline(*command, project=project)
        told_once(answer, 1, "error: the warehouse refused: connection failed")
        assert answer.err.count("\n") == 1


def test_a_server_that_is_not_there(project: Path, warehouse_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_URL", f"postgresql://reader:{PLANTED}@127.0.0.1:1/shop")
    failed_to_read(project, warehouse_url, 1, 'the database "shop" is not available: connection failed')


def test_a_socket_that_is_not_there(
    project: Path, warehouse_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_URL", f"postgresql://reader:{PLANTED}@/shop?host={tmp_path}")
    failed_to_read(project, warehouse_url, 1, 'the database "shop" is not available: connection is bad')


def test_a_missing_table_on_sqlite(
    project: Path, warehouse_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty.db").touch()
    monkeypatch.setenv("SHOP_URL", f"sqlite:///{tmp_path / 'empty.db'}")
    failed_to_read(project, warehouse_url, 1, 'orders failed: the database "shop" refused: no such table: bought')


def test_a_missing_table_on_postgresql(
    project: Path, warehouse_url: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_URL", postgres_url)
    failed_to_read(
        project, warehouse_url, 1, 'orders failed: the database "shop" refused: relation "bought" does not exist'
    )


def test_a_bad_column(project: Path, warehouse_url: str, sqlite_shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_URL", sqlite_shop)
    make_project(project, PROJECT.replace("count(*)", "sum(prise)"))
    failed_to_read(project, warehouse_url, 1, 'the database "shop" refused: no such column: prise')


def test_a_column_that_is_no_metric(
    project: Path, warehouse_url: str, sqlite_shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_URL", sqlite_shop)
    make_project(project, PROJECT.replace("AS orders FROM", "AS ordres FROM"))
    failed_to_read(project, warehouse_url, 1, 'there is no metric in the plan called "ordres"; did you mean "orders"?')


def test_a_number_that_is_text_is_not_lost_in_silence(
    project: Path, warehouse_url: str, sqlite_shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_URL", sqlite_shop)
    make_project(project, PROJECT.replace("count(*)", "'7.50'"))
    failed_to_read(project, warehouse_url, 1, "orders='7.50' stands among the dims, but orders is a metric")


def test_a_row_outside_of_the_window(
    project: Path, warehouse_url: str, sqlite_shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_URL", sqlite_shop)
    make_project(project, PROJECT.replace("2024-01-14", "2023-01-14"))
    failed_to_read(project, warehouse_url, 1, "date=2023-01-14 is outside of the window")


def test_a_row_without_a_time(
    project: Path, warehouse_url: str, sqlite_shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_URL", sqlite_shop)
    make_project(project, PROJECT.replace("AS date", "AS dat"))
    failed_to_read(project, warehouse_url, 1, "the row has no time")


def test_a_missing_sqlite_file(
    project: Path, warehouse_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_URL", "sqlite:///nowhere.db")
    failed_to_read(project, warehouse_url, 2, f"there is no SQLite file {project / 'nowhere.db'}")
    assert not (project / "nowhere.db").exists()


def test_a_missing_environment_variable(project: Path, warehouse_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOP_URL", raising=False)
    message = 'the service "shop" needs the environment variable SHOP_URL, which is not set'
    failed_to_read(project, warehouse_url, 2, message)


def test_what_is_no_url(project: Path, warehouse_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_URL", f"reader:{PLANTED}@host/shop")
    failed_to_read(project, warehouse_url, 2, "this is not a database's URL")


def test_a_port_that_is_no_number(project: Path, warehouse_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_URL", f"postgresql://reader:{PLANTED}@host:{PLANTED}/shop")
    failed_to_read(project, warehouse_url, 2, "this is not a database's URL")


def test_a_driver_that_does_not_exist(project: Path, warehouse_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_URL", f"postgers://reader:{PLANTED}@host/shop")
    failed_to_read(project, warehouse_url, 2, 'there is no driver for "postgers"')


def test_a_driver_that_is_not_installed(project: Path, warehouse_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_URL", f"oracle+oracledb://reader:{PLANTED}@host/shop")
    failed_to_read(project, warehouse_url, 2, "the driver oracledb for oracle is not installed; pip install oracledb")


def refused(answer: Answer, message: str, warehouse_url: str) -> None:
    """Check that nothing was begun: not even the warehouse was made."""
    told_once(answer, 2, message)
    assert answer.out == ""
    if warehouse_url.startswith("sqlite"):
        assert not Path(warehouse_url.removeprefix("sqlite:///")).exists()
    else:
        tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
        assert rows_of(warehouse_url, tables) == [(0,)]


def test_a_bad_key(project: Path, warehouse_url: str) -> None:
    make_project(project, PROJECT.replace("schedule =", "shedule ="))
    answer = tallyline("read", "all", "--write", project=project)
    message = 'tallyline.toml:14 sources.orders.shedule: there is no key "shedule"; did you mean "schedule"?'
    refused(answer, message, warehouse_url)
    assert answer.err.startswith("error: 1 mistake in the project\n")


def test_every_mistake_at_once(project: Path, warehouse_url: str) -> None:
    make_project(project, PROJECT.replace("schedule =", "shedule =").replace('unit = "orders"', 'kind = "sum"'))
    answer = tallyline("read", "all", "--write", project=project)
    refused(answer, "error: 2 mistakes in the project\n", warehouse_url)
    assert answer.err.count("tallyline.toml:") == 2


def test_what_is_not_toml(project: Path, warehouse_url: str) -> None:
    make_project(project, PROJECT.replace("[services]", "[services"))
    refused(tallyline("read", "all", "--write", project=project), "this is not TOML: ", warehouse_url)


def test_a_password_in_the_file_is_refused_and_not_repeated(project: Path, warehouse_url: str) -> None:
    make_project(project, PROJECT.replace("${SHOP_URL}", f"postgresql://reader:{PLANTED}@host/shop"))
    answer = tallyline("read", "all", "--write", project=project)
    refused(answer, "tallyline.toml:6 services.shop: a password stands in the file", warehouse_url)


def test_code_that_cannot_be_imported(project: Path, warehouse_url: str) -> None:
    make_project(project, PROJECT, "import json\n\njson.nonsense\n")
    answer = tallyline("read", "all", "--write", project=project)
    refused(answer, "sources.py:3: AttributeError: module 'json' has no attribute 'nonsense'", warehouse_url)


@pytest.mark.parametrize("sources", [["ordres"], ["orders", "ordres"], ["all", "ordres"]])
def test_an_unknown_source(project: Path, warehouse_url: str, sources: list[str]) -> None:
    answer = tallyline("read", *sources, "--write", project=project)
    message = 'error: there is no source "ordres"; did you mean "orders"? There are: orders\n'
    refused(answer, message, warehouse_url)
    assert answer.err == message


def test_a_warehouse_whose_variable_is_not_set(
    project: Path, warehouse_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WAREHOUSE_URL")
    message = "error: the warehouse needs the environment variable WAREHOUSE_URL, which is not set\n"
    refused(tallyline("read", "all", "--write", project=project), message, warehouse_url)


@pytest.mark.parametrize("since", ["yesterday", "2024-13-01", "01/02/2024"])
def test_what_is_no_time(project: Path, warehouse_url: str, since: str) -> None:
    answer = tallyline("read", "all", "--write", "--since", since, project=project)
    refused(answer, f'error: "{since}" is not a time; write 2026-01-31', warehouse_url)


def test_a_folder_without_a_project(tmp_path: Path, warehouse_url: str) -> None:
    answer = tallyline("read", "all", "--write", project=tmp_path)
    refused(answer, f"error: there is no project in {tmp_path}: it has no tallyline.toml", warehouse_url)


def test_a_project_without_sources(tmp_path: Path, warehouse_url: str) -> None:
    project = make_project(tmp_path / "bare", "[metrics]\norders = {}\n")
    refused(tallyline("read", "all", "--write", project=project), "the project has no sources yet", warehouse_url)


def test_a_source_that_fails_does_not_keep_the_others_from_being_read(
    project: Path, warehouse_url: str, sqlite_shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_URL", sqlite_shop)
    broken = (
        PROJECT[PROJECT.index("[sources") :].replace("[sources.orders]", "[sources.broken]").replace("bought", "sold")
    )
    yet_to_come = broken.replace("broken", "future").replace("schedule", "start = 9000-01-01\nschedule")
    make_project(project, PROJECT.replace("[sources.orders]", f"{broken}\n{yet_to_come}\n[sources.orders]"))
    answer = tallyline("read", "all", "--write", "--json", project=project)
    assert (answer.status, answer.err) == (1, "error: 2 of 3 sources failed: broken, future\n")
    assert [(result["source"], result["state"], result["error"]) for result in answer.data] == [
        ("broken", "failed", 'broken failed: the database "shop" refused: no such table: sold'),
        ("future", "failed", "future starts on 9000-01-01, which is yet to come"),
        ("orders", "done", None),
    ]
    assert [fact.value for fact in facts(warehouse_url, "daily")] == [1]
    runs = rows_of(warehouse_url, "SELECT source, state FROM run ORDER BY id")
    assert runs == [("broken", "failed"), ("orders", "done")]


@pytest.mark.parametrize(
    ("error", "last_line"),
    [
        (OSError(28, "No space left on device", PLANTED), "error: [Errno 28] No space left on device: '***'"),
        (ZeroDivisionError(PLANTED), "ZeroDivisionError: ***"),
        (KeyboardInterrupt(), "interrupted: nothing of what was under way was written"),
    ],
    ids=["full disk", "fault of ours", "Ctrl-C"],
)
def test_whatever_goes_wrong_ends_with_one_and_shows_no_secret(
    project: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, last_line: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    remember(PLANTED)
    monkeypatch.setattr("tallyline.cli.inspect.load_project", fail)
    answer = tallyline("inspect", project=project)
    assert (answer.status, answer.out) == (1, "")
    assert answer.err.splitlines()[-1] == last_line
    assert PLANTED not in answer.err
    assert ("Traceback" in answer.err) is isinstance(error, ZeroDivisionError)  # a fault of ours says where it is


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(["read", "all", "--write"], 1), (["read", "nothing"], 2), (["inspect"], 0), (["raed"], 2)],
)
def test_a_process_ends_with_the_status(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], status: int
) -> None:
    monkeypatch.setenv("SHOP_URL", f"postgresql://reader:{PLANTED}@127.0.0.1:1/shop")
    answer = in_a_process(*arguments, folder=project)
    assert answer.status == status
    assert PLANTED not in answer.out + answer.err
    assert "Traceback" not in answer.err
