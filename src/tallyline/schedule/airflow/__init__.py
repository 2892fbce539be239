"""Airflow: the DAGs of a project, one a source on its schedule, and one that cleans.

A DAG file is two lines; `tallyline airflow init` writes it, with a second one that tells what is wrong::

    from tallyline.schedule.airflow import dags
    globals().update(dags("project-folder"))

Nothing of Airflow is imported before one of these functions is called, and of a project only what says when its sources
are read: no code of its own, no database.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PREFIX", "dags", "raise_problems"]

PREFIX = "tallyline"


def dags(
    folder: str | Path,
    *,
    prefix: str = PREFIX,
    catchup: bool = True,
    assets: bool = True,
    default_args: Mapping[str, object] | None = None,
) -> dict[str, Any]:
    """Return the DAGs of the project in `folder` by their ids: `tallyline.read.SOURCE` and `tallyline.clean.all`.

    A relative folder is taken from the file that calls this. `prefix` tells the DAGs of several projects apart. With
    `catchup`, a source that says when it starts is read for each interval since then. With `assets`, each metric that
    was written is an event of its asset, ``tallyline://PREFIX/METRIC``. `default_args` are Airflow's own, for all
    tasks: `retries`, `pool`, `queue`, `executor`, `owner` …

    A source whose DAG cannot be made is left out, so that it takes no other with it; `raise_problems` tells of it.
    When Airflow starts a task, only the DAG of that task is made. Raises ProjectError or Refused where the project
    cannot be read at all.
    """
    from tallyline.schedule.airflow.inside.building import Building  # noqa: PLC0415  # Airflow only where it runs

    building = Building(_placed(folder), prefix, catchup=catchup, assets=assets, default_args=dict(default_args or {}))
    return building.dags()


def raise_problems(folder: str | Path) -> None:
    """Raise ProjectError with whatever keeps sources of the project from being DAGs, which makes it an import error.

    It belongs into a file of its own, beside the one with the DAGs: Airflow hides all DAGs of a file that raises.
    """
    from tallyline.schedule.airflow.inside.building import Building  # noqa: PLC0415  # Airflow only where it runs

    Building(_placed(folder)).raise_problems()


def _placed(folder: str | Path) -> Path:
    """Return the folder from where the calling file lies: where Airflow's processes were started says nothing."""
    calling = sys._getframe(2).f_globals.get("__file__", "")  # noqa: SLF001  # the file is nowhere else to be had
    return (Path(calling).parent / folder).resolve()
