"""`tallyline grafana push` and `publish`: only what differs is written, and nothing that somebody changed by hand."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from tallyline.api import Api, Request
from tallyline.dashboards.grafana import Server
from tallyline.warehouse import open_warehouse
from tallyline.window import Window, utc_now
from tests.cli.terminal import Answer, make_project, tallyline
from tests.dashboards.grafana_server import TOKEN, serving
from tests.warehouse.publishing import UTC_ZONE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.dashboards.grafana_server import Grafana

PROJECT = """\
[project]
title = "Shop"
warehouse = "sqlite:///warehouse.db"

[metrics]
visits = { title = "Visits", unit = "visits" }
users = { title = "Users", unit = "users", kind = "level" }

[dashboards.sales]
title = "Sales"
panels = [{ metric = "visits", split = "country" }, { metric = "users", target = 3 }]

[dashboards.open]
title = "Open"
public = true
panels = [{ metric = "visits" }]
"""
CODE = """
from tallyline import source


@source
def counter(window):
    yield {"time": window.since, "country": "FR"}, {"visits": 1}
"""
SALES, OPEN, PUBLIC = "shop-sales", "shop-open", "public-shop-open"


@pytest.fixture
def grafana(monkeypatch: pytest.MonkeyPatch) -> Iterator[Grafana]:
    """A server that the environment names."""
    with serving() as server:
        monkeypatch.setenv("GRAFANA_URL", server.url)
        monkeypatch.setenv("GRAFANA_TOKEN", TOKEN)
        yield server


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a dashboard, and another one for everybody."""
    return make_project(tmp_path / "shop", PROJECT, CODE)


def changed(project: Path, old: str, new: str) -> None:
    file = project / "tallyline.toml"
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new), "utf-8")


def push(project: Path, *arguments: str) -> Answer:
    return tallyline("grafana", "push", *arguments, project=project)


def publish(project: Path, *arguments: str) -> Answer:
    return tallyline("grafana", "publish", *arguments, project=project)


def test_dashboards_are_pushed_into_a_folder(project: Path, grafana: Grafana) -> None:
    answer = push(project)
    assert answer == Answer(0, "folder Shop: created\nSales: created\nOpen: created\n", "")
    assert grafana.folders == {"folder-shop": "Shop"}
    assert grafana.folder_of == {SALES: "folder-shop", OPEN: "folder-shop"}
    assert grafana.versions[SALES][0].startswith("tallyline grafana push: definition-")


def test_pushed_twice_nothing_is_written_the_second_time(project: Path, grafana: Grafana) -> None:
    push(project)
    grafana.asked.clear()
    assert push(project) == Answer(0, "Sales: as it was\nOpen: as it was\n", "")
    assert grafana.writes == []


def test_only_what_differs_is_written(project: Path, grafana: Grafana) -> None:
    push(project)
    grafana.asked.clear()
    changed(project, "target = 3", "target = 4")
    assert push(project).out == "Sales: updated\nOpen: as it was\n"
    assert grafana.writes == ["POST /api/dashboards/db"]
    assert grafana.dashboards[SALES]["version"] == 2


def test_what_was_changed_by_hand_is_refused_with_what_differs(project: Path, grafana: Grafana) -> None:
    push(project)
    panels = grafana.dashboards[SALES]["panels"]
    hand_made = [{**panels[0], "title": "Mine"}, *panels[2:], {"id": 7, "title": "New"}]
    grafana.edit(SALES, description="mine", panels=hand_made)
    grafana.asked.clear()
    answer = push(project)
    assert answer.status == 1
    assert answer.out == (
        "Sales: refused, it was changed by hand, --overwrite undoes that: description; "
        'the panel "Last full day" has another title; the panel "Visits" is not there; the panel "New" is another\n'
        "Open: as it was\n"
    )
    assert grafana.writes == []


def test_it_is_overwritten_where_that_is_asked_for(project: Path, grafana: Grafana) -> None:
    push(project)
    grafana.edit(SALES, description="mine")
    assert push(project, "--overwrite").out == "Sales: updated\nOpen: as it was\n"
    assert grafana.dashboards[SALES]["description"] == ""
    assert push(project).status == 0


def test_what_somebody_made_under_the_same_name_is_refused(project: Path, grafana: Grafana) -> None:
    grafana.folders["folder-shop"] = "Shop"
    grafana.dashboards[SALES] = {"uid": SALES, "id": 1, "version": 1, "title": "Mine", "tags": []}
    grafana.folder_of[SALES], grafana.versions[SALES] = "", ["by hand"]
    answer = push(project)
    assert answer.status == 1
    assert answer.out.startswith("Sales: refused, it was changed by hand, --overwrite undoes that: annotations; descr")
    assert "more\n" in answer.out


