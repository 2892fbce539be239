"""`tallyline up`."""

from __future__ import annotations

import webbrowser
from typing import TYPE_CHECKING

import click

from tallyline.cli.options import example, opened, project_option
from tallyline.project import load_project
from tallyline.web import make_app, serve

if TYPE_CHECKING:
    from pathlib import Path

    from tallyline.project import Project

__all__ = ["DEFAULT_PORT", "command", "serve_project"]

DEFAULT_PORT = 7411


@click.command("up", epilog=example("tallyline up --port 8080"))
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="Where to listen; 0 takes a free one.",
)
@click.option("--open", "open_browser", is_flag=True, help="Open the page in the browser.")
@project_option
def command(*, port: int, open_browser: bool, folder: Path) -> None:
    """Serve the project's dashboards on 127.0.0.1, until Ctrl-C."""
    serve_project(load_project(folder), port=port, open_browser=open_browser)


def serve_project(project: Project, *, port: int, open_browser: bool) -> None:
    """Serve the page until it is interrupted, and say where it is."""

    def ready(url: str) -> None:
        click.echo(f"{project.title} is at {url}   (Ctrl-C ends it)")
        if open_browser:
            webbrowser.open(url)

    with opened(project, write=True) as warehouse:
        app = make_app(
            title=project.title,
            zone=project.zone,
            plan=project.plan,
            dashboards=project.dashboards,
            warehouse=warehouse,
        )
        serve(app, port=port, ready=ready)
