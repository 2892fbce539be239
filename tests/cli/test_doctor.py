"""`tallyline doctor`: what works is told line by line, what does not with what to do; all of it is tried."""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import closing, contextmanager
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
import time_machine
from rich.console import Console
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url

from tallyline import __version__
from tallyline.cli import checks, doctor
from tallyline.cli.trials import Check, State
from tallyline.database import what_it_is
from tallyline.errors import Denied
from tallyline.warehouse import condition_of
from tests.cli.terminal import Answer, make_project, tallyline
from tests.cli.test_failures import guarded, with_wrong_password
from tests.sources.conftest import service
from tests.sources.service import Said
from tests.warehouse.publishing import PARIS, UTC_ZONE, at, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.sources.service import Service

__all__ = ["guarded", "service"]

PLANTED = "sk_test_pl4nted"
PROJECT = """\
[project]
title = "The shop"
warehouse = "${WAREHOUSE_URL}"

[services]
shop = "${SHOP_URL}"

[metrics]
orders = {}
customers = { kind = "level" }

[sources.orders]
kind = "sql"
service = "shop"
query = "SELECT at AS time, 1 AS orders FROM bought WHERE at >= :since AND at < :until"
"""
CODE = """
from tallyline import source


@source(snapshot=True)
def customers(shop, now):
    yield {"time": now}, {"customers": 7}
"""
STRIPE = """\
[services.stripe]
url = "${STRIPE_URL}"
token = "${STRIPE_KEY}"

[sources.charges]
kind = "stripe"
service = "stripe"
tells = ["payments"]
"""
ALONE = """
from tallyline import service, source


@source
def alone(now):
    yield {"time": now}, {"orders": 1}
"""