def test_what_grafana_says_in_other_words_is_not_taken_for_a_change(project: Path, grafana: Grafana) -> None:
    grafana.says = lambda dashboard: {**dashboard, "schemaVersion": 42, "preload": False}
    push(project)
    grafana.asked.clear()
    assert push(project) == Answer(0, "Sales: as it was\nOpen: as it was\n", "")
    assert grafana.writes == []
    changed(project, "target = 3", "target = 4")
    assert push(project).out.startswith("Sales: updated\n")
    grafana.edit(SALES, description="mine")
    assert push(project).status == 1


def test_a_dashboard_that_is_saved_by_somebody_meanwhile_is_refused(project: Path, grafana: Grafana) -> None:
    push(project)
    changed(project, "target = 3", "target = 4")
    grafana.meanwhile.append(lambda: grafana.edit(SALES, description="mine"))
    answer = push(project)
    assert answer.status == 1
    assert answer.out.startswith("Sales: refused, The dashboard has been changed by someone else\n")
    assert grafana.dashboards[SALES]["description"] == "mine"


def test_an_attempt_whose_answer_was_lost_is_no_refusal(project: Path, grafana: Grafana) -> None:
    push(project)
    changed(project, "target = 3", "target = 4")
    grafana.lost.append(502)
    assert push(project) == Answer(0, "Sales: updated\nOpen: as it was\n", "")
    assert grafana.dashboards[SALES]["version"] == 2


def test_a_dashboard_that_was_moved_stays_where_it_is(project: Path, grafana: Grafana) -> None:
    push(project)
    grafana.folders["mine"] = "Mine"
    grafana.folder_of[SALES] = "mine"
    changed(project, "target = 3", "target = 4")
    assert push(project).status == 0
    assert grafana.folder_of[SALES] == "mine"


def test_a_provisioned_dashboard_is_left_to_its_file(project: Path, grafana: Grafana) -> None:
    push(project)
    grafana.provisioned.add(SALES)
    assert push(project).status == 0
    changed(project, "target = 3", "target = 4")
    answer = push(project, "--overwrite")
    assert (answer.status, answer.out.splitlines()[0]) == (
        1,
        "Sales: refused, it is provisioned from a file: `tallyline grafana export` changes it",
    )


def test_a_dashboard_that_is_no_longer_defined_is_told_of_and_removed(project: Path, grafana: Grafana) -> None:
    push(project)
    changed(project, "[dashboards.sales]", "[dashboards.orders]")
    assert push(project).out.splitlines()[-1] == "Sales: no longer defined, --prune removes it"
    assert push(project, "--prune").out.splitlines()[-1] == "Sales: removed"
    assert set(grafana.dashboards) == {"shop-orders", OPEN}


def test_one_that_was_changed_by_hand_is_not_removed(project: Path, grafana: Grafana) -> None:
    push(project)
    grafana.edit(SALES, description="mine")
    changed(project, "[dashboards.sales]", "[dashboards.orders]")
    answer = push(project, "--prune")
    assert answer.status == 1
    assert SALES in grafana.dashboards
    assert push(project, "--prune", "--overwrite").status == 0
    assert SALES not in grafana.dashboards


def test_another_name_is_another_set_of_dashboards(project: Path, grafana: Grafana) -> None:
    push(project)
    grafana.folders.clear()
    assert push(project, "--name", "shop-2").status == 0
    assert {SALES, "shop-2-sales"} < set(grafana.dashboards)


def test_a_folder_of_the_same_name_is_not_taken(project: Path, grafana: Grafana) -> None:
    grafana.folders["mine"] = "Shop"
    answer = push(project)
    assert answer.status == 2
    assert answer.err == (
        'error: there is another folder called "Shop" in Grafana: a folder with the same name already exists; '
        "rename it, or give the project another title\n"
    )


