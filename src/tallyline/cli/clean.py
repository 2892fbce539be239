"""`tallyline clean`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from tallyline.cli.options import example, opened, project_option
from tallyline.cli.progress import console
from tallyline.errors import Refused, RunFailed
from tallyline.project import load_project

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from tallyline.warehouse import Cleaned

__all__ = ["command"]

_NOUNS = {
    "hours": ("hour", "hours"),
    "days": ("day", "days"),
    "restatements": ("restatement", "restatements"),
    "runs": ("run", "runs"),
}


@click.command("clean", epilog=example("tallyline clean all\ntallyline clean orders --write"))
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE…|all")
@click.option("--write", is_flag=True, help="Remove it; without it only say what would go.")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
@project_option
def command(sources: tuple[str, ...], *, write: bool, as_json: bool, folder: Path) -> None:
    """Remove values of SOURCEs, or of all, that are older than the project keeps them.

    The section [retention] says how long: hours = "400d", days, restatements, runs. Hours that were never rolled up
    into days are kept, and told.
    """
    project = load_project(folder)
    if project.retention.keeps_all:
        msg = 'the project keeps everything; say how long in tallyline.toml: [retention] with hours = "400d"'
        raise Refused(msg)
    named = [project.source(name) for name in dict.fromkeys(sources) if name != "all"]
    chosen = list(project.sources.values()) if "all" in sources else named
    with opened(project, write=write) as warehouse:
        cleaned = {source.name: warehouse.clean(source.name, project.retention, write=write) for source in chosen}
        if write and any(each.total for each in cleaned.values()):
            warehouse.give_space_back()
    if as_json:
        click.echo(json.dumps({name: asdict(each) for name, each in cleaned.items()}, indent=2))
    else:
        for name, each in cleaned.items():
            _tell(console(), name, each, write=write)
    if any(each.refused for each in cleaned.values()):
        msg = "hours that were never rolled up into days were kept: without their days, they would be lost"
        raise RunFailed(msg)


def _tell(screen: Console, source: str, cleaned: Cleaned, *, write: bool) -> None:
    counts = asdict(cleaned)
    refused = counts.pop("refused")
    told = ", ".join(f"{count:,} {_NOUNS[name][count != 1]}" for name, count in counts.items() if count)
    what = f"{told} {'removed' if write else 'would go; --write removes them'}" if told else "nothing to remove"
    screen.print(f"[bold]{source}[/]  {what}")
    for metric, count in refused.items():
        screen.print(f"   {metric}: {count:,} hours are old enough, and were never rolled up", style="yellow")
