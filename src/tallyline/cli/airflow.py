"""`tallyline airflow`."""

from __future__ import annotations

from pathlib import Path

import click

from tallyline.cli.options import example, project_option
from tallyline.errors import RunFailed
from tallyline.schedule.airflow import PREFIX
from tallyline.schedule.airflow.folder import write_folder
from tallyline.schedule.airflow.manifest import MANIFEST, compile_manifest, read_manifest

__all__ = ["command"]


@click.group("airflow", epilog=example("tallyline airflow init dags\ntallyline airflow compile --check"))
def command() -> None:
    """Let Airflow run the project: a DAG a source, and one that cleans."""


@command.command("init", epilog=example("tallyline airflow init dags --prefix shop"))
@click.argument("dags", type=click.Path(file_okay=False, path_type=Path), default=Path("dags"), metavar="[DIR]")
@click.option("--prefix", default=PREFIX, show_default=True, help="What the ids of the DAGs begin with.")
@project_option
def init(dags: Path, *, prefix: str, folder: Path) -> None:
    """Write the DAG folder DIR, by default dags, that runs as it stands.

    One file has the DAGs, another one tells Airflow what is wrong with a source. What the project's code declares is
    written down beside tallyline.toml, since Airflow does not run it to look for DAGs.
    """
    for path in write_folder(dags, folder, prefix):
        click.echo(f"{path} is written")
    click.echo(f"Airflow finds the DAGs with AIRFLOW__CORE__DAGS_FOLDER={dags.resolve()}")


@command.command("compile", epilog=example("tallyline airflow compile"))
@click.option("--check", is_flag=True, help="Only say whether it is as the code says; exit 1 if it is not.")
@project_option
def compile_code(*, check: bool, folder: Path) -> None:
    """Write down what Airflow has to know of the sources in code: their schedules and starts.

    Sources in tallyline.toml need no such thing. The file belongs to the project, and into its repository.
    """
    if check:
        stale = read_manifest(folder).problems
        if stale:
            raise RunFailed("\n  ".join([f"{MANIFEST} is not what the code says", *map(str, stale)]))
        click.echo("Airflow knows what the code declares.")
        return
    text = compile_manifest(folder)
    click.echo(f"{folder / MANIFEST} is written" if text else "There is no code that declares sources.")
