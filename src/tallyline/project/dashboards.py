"""The dashboards of a project, from its file and from its code, with the metrics that their panels make by formulas."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from tallyline.dashboards import Dashboard, Panel
from tallyline.errors import Refused, UnknownName
from tallyline.plan import Metric, Plan, check_formulas, named, with_units
from tallyline.project.tables import Tables, field_names

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    Path = tuple[str | int, ...]

__all__ = ["read_dashboards"]

_NAME = re.compile(r"[a-z][a-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class _DashboardTable:
    panels: list[Any]
    title: str = ""
    description: str = ""
    public: bool = False


@dataclass(frozen=True, slots=True)
class _Placed:
    """A panel, the metric that it makes where it has a formula, and where both stand."""

    tables: Tables
    place: Path
    panel: Panel
    metric: Metric | None


@dataclass(frozen=True, slots=True)
class _InCode:
    """Where a dashboard stands that a file of the project's code declares."""

    file: str

    def of(self, path: Sequence[str | int]) -> str:
        return f"{self.file} {'.'.join(map(str, path))}"


def read_dashboards(
    tables: Tables, in_code: Iterable[tuple[str, Dashboard]], plan: Plan
) -> tuple[tuple[Dashboard, ...], Plan]:
    """Return the dashboards, and the plan with the metrics of panels that have a formula of their own.

    `in_code` are those of the project's code, each with its file. What is wrong is kept with its place.
    """
    read = [_from_file(tables, name) for name in tables.table("dashboards")]
    known = set(tables.table("dashboards"))
    for file, dashboard in in_code:
        read.append(_from_code(Tables({}, _InCode(file), tables.problems), dashboard, known))
        known.add(dashboard.name)
    whole = [each for each in read if each]
    plan = _with_panels([panel for _, panels in whole for panel in panels], plan, tables.table("metrics"))
    return tuple(replace(dashboard, panels=tuple(each.panel for each in panels)) for dashboard, panels in whole), plan


def _from_file(tables: Tables, name: str) -> tuple[Dashboard, list[_Placed]] | None:
    path = ("dashboards", name)
    table = tables.table(*path)
    _check_name(tables, name)
    tables.check_keys(table, field_names(_DashboardTable), path)
    read = tables.read(_DashboardTable, table, path)
    if read is None:
        return None
    for number, panel in enumerate(read.panels):
        if isinstance(panel, dict):
            tables.check_keys(panel, field_names(Panel), (*path, "panels", number))
    dashboard = Dashboard(name, read.title or name.capitalize(), (), read.description, read.public)
    return dashboard, list(_panels(tables, name, read.panels))


def _from_code(tables: Tables, dashboard: Dashboard, known: set[str]) -> tuple[Dashboard, list[_Placed]] | None:
    name = str(dashboard.name)
    _check_name(tables, name)
    if name in known:
        tables.problem(("dashboards", name), "two dashboards have this name; give one of them another")
    read = tables.read(_DashboardTable, _as_table(dashboard), ("dashboards", name))
    if read is None:
        return None
    panels = [_as_table(each) if isinstance(each, Panel) else each for each in read.panels]
    whole = Dashboard(name, read.title or name.capitalize(), (), read.description, read.public)
    return whole, list(_panels(tables, name, panels))


def _as_table(declared: Dashboard | Panel) -> dict[str, Any]:
    """Return what code declares as a file would say it, so that it is checked as that is."""
    told = {each.name: getattr(declared, each.name) for each in fields(declared)}
    return {**told, "panels": list(told["panels"])} if "panels" in told else told


def _check_name(tables: Tables, name: str) -> None:
    if not _NAME.fullmatch(name):
        message = f'"{name}" cannot be a dashboard\'s name; use lower case letters, digits, _ and -'
        tables.problem(("dashboards", name), message)


def _panels(tables: Tables, dashboard: str, panels: Iterable[object]) -> Iterator[_Placed]:
    for number, panel in enumerate(panels):
        place = ("dashboards", dashboard, "panels", number)
        with tables.refusals(place):
            if made := tables.read(Panel, panel, place):
                _check_one_of_both(made)
                yield _Placed(tables, place, *made.of_dashboard(dashboard))


def _check_one_of_both(panel: Panel) -> None:
    if panel.metric and panel.formula:
        msg = f'a panel shows either a metric or a formula; leave out "{panel.metric}", or the formula'
        raise Refused(msg)


def _with_panels(panels: Sequence[_Placed], plan: Plan, in_file: Collection[str]) -> Plan:
    whole = dict(plan)
    for each in panels:
        if each.metric and _is_new(each, each.metric, whole):
            whole[each.metric.name] = each.metric
    wrong = check_formulas(whole)
    for each in panels:
        if each.metric and each.metric.name in wrong:
            each.tables.problem((*each.place, "formula"), str(wrong[each.metric.name]))
        elif each.panel.metric and not _is_told(each.panel.metric, whole):
            known, place = {*plan, *in_file}, (*each.place, "metric")
            each.tables.check_name("metric in the plan called", each.panel.metric, known, place)
    return whole if wrong else with_units(whole)


def _is_new(each: _Placed, metric: Metric, whole: Plan) -> bool:
    """Say whether the metric may have its name, and keep a problem where another one has it."""
    is_new = whole.get(metric.name, metric) == metric
    if not is_new:
        message = f"this formula would be called {metric.name}, as another metric is; give it another title"
        each.tables.problem((*each.place, "title"), message)
    return is_new


def _is_told(metric: str, plan: Plan) -> bool:
    try:
        named(plan, metric)
    except UnknownName:
        return False
    return True
