"""`tallyline grafana`."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from tallyline.cli.options import example, opened, project_option
from tallyline.dashboards import tellers_of
from tallyline.dashboards.grafana import (
    Definitions,
    Delivery,
    Pushed,
    Server,
    address_of,
    export,
    names_of,
    publish,
    push,
    push_data_source,
    withdraw,
)
from tallyline.errors import Refused, UnknownName
from tallyline.graph import Services
from tallyline.project import load_project
from tallyline.reference import filled_in, looked_up
from tallyline.schedule.intervals import ticks_before
from tallyline.secret import remember
from tallyline.window import Window, utc_now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from zoneinfo import ZoneInfo

    from tallyline.dashboards.grafana import Address, Outcome
    from tallyline.project import Project
    from tallyline.warehouse import RunRecord

__all__ = ["command"]

FAILED = 1
SERVICE = "grafana"
MARKED = timedelta(days=90)
MOST_MARKED = 200
_DECLARED = 'grafana = { url = "https://…", token = "${GRAFANA_TOKEN}" }'
_A_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
_TICKS = 400

Function = TypeVar("Function", bound="Callable[..., object]")


@click.group("grafana", epilog=example("tallyline grafana export deploy\ntallyline grafana push"))
def command() -> None:
    """Show the project's dashboards in Grafana, 10 to 13: by files, or pushed to a server."""


def _common(function: Function) -> Function:
    for option in (
        click.option("--name", default="", help="What names (uids) begin with.  [default: the project's title]"),
        click.option(
            "--warehouse",
            "seen",
            metavar="URL",
            help="Where Grafana finds the warehouse.  [default: where the project does]",
        ),
        click.option(
            "--role", default="grafana", show_default=True, help="Who reads it on PostgreSQL; see `tallyline grant`."
        ),
        click.option(
            "--password-from",
            "variable",
            metavar="NAME",
            default="GRAFANA_PASSWORD",
            show_default=True,
            help="The environment variable that holds the role's password.",
        ),
    ):
        function = option(function)
    return project_option(function)


@command.command(
    "export",
    epilog=example("tallyline grafana export deploy --warehouse postgresql://db.internal/company"),
)
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path), metavar="DIR")
@click.option(
    "--dashboards-path",
    default="/etc/grafana/dashboards",
    show_default=True,
    help="Where Grafana finds DIR/dashboards.",
)
@click.option("--overwrite", is_flag=True, help="Replace files that were changed by hand.")
@_common
def export_files(
    directory: Path,
    *,
    dashboards_path: str,
    overwrite: bool,
    name: str,
    seen: str | None,
    role: str,
    variable: str,
    folder: Path,
) -> None:
    """Write into DIR what Grafana provisions itself from.

    A data source, folders of dashboards, and alert rules for late data and for targets. Passwords are references to
    Grafana's environment. The same project gives the same files; what is gone from it is removed.
    """
    project = load_project(folder)
    address = _address(project, seen, role)
    delivery = Delivery(_definitions(project, address, name), address, dashboards_path.rstrip("/"), variable)
    done = export(delivery, directory, overwrite=overwrite)
    for path in done.written:
        click.echo(f"{directory / path} is written")
    for path in done.removed:
        click.echo(f"{directory / path} is removed")
    if done.unchanged:
        click.echo(f"{len(done.unchanged)} files are as they were")
    if address.dialect == "postgresql":
        click.echo(f"Grafana needs {variable} in its environment: `tallyline grant {role} --password-from {variable}`")


def _server_options(function: Function) -> Function:
    for option in (
        click.option(
            "--service",
            default=SERVICE,
            show_default=True,
            help="The service of the project that is Grafana; without one GRAFANA_URL and GRAFANA_TOKEN.",
        ),
        click.option("--overwrite", is_flag=True, help="Undo what was changed by hand."),
    ):
        function = option(function)
    return function


@command.command("push", epilog=example("tallyline grafana push\ntallyline grafana push --data-source --overwrite"))
@click.option("--data-source", is_flag=True, help="Make the data source, too; it takes a token of an Admin.")
@click.option("--prune", is_flag=True, help="Remove dashboards that were pushed, and are no longer defined.")
@_server_options
@_common
def push_to_server(
    *,
    data_source: bool,
    prune: bool,
    service: str,
    overwrite: bool,
    name: str,
    seen: str | None,
    role: str,
    variable: str,
    folder: Path,
) -> None:
    """Push the dashboards to a Grafana, with the token of a service account.

    Only what differs is written. A dashboard that somebody has changed by hand is refused, with what differs, and the
    exit status is 1.
    """
    project = load_project(folder)
    address = _address(project, seen, role)
    definitions = _definitions(project, address, name)
    with _server(project, service) as server:
        if data_source:
            password = remember(looked_up(variable, None, "the data source")) if address.role else ""
            _told([push_data_source(server, definitions.names, address, password, again=overwrite)])
        _end(_told(push(definitions, server, overwrite=overwrite, prune=prune)))


