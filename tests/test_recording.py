"""Recordings: a source gives the same from one as from its services, and no secret stands in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from sqlalchemy import create_engine

from tallyline.api import Api, Auth, opened
from tallyline.database import database_url
from tallyline.errors import NodeFailed, Refused
from tallyline.project import load_project
from tallyline.recording import NotRecorded, Recording, record, replaying
from tallyline.recording.http import listening
from tallyline.recording.masking import Masking
from tallyline.runner import collect
from tallyline.secret import remember
from tests.cli.terminal import make_project
from tests.sources.conftest import service
from tests.sources.service import Said, serving
from tests.warehouse.publishing import at, window

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

    from tallyline.plan import Point
    from tallyline.project import Project
    from tests.sources.service import Asked, Service

__all__ = ["service"]

DAY = window("2026-07-14", "2026-07-15")
NOW = at("2026-07-14 15:20")
PLANTED = "pl4nted-s3cret"

PROJECT = """\
[services.crm]
url = "${CRM_URL}"
token = "${CRM_TOKEN}"

[services]
shop = "${SHOP_URL}"

[metrics]
contacts = {}
orders = {}
revenue = {}
"visitors" = { kind = "distinct" }

[sources.sales]
kind = "sql"
service = "shop"
query = '''
    SELECT at AS time, country, 1 AS orders, total AS revenue
    FROM orders WHERE at >= :since AND at < :until AND country <> '%'
    ORDER BY at
'''
"""
CODE = """
from sqlalchemy import Column, DateTime, MetaData, Numeric, String, Table, select

from tallyline import source
from tallyline.api import After, Request

orders = Table("orders", MetaData(), Column("at", DateTime), Column("country", String), Column("total", Numeric))


@source(schedule="@daily")
def contacts(crm, window):
    first = Request("/contacts", {"since": window.since.isoformat(), "limit": 2})
    for page in crm.pages(first, After()):
        for contact in page.data["data"]:
            yield {"time": contact["at"], "owner": contact["owner"]}, {"contacts": contact["count"]}


@source(schedule="@daily")
def typed(shop, window):
    with shop.connect() as connection:
        for row in connection.execute(select(orders).order_by(orders.c.at)):
            yield {"time": row.at, "country": row.country}, {"revenue": row.total}


@source(schedule="@daily", grains=["day", "week"])
def people(crm, window, grain):
    count = crm.get("/people", {"since": window.since.isoformat(), "by": str(grain)}).data["count"]
    yield {"time": window.since}, {"visitors": count}
"""


@pytest.fixture
def sales_url(shop_url: str) -> str:
    """The URL of a shop's database, on SQLite, PostgreSQL and MariaDB."""
    execute(
        shop_url,
        "CREATE TABLE orders (at TIMESTAMP, country VARCHAR(50), total NUMERIC(10, 2))",
        "INSERT INTO orders VALUES ('2026-07-14 08:10:00.000000', 'FR', 12.50), "
        "('2026-07-14 09:00:00.000000', NULL, 3), ('2026-07-14 09:30:00.000000', 'DE', 7)",
    )
    return shop_url


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project that reads a shop's database and the service of its customers."""
    monkeypatch.setenv("CRM_TOKEN", PLANTED)
    return load_project(make_project(tmp_path / "project", PROJECT, CODE))


def execute(url: str, *statements: str) -> None:
    """Write to a database, past what is tested."""
    engine = create_engine(database_url(url))
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def recorded(project: Project, source: str, **options: Any) -> Recording:  # noqa: ANN401
    """Record a source of the project for the day, and return what is read from the file."""
    result, recording = record(project, project.source(source), DAY, now=NOW, **options)
    assert result.error is None
    file = project.folder / "recordings" / f"{source}.json"
    recording.write(file)
    return Recording.read(file)


def replay(project: Project, recording: Recording, given: Mapping[str, object] | None = None) -> list[Point]:
    """Read a source from its recording, and return the points that it gives."""
    offline = replaying(project, recording, given or {})
    readings = collect(offline, project.source(recording.source), recording.window, now=recording.now)
    return [point for reading in readings for point in reading.points]


def live(project: Project, source: str) -> list[Point]:
    """Read a source from its services, and return the points that it gives."""
    readings = collect(project, project.source(source), DAY, now=NOW)
    return [point for reading in readings for point in reading.points]


def contact(number: int, **more: object) -> dict[str, object]:
    """Return a contact as the service tells it."""
    return {"id": f"c{number}", "at": "2026-07-14T08:00:00Z", "owner": f"owner {number}", "count": number, **more}