@pytest.fixture(autouse=True)
def clock() -> Iterator[None]:
    """It is half past nine."""
    with time_machine.travel(at("2026-07-14 09:30"), tick=True):
        yield


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of a shop in which all is well."""
    with closing(sqlite3.connect(tmp_path / "shop.db")) as shop, shop:
        shop.execute("CREATE TABLE bought (at TEXT)")
    monkeypatch.setenv("SHOP_URL", f"sqlite:///{tmp_path / 'shop.db'}")
    monkeypatch.setenv("WAREHOUSE_URL", "sqlite:///warehouse.db")
    return make_project(tmp_path / "project", PROJECT, CODE)


@pytest.fixture
def read_once(project: Path, warehouse_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project with a warehouse that was written to, once on SQLite and once on PostgreSQL."""
    monkeypatch.setenv("WAREHOUSE_URL", warehouse_url)
    assert tallyline("read", "all", "--write", project=project).status == 0
    return project


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project on a SQLite file, whose only source asks for no service."""
    monkeypatch.setenv("WAREHOUSE_URL", "sqlite:///warehouse.db")
    return make_project(
        tmp_path / "alone", '[project]\nwarehouse = "${WAREHOUSE_URL}"\n\n[metrics]\norders = {}\n', ALONE
    )


def examined(project: Path) -> dict[str, dict[str, Any]]:
    """Return what is told of the warehouse, services and sources as JSON, by name; nothing secret is in it."""
    answer = tallyline("doctor", "--json", project=project)
    assert PLANTED not in answer.out + answer.err
    return {
        check["name"]: {"state": check["state"], "works": check["works"], "error": check["error"]}
        for what in ("warehouse", "services", "sources")
        for check in answer.data[what]
    }


def failure(project: Path, name: str, status: int = 1) -> str:
    """Check that only this does not work, and return why."""
    answer = tallyline("doctor", project=project)
    assert answer.status == status, answer.out
    told = examined(project)
    assert [each for each, check in told.items() if check["state"] in {"failed", "wrong"}] == [name]
    assert answer.err == f"error: 1 of {len(told)} checks failed: {name}\n"
    error = str(told[name]["error"])
    assert all(line in answer.out for line in error.splitlines())
    return error


def test_without_a_project_the_versions_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    answer = tallyline("doctor")
    assert (answer.status, answer.err) == (0, "")
    assert answer.out.startswith(f"Tallyline {__version__}  Python 3.")
    assert f"There is no project in {tmp_path}: only what is installed is told.\n" in answer.out
    data = tallyline("doctor", "--json").data
    assert data["versions"]["SQLite"] == sqlite3.sqlite_version
    assert (data["project"], data["problems"]) == (None, [])


def test_a_folder_that_is_named_must_have_a_project(tmp_path: Path) -> None:
    answer = tallyline("doctor", project=tmp_path)
    assert answer.status == 2
    assert f"error: there is no project in {tmp_path}" in answer.err


def test_extras_are_told_with_what_installs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = ["click>=8", "pytest>=1; extra == 'here'", "no-such-library[a]>=2 ; extra == 'gone'"]
    monkeypatch.setattr(checks, "requires", lambda _: needed)
    gone, here = checks.extras()
    assert (gone.name, gone.state, gone.error) == ("gone", "not tried", 'not installed: pip install "tallyline[gone]"')
    assert (here.name, here.state, list(here.works)) == ("here", "works", [f"pytest {pytest.__version__}"])


def test_all_is_well(project: Path) -> None:
    answer = tallyline("doctor", project=project)
    assert (answer.status, answer.err) == (0, "")
    assert answer.out.endswith("\nAll is well.\n")
    told = examined(project)
    assert [(name, check["state"]) for name, check in told.items()] == [
        ("warehouse", "works"),
        ("shop", "works"),
        ("orders", "works"),
        ("customers", "works"),
    ]
    assert told["shop"]["works"] == [f"SQLite {sqlite3.sqlite_version}, shop.db"]
    assert told["customers"]["works"] == ["opens what it asks for: shop"]
    assert len(told["orders"]["works"]) > 1
    assert f"The shop  2 sources, 2 metrics, 1 service; UTC; {project}\n" in answer.out


def test_what_is_piped_has_a_line_for_each_thing(alone: Path) -> None:
    answer = tallyline("doctor", project=alone)
    _, _, told = answer.out.partition("alone  1 source, 1 metric, 0 services; UTC;")
    width = max(len(check.name) for check in [*checks.extras(), Check("warehouse", State.WORKS)])
    yet_to_come = "warehouse.db is yet to be made, by the first `tallyline read --write`"
    assert told.splitlines()[1] == f"  ✓ {'warehouse':{width}}  {yet_to_come}"
    assert told.splitlines()[2].endswith(" free")
    assert told.splitlines()[-4:] == ["Sources", f"  ✓ {'alone':{width}}  asks for no service", "", "All is well."]


def test_a_warehouse_is_looked_at_and_left_as_it_is(read_once: Path, warehouse_url: str) -> None:
    works = examined(read_once)["warehouse"]["works"]
    assert works[1:3] == ["its tables are of this release", "it may be written"]
    assert works[0].startswith("warehouse.db, " if warehouse_url.startswith("sqlite") else "PostgreSQL 18")
    assert rows_of(warehouse_url, "SELECT count(*) FROM run") == [(2,)]


def test_a_warehouse_that_is_not_there_is_not_made(project: Path) -> None:
    assert examined(project)["warehouse"]["state"] == "works"
    assert not (project / "warehouse.db").exists()


def looked_at(url: str, **options: Any) -> list[str]:  # noqa: ANN401
    """Return what is told of a warehouse."""
    return list(condition_of(url, UTC_ZONE, **options))


def test_an_empty_database_gets_its_tables_later(postgres_url: str) -> None:
    assert "it is empty: the first `tallyline read --write` makes its tables" in looked_at(postgres_url)


def test_a_warehouse_of_an_older_release_is_brought_to_this_one_later(read_once: Path, warehouse_url: str) -> None:
    rows_of(warehouse_url, "DELETE FROM migration WHERE number > (SELECT max(number) - 2 FROM migration)")
    assert "its tables are of an older release: the next run brings them to this one (2 to go)" in looked_at(
        warehouse_url
    )


def test_a_warehouse_of_a_newer_release_is_refused(read_once: Path, warehouse_url: str) -> None:
    rows_of(warehouse_url, "INSERT INTO migration VALUES (99, 'from the future')")
    assert failure(read_once, "warehouse", 2).startswith("it was made by a newer release of Tallyline; upgrade: ")


def test_a_warehouse_of_another_time_zone_is_refused(read_once: Path, warehouse_url: str) -> None:
    make_project(read_once, PROJECT.replace("[project]", f'[project]\ntimezone = "{PARIS.key}"'), CODE)
    assert failure(read_once, "warehouse", 2).startswith("its days are cut in UTC, the project says Europe/Paris; ")


def test_a_warehouse_in_memory_is_told_to_keep_nothing() -> None:
    assert looked_at("sqlite://")[0] == "in memory: nothing of it is kept"


def test_a_warehouse_in_a_folder_that_is_not_there_is_refused(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_URL", "sqlite:///data/warehouse.db")
    said = f"there is no folder {alone}/data for the file warehouse.db; make it, or name another file"
    assert failure(alone, "warehouse", 2) == said


def test_a_disk_that_is_nearly_full_is_told(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tallyline.warehouse.condition.LEAST_FREE", 10**18)
    assert "the disk of warehouse.db has only " in failure(alone, "warehouse")


@contextmanager
def without_rights() -> Iterator[None]:
    """Be a user who is not root, where root runs the tests."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def test_a_warehouse_that_may_not_be_written_is_told_with_what_to_do() -> None:
    with TemporaryDirectory(prefix="tallyline-") as name:
        folder = Path(name)
        file = folder / "warehouse.db"
        sqlite3.connect(file).close()
        with closing(sqlite3.connect(file)) as database:
            database.execute("CREATE TABLE migration (number INTEGER, name TEXT)")
        file.chmod(0o444)
        folder.chmod(0o555)
        with without_rights(), pytest.raises(Denied, match=r"let this user write warehouse.db and the folder"):
            looked_at(f"sqlite:///{file}")
        with without_rights(), pytest.raises(Denied, match=r"other.db cannot be made in .*; let this user write"):
            looked_at(f"sqlite:///{folder / 'other.db'}")
        folder.chmod(0o755)