@command.command("publish", epilog=example("tallyline grafana publish\ntallyline grafana publish --off"))
@click.option("--off", is_flag=True, help="Show them to nobody any more; their addresses are kept.")
@click.option(
    "--address-from",
    "secret_from",
    metavar="NAME",
    help="The environment variable of a secret that new addresses are made of.  [default: Grafana makes them up]",
)
@_server_options
@_common
def publish_on_server(
    *,
    off: bool,
    secret_from: str | None,
    service: str,
    overwrite: bool,
    name: str,
    seen: str | None,
    role: str,
    variable: str,  # noqa: ARG001  # of the data source, which is there
    folder: Path,
) -> None:
    """Show the dashboards that are `public` to anybody who has the address, and say it.

    They are pushed without variables, and runs that failed are marked. Done again, nothing changes: an address stays.
    """
    project = load_project(folder)
    definitions = _definitions(project, _address(project, seen, role), name)
    if not off and not any(dashboard.public for dashboard in project.dashboards):
        click.echo("No dashboard of the project is public: say so with public = true.")
    secret = remember(looked_up(secret_from, None, "the address of public dashboards")) if secret_from else ""
    with _server(project, service) as server:
        if off:
            _end(_told(withdraw(definitions, server)))
        else:
            _end(_told(publish(definitions, server, _failed(project), secret=secret, overwrite=overwrite)))


def _address(project: Project, seen: str | None, role: str) -> Address:
    url = filled_in(seen, "the warehouse as Grafana sees it") if seen else project.warehouse_url
    return address_of(url, role, project.folder)


def _definitions(project: Project, address: Address, name: str) -> Definitions:
    late = {source.name: _late(source.options.schedule, project.zone) for source in project.sources.values()}
    names = names_of(project.title, name)
    return Definitions(names, address.dialect, project.zone, project.plan, late, project.dashboards)


def _late(schedule: str, zone: ZoneInfo) -> timedelta:
    """Return the longest time in which a schedule comes twice: data that is older is late."""
    ticks = list(islice(ticks_before(schedule, _A_YEAR, zone), _TICKS))
    return max((newer - older for newer, older in zip(ticks, ticks[2:], strict=False)), default=timedelta(days=732))


@contextmanager
def _server(project: Project, service: str) -> Iterator[Server]:
    """Open the service that is Grafana."""
    from tallyline.api import Api, as_api  # noqa: PLC0415  # an HTTP client only where a server is spoken to
    from tallyline.api import opened as opened_api  # noqa: PLC0415

    if service in project.services:
        with Services(project.services) as services:
            yield Server(as_api(services[service], "Grafana", _DECLARED))
        return
    if service != SERVICE:
        raise UnknownName("service", service, project.services)
    url = os.environ.get("GRAFANA_URL", "")
    if not url.startswith(("http://", "https://")):
        msg = (
            "nobody says where Grafana is: set GRAFANA_URL, such as https://grafana.internal, and GRAFANA_TOKEN, or "
            f"write under [services]: {_DECLARED}"
        )
        raise Refused(msg)
    token = remember(looked_up("GRAFANA_TOKEN", None, "Grafana"))
    with opened_api(Api(url, name="Grafana", token=token)) as api:
        yield Server(api)


def _failed(project: Project) -> dict[str, list[RunRecord]]:
    """Return the runs that failed lately of the sources that tell of each public dashboard."""
    now = utc_now()
    with opened(project) as warehouse:
        overview = warehouse.overview()
        runs = warehouse.failures(Window(now - MARKED, now), MOST_MARKED)
    tellers = {
        dashboard.name: {
            source
            for panel in dashboard.panels
            if panel.metric
            for source in tellers_of(project.plan, panel.metric, overview)
        }
        for dashboard in project.dashboards
        if dashboard.public
    }
    return {name: [run for run in runs if run.source in sources] for name, sources in tellers.items()}


def _told(outcomes: Iterable[Outcome]) -> bool:
    """Print a line for each, and say whether none was refused."""
    good = True
    for outcome in outcomes:
        click.echo(f"{outcome.what}: {outcome.became}{f', {outcome.why}' if outcome.why else ''}")
        good = good and outcome.became is not Pushed.REFUSED
    return good


def _end(good: bool) -> None:
    if not good:
        sys.exit(FAILED)
