"""The project's function that makes a resource, imported as the project's other code is."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module, invalidate_caches
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from tallyline.errors import Refused, UnknownName
from tallyline.secret import masked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["import_function"]

_importing = Lock()


@lru_cache
def import_function(reference: str, folder: Path) -> Callable[..., Any]:
    """Import a function, of the project's folder or installed; the project's modules are forgotten, as all its code."""
    module, _, name = reference.partition(":")
    with _importing_from(folder):
        try:
            found = vars(import_module(module))
        except Exception as error:
            msg = f"{module} cannot be imported in {folder}: {type(error).__name__}: {error}"
            raise Refused(masked(msg)) from error
    function: Callable[..., Any] | None = found.get(name)
    if callable(function):
        return function
    what = f"function in {module} called"
    raise UnknownName(what, name, [each for each, value in found.items() if callable(value) and each[0] != "_"])


@contextmanager
def _importing_from(folder: Path) -> Iterator[None]:
    with _importing:
        known = set(sys.modules)
        invalidate_caches()
        sys.path.insert(0, str(folder))
        try:
            yield
        finally:
            sys.path.remove(str(folder))
            for name in set(sys.modules) - known:
                if _is_of_the_project(name, folder):
                    del sys.modules[name]


def _is_of_the_project(name: str, folder: Path) -> bool:
    top, file = folder / name.partition(".")[0], getattr(sys.modules[name], "__file__", None)
    return file is not None and (Path(file).is_relative_to(top) or Path(file) == top.with_suffix(".py"))