@pytest.mark.parametrize(
    ("broken", "status", "message"),
    [
        ({"GRAFANA_TOKEN": "wrong"}, 1, 'answered 401 Unauthorized: {"message": "Invalid API key"}; it needs a s'),
        ({"GRAFANA_TOKEN": ""}, 2, "error: Grafana needs the environment variable GRAFANA_TOKEN, which is not set"),
        ({"GRAFANA_URL": ""}, 2, "nobody says where Grafana is: set GRAFANA_URL, such as https://grafana.internal,"),
        ({"GRAFANA_URL": "grafana:3000"}, 2, "nobody says where Grafana is"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_server_is_said(
    project: Path, grafana: Grafana, monkeypatch: pytest.MonkeyPatch, broken: dict[str, str], status: int, message: str
) -> None:
    for name, value in broken.items():
        monkeypatch.setenv(name, value)
    answer = push(project)
    assert answer.status == status
    assert message in answer.err
    assert TOKEN not in answer.out + answer.err


def test_a_server_that_is_busy_is_asked_again(project: Path, grafana: Grafana, waits: list[float]) -> None:
    grafana.broken += [503, 503]
    assert push(project).status == 0
    assert len(waits) == 2


def test_a_role_that_may_not_write_is_told_what_it_needs(project: Path, grafana: Grafana) -> None:
    grafana.role = "Viewer"
    answer = push(project)
    assert answer.status == 1
    assert "403 Forbidden" in answer.err
    assert "it needs a service account with the role Editor" in answer.err


def test_the_server_may_be_a_service_of_the_project(
    project: Path, grafana: Grafana, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GRAFANA_URL")
    changed(
        project,
        "[metrics]",
        f'[services]\nboard = {{ url = "{grafana.url}", token = "${{BOARD_TOKEN}}" }}\n\n[metrics]',
    )
    monkeypatch.setenv("BOARD_TOKEN", TOKEN)
    assert push(project, "--service", "board").status == 0
    answer = push(project, "--service", "bord")
    assert (answer.status, answer.err) == (
        2,
        'error: there is no service "bord"; did you mean "board"? There are: board\n',
    )


def test_the_data_source_is_made_where_that_is_asked_for(project: Path, grafana: Grafana) -> None:
    assert push(project, "--data-source").out.startswith("data source shop-warehouse: created\n")
    source = grafana.sources["shop-warehouse"]
    assert source["type"] == "frser-sqlite-datasource"
    assert source["jsonData"] == {"path": str(project / "warehouse.db"), "pathOptions": "mode=ro"}
    grafana.asked.clear()
    assert push(project, "--data-source").out.startswith("data source shop-warehouse: as it was\n")
    assert grafana.writes == []


def test_the_data_source_of_postgresql_has_a_password_that_nobody_prints(
    project: Path, grafana: Grafana, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (
        "--data-source",
        "--warehouse",
        "postgresql://db.internal/shop",
        "--role",
        "viewer",
        "--password-from",
        "PW",
    )
    assert push(project, *words).err == "error: the data source needs the environment variable PW, which is not set\n"
    monkeypatch.setenv("PW", "hunter22")
    answer = push(project, *words)
    assert answer.status == 0
    assert "hunter22" not in answer.out
    source = grafana.sources["shop-warehouse"]
    assert (source["url"], source["user"], source["jsonData"]["database"]) == ("db.internal:5432", "viewer", "shop")
    assert (source["jsonData"]["sslmode"], source["secureJsonData"]) == ("require", {"password": "hunter22"})
    assert push(project, *words).out.startswith("data source shop-warehouse: as it was\n")
    monkeypatch.setenv("PW", "another")
    assert push(project, *words, "--overwrite").out.startswith("data source shop-warehouse: updated\n")
    assert grafana.sources["shop-warehouse"]["secureJsonData"] == {"password": "another"}


def test_a_data_source_that_a_file_delivers_is_left_to_it(project: Path, grafana: Grafana) -> None:
    push(project, "--data-source")
    grafana.provisioned.add("shop-warehouse")
    answer = push(project, "--data-source", "--overwrite")
    assert answer.out.startswith("data source shop-warehouse: as it was, it is provisioned from a file\n")


def test_a_data_source_of_the_same_name_is_not_taken(project: Path, grafana: Grafana) -> None:
    grafana.sources["mine"] = {"name": "shop-warehouse", "uid": "mine", "type": "mysql"}
    answer = push(project, "--data-source")
    assert answer.status == 2
    assert 'there is another data source called "shop-warehouse" in Grafana' in answer.err


def test_a_public_dashboard_is_shown_to_anybody_at_an_address_that_stays(project: Path, grafana: Grafana) -> None:
    answer = publish(project)
    shown = grafana.public[PUBLIC]
    address = f"{grafana.url}/public-dashboards/{shown['accessToken']}"
    assert answer == Answer(
        0, f"folder Shop, public: created\nOpen: created\nOpen, in public: created, {address}\n", ""
    )
    assert shown["isEnabled"] is shown["annotationsEnabled"] is True
    grafana.asked.clear()
    assert publish(project) == Answer(0, f"Open: as it was\nOpen, in public: as it was, {address}\n", "")
    assert grafana.writes == []
    assert set(grafana.dashboards) == {PUBLIC}


def test_it_is_taken_back_and_shown_again_at_the_same_address(project: Path, grafana: Grafana) -> None:
    publish(project)
    token = grafana.public[PUBLIC]["accessToken"]
    assert publish(project, "--off") == Answer(0, "Open: taken back\n", "")
    assert grafana.public[PUBLIC]["isEnabled"] is False
    assert publish(project, "--off") == Answer(0, "", "")
    assert publish(project).out.endswith(f"Open, in public: updated, {grafana.url}/public-dashboards/{token}\n")
    assert grafana.public[PUBLIC]["isEnabled"] is True


def test_what_is_public_no_longer_is_taken_back(project: Path, grafana: Grafana) -> None:
    publish(project)
    changed(project, "public = true\n", "")
    answer = publish(project)
    assert answer == Answer(
        0, "No dashboard of the project is public: say so with public = true.\nOpen: taken back\n", ""
    )
    assert grafana.public[PUBLIC]["isEnabled"] is False


def test_an_address_of_a_secret_is_the_same_in_any_grafana(
    project: Path, grafana: Grafana, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADDRESS_KEY", "a long secret")
    publish(project, "--address-from", "ADDRESS_KEY")
    first = grafana.public.pop(PUBLIC)
    publish(project, "--address-from", "ADDRESS_KEY")
    assert grafana.public[PUBLIC]["accessToken"] == first["accessToken"]
    assert len(bytes.fromhex(first["accessToken"])) == 16


def test_a_public_dashboard_that_was_changed_by_hand_is_refused(project: Path, grafana: Grafana) -> None:
    publish(project)
    grafana.edit(PUBLIC, description="mine")
    answer = publish(project)
    assert answer.status == 1
    assert answer.out == "Open: refused, it was changed by hand, --overwrite undoes that: description\n"


def test_runs_that_failed_are_marked_on_it_once_and_without_what_went_wrong(project: Path, grafana: Grafana) -> None:
    assert tallyline("read", "all", "--write", project=project).status == 0
    now = utc_now()
    with open_warehouse(f"sqlite:///{project / 'warehouse.db'}", UTC_ZONE, write=True) as warehouse:
        for source in ("counter", "another"):
            run = warehouse.begin(source, Window(now.replace(hour=0), now.replace(hour=1)))
            warehouse.end(run, state="failed", error="password wrong", report={})
    assert publish(project).out.endswith("Open: 1 runs that failed: created\n")
    [mark] = grafana.marks
    assert (mark["dashboardUID"], mark["text"]) == (PUBLIC, "counter: a run failed")
    assert mark["time"] <= mark["timeEnd"]
    assert "password" not in json.dumps(grafana.marks)
    assert "marked" not in publish(project).out
    assert len(grafana.marks) == 1


REAL = os.environ.get("GRAFANA_URL", "")
REAL_TOKEN = os.environ.get("GRAFANA_TOKEN", "")


@pytest.fixture
def real_name() -> Iterator[str]:
    """A name that nothing has in a real Grafana, and nothing keeps."""
    name = f"test-{uuid4().hex[:8]}"
    yield name
    api = Api(REAL, name="Grafana", token=REAL_TOKEN)
    server = Server(api)
    for uid in (f"{name}-sales", f"{name}-open"):
        server.remove(uid)
    api.ask(Request(f"/api/folders/folder-{name}", verb="DELETE"), "", (404,))
    api.close()


@pytest.mark.skipif(not (REAL and REAL_TOKEN), reason="GRAFANA_URL and GRAFANA_TOKEN name no real Grafana")
def test_a_real_grafana_is_pushed_to_twice_and_written_once(project: Path, real_name: str) -> None:
    changed(project, 'title = "Shop"', f'title = "{real_name}"')
    first, second = push(project), push(project)
    assert first.out == f"folder {real_name}: created\nSales: created\nOpen: created\n"
    assert second == Answer(0, "Sales: as it was\nOpen: as it was\n", "")
    api = Api(REAL, name="Grafana", token=REAL_TOKEN)
    found = Server(api).dashboard(f"{real_name}-sales")
    assert found
    assert found.dashboard["version"] == 1
    changed(project, "target = 3", "target = 4")
    assert push(project).out == "Sales: updated\nOpen: as it was\n"
    api.ask(
        Request(
            "/api/dashboards/db",
            body={
                "dashboard": {**found.dashboard, "description": "mine"},
                "folderUid": found.folder,
                "overwrite": True,
            },
        )
    )
    answer = push(project)
    assert answer.status == 1
    assert answer.out.startswith("Sales: refused, it was changed by hand")
    assert push(project, "--overwrite").status == 0
    api.close()
