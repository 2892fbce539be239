"""`tallyline grant`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from tallyline.cli.options import example, opened, project_option
from tallyline.errors import Refused
from tallyline.project import load_project

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["command"]


@click.command("grant", epilog=example("tallyline grant grafana --password-from GRAFANA_PASSWORD"))
@click.argument("role")
@click.option(
    "--password-from",
    "variable",
    metavar="NAME",
    required=True,
    help="The environment variable that holds the role's password.",
)
@project_option
def command(role: str, *, variable: str, folder: Path) -> None:
    """Let the database role ROLE read the warehouse's views, and nothing else; make it if it is missing.

    For dashboards, on PostgreSQL. The password stands in the environment and is neither printed nor logged.
    """
    password = os.environ.get(variable, "")
    if not password:
        msg = f"the environment variable {variable} is not set; put the role's password there"
        raise Refused(msg)
    project = load_project(folder)
    with opened(project, write=True) as warehouse:
        warehouse.grant_reading(role, password)
    click.echo(f"{role} may read the warehouse's views, and nothing else")
