"""`tallyline record`: which window it reads, what it keeps and tells, and that no secret is in any of it."""

from __future__ import annotations

import json
import logging
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
import time_machine

from tallyline.testing import replayed
from tests.cli.terminal import Answer, make_project, tallyline
from tests.sources import test_sentry as sentry
from tests.sources import test_stripe as stripe
from tests.sources.conftest import service
from tests.sources.service import Said
from tests.warehouse.publishing import at, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.sources.service import Service

__all__ = ["service"]

PLANTED = "pl4nted-t0ken"
PASSWORD = "pl4nted-p4ssword"  # noqa: S105  # it is looked for in all that is written
PROJECT = """\
[project]
start = 2026-06-01
warehouse = "${WAREHOUSE_URL:-sqlite:///warehouse.db}"

[services]
shop = "sqlite:///shop.db"
crm = { url = "${CRM_URL}", token = "${CRM_TOKEN}" }

[metrics]
orders = {}
contacts = {}
customers = { kind = "level" }

[sources.orders]
kind = "sql"
service = "shop"
query = "SELECT at AS time, buyer AS buyer, 1 AS orders FROM bought WHERE at >= :since AND at < :until"
"""
CODE = """
from tallyline import source


@source
def contacts(crm, window):
    count = crm.get("/contacts", {"since": window.since.isoformat()}, needs="the scope contacts:read").data["count"]
    yield {"time": window.since}, {"contacts": count + OFFSET}


@source(snapshot=True)
def customers(now):
    yield {"time": now}, {"customers": 7}
""".replace("OFFSET", "0")


@pytest.fixture(autouse=True)
def clock() -> Iterator[time_machine.Traveller]:
    """It is half past nine."""
    with time_machine.travel(at("2026-07-14 09:30"), tick=False) as traveller:
        yield traveller


