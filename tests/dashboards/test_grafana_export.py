"""`tallyline grafana export`: files that Grafana provisions itself from, the same each time, and nobody else's."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tallyline.dashboards.grafana import address_of, exporting, names_of
from tallyline.dashboards.grafana.yaml import as_yaml, literal
from tallyline.errors import Refused
from tests.cli.terminal import Answer, make_project, tallyline

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = """\
[project]
title = "Shop"
timezone = "Europe/Paris"
warehouse = "${WAREHOUSE_URL:-sqlite:///warehouse.db}"

[metrics]
visits = { title = "Visits", unit = "visits" }

[dashboards.sales]
title = "Sales in $USD"
panels = [
    { metric = "visits", split = "country", where = { plan = "it's" } },
    { metric = "visits", by = "week", target = 70, title = "A week" },
]

[dashboards.open]
title = "Open"
public = true
panels = [{ metric = "visits" }]
"""
CODE = """
from tallyline import source


@source
def hours(window):
    yield {"time": window.since}, {"visits": 1}


@source(schedule="@daily")
def days(window):
    yield {"time": window.since}, {"visits": 1}


@source(schedule="0 7 * * 1-5")
def weekdays(window):
    yield {"time": window.since}, {"visits": 1}
"""
FILES = [
    "dashboards/shop-public/public-shop-open.json",
    "dashboards/shop/shop-open.json",
    "dashboards/shop/shop-sales.json",
    "provisioning/alerting/shop.yaml",
    "provisioning/dashboards/shop.yaml",
    "provisioning/datasources/shop.yaml",
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path / "shop", PROJECT, CODE)


def export(project: Path, *arguments: str) -> Answer:
    return tallyline("grafana", "export", project.parent / "deploy", *arguments, project=project)


def files(project: Path) -> dict[str, bytes]:
    """Return what lies in the folder, but for what Tallyline remembers."""
    folder = project.parent / "deploy"
    there = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {path: content for path, content in there.items() if not path.startswith(".tallyline-grafana-")}


def changed(project: Path, old: str, new: str) -> None:
    file = project / "tallyline.toml"
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new), "utf-8")


def provisioned(project: Path, kind: str) -> Any:  # noqa: ANN401  # YAML
    """Return a file as Grafana reads it: references to the environment are looked up, two dollar signs are one."""
    text = files(project)[f"provisioning/{kind}/shop.yaml"].decode()
    return looked_up(yaml.safe_load(text))


def looked_up(data: Any) -> Any:  # noqa: ANN401  # YAML
    if isinstance(data, dict):
        return {key: looked_up(value) for key, value in data.items()}
    if isinstance(data, list):
        return [looked_up(each) for each in data]
    if isinstance(data, str):
        return re.sub(r"\$(\$|\w+)", lambda found: "$" if found[1] == "$" else f"<{found[1]}>", data)
    return data


def test_all_files_are_there(project: Path) -> None:
    answer = export(project)
    assert (answer.status, answer.err) == (0, "")
    assert sorted(files(project)) == FILES
    assert all(f"{project.parent / 'deploy' / path} is written\n" in answer.out for path in FILES)


def test_exported_twice_it_is_the_same_to_the_byte(project: Path) -> None:
    export(project)
    first = files(project)
    answer = export(project)
    assert answer.out == "6 files are as they were\n"
    assert files(project) == first


def test_a_dashboard_that_is_gone_goes_with_its_file(project: Path) -> None:
    export(project)
    (project.parent / "deploy/dashboards/shop/notes.txt").write_text("mine", "utf-8")
    changed(project, "[dashboards.sales]", "[dashboards.orders]")
    changed(project, "public = true\n", "")
    answer = export(project)
    assert "dashboards/shop/shop-sales.json is removed" in answer.out
    there = set(files(project))
    assert there == {*FILES[1:2], *FILES[3:], "dashboards/shop/shop-orders.json", "dashboards/shop/notes.txt"}
    assert not (project.parent / "deploy/dashboards/shop-public").exists()


@pytest.mark.parametrize("path", [FILES[2], FILES[3]])
def test_a_file_that_was_changed_by_hand_is_not_overwritten_unasked(project: Path, path: str) -> None:
    export(project)
    changed(project, "target = 70", "target = 80")
    mine = project.parent / "deploy" / path
    mine.write_text("mine", "utf-8")
    before = files(project)
    answer = export(project)
    assert answer.status == 2
    assert answer.err == (
        f"error: {path} in {project.parent / 'deploy'} were not written by an export, or changed since; "
        "--overwrite replaces them\n"
    )
    assert files(project) == before
    assert export(project, "--overwrite").status == 0
    assert mine.read_text("utf-8") != "mine"


def test_a_file_of_somebody_else_is_not_overwritten(project: Path) -> None:
    folder = project.parent / "deploy/provisioning/datasources"
    folder.mkdir(parents=True)
    (folder / "shop.yaml").write_text("mine", "utf-8")
    assert export(project).status == 2
    assert files(project) == {FILES[5]: b"mine"}


def test_a_file_that_cannot_be_read_ends_it_and_is_left_as_it_is(project: Path) -> None:
    export(project)
    file = project.parent / "deploy" / FILES[2]
    file.write_bytes(b"\xff")
    answer = export(project, "--overwrite")
    assert answer.status == 1
    assert f"{file} cannot be read: " in answer.err
    assert file.read_bytes() == b"\xff"


def test_two_projects_share_a_folder(project: Path, tmp_path: Path) -> None:
    other = make_project(tmp_path / "other", PROJECT.replace('title = "Shop"', 'title = "Other"'), CODE)
    export(project)
    assert export(other).status == 0
    assert len(files(project)) == 2 * len(FILES)
    assert export(project).out == "6 files are as they were\n"


def test_an_export_that_was_killed_is_gone_on_with(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export(project)
    changed(project, "[dashboards.sales]", "[dashboards.orders]")
    for written in range(1, 8):
        left, write = [written], exporting._write  # noqa: SLF001

        def killed(path: Path, text: str, left: list[int] = left, write: Any = write) -> None:  # noqa: ANN401
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            write(path, text)

        with monkeypatch.context() as patch:
            patch.setattr(exporting, "_write", killed)
            export(project)
        changed(project, "[dashboards.orders]", "[dashboards.sales]")
        assert export(project).status == 0
        assert sorted(files(project)) == FILES
        changed(project, "[dashboards.sales]", "[dashboards.orders]")


@pytest.mark.parametrize("text", ["no JSON", "[]", '{"files": {"../../mine": ["1"]}, "rules": []}', '{"files": {}}'])
def test_what_is_remembered_and_damaged_removes_nothing(project: Path, text: str) -> None:
    export(project)
    exporting.manifest_of(project.parent / "deploy", "shop").write_text(text, "utf-8")
    answer = export(project)
    assert answer.status == 2
    assert "is damaged, so that nobody can tell which files are Tallyline's" in answer.err
    assert sorted(files(project)) == FILES


def test_the_data_source_of_a_file_is_only_read(project: Path) -> None:
    export(project)
    [source] = provisioned(project, "datasources")["datasources"]
    assert source == {
        "orgId": 1,
        "name": "shop-warehouse",
        "uid": "shop-warehouse",
        "access": "proxy",
        "type": "frser-sqlite-datasource",
        "jsonData": {"path": str(project / "warehouse.db"), "pathOptions": "mode=ro"},
        "editable": False,
    }


def test_the_data_source_of_postgresql_has_a_role_and_a_reference_to_its_password(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAREHOUSE_URL", "postgresql://writer:hunter22@db.internal:5433/company?sslmode=verify-full")
    answer = export(project, "--password-from", "VIEWER_PASSWORD", "--role", "viewer")
    assert answer.out.endswith(
        "Grafana needs VIEWER_PASSWORD in its environment: `tallyline grant viewer --password-from VIEWER_PASSWORD`\n"
    )
    [source] = provisioned(project, "datasources")["datasources"]
    assert (source["type"], source["url"], source["user"]) == ("postgres", "db.internal:5433", "viewer")
    assert source["jsonData"] | {"database": "company", "sslmode": "verify-full"} == source["jsonData"]
    assert source["secureJsonData"] == {"password": "<VIEWER_PASSWORD>"}
    assert not [path for path, content in files(project).items() if b"hunter22" in content or b"writer" in content]


def test_grafana_may_find_the_warehouse_elsewhere(project: Path) -> None:
    export(project, "--warehouse", "sqlite:////data/shop.db")
    assert provisioned(project, "datasources")["datasources"][0]["jsonData"]["path"] == "/data/shop.db"


@pytest.mark.parametrize(
    ("url", "where", "ssl"),
    [
        ("postgresql://localhost/shop", "localhost:5432", "disable"),
        ("postgresql+psycopg:///shop?host=/run/postgresql", "/run/postgresql", "disable"),
        ("postgresql://db:6000/shop?sslmode=prefer", "db:6000", "require"),
    ],
)
def test_where_postgresql_is(url: str, where: str, ssl: str) -> None:
    address = address_of(url, "grafana")
    assert (address.where, address.ssl_mode, address.database) == (where, ssl, "shop")


def test_what_grafana_cannot_read_is_refused() -> None:
    for url in ("sqlite://", "mysql://db/shop"):
        with pytest.raises(Refused, match="Grafana cannot read"):
            address_of(url, "grafana")


def test_each_folder_of_dashboards_has_a_provider_and_a_uid(project: Path) -> None:
    export(project, "--dashboards-path", "/srv/boards/")
    providers = provisioned(project, "dashboards")["providers"]
    assert [(each["folder"], each["folderUid"], each["options"]["path"]) for each in providers] == [
        ("Shop", "folder-shop", "/srv/boards/shop"),
        ("Shop, public", "folder-shop-public", "/srv/boards/shop-public"),
    ]
    assert not any(each["allowUiUpdates"] or each["disableDeletion"] for each in providers)
    assert all("foldersFromFilesStructure" not in each["options"] for each in providers)
    uids = [json.loads(content)["uid"] for path, content in files(project).items() if path.endswith(".json")]
    assert len({*uids, *(each["folderUid"] for each in providers)}) == len(uids) + len(providers)


def test_rules_tell_of_late_data_and_of_targets_that_are_missed(project: Path) -> None:
    export(project)
    late, targets = provisioned(project, "alerting")["groups"]
    hours = {
        rule["labels"]["source"]: rule["data"][1]["model"]["conditions"][0]["evaluator"]["params"][0] / 3600
        for rule in late["rules"]
    }
    assert hours == {"hours": 2, "days": 49, "weekdays": 97}  # 97: from Friday to Tuesday, an hour longer in autumn
    [rule] = targets["rules"]
    assert rule["data"][1]["model"]["conditions"][0]["evaluator"] == {"type": "lt", "params": [70.0]}
    [sales] = [json.loads(content) for path, content in files(project).items() if path == FILES[2]]
    assert rule["dashboardUid"] == sales["uid"]
    assert rule["panelId"] in {panel["id"] for panel in sales["panels"] if panel["title"] == "A week"}
    for rule in [*late["rules"], *targets["rules"]]:
        assert re.fullmatch(r"[a-z0-9-]{1,40}", rule["uid"])
        assert rule["condition"] == rule["data"][-1]["refId"]
        assert rule["data"][0]["datasourceUid"] == "shop-warehouse"


def test_a_rule_that_is_gone_is_deleted_for_good(project: Path) -> None:
    export(project)
    changed(project, "target = 70, ", "")
    export(project)
    told = provisioned(project, "alerting")
    [gone] = told["deleteRules"]
    assert re.fullmatch(r"shop-target-\d+", gone["uid"])
    assert len(told["groups"]) == 1
    first = files(project)
    export(project)
    assert files(project) == first
    changed(project, 'by = "week", title', 'by = "week", target = 70, title')
    export(project)
    assert "deleteRules" not in provisioned(project, "alerting")


def test_a_dollar_sign_is_no_reference(project: Path) -> None:
    changed(project, 'title = "A week"', 'title = "A week in $PATH"')
    export(project)
    titles = [rule["title"] for group in provisioned(project, "alerting")["groups"] for rule in group["rules"]]
    assert titles[-1] == "A week in $PATH: below target"


def test_an_address_by_reference_needs_its_variable(project: Path) -> None:
    answer = export(project, "--warehouse", "postgresql://db/${NO_SUCH}")
    assert answer.status == 2
    assert "the warehouse as Grafana sees it needs the environment variable NO_SUCH" in answer.err


def test_a_name_is_checked(project: Path) -> None:
    assert export(project, "--name", "two words").err == (
        'error: "two words" cannot be a name in Grafana; use lower case letters, digits and -\n'
    )


def test_long_names_are_cut_and_told_apart() -> None:
    names = names_of("A title that goes on and on")
    uids = [names.dashboard(f"with-a-long-name-{number}") for number in range(20)]
    assert len(set(uids)) == len(uids)
    assert max(map(len, uids)) == 40
    assert all(one != other for one, other in pairwise(sorted(uids)))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(-1e9, 1e9).map(lambda x: round(x, 3))
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.from_regex(r"[a-z]{2,9}", fullmatch=True), inner),
    max_leaves=20,
)


@given(JSON.filter(lambda data: isinstance(data, dict)))
def test_yaml_says_what_it_was_given(data: dict[str, Any]) -> None:
    text = as_yaml(data, "a comment\nof two lines")
    assert yaml.safe_load(text) == data or not data
    assert text.startswith("# a comment\n# of two lines\n")
    assert looked_up(literal(data)) == data
