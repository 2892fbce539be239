"""`tallyline init`."""

from __future__ import annotations

from pathlib import Path

import click

from tallyline.cli.options import example
from tallyline.demo.projects import make_starter
from tallyline.window import utc_now

__all__ = ["command"]


@click.command("init", epilog=example("tallyline init my-company\ncd my-company\ntallyline read all --write"))
@click.argument("name", type=click.Path(path_type=Path))
def command(name: Path) -> None:
    """Make a project in the new folder NAME that runs as it stands, over a small made-up shop."""
    make_starter(name, utc_now())
    click.echo(f"{name} is ready: tallyline.toml says what is measured, sources.py is for code.")
    click.echo(f"Next:\n  cd {name}\n  tallyline read all --write\n  tallyline up")
