"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["example", "project_option"]

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


def example(text: str) -> str:
    r"""Return an epilog that shows `text` as it is to be typed.

    >>> example("tallyline read all")
    '\x08\nExample:\n  tallyline read all'
    """
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in text.splitlines())
