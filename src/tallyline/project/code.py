"""The project's own code: `sources.py` or the modules of `sources/`, and `dashboards.py`, imported for it alone."""

from __future__ import annotations

import importlib
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from tallyline.dashboards import Dashboard
from tallyline.errors import Problem, TallylineError
from tallyline.graph import Service
from tallyline.sources import SourceDeclaration
from tallyline.sources.importing import importing_from

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

__all__ = ["load_code"]

_DASHBOARDS = "dashboards"


def load_code(
    folder: Path, problems: list[Problem], dashboards: list[tuple[str, Dashboard]] | None = None
) -> dict[str, SourceDeclaration | Service]:
    """Return the sources and services that the project's code declares, by the names of their variables.

    Its dashboards are added to `dashboards`, each with its file. While it is imported the project's folder is on the
    import path, so that the code may import its neighbours; then its modules are forgotten, so that another project's
    may have the same names. Code that cannot be imported becomes a problem with its file and line.
    """
    folder = folder.resolve()
    found: dict[str, SourceDeclaration | Service] = {}
    shown = dashboards if dashboards is not None else []
    with importing_from(folder, afresh={"sources", _DASHBOARDS}):
        for name, file in _modules(folder, problems):
            try:
                module = importlib.import_module(name)
            except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever code raises is a mistake in it
                problems.append(_problem(error, folder, file))
                continue
            place = str(file.relative_to(folder))
            _add_dashboards(module, place, shown)
            for variable, declared in _declared(module) if name != _DASHBOARDS else ():
                if any(declared is known for known in found.values()):
                    continue
                if variable in found:
                    problems.append(Problem(place, f'"{variable}" is declared in another file of the project, too'))
                found[variable] = declared
    return found


def _modules(folder: Path, problems: list[Problem]) -> Iterator[tuple[str, Path]]:
    single, several = folder / "sources.py", sorted((folder / "sources").glob("*.py"))
    if single.is_file() and several:
        problems.append(Problem("sources.py", "there is a folder sources/ with code, too; keep one of them"))
    elif single.is_file():
        yield "sources", single
    else:
        for file in several:
            yield "sources" if file.stem == "__init__" else f"sources.{file.stem}", file
    if (folder / f"{_DASHBOARDS}.py").is_file():
        yield _DASHBOARDS, folder / f"{_DASHBOARDS}.py"


def _declared(module: ModuleType) -> Iterator[tuple[str, SourceDeclaration | Service]]:
    for variable, value in vars(module).items():
        if isinstance(value, SourceDeclaration | Service):
            yield variable, value


def _add_dashboards(module: ModuleType, place: str, shown: list[tuple[str, Dashboard]]) -> None:
    """Add the dashboards that a module's variables hold, by themselves or in a list, each once."""
    for value in vars(module).values():
        for each in value if isinstance(value, list | tuple) else [value]:
            if isinstance(each, Dashboard) and all(each is not known for _, known in shown):
                shown.append((place, each))


def _problem(error: BaseException, folder: Path, file: Path) -> Problem:
    raised_in = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError):
        raised_in.append((Path(error.filename or file), error.lineno))
    own = [place for place in raised_in if place[0].is_relative_to(folder) and "site-packages" not in place[0].parts]
    place, line = own[-1] if own else (file, None)
    said = str(error) if isinstance(error, TallylineError) else f"{type(error).__name__}: {error}"
    return Problem(f"{place.relative_to(folder)}{f':{line}' if line else ''}", said)
