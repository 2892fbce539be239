"""The dashboards as JSON: whole, the same each time, and nothing in them that Grafana would not know."""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from syrupy.extensions.json import JSONSnapshotExtension

from tallyline.dashboards import Dashboard, Panel
from tallyline.dashboards.grafana import Definitions, names_of
from tallyline.dashboards.grafana.dashboard import HASH, as_text, content_hash
from tallyline.dashboards.grafana.layout import COLUMNS
from tallyline.demo import projects
from tallyline.plan import Kind, Metric, with_units
from tallyline.project import load_project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syrupy.assertion import SnapshotAssertion

    Json = dict[str, Any]

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it would rather have the other model, of Grafana 13 alone
    from grafana_foundation_sdk.models.dashboard import Dashboard as Oracle

register_default_plugins()

NOW = datetime(2026, 7, 14, 10, 30, tzinfo=UTC)
PARIS = ZoneInfo("Europe/Paris")
QUERY_KEYS = {
    "grafana-postgresql-datasource": {"refId", "datasource", "format", "rawSql", "rawQuery", "editorMode"},
    "frser-sqlite-datasource": {"refId", "datasource", "queryType", "queryText", "rawQueryText", "timeColumns"},
}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Definitions]:
    """The demo's dashboards for either database."""
    folder = tmp_path_factory.mktemp("demo") / "pagesnap"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(projects, "DAYS_OF_COMPANY", 2)
        projects.make_company(folder, NOW)
    project, days = load_project(folder), timedelta(days=2)
    late = dict.fromkeys(project.sources, days)
    names = names_of(project.title)
    return {
        dialect: Definitions(names, dialect, project.zone, project.plan, late, project.dashboards)
        for dialect in ("postgresql", "sqlite")
    }


@pytest.fixture(params=["postgresql", "sqlite"])
def rendered(request: pytest.FixtureRequest, demo: dict[str, Definitions]) -> list[Json]:
    """All that is exported, as it is read back."""
    definitions = demo[request.param]
    both = [*definitions.rendered(), *definitions.rendered_public()]
    return [json.loads(as_text(dashboard)) for dashboard in both]


PLAN = with_units(
    {
        metric.name: metric
        for metric in (
            Metric("visits", "Visits", "visits"),
            Metric("users", "Users", "users", Kind.LEVEL),
            Metric("people", "People", "people", Kind.DISTINCT),
            Metric("signed.up", "Signed up", "visits"),
            Metric("rate", "Rate", formula="signed.up / visits", kind=Kind.FORMULA),
        )
    }
)


def dashboard_of(*panels: Panel, **others: Any) -> Json:  # noqa: ANN401  # whatever a dashboard has
    """Return the only dashboard of some panels."""
    told = Dashboard("sales", "Sales", panels, **others)
    definitions = Definitions(names_of("Shop"), "sqlite", PARIS, PLAN, {}, [told])
    [dashboard] = definitions.rendered()
    return dashboard


def lost(told: object, kept: object, path: str = "") -> Iterator[str]:
    """Say what of JSON is not there any more, or is another."""
    if isinstance(told, dict) and isinstance(kept, dict):
        for key, value in told.items():
            yield from lost(value, kept.get(key, "missing"), f"{path}.{key}")
    elif isinstance(told, list) and isinstance(kept, list) and len(told) == len(kept):
        for number, (one, other) in enumerate(zip(told, kept, strict=True)):
            yield from lost(one, other, f"{path}[{number}]")
    elif told != kept:
        yield f"{path}: {told!r} became {kept!r}"


def through_the_sdk(dashboard: Json) -> Json:
    """Return a dashboard as the models of the Foundation SDK read and write it."""
    told: Json = json.loads(JSONEncoder(sort_keys=True).encode(Oracle.from_json(dashboard)))
    return told


def test_the_foundation_sdk_loses_nothing(rendered: list[Json]) -> None:
    assert [what for dashboard in rendered for what in lost(dashboard, through_the_sdk(dashboard))] == []


@pytest.mark.parametrize("at", [(), ("options",), ("fieldConfig", "defaults", "custom"), ("fieldConfig", "defaults")])
def test_the_foundation_sdk_would_lose_a_misspelt_key(at: tuple[str, ...]) -> None:
    dashboard = dashboard_of(Panel("visits"))
    place = dashboard["panels"][1]
    for key in at:
        place = place[key]
    place["mispelt"] = 1
    assert list(lost(dashboard, through_the_sdk(dashboard)))


