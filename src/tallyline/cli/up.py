"""`tallyline up`."""

from __future__ import annotations

import gc
import webbrowser
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from tallyline.cli.options import example, opened, project_option
from tallyline.cli.scheduled import Lines
from tallyline.project import load_project
from tallyline.web import make_app, serve

if TYPE_CHECKING:
    from pathlib import Path

    from tallyline.project import Project
    from tallyline.schedule.beside import Beside
    from tallyline.warehouse import Warehouse

__all__ = ["DEFAULT_PORT", "command", "serve_project"]

DEFAULT_PORT = 7411


@click.command("up", epilog=example("tallyline up --port 8080\ntallyline up --once"))
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="Where to listen; 0 takes a free one.",
)
@click.option("--open", "open_browser", is_flag=True, help="Open the page in the browser.")
@click.option("--page/--no-page", default=True, help="Serve the page.  [default: page]")
@click.option("--schedule/--no-schedule", default=True, help="Read what is due.  [default: schedule]")
@click.option("--once", is_flag=True, help="Read only what is due now, and end; without the page.")
@project_option
def command(*, port: int, open_browser: bool, page: bool, schedule: bool, once: bool, folder: Path) -> None:
    """Serve the project's dashboards on 127.0.0.1 and read what is due, until Ctrl-C.

    Each source is read by its schedule. What was missed while nothing was up is read, too, the newest first. Any number
    of processes may do so on one warehouse. With --once, for those who have a cron, it ends with 1 where a run failed.
    """
    if not schedule and (once or not page):
        raise click.UsageError("nothing is left to do; leave out --no-schedule")
    project = load_project(folder)
    if once:
        _read_once(project)
    elif page:
        serve_project(project, port=port, open_browser=open_browser, schedule=schedule)
    else:
        _read_as_due(project)


def serve_project(project: Project, *, port: int, open_browser: bool, schedule: bool = True) -> None:
    """Serve the page and read what is due until it is interrupted, and say where the page is."""
    with opened(project, write=True) as warehouse:
        beside = _beside(project, warehouse, Lines(project.zone)) if schedule else None

        def ready(url: str) -> None:
            _look_for_garbage_less()
            click.echo(f"{project.title} is at {url}   (Ctrl-C ends it)")
            if beside:
                beside.start()
            if open_browser:
                webbrowser.open(url)

        app = make_app(
            title=project.title,
            zone=project.zone,
            plan=project.plan,
            dashboards=project.dashboards,
            warehouse=warehouse,
            sources=project.sources,
        )
        try:
            serve(app, port=port, ready=ready)
        finally:
            if beside:
                beside.stop()


def _look_for_garbage_less() -> None:
    """Hold no panel up: what is loaded stays, and to look through it takes 30 ms; what a panel needs goes by itself."""
    gc.freeze()
    gc.set_threshold(10_000)


def _read_as_due(project: Project) -> None:
    with opened(project, write=True) as warehouse:
        beside = _beside(project, warehouse, Lines(project.zone))
        click.echo(f"{project.title} is read as it is due   (Ctrl-C ends it)")
        beside.start()
        try:
            with suppress(KeyboardInterrupt):
                beside.wait()
        finally:
            beside.stop()


def _read_once(project: Project) -> None:
    lines = Lines(project.zone, once=True)
    with opened(project, write=True) as warehouse:
        beside = _beside(project, warehouse, lines, once=True)
        beside.start()
        try:
            beside.wait()
        finally:
            beside.stop()
    lines.check()


def _beside(project: Project, warehouse: Warehouse, lines: Lines, *, once: bool = False) -> Beside:
    from tallyline.schedule.beside import Beside  # noqa: PLC0415  # what reads, only where something is read
    from tallyline.schedule.scheduler import Scheduler  # noqa: PLC0415

    return Beside(Scheduler(project, warehouse, lines), once=once)
