"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from tallyline.project import Project
    from tallyline.warehouse import Warehouse

__all__ = ["example", "opened", "pairs", "project_option"]

Function = TypeVar("Function", bound="Callable[..., object]")


def project_option(command: Function) -> Function:
    """Add --project, the folder of the project."""
    option = click.option(
        "--project",
        "folder",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path(),
        envvar="TALLYLINE_PROJECT",
        help="The project's folder.  [default: this one]",
    )
    return option(command)


def opened(project: Project, *, write: bool = False) -> AbstractContextManager[Warehouse]:
    """Open the project's warehouse."""
    from tallyline.warehouse import open_warehouse  # noqa: PLC0415  # SQLAlchemy only where it is needed

    return open_warehouse(project.warehouse_url, project.zone, folder=project.folder, write=write, plan=project.plan)


def pairs(where: tuple[str, ...]) -> dict[str, str]:
    """Read DIM=VALUE as it is given to --where."""
    found = [pair.partition("=") for pair in where]
    for name, equals, value in found:
        if not (name and equals):
            msg = f'"{name}{equals}{value}" is not DIM=VALUE, such as country=FR'
            raise click.BadParameter(msg, param_hint="--where")
    return {name: value for name, _, value in found}


def example(text: str) -> str:
    r"""Return an epilog that shows `text` as it is to be typed.

    >>> example("tallyline read all")
    '\x08\nExample:\n  tallyline read all'
    """
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in text.splitlines())