def test_a_query_has_the_keys_of_its_data_source(rendered: list[Json]) -> None:
    for dashboard in rendered:
        queries = [target for panel in dashboard["panels"] for target in panel["targets"]]
        queries += [marks["target"] for marks in dashboard["annotations"]["list"] if "target" in marks]
        for query in queries:
            assert query.keys() == QUERY_KEYS[query["datasource"]["type"]]
        for panel in dashboard["panels"]:
            assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_ids_are_unique_and_nothing_overlaps(rendered: list[Json]) -> None:
    assert max(Counter(dashboard["uid"] for dashboard in rendered).values()) == 1
    for dashboard in rendered:
        panels = dashboard["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels)
        for panel in panels:
            at = panel["gridPos"]
            assert min(at["x"], at["y"]) >= 0
            assert at["x"] + at["w"] <= COLUMNS
        for one, other in combinations([panel["gridPos"] for panel in panels], 2):
            beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
            below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
            assert beside or below, (one, other)


def test_each_panel_has_a_title_a_description_a_unit_and_the_data_source(rendered: list[Json]) -> None:
    for dashboard in rendered:
        assert dashboard["title"]
        for panel in dashboard["panels"]:
            assert panel["title"]
            assert panel["description"]
            assert panel["fieldConfig"]["defaults"]["unit"]
            assert panel["datasource"]["uid"] == "pagesnap-simulated-warehouse"
            assert {target["datasource"]["uid"] for target in panel["targets"]} == {panel["datasource"]["uid"]}


def test_names_are_what_grafana_takes(rendered: list[Json]) -> None:
    for dashboard in rendered:
        assert re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", dashboard["uid"])
        assert {"id", "version"}.isdisjoint(dashboard)


def test_variables_that_are_asked_for_are_there(rendered: list[Json]) -> None:
    for dashboard in rendered:
        there = {variable["name"] for variable in dashboard["templating"]["list"]}
        asked = set(re.findall(r"\$\{(\w+)", json.dumps(dashboard["panels"])))
        assert asked <= there
        assert not re.findall(
            r"\[\[|\$(?!\{|__timeFrom\(\)|__timeTo\(\)|__from|__to)\w", json.dumps(dashboard["panels"])
        )


def test_a_public_dashboard_has_no_variables_and_no_query_but_those_of_its_panels(demo: dict[str, Definitions]) -> None:
    for definitions in demo.values():
        [public] = definitions.rendered_public()
        [private] = [each for each in definitions.rendered() if each["title"] == public["title"]]
        assert (public["templating"]["list"], public["links"]) == ([], [])
        assert [marks["type"] for marks in public["annotations"]["list"]] == ["dashboard"]
        assert "${" not in json.dumps(public)
        assert "${by:sqlstring}" in json.dumps(private)
        assert [panel["id"] for panel in public["panels"]] == [panel["id"] for panel in private["panels"]]


def test_it_is_the_same_each_time(demo: dict[str, Definitions]) -> None:
    for definitions in demo.values():
        one, other = ([as_text(each) for each in definitions.rendered()] for _ in range(2))
        assert one == other


def test_the_demos_dashboards_are_those_that_were_looked_at(
    demo: dict[str, Definitions], snapshot: SnapshotAssertion
) -> None:
    as_json = snapshot.use_extension(JSONSnapshotExtension)
    for dashboard in [*demo["postgresql"].rendered(), *demo["postgresql"].rendered_public()]:
        assert with_short_queries(dashboard) == as_json(name=dashboard["uid"])


def with_short_queries(told: Any, key: str = "") -> Any:  # noqa: ANN401  # JSON
    """Return JSON with what tells queries apart in their place: whether they are right is told by databases."""
    if isinstance(told, dict):
        return {name: with_short_queries(value, name) for name, value in told.items() if name != "tags"}
    if isinstance(told, list):
        return [with_short_queries(each) for each in told]
    return hashlib.sha256(told.encode()).hexdigest()[:8] if key == "rawSql" else told


def test_the_queries_of_a_panel_to_the_letter(snapshot: SnapshotAssertion) -> None:
    dashboard = dashboard_of(Panel("visits", by="week", split="country", compare="year", target=70))  # type: ignore[arg-type]
    queries = [target["queryText"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert "\n\n".join(queries) == snapshot


def test_the_hash_tells_a_change_and_not_what_grafana_counts() -> None:
    dashboard = dashboard_of(Panel("visits"))
    [mark] = [tag for tag in dashboard["tags"] if tag.startswith(HASH)]
    assert mark == f"{HASH}{content_hash(dashboard)}"
    assert content_hash({**dashboard, "id": 7, "version": 3}) == content_hash(dashboard)
    assert content_hash({**dashboard, "title": "Mine"}) != content_hash(dashboard)
    assert content_hash({**dashboard, "tags": [*dashboard["tags"], "mine"]}) != content_hash(dashboard)


def test_ids_stay_where_panels_come_and_go() -> None:
    visits, users = Panel("visits"), Panel("users", split="country")
    ids = [panel["id"] for panel in dashboard_of(visits, users)["panels"]]
    assert [panel["id"] for panel in dashboard_of(Panel("rate"), users, visits)["panels"]][2:] == [*ids[2:], *ids[:2]]


def test_the_same_panel_twice_has_two_ids() -> None:
    ids = [panel["id"] for panel in dashboard_of(*[Panel("visits")] * 3)["panels"]]
    assert len(set(ids)) == 6


def test_counts_are_drawn_from_zero_and_ratios_near_their_values() -> None:
    panels = dashboard_of(Panel("visits"), Panel("rate"), Panel("users"))["panels"]
    charts = [panel["fieldConfig"]["defaults"] for panel in panels if panel["type"] == "timeseries"]
    assert [chart["custom"].get("axisSoftMin") for chart in charts] == [0, None, None]
    assert [chart["unit"] for chart in charts] == ["locale", "percentunit", "locale"]
    assert not any({"min", "max"} & chart.keys() for chart in charts)


def test_gaps_are_gaps_and_what_is_not_over_is_dashed_and_a_target_is_orange() -> None:
    [_, chart] = dashboard_of(Panel("visits", target=3, compare="week"))["panels"]  # type: ignore[arg-type]
    assert chart["fieldConfig"]["defaults"]["custom"]["spanNulls"] is False
    overrides = {each["matcher"]["options"]: each["properties"] for each in chart["fieldConfig"]["overrides"]}
    told = {query: {each["id"]: each["value"] for each in properties} for query, properties in overrides.items()}
    assert [target["refId"] for target in chart["targets"]] == ["C", "A", "B", "T"]
    assert told["B"]["custom.lineStyle"]["fill"] == told["T"]["custom.lineStyle"]["fill"] == "dash"
    assert told["T"]["color"] == {"mode": "fixed", "fixedColor": "orange"}
    assert told["C"]["color"]["fixedColor"].startswith("#9")


def test_red_and_green_are_for_a_target_alone() -> None:
    panels = dashboard_of(Panel("visits"), Panel("users", target=5))["panels"]
    without, _, with_target, _ = (panel["fieldConfig"]["defaults"] for panel in panels)
    assert without["color"] == {"mode": "fixed", "fixedColor": "text"}
    assert with_target["thresholds"]["steps"] == [{"color": "red", "value": None}, {"color": "green", "value": 5}]


@pytest.mark.parametrize(
    ("by", "since"),
    [
        ("hour", "now-7d"),
        ("day", "now-60d"),
        ("week", "now-26w"),
        ("month", "now-13M"),
        ("quarter", "now-3y"),
        ("year", "now-10y"),
    ],
)
def test_the_range_is_as_long_as_the_longest_buckets_need(by: str, since: str) -> None:
    panels = Panel("visits", by=by), Panel("users", by="hour")  # type: ignore[arg-type]
    assert dashboard_of(*panels)["time"]["from"] == since


def test_what_counts_distinct_things_keeps_its_grain() -> None:
    dashboard = dashboard_of(Panel("people", by="week"))  # type: ignore[arg-type]
    assert "${by" not in json.dumps(dashboard["panels"])


def test_variables_have_names_of_their_own() -> None:
    panels = [Panel("visits", split=dim) for dim in ("by", "two words", "two-words", "country")]
    variables = {each["label"]: each["name"] for each in dashboard_of(*panels)["templating"]["list"]}
    assert variables == {"by": "by_2", "two words": "two_words", "two-words": "two_words_2", "country": "country"}