@pytest.fixture
def role(postgres_url: str) -> Iterator[str]:
    """A role of PostgreSQL that may log in and nothing else."""
    name = f"doctor_{make_url(postgres_url).database}"
    rows_of(postgres_url, f"CREATE ROLE {name} LOGIN")
    yield name
    rows_of(postgres_url, f"DROP OWNED BY {name}")
    rows_of(postgres_url, f"DROP ROLE {name}")


def as_role(url: str, role: str) -> str:
    """Return the URL of a database as a role asks it."""
    return make_url(url).set(username=role).render_as_string(hide_password=False)


def test_what_a_role_lacks_of_a_warehouse_is_told_and_granting_it_helps(
    project: Path, postgres_url: str, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAREHOUSE_URL", as_role(postgres_url, role))
    told = failure(project, "warehouse")
    assert told == f"{role} may not make tables; grant it: GRANT USAGE, CREATE ON SCHEMA public TO {role}"
    rows_of(postgres_url, told.partition("grant it: ")[2])
    assert tallyline("doctor", project=project).status == 0
    monkeypatch.setenv("WAREHOUSE_URL", postgres_url)
    assert tallyline("read", "all", "--write", project=project).status == 0
    monkeypatch.setenv("WAREHOUSE_URL", as_role(postgres_url, role))
    told = failure(project, "warehouse")
    assert told.startswith(f"{role} may not read and write alert and ")
    rows_of(postgres_url, told.partition("grant it: ")[2])
    assert tallyline("doctor", project=project).status == 0


def test_a_warehouse_that_is_read_only_is_told(
    project: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows_of(postgres_url, f"ALTER DATABASE {make_url(postgres_url).database} SET default_transaction_read_only = on")
    monkeypatch.setenv("WAREHOUSE_URL", postgres_url)
    assert failure(project, "warehouse").startswith("it is read-only, as a replica is; ")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"postgresql://reader:{PLANTED}@127.0.0.1:1/shop", "connection failed"),
        ("http://127.0.0.1:1", "shop: it cannot be reached"),
    ],
)
def test_a_service_that_is_down_is_told_once_and_its_sources_wait(
    project: Path, monkeypatch: pytest.MonkeyPatch, url: str, said: str
) -> None:
    monkeypatch.setenv("SHOP_URL", url)
    assert said in failure(project, "shop")
    told = examined(project)
    for source in ("orders", "customers"):
        assert told[source] == {"state": "not tried", "works": [], "error": "waits for shop"}


