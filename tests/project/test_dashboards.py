"""Dashboards that the project's code declares, and metrics that panels make by their formulas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tallyline.dashboards import Dashboard, Panel, Shows, Size
from tallyline.plan import Kind, Metric
from tallyline.project import load_project
from tallyline.window import Grain
from tests.project.conftest import mistakes

if TYPE_CHECKING:
    from tests.project.conftest import Write

METRICS = """\
[metrics]
"users.new" = { title = "New users", unit = "users" }
"users.activated" = { unit = "users" }
visits = { unit = "visits" }
"""

GROWTH = """\
    from tallyline import Dashboard, Panel

    growth = Dashboard("growth", "Growth", [
        Panel("users.new", by="week", compare="year", target=70, size="wide"),
        Panel(formula="users.activated / users.new", title="Activation", by="week"),
        Panel(shows="runs"),
    ])
"""


@pytest.mark.parametrize("file", ["dashboards.py", "sources.py", "sources/shop.py"])
def test_code_declares_dashboards(write: Write, file: str) -> None:
    project = load_project(write(METRICS, {file: GROWTH}))
    activation = Panel("growth.activation", "Activation", Grain.WEEK, formula="users.activated / users.new")
    first = Panel("users.new", by=Grain.WEEK, compare=Grain.YEAR, target=70, size=Size.WIDE)
    assert project.dashboards == (Dashboard("growth", "Growth", (first, activation, Panel(shows=Shows.RUNS))),)
    assert project.plan["growth.activation"] == Metric(
        "growth.activation", "Activation", kind=Kind.FORMULA, formula="users.activated / users.new", share=True
    )


def test_those_of_the_file_come_first(write: Write) -> None:
    toml = f'{METRICS}[dashboards.web]\npanels = [{{ metric = "visits" }}]\n'
    project = load_project(write(toml, {"dashboards.py": GROWTH}))
    assert [dashboard.name for dashboard in project.dashboards] == ["web", "growth"]


def test_a_list_made_in_a_loop_is_found_once(write: Write) -> None:
    code = """\
        from tallyline import Dashboard, Panel

        of_countries = [
            Dashboard(country, country.upper(), [Panel("users.new", where={"country": country})])
            for country in ("fr", "de")
        ]
        first = of_countries[0]
    """
    files = {"dashboards.py": code, "sources.py": "from dashboards import first\n"}
    project = load_project(write(METRICS, files))
    assert sorted(dashboard.title for dashboard in project.dashboards) == ["DE", "FR"]
    assert project.dashboards[0].panels[0].where == {"country": "fr"}


def test_two_projects_have_dashboards_of_their_own(write: Write) -> None:
    first = load_project(write(METRICS, {"dashboards.py": GROWTH}))
    second = load_project(write(METRICS, {"dashboards.py": GROWTH.replace("Growth", "Other")}, name="other"))
    assert [project.dashboards[0].title for project in (first, second)] == ["Growth", "Other"]


def test_sources_are_declared_elsewhere(write: Write) -> None:
    code = "from tallyline import source\n\n@source\ndef users():\n    return []\n"
    assert load_project(write(files={"dashboards.py": code})).sources == {}


WRONG = """\
    from tallyline import Dashboard, Panel

    one = Dashboard("growth", "Growth", [
        Panel("users.nwe"),
        Panel(formula="users.new + visits", title="Sum"),
        Panel(formula="users.new / vistis", title="Rate"),
        Panel("users.new", target="high", where={"country": 5}),
        "users.new",
        Panel("users.new", formula="visits / users.new", title="Both"),
    ])
    two = Dashboard("growth", "Growth again", [])
    three = Dashboard("My growth", "Mine", [], public="maybe")
    web = Dashboard("web", "Web", [])
"""
TOLD = """\
dashboards.py dashboards.growth.panels.0.metric: there is no metric in the plan called "users.nwe"; did you mean \
"users.new"? There are: users.activated, users.new, visits
dashboards.py dashboards.growth.panels.1.formula: users.new in "users" and visits in "visits" cannot be added; both \
sides of + need the same unit
dashboards.py dashboards.growth.panels.2.formula: there is no metric in the plan called "vistis"; did you mean "visits"?
dashboards.py dashboards.growth.panels.3.target: 'high' is text; this is to be a number
dashboards.py dashboards.growth.panels.3.where.country: 5 is a number; this is to be a string
dashboards.py dashboards.growth.panels.4: 'users.new' is text; this is to be a table of keys and values
dashboards.py dashboards.growth.panels.5: a panel shows either a metric or a formula; leave out "users.new", or \
the formula
dashboards.py dashboards.growth: two dashboards have this name; give one of them another
dashboards.py dashboards.My growth: "My growth" cannot be a dashboard's name; use lower case letters, digits, _ and -
dashboards.py dashboards.My growth.public: 'maybe' is text; this is to be a boolean
dashboards.py dashboards.web: two dashboards have this name; give one of them another
"""


def test_every_mistake_is_told_with_its_file_and_name(write: Write) -> None:
    toml = f'{METRICS}[dashboards.web]\npanels = [{{ metric = "visits" }}]\n'
    found = sorted(mistakes(write(toml, {"dashboards.py": WRONG})))
    expected = sorted(TOLD.splitlines())
    assert len(found) == len(expected)
    assert [(told, there) for told, there in zip(found, expected, strict=True) if not told.startswith(there)] == []


def test_a_panel_that_contradicts_itself_is_told_at_its_line(write: Write) -> None:
    code = 'from tallyline import Panel\n\nbad = Panel(shows="runs", target=3)\n'
    told = "dashboards.py:3: a panel that shows runs has no target; leave it out"
    assert mistakes(write(files={"dashboards.py": code})) == [told]


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ("visits / users.new", "visits / users.activated", "growth.rate"),
        ("visits / users.new", "visits / users.new", ""),
    ],
)
def test_two_formulas_of_one_title_have_to_be_one(write: Write, first: str, second: str, told: str) -> None:
    panels = ", ".join(f'{{ formula = "{formula}", title = "Rate" }}' for formula in (first, second))
    folder = write(f"{METRICS}[dashboards.growth]\npanels = [{panels}]\n")
    if not told:
        assert "growth.rate" in load_project(folder).plan
        return
    wrong = f"this formula would be called {told}, as another metric is; give it another title"
    assert mistakes(folder) == [f"tallyline.toml:6 dashboards.growth.panels.1.title: {wrong}"]


def test_a_formula_takes_no_name_of_the_plan(write: Write) -> None:
    panel = '{ formula = "visits / users.new", title = "New" }'
    (told,) = mistakes(write(f"{METRICS}[dashboards.users]\npanels = [{panel}]\n"))
    assert "this formula would be called users.new, as another metric is" in told


def test_a_metric_and_a_formula_are_not_given_at_once(write: Write) -> None:
    panel = '{ metric = "visits", formula = "visits / users.new", title = "Both" }'
    (told,) = mistakes(write(f"{METRICS}[dashboards.web]\npanels = [{panel}]\n"))
    assert told.endswith('a panel shows either a metric or a formula; leave out "visits", or the formula')
