"""`tallyline inspect`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tallyline.cli.options import example, project_option
from tallyline.graph import FORMATS, draw
from tallyline.project import load_project
from tallyline.runner import outline

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["command"]


@click.command("inspect", epilog=example("tallyline inspect\ntallyline inspect signups --format mermaid"))
@click.argument("sources", nargs=-1, metavar="[SOURCE…]")
@click.option("--format", "style", type=click.Choice(FORMATS), default="text", show_default=True, help="How to draw.")
@project_option
def command(sources: tuple[str, ...], *, style: str, folder: Path) -> None:
    """Draw the graphs of SOURCEs, or of all: what is read, what it passes through, where it ends."""
    project = load_project(folder)
    chosen = [project.source(name) for name in sources] or list(project.sources.values())
    if style == "svg" and len(chosen) > 1:
        msg = f"an SVG shows one source; say which: {', '.join(sorted(source.name for source in chosen))}"
        raise click.UsageError(msg)
    drawings = [draw(outline(source), style, title=source.name) for source in chosen]
    click.echo("[\n" + ",\n".join(drawings) + "\n]" if style == "json" else "\n\n".join(drawings))