def test_a_wrong_password_is_told(project: Path, guarded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_URL", with_wrong_password(guarded))
    assert "password authentication failed for user" in failure(project, "shop")


def test_the_right_password_is_told_with_who_asks(project: Path, guarded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_URL", guarded)
    [line] = examined(project)["shop"]["works"]
    assert line.startswith("PostgreSQL 18")
    assert line.endswith(f", as {make_url(guarded).username}")


def test_a_mariadb_is_told_by_its_name(project: Path, mysql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_URL", mysql_url)
    [line] = examined(project)["shop"]["works"]
    assert re.fullmatch(r"MariaDB [0-9.]+ at (\S+|a socket), as \S+", line), line


def test_a_permission_that_is_missing_is_told_with_what_to_grant(
    project: Path, postgres_url: str, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows_of(postgres_url, "CREATE TABLE bought (at TIMESTAMP)")
    monkeypatch.setenv("SHOP_URL", as_role(postgres_url, role))
    told = failure(project, "orders")
    assert "permission denied for table bought" in told
    assert f"GRANT SELECT ON bought TO {role}" in told
    rows_of(postgres_url, f"GRANT SELECT ON bought TO {role}")
    assert tallyline("doctor", project=project).status == 0


def test_each_permission_of_an_api_is_told_those_that_are_there_too(
    project: Path, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRIPE_URL", service.url)
    monkeypatch.setenv("STRIPE_KEY", PLANTED)
    for path in ("/v1/charges", "/v1/disputes"):
        service.answer(path, Said({"data": [], "has_more": False}))
    service.answer("/v1/refunds", Said({"error": {"message": f"{PLANTED} may not"}}, 403))
    make_project(project, PROJECT + STRIPE, CODE)
    assert "it needs " in failure(project, "charges")
    assert examined(project)["charges"]["works"]
    assert examined(project)["stripe"]["works"] == [f"answers at {service.url}"]
    service.answer("/v1/refunds", Said({"data": [], "has_more": False}))
    assert tallyline("doctor", project=project).status == 0


def test_an_api_that_answers_with_an_error_of_its_own_is_asked_once(
    project: Path, service: Service, monkeypatch: pytest.MonkeyPatch, waits: list[float]
) -> None:
    monkeypatch.setenv("STRIPE_URL", service.url)
    monkeypatch.setenv("STRIPE_KEY", PLANTED)
    service.answer("/v1/charges", Said(f"moving {PLANTED}", 503))
    make_project(project, PROJECT + STRIPE, CODE)
    assert "answered 503" in failure(project, "charges")
    assert waits == []
    service.answer("", Said("gone", 502))
    service.answer("/", Said("gone", 502))
    assert "answered 502" in failure(project, "stripe")


def test_an_api_whose_address_the_source_knows_is_left_to_it(project: Path) -> None:
    make_project(project, f'{PROJECT}\n[services.crm]\nuser = "reader"\n', CODE)
    assert examined(project)["crm"]["works"] == ["opens; its source knows the address"]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("oracle+oracledb://reader@host/shop", "the driver oracledb for oracle is not installed; pip install oracledb"),
        ("sqlite:///nowhere.db", "there is no SQLite file nowhere.db"),
        ("", 'the service "shop" needs the environment variable SHOP_URL, which is not set'),
    ],
)
def test_what_is_configured_wrongly_is_told_so(
    project: Path, monkeypatch: pytest.MonkeyPatch, url: str, said: str
) -> None:
    monkeypatch.setenv("SHOP_URL", url)
    assert failure(project, "shop", 2).replace(f"{project}/", "") == said


def test_where_one_is_wrong_and_another_down_it_is_as_if_all_were_down(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_URL", "sqlite:///nowhere.db")
    monkeypatch.setenv("WAREHOUSE_URL", "postgresql://tally@127.0.0.1:1/tally")
    answer = tallyline("doctor", project=project)
    assert (answer.status, answer.err) == (1, "error: 2 of 4 checks failed: warehouse, shop\n")


def test_a_project_that_is_wrong_is_told_with_all_its_mistakes(project: Path) -> None:
    make_project(project, PROJECT.replace("query =", "qurey =").replace('kind = "level"', 'kind = "lvl"'))
    answer = tallyline("doctor", project=project)
    assert answer.status == 2
    assert answer.out.startswith("Tallyline ")
    assert answer.err.startswith("error: 3 mistakes in the project\n")
    told = tallyline("doctor", "--json", project=project)
    assert told.status == 2
    assert len(told.data["problems"]) == 3
    assert "services" not in told.data


@pytest.mark.parametrize(
    ("code", "name", "said"),
    [
        ("@source\ndef broken(shopp): ...", "broken", 'broken asks for the service "shopp", which does not exist; '),
        ("@service\ndef cloud(key): ...", "cloud", 'cloud asks for the service "key", which does not exist; '),
    ],
)
def test_a_service_that_does_not_exist_is_told(alone: Path, code: str, name: str, said: str) -> None:
    (alone / "sources.py").write_text(f"from tallyline import service, source\n\n{code}\n", encoding="utf-8")
    assert failure(alone, name, 2).startswith(said)


def test_code_that_fails_is_told(alone: Path) -> None:
    code = """
from tallyline import Graph, service, source


@service
def cloud():
    raise KeyError("CLOUD")


@service
def shelf():
    return ["book"]


@source
def drawn() -> Graph:
    raise ValueError("no luck")


@source
def readers(shelf): ...
"""
    (alone / "sources.py").write_text(code, encoding="utf-8")
    told = examined(alone)
    assert told["cloud"] == {"state": "failed", "works": [], "error": "KeyError: 'CLOUD'"}
    assert told["shelf"] == {"state": "works", "works": ["opens: a list"], "error": ""}
    assert told["drawn"]["error"] == "drawn could not make its graph: ValueError: no luck"
    assert told["readers"]["works"] == ["opens what it asks for: shelf"]


def test_what_does_not_end_is_left_behind(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released = Event()
    services = "".join(f"@service\ndef hang{number}():\n    RELEASED.wait()\n\n" for number in range(9))
    head = "import threading\n\nfrom tallyline import service, source\n\nRELEASED = threading.released\n\n"
    (alone / "sources.py").write_text(f"{head}{services}@source\ndef waiting(hang0): ...\n", encoding="utf-8")
    monkeypatch.setattr("threading.released", released, raising=False)
    answer = tallyline("doctor", "--seconds", "0.2", "--json", project=alone)
    released.set()
    assert answer.status == 1
    assert {check["error"] for check in answer.data["services"]} == {"did not end within 0.2 s"}
    assert answer.data["sources"][0]["error"] == "waits for hang0"


def test_on_a_terminal_lines_are_broken_where_they_do_not_fit(monkeypatch: pytest.MonkeyPatch, alone: Path) -> None:
    written = StringIO()
    monkeypatch.setattr(doctor, "console", lambda: Console(file=written, force_terminal=True, width=60))
    assert tallyline("doctor", project=alone) == Answer(0, "", "")
    assert "trying …" in written.getvalue()
    plain = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).rstrip() for line in written.getvalue().splitlines()]
    begins = next(number for number, line in enumerate(plain) if "  warehouse.db is yet to be made" in line)
    margin = plain[begins].index("warehouse.db")
    assert plain[begins + 1].startswith(" " * margin)
    assert plain[begins + 1].endswith("`tallyline read --write`")
    assert max(len(line) for line in plain if "/" not in line) <= 60


def test_a_database_in_memory_has_no_name() -> None:
    engine = create_engine("sqlite://")
    assert what_it_is(engine) == f"SQLite {sqlite3.sqlite_version}"
    engine.dispose()
