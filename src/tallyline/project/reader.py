"""Reading a project: section by section, so that what is wrong in one does not hide what is wrong in another."""

from __future__ import annotations

import re
import tomllib
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta  # pydantic reads it
from typing import TYPE_CHECKING, Any

from tallyline.dashboards import dashboard_of_plan
from tallyline.errors import Problem, ProjectError, Refused
from tallyline.graph import Service
from tallyline.plan import Kind, Metric, Plan, Retention, check_formulas, with_units
from tallyline.project.code import load_code
from tallyline.project.dashboards import read_dashboards
from tallyline.project.places import Places
from tallyline.project.project import FILE, Project
from tallyline.project.services import check_no_password, read_service
from tallyline.project.tables import Tables, field_names
from tallyline.secret import masked
from tallyline.sources import KINDS, Options, Source, SourceDeclaration, check_grain, check_schedule, load_kind
from tallyline.window import parse_span, parse_zone

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from tallyline.dashboards import Dashboard
    from tallyline.graph import Graph
    from tallyline.sources import Kind as SourceKind

    Code = Mapping[str, SourceDeclaration | Service]

__all__ = ["load_project"]

_SECTIONS = ("project", "services", "metrics", "sources", "dashboards", "retention")
_GIVEN_SERVICES = ("window", "now", "zone", "source_zone", "grain", "folder", "missing")
_NAME = re.compile(r"[a-z][a-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class _Settings:
    title: str = ""
    warehouse: str = "sqlite:///warehouse.db"
    timezone: str = "UTC"
    start: date | None = None


@dataclass(frozen=True, slots=True)
class _MetricTable:
    title: str = ""
    unit: str = ""
    kind: Kind | None = None
    formula: str = ""

    @property
    def meant(self) -> Kind:
        """The kind, which a formula tells by itself."""
        return self.kind or (Kind.FORMULA if self.formula else Kind.COUNT)


@dataclass(frozen=True, slots=True)
class _RetentionTable:
    hours: str = ""
    days: str = ""
    restatements: str = ""
    runs: str = ""


def load_project(folder: Path, *, only: Collection[str] | None = None) -> Project:
    """Read the project in `folder`, its code included.

    Services are not opened, and the environment is not looked at. Raises ProjectError with every mistake and its place,
    Refused where there is no project. Where `only` some sources are to be read, what is wrong with others, with
    dashboards and with formulas does not keep them from it; a source that is wrong cannot be read.
    """
    file = folder / FILE
    if not file.is_file():
        msg = (
            f"there is no project in {folder.resolve()}: it has no {FILE}; "
            "make one with `tallyline init NAME`, or say where it is with --project FOLDER"
        )
        raise Refused(msg)
    try:
        text = file.read_text(encoding="utf-8")
        tables = Tables(tomllib.loads(text), Places(text, FILE))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProjectError([Problem(FILE, f"this is not TOML: {error}")]) from None
    return _read(folder, tables, only)


def _read(folder: Path, tables: Tables, only: Collection[str] | None) -> Project:
    tables.check_keys(tables.content, _SECTIONS, ())
    settings = _read_settings(tables)
    title = settings.title or folder.resolve().name
    planned = _read_plan(tables)
    dashboards_of_code: list[tuple[str, Dashboard]] = []
    code = load_code(folder, tables.problems, dashboards_of_code)
    services = _read_services(tables, folder) | _code_services(tables, code)
    sources = _read_sources(tables, services, settings) | _code_sources(tables, code, settings)
    plan = _whole_plan(tables, planned, sources)
    dashboards, plan = read_dashboards(tables, dashboards_of_code, plan)
    dashboards = dashboards or (dashboard_of_plan(plan, title),)
    retention = _read_retention(tables)
    _check_hours_outlast_lookbacks(tables, retention, sources)
    if only is not None and not any(_concerns(only, each, sources) for each in tables.problems):
        sources = {name: Source(name, _cannot_be_read, Options()) for name in tables.table("sources")} | sources
    elif tables.problems:
        raise ProjectError([replace(each, message=masked(each.message)) for each in tables.problems])
    return Project(
        folder, title, settings.warehouse, parse_zone(settings.timezone), plan, services, sources, dashboards, retention
    )


def _concerns(only: Collection[str], problem: Problem, sources: Collection[str]) -> bool:
    match problem.path:
        case ("sources", name, *_):
            return name in only
        case ("dashboards", *_) | ("metrics", _, "formula"):
            return False
        case ():  # of code: a module that could not be imported
            return any(source not in sources for source in only)
    return True


def _cannot_be_read() -> Graph:
    msg = "there are mistakes in this source; `tallyline inspect` tells them"
    raise Refused(msg)


def _read_settings(tables: Tables) -> _Settings:
    table = tables.table("project")
    tables.check_keys(table, field_names(_Settings), ("project",))
    if isinstance(table.get("timezone"), str):
        with tables.refusals(("project", "timezone")):
            parse_zone(table["timezone"])
    if isinstance(table.get("warehouse"), str):
        check_no_password(tables, table["warehouse"], ("project", "warehouse"))
    return tables.read(_Settings, table, ("project",)) or _Settings()


def _read_services(tables: Tables, folder: Path) -> dict[str, object]:
    for name in tables.table("services"):
        _check_service_name(tables, name)
    return {name: read_service(tables, name, folder) for name in tables.table("services")}


def _code_services(tables: Tables, code: Code) -> dict[str, Service]:
    services = {name: made for name, made in code.items() if isinstance(made, Service)}
    for name in services:
        _check_service_name(tables, name)
        if name in tables.table("services"):
            tables.problem(("services", name), "two services have this name, and one of them is in code")
    return services


def _check_service_name(tables: Tables, name: str) -> None:
    if name in _GIVEN_SERVICES:
        tables.problem(("services", name), f'every source is given "{name}" already; choose another name')


def _read_plan(tables: Tables) -> dict[str, Metric]:
    plan: dict[str, Metric] = {}
    for name in tables.table("metrics"):
        path = ("metrics", name)
        table = tables.table(*path)
        for key in [key for key, value in table.items() if isinstance(value, dict)]:
            tables.problem((*path, key), f'a name that has dots stands in quotes: "{name}.{key}"')
            del table[key]
        tables.check_keys(table, field_names(_MetricTable), path)
        read = tables.read(_MetricTable, table, path)
        if read is not None:
            with tables.refusals(path):
                plan[name] = Metric(name, read.title, read.unit, read.meant, read.formula)
    return plan


def _whole_plan(tables: Tables, plan: Plan, sources: Mapping[str, Source]) -> Plan:
    """Return the plan with what sources tell by themselves; what the plan says of the same metric goes before."""
    told = {name: metric for source in sources.values() for name, metric in source.metrics.items()}
    whole = {**plan, **{name: metric for name, metric in told.items() if name not in plan}}
    wrong = check_formulas(whole)
    for name, refused in wrong.items():
        tables.problem(("metrics", name, "formula"), str(refused))
    return whole if wrong else with_units(whole)


def _read_retention(tables: Tables) -> Retention:
    table = tables.table("retention")
    tables.check_keys(table, field_names(_RetentionTable), ("retention",))
    read = tables.read(_RetentionTable, table, ("retention",))
    spans: dict[str, timedelta] = {}
    for name, span in asdict(read).items() if read else ():
        with tables.refusals(("retention", name)):
            if span:
                spans[name] = parse_span(span)
    with tables.refusals(("retention",)):
        return Retention(**spans)
    return Retention()


def _check_hours_outlast_lookbacks(tables: Tables, retention: Retention, sources: Mapping[str, Source]) -> None:
    """Refuse to clean hours away that a source would read again, and a day that it would read in part."""
    for source in sources.values():
        needed = timedelta() if source.options.snapshot else source.options.lookback + timedelta(days=2)
        if retention.hours is not None and retention.hours < needed:
            message = f'{source.name} reads hours again that would be gone; write at least "{needed.days}d"'
            tables.problem(("retention", "hours"), message)


def _read_sources(tables: Tables, services: Collection[str], settings: _Settings) -> dict[str, Source]:
    read = {name: _read_source(tables, name, services, settings) for name in tables.table("sources")}
    return {name: source for name, source in read.items() if source is not None}


def _read_source(tables: Tables, name: str, services: Collection[str], settings: _Settings) -> Source | None:
    path = ("sources", name)
    table = tables.table(*path)
    _check_source_name(tables, name, path)
    kind = _kind(tables, table, path)
    if kind is None:
        return None
    tables.check_keys(table, dict.fromkeys(["kind", *field_names(kind), *field_names(Options)]), path)
    if isinstance(table.get("service"), str):
        tables.check_name("service", table["service"], services, (*path, "service"))
    options = _read_options(tables, table, settings, path)
    reader = tables.read(kind, table, path)
    if reader is None or options is None:
        return None
    return Source(name, lambda: reader.graph(name), options, reader.definition, reader.metrics, reader.probe)


def _kind(tables: Tables, table: Mapping[str, Any], path: tuple[str, str]) -> type[SourceKind] | None:
    if "kind" not in table:
        tables.problem((*path, "kind"), f"this key is missing; there are: {', '.join(KINDS)}")
        return None
    with tables.refusals((*path, "kind")):
        return load_kind(str(table["kind"]))
    return None


def _read_options(
    tables: Tables, table: Mapping[str, Any], settings: _Settings, path: tuple[str, str]
) -> Options | None:
    given: dict[str, Any] = {"start": settings.start, **table}
    for key in ("lookback", "at_once", "longest_run"):
        _read_span(tables, given, key, path)
    for key, check in (("timezone", parse_zone), ("schedule", check_schedule), ("grain", check_grain)):
        if isinstance(given.get(key), str):
            with tables.refusals((*path, key)):
                check(given[key])
                continue
            del given[key]
    return tables.read(Options, given, path)


def _read_span(tables: Tables, given: dict[str, Any], key: str, path: tuple[str, str]) -> None:
    if isinstance(given.get(key), str):
        with tables.refusals((*path, key)):
            given[key] = parse_span(given.pop(key))
    elif key in given:
        message = f'{given.pop(key)!r} is no length of time; write a text such as "2d" or "36h"'
        tables.problem((*path, key), message)


def _code_sources(tables: Tables, code: Code, settings: _Settings) -> dict[str, Source]:
    sources: dict[str, Source] = {}
    for variable, declaration in code.items():
        if not isinstance(declaration, SourceDeclaration):
            continue
        source = declaration.named(variable, start=settings.start)
        path = ("sources", source.name)
        _check_source_name(tables, source.name, path)
        if source.name in {*sources, *tables.table("sources")}:
            tables.problem(path, "two sources have this name, and one of them is in code")
        sources[source.name] = source
    return sources


def _check_source_name(tables: Tables, name: str, path: tuple[str, ...]) -> None:
    if name == "all" or not _NAME.fullmatch(name):
        tables.problem(
            path,
            f'"{name}" cannot be a source\'s name; use lower case letters, digits, _ and -, and not "all"',
        )
