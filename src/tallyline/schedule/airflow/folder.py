"""The folder of DAGs that `tallyline airflow init` writes: two files, and what Airflow is not to look at."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from tallyline.errors import Refused
from tallyline.schedule.airflow.manifest import MANIFEST, compile_manifest
from tallyline.schedule.airflow.timed import read_timed

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["DAGS", "PROBLEMS", "check_prefix", "write_folder"]

DAGS, PROBLEMS, IGNORED = "tallyline_dags.py", "tallyline_problems.py", ".airflowignore"
_PREFIX = re.compile(r"[A-Za-z0-9_-]+")

_DAGS_TEXT = '''\
"""Airflow's DAGs of the Tallyline project: one a source on its schedule, and one that cleans."""

from tallyline.schedule.airflow import dags

globals().update(dags({folder}, prefix="{prefix}"))
'''

_PROBLEMS_TEXT = '''\
"""What is wrong with a source: an import error of Airflow's that hides no DAG, since there is none in this file."""

from tallyline.schedule.airflow import raise_problems

raise_problems({folder})
'''


def write_folder(folder: Path, project: Path, prefix: str) -> list[Path]:
    """Write the folder, and what Airflow is to know of the project's code; return the files that were written.

    What is there already with the same text stays. Raises Refused where a file is there with another one, and
    ProjectError where of no source can be told when it is read.
    """
    check_prefix(prefix)
    manifest = project / MANIFEST
    known = _read(manifest)
    compiled = [manifest] if compile_manifest(project) not in {None, known} else []
    read_timed(project)
    place = repr(_from(folder.resolve(), project.resolve())).replace("'", '"')
    texts = {
        folder / DAGS: _DAGS_TEXT.format(folder=place, prefix=prefix),
        folder / PROBLEMS: _PROBLEMS_TEXT.format(folder=place),
    } | _ignored(folder, project)
    _check_own(texts, folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = [path for path, text in texts.items() if _read(path) != text]
    for path in written:
        path.write_text(texts[path], encoding="utf-8", newline="\n")
    return written + compiled


def check_prefix(prefix: str) -> None:
    """Refuse what the ids of DAGs, and the addresses of their assets, cannot begin with."""
    if not _PREFIX.fullmatch(prefix):
        msg = f'"{prefix}" cannot be the prefix of DAGs; use letters, digits, _ and -'
        raise Refused(msg)


def _from(folder: Path, project: Path) -> str:
    """Return the project as seen from the folder where they lie beside or in each other, else where it is."""
    related = folder in {project, *project.parents} or project in folder.parents or folder.parent == project.parent
    return os.path.relpath(project, folder).replace(os.sep, "/") if related else str(project)


def _ignored(folder: Path, project: Path) -> dict[Path, str]:
    """Let Airflow not look for DAGs in the code of a project that lies in the folder."""
    folder, project = folder.resolve(), project.resolve()
    if project == folder:
        lines = ["sources.py", "sources/", "dashboards.py"]
    elif folder in project.parents:
        lines = [f"{project.relative_to(folder).as_posix()}/"]
    else:
        return {}
    before = _read(folder / IGNORED)
    missing = [line for line in lines if line not in before.splitlines()]
    return {folder / IGNORED: "".join([before, *(f"{line}\n" for line in missing)])} if missing else {}


def _check_own(texts: dict[Path, str], folder: Path) -> None:
    for name in (DAGS, PROBLEMS):
        path = folder / name
        if path.exists() and _read(path) != texts[path]:
            msg = f"{path} is there already, with another text; remove it, or name another folder"
            raise Refused(msg)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""
