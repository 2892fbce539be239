"""Reading a project: what a good one says, and everything that is wrong with a bad one at once."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest

from tallyline.dashboards import Dashboard, Panel
from tallyline.errors import ProjectError, Refused, UnknownName
from tallyline.graph import run
from tallyline.plan import Combine, Kind, Metric
from tallyline.project import load_project
from tallyline.sources import Options
from tallyline.window import Grain
from tests.project.conftest import mistakes

if TYPE_CHECKING:
    from pathlib import Path

    from tests.project.conftest import Write

GOOD = """\
[project]
title = "The shop"
timezone = "Europe/Paris"
start = 2026-01-01
warehouse = "postgresql://tally:${PASSWORD}@db/tally"

[services]
shop = "sqlite:///shop.db"

[metrics]
"orders.count" = { title = "Orders", unit = "orders" }
"orders.open" = { kind = "level" }

[sources.orders]
kind = "sql"
service = "shop"
schedule = "@daily"
start = 2026-05-01
lookback = "36h"
timezone = "UTC"
combine = "sum"
query = "SELECT 1"

[sources.visits]
kind = "sql"
service = "shop"
grain = "day"
snapshot = true
query = "SELECT 2"

[dashboards.sales]
title = "Sales"
panels = [
    { metric = "orders.count", title = "Orders a week", by = "week", split = "country" },
    { metric = "orders.open" },
]

[[dashboards.quality.panels]]
metric = "orders.open"
by = "hour"
"""


def test_a_good_project_is_plain_objects(write: Write) -> None:
    folder = write(GOOD)
    project = load_project(folder)
    assert (project.folder, project.title, project.zone.key) == (folder, "The shop", "Europe/Paris")
    assert project.warehouse == "postgresql://tally:${PASSWORD}@db/tally"
    assert project.plan == {
        "orders.count": Metric("orders.count", "Orders", "orders", Kind.COUNT),
        "orders.open": Metric("orders.open", kind=Kind.LEVEL),
    }
    assert {name: source.options for name, source in project.sources.items()} == {
        "orders": Options(
            schedule="@daily",
            start=date(2026, 5, 1),
            lookback=timedelta(hours=36),
            timezone="UTC",
            combine=Combine.SUM,
        ),
        "visits": Options(grain=Grain.DAY, start=date(2026, 1, 1), snapshot=True),
    }
    assert project.dashboards == (
        Dashboard(
            "sales",
            "Sales",
            (Panel("orders.count", "Orders a week", Grain.WEEK, "country"), Panel("orders.open")),
        ),
        Dashboard("quality", "Quality", (Panel("orders.open", by=Grain.HOUR),)),
    )
    assert list(project.services) == ["shop"]


def test_an_empty_file_is_a_project(write: Write) -> None:
    project = load_project(write(""))
    assert (project.title, project.zone.key, project.warehouse) == ("shop", "UTC", "sqlite:///warehouse.db")
    assert (project.plan, project.sources, project.services) == ({}, {}, {})


def test_without_dashboards_there_is_one_with_a_panel_for_each_metric(write: Write) -> None:
    project = load_project(write('[metrics]\n"users.new" = {}\n"users.total" = {}\n'))
    assert project.dashboards == (Dashboard("overview", "shop", (Panel("users.new"), Panel("users.total"))),)


def test_a_source_is_found_by_its_name(write: Write) -> None:
    project = load_project(write(GOOD))
    assert project.source("orders") is project.sources["orders"]
    with pytest.raises(UnknownName, match=r'^there is no source "odrers"; did you mean "orders"\?'):
        project.source("odrers")


def test_the_source_of_a_kind_makes_a_graph_of_its_name(write: Write) -> None:
    source = load_project(write(GOOD)).source("orders")
    assert source.graph().names == ("orders",)
    assert source.graph() is not source.graph()


def test_references_are_looked_up_only_when_they_are_needed(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PASSWORD", raising=False)
    project = load_project(write(GOOD))
    with pytest.raises(Refused, match=r"^the warehouse needs the environment variable PASSWORD, which is not set$"):
        _ = project.warehouse_url
    monkeypatch.setenv("PASSWORD", "hunter2")
    assert project.warehouse_url == "postgresql://tally:hunter2@db/tally"


def test_a_service_is_told_by_name_where_its_variable_is_missing(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_URL", raising=False)
    folder = write(
        '[services]\nshop = "${NO_SUCH_URL}"\n',
        {"sources.py": "from tallyline import source\n\n@source\ndef orders(shop):\n    return [shop]\n"},
    )
    project = load_project(folder)
    with pytest.raises(Refused, match=r'^the service "shop" needs the environment variable NO_SUCH_URL, which is not'):
        run(project.source("orders").graph(), project.services)


def test_a_folder_without_the_file_is_no_project(tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        load_project(tmp_path)
    assert str(refused.value) == (
        f"there is no project in {tmp_path}: it has no tallyline.toml; "
        "make one with `tallyline init NAME`, or say where it is with --project FOLDER"
    )


@pytest.mark.parametrize(
    ("text", "place"),
    [("[project\n", "line 1"), ('[project]\ntitle = "a"\ntitle = "b"\n', "line 3"), ("title = Shop", "line 1")],
)
def test_a_file_that_is_not_toml_is_refused_with_the_place(write: Write, text: str, place: str) -> None:
    (mistake,) = mistakes(write(text))
    assert mistake.startswith("tallyline.toml: this is not TOML: ")
    assert place in mistake


def test_a_file_that_is_no_text_is_refused(write: Write) -> None:
    folder = write()
    (folder / "tallyline.toml").write_bytes(b'title = "\xff"')
    (mistake,) = mistakes(folder)
    assert mistake.startswith("tallyline.toml: this is not TOML: 'utf-8' codec can't decode byte 0xff")


BAD = """\
[project]
titel = "The shop"
timezone = "Europe/Pariss"
start = "some day"
warehouse = 5