@pytest.fixture
def project(tmp_path: Path, service: Service, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of a shop with two orders, and a service that knows its contacts."""
    monkeypatch.setenv("CRM_URL", service.url)
    monkeypatch.setenv("CRM_TOKEN", PLANTED)
    service.answer("/contacts", Said({"count": 3, "asked_by": f"Bearer {PLANTED}"}, headers={"X-Total": PLANTED}))
    folder = make_project(tmp_path / "project", PROJECT, CODE)
    with closing(sqlite3.connect(folder / "shop.db")) as shop, shop:
        shop.execute("CREATE TABLE bought (at TEXT, buyer TEXT)")
        shop.execute("INSERT INTO bought VALUES ('2026-07-14 08:10', 'one@example.com'), ('2026-07-01', 'two')")
    return folder


def kept(project: Path, source: str) -> dict[str, object]:
    """Return what a recording says."""
    told: dict[str, object] = json.loads((project / f"recordings/{source}.json").read_text("utf-8"))
    return told


def test_it_says_what_it_kept_and_warns_of_what_is_in_it(project: Path) -> None:
    answer = tallyline("record", "orders", project=project)
    assert (answer.status, answer.err) == (0, "")
    assert answer.out.splitlines()[:6] == [
        "orders  2026-07-07 10:00 … 2026-07-14 10:00",
        " - orders in=1 out=1 [done]",
        " - normalize in=1 out=1 [done]",
        " - compare in=1 out=0 [done]",
        "   shop: 3 answers, 2 rows",
        "   1 value",
    ]
    assert f"Kept in {project}/recordings/orders.json, " in answer.out
    assert "Secrets are masked; what the services tell of people stands there as it was told." in answer.out


def test_the_next_window_is_recorded_but_at_most_its_last_week(project: Path) -> None:
    assert tallyline("record", "orders", project=project).status == 0
    assert kept(project, "orders")["since"] == "2026-07-07T10:00:00+00:00"
    assert tallyline("read", "orders", "--write", project=project).status == 0
    assert tallyline("record", "orders", project=project).status == 0
    assert kept(project, "orders")["since"] == "2026-07-12T09:00:00+00:00"


@pytest.mark.parametrize(
    ("ends", "window"),
    [
        (["--since", "2026-07-01"], ("2026-07-01T00:00:00+00:00", "2026-07-14T10:00:00+00:00")),
        (["--until", "2026-07-02T09:30"], ("2026-06-25T10:00:00+00:00", "2026-07-02T10:00:00+00:00")),
        (
            ["--since", "2026-07-01T10:10", "--until", "2026-07-01T11:10"],
            ("2026-07-01T10:00:00+00:00", "2026-07-01T12:00:00+00:00"),
        ),
    ],
)
def test_the_window_may_be_named(project: Path, ends: list[str], window: tuple[str, str]) -> None:
    assert tallyline("record", "orders", *ends, project=project).status == 0
    told = kept(project, "orders")
    assert (told["since"], told["until"], told["now"]) == (*window, "2026-07-14T09:30:00+00:00")


def test_a_window_that_is_named_whole_takes_no_warehouse(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_URL", "postgresql://nobody@127.0.0.1:1/nowhere")
    ends = ["--since", "2026-07-01", "--until", "2026-07-02"]
    assert tallyline("record", "orders", *ends, project=project).status == 0
    assert tallyline("record", "orders", project=project).status == 1


def test_a_snapshot_is_recorded_for_the_running_hour(project: Path) -> None:
    ends = ["--since", "2026-07-01", "--until", "2026-07-02"]
    answer = tallyline("record", "customers", *ends, project=project)
    assert kept(project, "customers")["since"] == "2026-07-14T09:00:00+00:00"
    assert "   it asked no HTTP service or database of the project: a replay runs it as it is\n" in answer.out


def test_nothing_is_written_to_the_warehouse(project: Path) -> None:
    assert tallyline("record", "orders", project=project).status == 0
    assert not (project / "warehouse.db").exists()
    assert tallyline("read", "orders", "--write", project=project).status == 0
    runs = f"sqlite:///{project / 'warehouse.db'}", "SELECT count(*) FROM run"
    assert rows_of(*runs) == [(1,)]
    assert tallyline("record", "orders", project=project).status == 0
    assert rows_of(*runs) == [(1,)]


def test_it_is_told_as_json(project: Path, tmp_path: Path) -> None:
    to = tmp_path / "elsewhere/kept.json"
    answer = tallyline("record", "contacts", "--to", to, "--json", project=project)
    assert (answer.status, answer.err) == (0, "")
    assert answer.data == {
        "source": "contacts",
        "since": "2026-07-07T10:00:00+00:00",
        "until": "2026-07-14T10:00:00+00:00",
        "now": "2026-07-14T09:30:00+00:00",
        "state": "done",
        "error": None,
        "file": str(to),
        "answers": {"crm": 1},
        "values": 1,
    }
    assert json.loads(to.read_text("utf-8"))["source"] == "contacts"


def test_fields_are_left_out_by_their_names(project: Path) -> None:
    assert tallyline("record", "orders", "--drop", "buyer", "--since", "2026-07-01", project=project).status == 0
    text = (project / "recordings/orders.json").read_text("utf-8")
    assert "one@example.com" not in text
    assert '"***1"' in text
    assert '"***2"' in text


def test_no_secret_is_told_or_kept_anywhere(
    project: Path, service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("CRM_URL", service.url.replace("http://", f"http://reader:{PASSWORD}@"))
    service.answer(
        "/contacts",
        Said(f"busy with {PLANTED}", 503),
        Said({"count": 3, "told": [PLANTED, PASSWORD], PLANTED: 1}, headers={"Link": PLANTED, "X-Total": PASSWORD}),
    )
    told = [tallyline("record", "contacts", *more, project=project) for more in ([], ["--json"])]
    assert [answer.status for answer in told] == [0, 0]
    service.answer("/contacts", Said({"error": f"{PLANTED} and {PASSWORD}"}, 403))
    told += [tallyline("record", "contacts", *more, project=project) for more in ([], ["--json"])]
    told += [tallyline("read", "contacts", "--write", project=project), tallyline("status", project=project)]
    files = [file.read_bytes().decode("latin-1") for file in project.rglob("*.*") if file.suffix in {".json", ".db"}]
    assert len(files) == 3
    everything = (
        [answer.out + answer.err for answer in told] + files + [record.getMessage() for record in caplog.records]
    )
    assert not [text for text in everything if PLANTED in text or PASSWORD in text]
    assert any("***" in text for text in files)


def failed(answer: Answer, said: str) -> None:
    """Check that it ended with one message."""
    assert answer.status == 1
    assert said in answer.err
    assert "Kept in" not in answer.out


def test_a_service_that_refuses_leaves_the_recording_before_as_it_was(project: Path, service: Service) -> None:
    assert tallyline("record", "contacts", project=project).status == 0
    before = kept(project, "contacts")
    for answer in (Said({"error": "no"}, 403), Said("down", 503)):
        service.answer("/contacts", answer)
        failed(
            tallyline("record", "contacts", project=project), "error: contacts failed; nothing is kept: contacts failed"
        )
    assert kept(project, "contacts") == before


def test_a_database_that_refuses_leaves_nothing(project: Path) -> None:
    make_project(project, PROJECT.replace("FROM bought", "FROM sold"), CODE)
    failed(tallyline("record", "orders", project=project), "nothing is kept: ")
    assert not (project / "recordings").exists()


@pytest.mark.parametrize("offset", ["'a'", "float('nan')"])
def test_answers_that_a_source_fails_on_are_kept_so_that_it_can_be_mended(project: Path, offset: str) -> None:
    make_project(project, PROJECT, CODE.replace("+ 0", f"+ {offset}"))
    answer = tallyline("record", "contacts", project=project)
    assert answer.status == 1
    assert "error: contacts failed; what it was answered is kept: " in answer.err
    assert "Kept in" in answer.out
    data = tallyline("record", "contacts", "--json", project=project).data
    assert (data["state"], data["answers"]) == ("failed", {"crm": 1})
    assert kept(project, "contacts")["answers"]


def test_an_answer_of_another_shape_is_kept_too(project: Path, service: Service) -> None:
    code = CODE.replace('.data["count"]', "").replace("count + 0", 'part(count.data, "count", int)')
    make_project(project, PROJECT, f"from tallyline.api import part\n{code}")
    service.answer("/contacts", Said({"total": 3}))
    answer = tallyline("record", "contacts", project=project)
    assert answer.status == 1
    assert 'what it was answered is kept: contacts failed: the answer has no "count"' in answer.err


def test_a_variable_that_is_not_set_is_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CRM_TOKEN")
    answer = tallyline("record", "contacts", project=project)
    assert answer.status == 2
    assert 'nothing is kept: the service "crm" needs the environment variable CRM_TOKEN' in answer.err


def test_an_unknown_source_is_refused(project: Path) -> None:
    assert tallyline("record", "ordres", project=project) == Answer(
        2, "", 'error: there is no source "ordres"; did you mean "orders"? There are: contacts, customers, orders\n'
    )


@pytest.mark.parametrize("kind", ["stripe", "sentry"])
def test_a_ready_kind_is_replayed_without_its_service_and_its_key(
    tmp_path: Path, service: Service, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("KEY", PLANTED)
    stripe.answer(service, charges=[stripe.charge(f"ch_{number}", stripe.at("12 10:00")) for number in range(230)])
    sentry.answer(service, {"accepted": {"14 09": 3, "14 11": 5}})
    keys = {"stripe": 'tells = ["payments"]', "sentry": 'organization = "acme"'}[kind]
    text = f"""
[services.theirs]
url = "{service.url}"
token = "${{KEY}}"

[sources.ours]
kind = "{kind}"
service = "theirs"
{keys}
"""
    project = make_project(tmp_path / "theirs", text)
    days = ["--since", "2026-07-10", "--until", "2026-07-15"]
    preview = tallyline("read", "ours", *days, "--json", project=project).data
    assert tallyline("record", "ours", *days, project=project).status == 0
    monkeypatch.delenv("KEY")
    asked = len(service.asked)
    replay = replayed(project, "ours")
    assert replay.changes.added == preview[0]["changes"]["added"] > 0
    assert {"stripe": 230, "sentry": 3}[kind] in {sum(replay.values(point.metric)) for point in replay.points}  # type: ignore[arg-type]
    assert len(service.asked) == asked
