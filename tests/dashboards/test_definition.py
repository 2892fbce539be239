"""What a dashboard and its panels may say."""

from __future__ import annotations

import pytest

from tallyline import Dashboard, Panel
from tallyline.dashboards import Shows, Size, panel_title
from tallyline.errors import Refused, UnknownName
from tallyline.plan import Kind, Metric
from tallyline.window import Grain


def test_code_may_write_choices_as_a_file_does() -> None:
    panel = Panel("users.new", by="week", compare="year", size="wide")  # type: ignore[arg-type]
    assert (panel.by, panel.compare, panel.size) == (Grain.WEEK, Grain.YEAR, Size.WIDE)
    assert panel == Panel("users.new", by=Grain.WEEK, compare=Grain.YEAR, size=Size.WIDE)
    assert Panel(shows="runs").shows is Shows.RUNS  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("key", "given", "message"),
    [
        ("by", "fortnight", 'there is no grain "fortnight"; there are: day, hour, month, quarter, week, year'),
        ("compare", "weeks", 'there is no grain "weeks"; did you mean "week"?'),
        ("size", 3, 'there is no size "3"; there are: normal, small, wide'),
        ("shows", "run", 'there is no thing to show "run"; did you mean "runs"?'),
    ],
)
def test_a_choice_that_does_not_exist_is_refused_with_those_that_do(key: str, given: object, message: str) -> None:
    with pytest.raises(UnknownName) as refused:
        Panel("users.new", **{key: given})  # type: ignore[arg-type]
    assert str(refused.value).startswith(message)


def test_panels_may_be_given_as_a_list_that_is_not_kept() -> None:
    panels = [Panel("users.new")]
    dashboard = Dashboard("growth", "Growth", panels)  # type: ignore[arg-type]
    panels.append(Panel("users.total"))
    assert dashboard.panels == (Panel("users.new"),)


@pytest.mark.parametrize("shows", [shows for shows in Shows if shows is not Shows.METRIC])
@pytest.mark.parametrize("key", ["metric", "formula", "unit", "split", "where", "compare", "target"])
def test_what_shows_the_pipeline_has_nothing_of_a_metric(shows: Shows, key: str) -> None:
    given = {"where": {"country": "FR"}, "compare": Grain.YEAR, "target": 1.0}.get(key, "a")
    with pytest.raises(Refused, match=f"a panel that shows {shows} has no {key}; leave it out"):
        Panel(shows=shows, **{key: given})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "a panel needs a metric or a formula, or says in shows what else it tells: freshness, runs, coverage"),
        ({"formula": "a / b"}, 'a panel of a formula needs a title: what is "a / b" called?'),
        ({"metric": "a", "unit": "EUR"}, 'a metric has its unit in the plan; write unit = "EUR" there, under a'),
        ({"metric": "a", "by": "week", "compare": "day"}, "weeks cannot be compared with those a day before; name a"),
    ],
)
def test_a_panel_that_contradicts_itself_is_refused(given: dict[str, str], message: str) -> None:
    with pytest.raises(Refused) as refused:
        Panel(**given)  # type: ignore[arg-type]
    assert str(refused.value).startswith(message)


PLAN = {
    "users.new": Metric("users.new", "New users"),
    "api.time": Metric("api.time", "Answers", "ms", Kind.DURATION),
}


@pytest.mark.parametrize(
    ("panel", "title"),
    [
        (Panel("users.new", "Who came"), "Who came"),
        (Panel("users.new"), "New users"),
        (Panel("api.time.p95"), "Answers, p95"),
        (Panel("users.old"), "users.old"),
        (Panel(shows=Shows.FRESHNESS), "How fresh the data is"),
        (Panel(shows=Shows.RUNS, title="Runs of the night"), "Runs of the night"),
    ],
)
def test_a_panel_is_called_by_its_title_or_by_what_it_shows(panel: Panel, title: str) -> None:
    assert panel_title(panel, PLAN) == title
