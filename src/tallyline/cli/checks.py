"""What `tallyline doctor` tries: versions, the warehouse, services, sources; each for itself, several at a time."""

from __future__ import annotations

import platform
import re
import sqlite3
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, requires, version
from typing import TYPE_CHECKING

from tallyline import __version__
from tallyline.cli.trials import Check, State, Waits, tried
from tallyline.graph import Graph, Service, Services, node, run, wanted_services, wrapped
from tallyline.runner import given_to
from tallyline.sources import Options
from tallyline.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from tallyline.cli.trials import Tell, Work
    from tallyline.project import Project
    from tallyline.sources import Source

__all__ = ["Check", "State", "check_services", "check_sources", "check_warehouse", "extras", "versions"]

_EXTRA = re.compile(r"""([\w.-]+).*\bextra\s*==\s*['"]([\w-]+)['"]""")


def versions() -> dict[str, str]:
    """Return what there is, by name."""
    return {
        "Tallyline": __version__,
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "system": f"{platform.system()} {platform.machine()}",
    }


def extras() -> list[Check]:
    """Return for each extra of the package which of its libraries are installed."""
    libraries: dict[str, list[str]] = {}
    for requirement in requires("tallyline") or ():
        if found := _EXTRA.match(requirement):
            libraries.setdefault(found[2], []).append(found[1])
    return [_extra(name, libraries[name]) for name in sorted(libraries)]


def check_warehouse(project: Project, seconds: float) -> Iterator[Check]:
    """Look at the warehouse."""
    from tallyline.warehouse import condition_of  # noqa: PLC0415  # SQLAlchemy only where it is needed

    def work(tell: Tell) -> None:
        for line in condition_of(project.warehouse_url, project.zone, project.folder):
            tell(line)

    yield from tried({"warehouse": work}, seconds)


def check_services(project: Project, now: datetime, seconds: float) -> Iterator[Check]:
    """Open each service, and speak to it where it is a database or an HTTP API."""
    import tallyline.api  # noqa: PLC0415  # here, so that no check waits for what is imported
    import tallyline.database  # noqa: F401, PLC0415

    given = _given(project, Options(), now)
    work = {name: _opening(project, name, given) for name in project.services}
    yield from tried(work, seconds)


def check_sources(project: Project, now: datetime, seconds: float, services: Mapping[str, Check]) -> Iterator[Check]:
    """Let each source try what it needs; one whose service does not work is not tried."""
    broken = {name for name, check in services.items() if check.state is not State.WORKS}
    work = {name: _probing(project, source, now, broken) for name, source in project.sources.items()}
    yield from tried(work, seconds)


def _extra(name: str, libraries: Iterable[str]) -> Check:
    try:
        told = [f"{library} {version(library)}" for library in libraries]
    except PackageNotFoundError:
        return Check(name, State.NOT_TRIED, error=f'not installed: pip install "tallyline[{name}]"')
    return Check(name, State.WORKS, told)


def _opening(project: Project, name: str, given: Mapping[str, object]) -> Work:
    def work(tell: Tell) -> None:
        with Services({**_impatient(project.services), **given}) as services:
            declared = project.services[name]
            if isinstance(declared, Service):
                services.check(name, declared.make, takes_row=False)
            tell(_spoken_to(name, services[name]))

    return work


def _spoken_to(name: str, service: object) -> str:
    """Say what a service is. What is not known here was imported by whoever made it."""
    from tallyline.api import Api  # noqa: PLC0415  # an HTTP client only where services are tried
    from tallyline.database import Engine, what_it_is  # noqa: PLC0415  # SQLAlchemy, too

    if isinstance(service, Engine):
        return what_it_is(service, name)
    if isinstance(service, Api):
        return service.reach() if service.url else "opens; its source knows the address"
    return f"opens: a {type(service).__name__}"


def _probing(project: Project, source: Source, now: datetime, broken: set[str]) -> Work:
    def work(tell: Tell) -> None:
        given = _given(project, source.options, now)
        services = {**_impatient(project.services), **given}
        asked = list(_asked_for(source.graph(), services, given))
        if waits_for := [name for name in asked if name in broken]:
            raise Waits(", ".join(waits_for))
        probe = source.probe(source.name)
        if probe is None:
            tell(_opened(asked, services))
        else:
            run(probe.followed_by(node(lambda said: _tell_all(said, tell), name="tell")), services)

    return work


def _tell_all(said: str | Iterable[str], tell: Tell) -> None:
    for line in [said] if isinstance(said, str) else said:
        tell(line)


def _asked_for(graph: Graph, services: Mapping[str, object], given: Mapping[str, object]) -> Iterator[str]:
    """Yield the names of the project's services that a graph asks for; refuses those that there are not."""
    declared = Services(services)
    names: dict[str, None] = {}
    for name in graph.names:
        work, renamed, takes_row = graph.node(name).work, graph.node(name).services, name not in graph.starts
        if callable(work):
            declared.check(name, work, renamed, takes_row=takes_row)
            wanted = wanted_services(work, {*services, *renamed}, takes_row=takes_row)
            names |= dict.fromkeys(renamed.get(parameter, parameter) for parameter in wanted)
    yield from (name for name in names if name not in given)


def _opened(names: Sequence[str], services: Mapping[str, object]) -> str:
    with Services(services) as opening:
        for name in names:
            opening[name]
    return f"opens what it asks for: {', '.join(names)}" if names else "asks for no service"


def _impatient(services: Mapping[str, object]) -> dict[str, object]:
    """Return the services, those that are spoken to by HTTP asking only once."""
    from tallyline.api import Api  # noqa: PLC0415

    @contextmanager
    def once(service: object) -> Iterator[None]:
        if isinstance(service, Api):
            service.attempts = 1
        yield

    return {name: wrapped(declared, once) for name, declared in services.items()}


def _given(project: Project, options: Options, now: datetime) -> dict[str, object]:
    """Return what every source is given; the window is the running hour or day."""
    grain, zone = options.facts, project.zone
    window = Window(grain.floor(now, zone), grain.after(now, zone))
    return given_to(project, options, window, grain, now)
