"""`tallyline demo`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from tallyline.cli.options import example
from tallyline.cli.progress import console
from tallyline.cli.read import read_all
from tallyline.cli.up import DEFAULT_PORT, serve_project
from tallyline.demo.projects import has_dlt, is_company, make_company
from tallyline.errors import Refused, RunFailed
from tallyline.project import FILE, load_project
from tallyline.window import utc_now

__all__ = ["command"]


@click.command("demo", epilog=example("tallyline demo\ntallyline demo pagesnap --no-up"))
@click.argument("folder", type=click.Path(path_type=Path), default=Path("tallyline-demo"), metavar="[DIR]")
@click.option("--up/--no-up", default=True, help="Serve the page in the end, and go on reading.  [default: up]")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="Where the page is.",
)
def command(folder: Path, *, up: bool, port: int) -> None:
    """Make the simulated company Pagesnap in DIR, read its numbers, and show them.

    Two years of users, API calls, payments and workers are made up, read by sources of every kind into a warehouse, and
    served as dashboards, while it goes on reading what is due. Services such as Stripe and Prometheus are simulated in
    this process: nothing is sent. In a DIR that has the demo already, only what is new is read.
    """
    screen = console()
    if not (folder / FILE).exists():
        screen.print(f"Making up two years of Pagesnap, a simulated company, in [bold]{folder}[/] …")
        began = time.monotonic()
        make_company(folder, utc_now())
        screen.print(f"   product.db is there, {time.monotonic() - began:.1f} s")
        if not has_dlt():
            without = 'without dlt, there are no support tickets; it comes with pip install "tallyline[dlt]"'
            screen.print(f"   {without}", markup=False)
    elif not is_company(folder):
        msg = f"{folder} holds another project; say where the demo is to be: tallyline demo DIR"
        raise Refused(msg)
    project = load_project(folder)
    results = read_all(project, list(project.sources.values()), write=True, screen=screen)
    if any(result.error for result in results):
        msg = "the demo's sources could not all be read"
        raise RunFailed(msg)
    screen.print(f"Look around: cd {folder}; tallyline inspect; tallyline show users.new --by week")
    if up:
        serve_project(project, port=port, open_browser=sys.stdout.isatty())
