"""The project's own code: `sources.py`, or the modules of `sources/`, imported under a name of its own."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import traceback
from typing import TYPE_CHECKING

from tallyline.errors import Problem
from tallyline.graph import Service
from tallyline.sources import SourceDeclaration

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

__all__ = ["load_code"]


def load_code(folder: Path, problems: list[Problem]) -> dict[str, SourceDeclaration | Service]:
    """Return the sources and services that the project's code declares, by the names of their variables.

    The project's folder is on the import path, so that the code may import its neighbours. Code that cannot be
    imported becomes a problem with its file and line.
    """
    folder = folder.resolve()
    found: dict[str, SourceDeclaration | Service] = {}
    for name, file in _modules(folder):
        try:
            module = _imported(name, file, folder)
        except Exception as error:  # noqa: BLE001  # whatever a user's code raises is told as a mistake in it
            problems.append(Problem(_place(error, folder, file), f"{type(error).__name__}: {error}"))
            continue
        declared = {key: value for key, value in vars(module).items() if isinstance(value, SourceDeclaration | Service)}
        found |= {key: value for key, value in declared.items() if value not in found.values()}
    return found


def _modules(folder: Path) -> Iterator[tuple[str, Path]]:
    package = f"tallyline_project_{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"
    single, several = folder / "sources.py", folder / "sources"
    if single.is_file():
        yield f"{package}.sources", single
    if several.is_dir():
        for file in sorted(several.glob("*.py")):
            yield f"{package}.sources.{file.stem}", file


def _imported(name: str, file: Path, folder: Path) -> ModuleType:
    specification = importlib.util.spec_from_file_location(name, file)
    assert specification is not None and specification.loader is not None, file  # noqa: S101, PT018
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    sys.path.insert(0, str(folder))
    try:
        specification.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
    return module


def _place(error: Exception, folder: Path, file: Path) -> str:
    if isinstance(error, SyntaxError) and error.lineno:
        return f"{file.relative_to(folder)}:{error.lineno}"
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(str(folder))]
    line = f":{own[-1].lineno}" if own else ""
    return f"{file.relative_to(folder)}{line}"