[service]

[services]
shop = 7
window = "sqlite:///window.db"

[metrics]
"Orders" = {}
"orders.count" = { kind = "counts", unit = 3 }
orders.open.titel = "Open orders"

[sources.orders]
kind = "sqll"

[sources.visits]
service = "shop"

[sources.all]
kind = "sql"
service = "shpo"
shedule = "@daily"
schedule = "daily"
lookback = "two days"
timezone = "Mars/Olympus"
grain = "week"
combine = "add"
snapshot = "perhaps"

[dashboards.Sales]
panels = [
    { metric = "orders.coutn" },
    { metric = "orders.count", by = "fortnight" },
    "orders.count",
    { metirc = "orders.count" },
]
"""


KIND_NAMES = "dlt, google-analytics, prometheus, sentry, singer, sql, stripe"
NO_SUCH_KEY = "there is no key"
TOLD = f"""\
tallyline.toml:7 service: {NO_SUCH_KEY} "service"; did you mean "services"? There are: dashboards, metrics, project, \
retention, services, sources
tallyline.toml:2 project.titel: {NO_SUCH_KEY} "titel"; did you mean "title"? There are: start, timezone, title, \
warehouse
tallyline.toml:3 project.timezone: there is no time zone "Europe/Pariss"; did you mean "Europe/Paris"? Time zones are \
IANA names such as Europe/Paris or UTC
tallyline.toml:5 project.warehouse: 5 is a number; this is to be a string
tallyline.toml:4 project.start: 'some day' is text; this is to be a date or datetime
tallyline.toml:14 metrics.Orders: "Orders" is not a metric's name; use lower case words joined by dots, such as \
users.new
tallyline.toml:15 metrics."orders.count".unit: 3 is a number; this is to be a string
tallyline.toml:15 metrics."orders.count".kind: "counts" is not possible here; did you mean "count"? There are: count, \
distinct, duration, formula, level, maximum, mean, minimum
tallyline.toml:16 metrics.orders.open: a name that has dots stands in quotes: "orders.open"
tallyline.toml:10 services.shop: a service is a URL, such as "${{SHOP_URL}}" or "sqlite:///shop.db", or a table
tallyline.toml:11 services.window: every source is given "window" already; choose another name
tallyline.toml:19 sources.orders.kind: there is no kind of source "sqll"; did you mean "sql"? There are: {KIND_NAMES}
tallyline.toml:21 sources.visits.kind: this key is missing; there are: {KIND_NAMES}
tallyline.toml:24 sources.all: "all" cannot be a source's name; use lower case letters, digits, _ and -, and not "all"
tallyline.toml:27 sources.all.shedule: {NO_SUCH_KEY} "shedule"; did you mean "schedule"? There are: at_once, \
combine, counts, grain, grains, kind, longest_run, lookback, most_new_series, parallel, queries, query, schedule, \
service, snapshot, start, time_limit, timezone
tallyline.toml:26 sources.all.service: there is no service "shpo"; did you mean "shop"? There are: shop, window
tallyline.toml:29 sources.all.lookback: "two days" is not a length of time; write a number and min, h, d or w, \
such as 2d
tallyline.toml:30 sources.all.timezone: there is no time zone "Mars/Olympus"; time zones are IANA names such as \
Europe/Paris or UTC
tallyline.toml:28 sources.all.schedule: "daily" is no schedule; there are @hourly, @daily, @weekly, @monthly and cron \
lines such as "15 6 * * *"
tallyline.toml:31 sources.all.grain: a source cannot have the grain "week"; there are: day, hour
tallyline.toml:32 sources.all.combine: "add" is not possible here; there are: last, maximum, minimum, refuse, sum
tallyline.toml:33 sources.all.snapshot: 'perhaps' is text; this is to be a boolean
tallyline.toml:24 sources.all: it asks for nothing; give it a query, several queries by name, or tables whose rows are \
counted
tallyline.toml:35 dashboards.Sales: "Sales" cannot be a dashboard's name; use lower case letters, digits, _ and -
tallyline.toml:37 dashboards.Sales.panels.0.metric: there is no metric in the plan called "orders.coutn"; did you mean \
"orders.count"? There are: Orders, orders, orders.count
tallyline.toml:40 dashboards.Sales.panels.3.metirc: {NO_SUCH_KEY} "metirc"; did you mean "metric"? There are: by, \
compare, description, formula, metric, shows, size, split, target, title, unit, where
tallyline.toml:38 dashboards.Sales.panels.1.by: "fortnight" is not possible here; there are: day, hour, \
month, quarter, \
week, year
tallyline.toml:36 dashboards.Sales.panels.2: 'orders.count' is text; this is to be a table of keys and values
tallyline.toml:40 dashboards.Sales.panels.3: a panel needs a metric or a formula, or says in shows what else it tells: \
freshness, runs, coverage
"""


def test_every_mistake_is_told_at_once_with_its_line_the_value_and_what_exists(write: Write) -> None:
    assert sorted(mistakes(write(BAD))) == sorted(TOLD.splitlines())


def test_the_message_of_all_is_a_line_for_each(write: Write) -> None:
    folder = write('[project]\ntitel = "a"\n[servics]\n')
    with pytest.raises(ProjectError) as refused:
        load_project(folder)
    first, *others = str(refused.value).splitlines()
    assert first == "2 mistakes in the project"
    assert [line[:17] for line in others] == ["  tallyline.toml:", "  tallyline.toml:"]


@pytest.mark.parametrize(
    ("value", "kind"),
    [("5", "a number"), ("1.5", "a number"), ('"no"', "text"), ("[1]", "a list"), ("true", "a truth value")],
)
@pytest.mark.parametrize("section", ["project", "services", "metrics", "sources", "dashboards"])
def test_a_section_that_is_no_table_is_told_once(write: Write, section: str, value: str, kind: str) -> None:
    told = f"tallyline.toml:1 {section}: this is a table of keys and values, not {kind}"
    assert mistakes(write(f"{section} = {value}\n")) == [told]


@pytest.mark.parametrize("lookback", ["2", "2.5", "true", "2026-01-01"])
def test_a_look_back_without_a_unit_is_refused(write: Write, lookback: str) -> None:
    (mistake,) = mistakes(write(f"{SOURCE}lookback = {lookback}\n"))
    assert mistake.startswith("tallyline.toml:7 sources.orders.lookback: ")
    assert mistake.endswith(' is no length of time; write a text such as "2d" or "36h"')


SOURCE = """\
[services]
shop = "sqlite:///shop.db"
[sources.orders]
kind = "sql"
service = "shop"
query = "SELECT 1"
"""


@pytest.mark.parametrize("name", ["Orders", "2orders", "my orders", "größe", ""])
def test_names_of_sources_can_be_typed(write: Write, name: str) -> None:
    (mistake,) = mistakes(write(SOURCE.replace("orders", f'"{name}"')))
    assert mistake == (
        f'tallyline.toml:3 sources.{name}: "{name}" cannot be a source\'s name; '
        'use lower case letters, digits, _ and -, and not "all"'
    )


def test_a_metric_that_is_wrong_is_not_missing_where_it_is_shown(write: Write) -> None:
    toml = """\
        [metrics]
        "users.new" = { kind = "counts" }
        [dashboards.sales]
        panels = [{ metric = "users.new" }]
    """
    (mistake,) = mistakes(write(toml))
    assert mistake.startswith('tallyline.toml:2 metrics."users.new".kind: "counts" is not possible here')


PASSWORDS = [
    ("postgresql://reader:hunter2@localhost/shop", True),
    ("postgresql://:hunter2@localhost/shop", True),
    ("postgresql+psycopg://${USER}:hunter2@localhost/shop", True),
    ("postgresql://reader:hun/ter2@localhost/shop", True),
    ("postgresql://reader:hunter2${REST}@localhost/shop", True),
    ("postgresql://reader:${PASSWORD:-hunter2}@localhost/shop", True),
    ("postgresql://localhost/shop?user=reader&password=hunter2", True),
    ("postgresql://reader:${PASSWORD}@localhost/shop", False),
    ("postgresql://${USER:-reader}:${PASSWORD}@localhost/shop", False),
    ("postgresql://reader@localhost:5432/shop", False),
    ("postgresql://localhost/shop?password=${PASSWORD}", False),
    ("sqlite:///shop.db", False),
    ("${SHOP_URL}", False),
]


@pytest.mark.parametrize("key", ["services.shop", "project.warehouse"])
@pytest.mark.parametrize(("url", "holds_one"), PASSWORDS)
def test_a_password_in_the_file_is_refused_and_not_told(write: Write, key: str, url: str, *, holds_one: bool) -> None:
    folder = write(f'{key} = "{url}"\n')
    if not holds_one:
        assert load_project(folder)
        return
    (mistake,) = mistakes(folder)
    assert mistake == (
        f"tallyline.toml:1 {key}: a password stands in the file; "
        "put it into the environment and write ${NAME} in its place"
    )


@pytest.mark.parametrize(
    "toml",
    [
        'project.warehouse = ["postgresql://reader:hunter2@localhost/shop"]',
        'project.title = 5\nproject.warehouse = "postgresql://reader:hunter2@localhost/shop"',
        'sources.orders = { kind = "sql", query = "", service = "postgresql://reader:hunter2@localhost/shop" }',
        'sources.orders.kind = "postgresql://reader:hunter2@localhost/shop"',
        'services.shop = { url = "postgresql://reader:hunter2@localhost/shop" }',
    ],
)
def test_a_password_that_stands_elsewhere_is_not_told_either(write: Write, toml: str) -> None:
    assert "hunter2" not in "\n".join(mistakes(write(toml)))


def test_settings_that_are_wrong_do_not_hide_a_password(write: Write) -> None:
    toml = 'project.title = 5\nproject.warehouse = "postgresql://reader:hunter2@localhost/shop"'
    assert [mistake.partition(":")[2].partition(" ")[0] for mistake in mistakes(write(toml))] == ["2", "1"]


def test_hours_that_a_source_reads_again_are_not_to_be_cleaned(write: Write) -> None:
    code = """
from tallyline import source

@source
def orders(window): ...

@source(snapshot=True)
def customers(now): ...
"""
    said = 'tallyline.toml:2 retention.hours: orders reads hours again that would be gone; write at least "4d"'
    assert mistakes(write('[retention]\nhours = "3d"\n', {"sources.py": code})) == [said]


def test_what_a_kind_of_source_needs_and_what_it_cannot_be_is_told(write: Write) -> None:
    folder = write("""\
        [metrics]
        orders = {}

        [sources.visits]
        kind = "google-analytics"

        [sources.orders]
        kind = "singer"
        tap = ["tap-shop"]
        stream = "orders"
        time = "at"
        values = { orders = 1 }
        catalog = "none"
        """)
    possible = "Input should be 'catalog', 'properties' or ''"
    assert mistakes(folder) == [
        "tallyline.toml:4 sources.visits.service: this key is missing",
        "tallyline.toml:4 sources.visits.property: this key is missing",
        "tallyline.toml:4 sources.visits.measures: this key is missing",
        f"tallyline.toml:13 sources.orders.catalog: 'none' cannot stand here: {possible}",
    ]