def three_pages(asked: Asked) -> Said:
    """Answer with two contacts a page."""
    after = int(asked.params.get("starting_after", "c0")[1:])
    return Said({"data": [contact(after + 1), contact(after + 2)], "has_more": after < 4})


def test_an_api_answers_from_the_recording_once_it_is_gone(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as crm:
        monkeypatch.setenv("CRM_URL", crm.url)
        crm.answer("/contacts", three_pages)
        before = live(project, "contacts")
        recording = recorded(project, "contacts")
    for variable in ("CRM_URL", "CRM_TOKEN"):
        monkeypatch.delenv(variable)
    assert len(recording.answers) == 3
    assert replay(project, recording) == before
    assert len(before) == 6


@pytest.mark.parametrize("source", ["sales", "typed"])
def test_a_database_answers_from_the_recording_once_it_is_gone(
    project: Project, sales_url: str, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.setenv("SHOP_URL", sales_url)
    before = live(project, source)
    recording = recorded(project, source)
    execute(sales_url, "DROP TABLE orders")
    monkeypatch.delenv("SHOP_URL")
    assert replay(project, recording) == before
    assert len(before) == {"sales": 4, "typed": 3}[source]


def test_a_source_that_counts_at_several_grains_is_recorded_at_each(
    project: Project, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRM_URL", service.url)
    service.answer("/people", lambda asked: Said({"count": {"day": 3, "week": 11}[asked.params["by"]]}))
    recording = recorded(project, "people")
    assert [each["asked"]["params"]["by"] for each in recording.answers] == ["day", "week"]
    assert replay(project, recording) == live(project, "people")


def test_what_was_tried_again_is_kept_once_as_it_went_at_last(
    project: Project, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRM_URL", service.url)
    page = Said({"data": [contact(1)], "has_more": False})
    service.answer("/contacts", Said("busy", 503), Said({"data": []}, half=True), Said(status=429), page)
    recording = recorded(project, "contacts")
    assert [each["status"] for each in recording.answers] == [200]
    assert len(service.asked) == 4


def test_the_same_request_is_answered_in_the_recorded_order_and_the_last_for_good(
    project: Project, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRM_URL", service.url)
    code = """
from tallyline import source


@source(schedule="@daily")
def contacts(crm, window):
    for number in range({}):
        yield {{"time": window.since, "number": number}}, {{"contacts": crm.get("/count").data}}
"""
    service.answer("/count", Said(1), Said(2))
    make_project(project.folder, PROJECT, code.format(2))
    recording = recorded(load_project(project.folder), "contacts")
    make_project(project.folder, PROJECT, code.format(3))
    assert [point.value for point in replay(load_project(project.folder), recording)] == [1, 2, 2]


def test_no_secret_stands_in_a_recording_of_an_api(
    project: Project, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRM_URL", f"{service.url}/api")
    page = {
        "data": [contact(1, note=f"asked with {PLANTED}", api_key="another-one", tokens=7)],
        "has_more": False,
        "session": {"refresh_token": "a-third"},
        "next": f"{service.url}/api/contacts?cursor=7&access_token=a-fourth",
    }
    headers = {"Link": f'<{service.url}/api/contacts?token={PLANTED}>; rel="next"', "Set-Cookie": "session=a-fifth"}
    service.answer("/api/contacts", Said(page, headers=headers))
    recorded(project, "contacts")
    text = (project.folder / "recordings/contacts.json").read_text("utf-8")
    assert not [
        part for part in (PLANTED, "another-one", "a-third", "a-fourth", "a-fifth", "uthorization") if part in text
    ]
    assert '"tokens": 7' in text
    assert "cursor=7" in text


def test_a_password_that_code_sends_is_known_too(
    project: Project, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRM_URL", service.url)
    code = """
import os

from tallyline import service, source
from tallyline.api import Api, Auth, opened


@service
def cloud():
    who = {"user": "reader", "password": "hunter2-of-code", "headers": {"X-Key": "key-of-code"}}
    return opened(Api(os.environ["CRM_URL"], **who))


@source(schedule="@daily")
def contacts(cloud, window):
    yield {"time": window.since}, {"contacts": len(cloud.get("/contacts").data)}
"""
    make_project(project.folder, PROJECT, code)
    service.answer("/contacts", lambda asked: Said([*asked.headers.values(), "reader has hunter2-of-code"]))
    recorded(load_project(project.folder), "contacts")
    text = (project.folder / "recordings/contacts.json").read_text("utf-8")
    assert "reader has ***" in text
    assert not [part for part in ("hunter2", "key-of-code", "cmVhZGVyOmh1bnRlcjItb2YtY29kZQ==") if part in text]


def test_no_secret_stands_in_a_recording_of_a_database(
    project: Project, sales_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_URL", sales_url)
    execute(sales_url, f"UPDATE orders SET country = '{remember(PLANTED)}' WHERE country IS NULL")  # noqa: S608
    columns = f"'hash-{PLANTED}' AS told, 'of-a-person' AS password, total AS revenue"
    make_project(project.folder, PROJECT.replace("total AS revenue", columns))
    recording = recorded(load_project(project.folder), "sales")
    text = (project.folder / "recordings/sales.json").read_text("utf-8")
    assert "of-a-person" not in text.rpartition("rows")[2]
    assert PLANTED not in text
    assert [row[1] for row in recording.answers[-1]["rows"]] == ["FR", "***", "DE"]


def test_a_password_that_code_connects_with_is_known_too(postgres_url: str, tmp_path: Path) -> None:
    code = """
import os

from sqlalchemy import create_engine

from tallyline import service, source


@service
def shop():
    return create_engine(os.environ["SHOP_URL"], connect_args={"application_name": "hunter2-of-code"})


@source(schedule="@daily")
def told(shop, window):
    with shop.connect() as connection:
        for (name,) in connection.exec_driver_sql("SELECT current_setting('application_name')").all():
            yield {"time": window.since, "name": name}, {"orders": 1}
    shop.dispose()
"""
    project = load_project(make_project(tmp_path / "project", "[metrics]\norders = {}\n", code))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHOP_URL", postgres_url.replace("postgres:@", "postgres:hunter2-of-code@"))
        recording = recorded(project, "told")
    assert "hunter2" not in (project.folder / "recordings/told.json").read_text("utf-8")
    assert [point.dims for point in replay(project, recording)] == ['{"name":"***"}']


def test_pages_still_follow_each_other_where_their_keys_look_secret(
    project: Project, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRM_URL", service.url)
    code = """
from dataclasses import replace

from tallyline import source
from tallyline.api import Request


class Next:
    def following(self, asked, answer):
        token = answer.data.get("next_page_token")
        return replace(asked, params={"page_token": token}) if token else None


@source(schedule="@daily")
def contacts(crm, window):
    for page in crm.pages(Request("/contacts"), Next()):
        yield {"time": window.since, "page": page.data["page"]}, {"contacts": 1}
"""
    make_project(project.folder, PROJECT, code)
    following = {"": "first", "first": "second", "second": "third", "third": None}

    def answer(asked: Asked) -> Said:
        token = asked.params.get("page_token", "")
        return Said({"page": list(following).index(token), "next_page_token": following[token]})

    service.answer("/contacts", answer)
    changed = load_project(project.folder)
    recording = recorded(changed, "contacts")
    assert [each["asked"]["params"].get("page_token") for each in recording.answers] == [None, "***1", "***2", "***3"]
    assert replay(changed, recording) == live(changed, "contacts")
    assert len(replay(changed, recording)) == 4


def test_fields_that_are_dropped_are_still_told_apart(
    project: Project, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRM_URL", service.url)
    service.answer("/contacts", three_pages)
    recording = recorded(project, "contacts", drop=["Owner"])
    assert "owner 1" not in json.dumps(recording.answers)
    points = replay(project, recording)
    assert len(points) == 6
    assert recording.dropped == ["Owner"]


def test_columns_that_are_dropped_leave_numbers_at_zero(
    project: Project, sales_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_URL", sales_url)
    recording = recorded(project, "sales", drop=["total", "revenue", "country"])
    values = {(point.metric, point.value) for point in replay(project, recording)}
    assert values == {("orders", 1.0), ("revenue", 0.0)}


def test_pages_that_a_header_links_to_follow_each_other(
    project: Project, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRM_URL", service.url)
    code = CODE.replace("After()", "Link()").replace("import After, Request", "import Link, Request")
    make_project(project.folder, PROJECT, code)

    def answer(asked: Asked) -> Said:
        page = int(asked.params.get("page", 1))
        following = f'<{service.url}/contacts?page={page + 1}&token={PLANTED}>; rel="next"'
        return Said({"data": [contact(page)]}, headers={"Link": following} if page < 3 else {})

    service.answer("/contacts", answer)
    changed = load_project(project.folder)
    recording = recorded(changed, "contacts")
    assert replay(changed, recording) == live(changed, "contacts")
    assert len(replay(changed, recording)) == 3


class SigningIn(Auth):
    """Asks for a token by a form, and once more in plain text."""

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Ask at the service itself."""
        token = request.url.copy_with(path="/token")
        yield httpx2.Request("POST", token, data={"grant_type": "jwt", "assertion": "signed"})
        yield httpx2.Request("POST", token, content="plain text")
        yield request


def test_what_is_sent_is_kept_without_secrets(service: Service) -> None:
    kept: list[Any] = []
    service.answer("/search", Said({"found": 3}))
    service.answer("/token", Said({"access_token": "minted-token"}))
    with opened(Api(service.url)) as api, listening(api, Masking(), lambda *both: kept.append(both)):
        assert api.authorized(SigningIn()).post("/search", {"password": "of-somebody", "limit": 3}).data == {"found": 3}
    (form, minted), (text, _), (asked, said) = kept
    assert form["body"] == {"assertion": "***1", "grant_type": "jwt"}
    assert minted["body"] == {"access_token": "***2"}
    assert text["body"] == "plain text"
    assert asked["body"] == {"limit": 3, "password": "***3"}
    assert said["body"] == {"found": 3}


def test_an_answer_that_is_no_json_is_replayed_as_it_was(
    project: Project, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRM_URL", service.url)
    service.answer("/contacts", Said(b"<html>"))
    result, recording = record(project, project.source("contacts"), DAY, now=NOW)
    with pytest.raises(NodeFailed, match="answered what is not JSON: <html>") as failed:
        replay(project, recording)
    assert str(failed.value) == str(result.error)


def refused(project: Project, recording: Recording, given: Mapping[str, object] | None = None) -> str:
    """Replay a source that asks for what was not recorded, and return what is told."""
    with pytest.raises(NodeFailed) as failed:
        replay(project, recording, given)
    assert isinstance(failed.value.__cause__, NotRecorded)
    return str(failed.value)


def test_a_request_that_was_not_recorded_is_told_with_the_nearest(
    project: Project, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRM_URL", service.url)
    service.answer("/contacts", three_pages)
    recording = recorded(project, "contacts")
    make_project(project.folder, PROJECT, CODE.replace('"limit": 2', '"limit": 3'))
    told = refused(load_project(project.folder), recording)
    assert f'the recording has no answer of "crm" to GET {service.url}/contacts?limit=3&since=' in told
    assert f"the nearest that it has is to GET {service.url}/contacts?limit=2&since=" in told
    assert "(params.limit is 3, recorded is 2); record it again: tallyline record contacts" in told


def test_a_query_that_was_not_recorded_is_told_with_the_nearest(
    project: Project, sales_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_URL", sales_url)
    recording = recorded(project, "sales")
    make_project(project.folder, PROJECT.replace("1 AS orders", "2 AS orders"), CODE)
    told = refused(load_project(project.folder), recording)
    assert 'the recording has no answer of "shop" to SELECT at AS time, country, 2 AS orders' in told
    assert "(query is SELECT at AS time, country, 2 AS orders" in told


def test_another_window_is_told_by_the_parameter_that_differs(
    project: Project, sales_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_URL", sales_url)
    kept = recorded(project, "sales")
    later = Recording(kept.source, window("2026-07-14", "2026-07-16"), kept.now, kept.services, kept.answers)
    assert "2026-07-16" in refused(project, later).partition("parameters.")[2]


def test_a_service_that_was_opened_and_not_asked_is_told(
    project: Project, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRM_URL", service.url)
    code = "from tallyline import source\n\n@source(schedule='@daily')\ndef contacts(crm):\n    return []\n"
    make_project(project.folder, PROJECT, code)
    recording = recorded(load_project(project.folder), "contacts")
    assert recording.services == {"crm": service.url}
    make_project(project.folder, PROJECT, CODE)
    said = f'the recording has nothing of the service "crm", which is asked GET {service.url}/contacts?limit=2'
    assert said in refused(load_project(project.folder), recording)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "sqlite:///shop.db", None])
def test_a_service_that_was_not_recorded_is_told(
    project: Project, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str | None
) -> None:
    (tmp_path / "project/shop.db").touch()
    monkeypatch.setenv("CRM_URL", service.url)
    service.answer("/contacts", Said({"data": [], "has_more": False}))
    recording = recorded(project, "contacts")
    make_project(project.folder, PROJECT, CODE.replace("contacts(crm, window)", "contacts(crm, shop, window)"))
    monkeypatch.delenv("SHOP_URL", raising=False)
    if url:
        monkeypatch.setenv("SHOP_URL", url)
    told = refused(load_project(project.folder), recording)
    assert 'the recording has nothing of the service "shop"; record it again: tallyline record contacts' in told


def test_a_service_that_is_no_api_is_opened_as_always_or_given(project: Project) -> None:
    code = """
from tallyline import service, source


@service
def base():
    return 3


@service
def rate(base):
    return base * 2


@source(schedule="@daily")
def contacts(rate, window):
    yield {"time": window.since}, {"contacts": rate}
"""
    make_project(project.folder, PROJECT, code)
    changed = load_project(project.folder)
    recording = recorded(changed, "contacts")
    assert recording.services == {}
    values = [[point.value for point in replay(changed, recording, given)] for given in ({}, {"base": 5}, {"rate": 1})]
    assert values == [[6], [10], [1]]


def test_values_of_postgresql_come_back_as_they_were(postgres_url: str, tmp_path: Path) -> None:
    code = """
from tallyline import source


@source(schedule="@daily")
def values(shop, window):
    with shop.connect() as connection:
        row = connection.exec_driver_sql(QUERY).one()
    (HERE / "told").write_text(repr(row), "utf-8")
    yield {"time": window.since}, {"orders": 1}
"""
    query = (
        "SELECT 0.10::numeric, TIMESTAMPTZ '2026-07-14 10:00+02', DATE '2026-07-14', TIME '10:00', "
        "INTERVAL '90 minutes', 'a3bb189e-8bf9-3888-9912-ace4e6543002'::uuid, '\\\\x00ff'::bytea, ARRAY[1, 2], "
        """'{"a": [1.5]}'::jsonb, 'NaN'::float8, true, NULL, '[1,5)'::int4range, 'x'::text"""
    )
    head = f"from pathlib import Path\n\nHERE = Path(__file__).parent\nQUERY = {query!r}\n"
    project = load_project(
        make_project(tmp_path / "values", '[metrics]\norders = {}\n[services]\nshop = "${SHOP_URL}"\n', head + code)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHOP_URL", postgres_url)
        recording = recorded(project, "values")
    before = (project.folder / "told").read_text("utf-8")
    replay(project, recording)
    after = (project.folder / "told").read_text("utf-8")
    of_utc = ("zoneinfo.ZoneInfo(key='Etc/UTC')", "datetime.timezone.utc")
    assert after == before.replace("Range(1, 5, '[)')", "'[1, 5)'").replace(*of_utc)


def test_a_file_of_a_recording_is_made_to_be_read(
    project: Project, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRM_URL", service.url)
    service.answer("/contacts", Said({"has_more": False, "data": []}))
    recorded(project, "contacts")
    text = (project.folder / "recordings/contacts.json").read_text("utf-8")
    assert text.replace(service.url, "URL").splitlines() == [
        "{",
        '  "tallyline": "0.1.0",',
        '  "format": 1,',
        '  "source": "contacts",',
        '  "since": "2026-07-14T00:00:00+00:00",',
        '  "until": "2026-07-15T00:00:00+00:00",',
        '  "now": "2026-07-14T15:20:00+00:00",',
        '  "dropped": [],',
        '  "services": {"crm": "URL"},',
        '  "answers": [',
        "    {",
        '      "service": "crm",',
        '      "asked": {',
        '        "method": "GET",',
        '        "url": "URL/contacts",',
        '        "params": {"limit": "2", "since": "2026-07-14T00:00:00+00:00"}',
        "      },",
        '      "status": 200,',
        '      "headers": {"content-type": "application/json"},',
        '      "body": {"data": [], "has_more": false}',
        "    }",
        "  ]",
        "}",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, r"there is no recording .*old.json; make one with `tallyline record SOURCE`"),
        ("{", r"old.json is no recording: JSONDecodeError"),
        ("[]", r"old.json is no recording: TypeError"),
        ("{}", r"old.json is no recording: KeyError: 'format'"),
        ('{"format": 2, "tallyline": "9.0"}', r"old.json was made by a newer release of Tallyline, 9.0"),
    ],
)
def test_what_is_no_recording_is_refused(tmp_path: Path, text: str | None, said: str) -> None:
    file = tmp_path / "old.json"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    with pytest.raises(Refused, match=said):
        Recording.read(file)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    kept = Recording("orders", DAY, datetime(2026, 7, 14, tzinfo=UTC), {"shop": "sqlite://"}, [], ["email"])
    kept.write(tmp_path / "a/b.json")
    assert Recording.read(tmp_path / "a/b.json") == kept
