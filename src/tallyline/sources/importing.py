"""How a project's own modules are imported: from its folder, and forgotten afterwards."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from importlib import invalidate_caches
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

__all__ = ["importing_from"]

_importing = RLock()


@contextmanager
def importing_from(folder: Path, afresh: Collection[str] = ()) -> Iterator[None]:
    """Let modules of a folder be imported meanwhile, by one thread at a time.

    Afterwards they are forgotten, so that another project's may have the same names. What is known already under the
    names in `afresh`, or lies in packages of these names, is put aside meanwhile.
    """
    with _importing:
        others = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in afresh}
        for name in others:
            del sys.modules[name]
        known = set(sys.modules)
        invalidate_caches()
        sys.path.insert(0, str(folder))
        try:
            yield
        finally:
            sys.path.remove(str(folder))
            for name in set(sys.modules) - known:
                if _is_of(folder, name):
                    del sys.modules[name]
            sys.modules.update(others)


def _is_of(folder: Path, name: str) -> bool:
    module, top = sys.modules[name], folder / name.partition(".")[0]
    file = getattr(module, "__file__", None)
    places = [file] if file else getattr(module, "__path__", [])
    return any(Path(place).is_relative_to(top) or Path(place) == top.with_suffix(".py") for place in places)
