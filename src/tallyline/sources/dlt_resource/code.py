"""The project's function that makes a resource, imported as the project's other code is."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tallyline.errors import Refused, UnknownName
from tallyline.secret import masked
from tallyline.sources.importing import importing_from

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["import_function"]


@lru_cache
def import_function(reference: str, folder: Path) -> Callable[..., Any]:
    """Import a function, of the project's folder or installed; the project's modules are forgotten, as all its code."""
    module, _, name = reference.partition(":")
    with importing_from(folder):
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
