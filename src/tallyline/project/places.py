"""Where in a TOML file a key stands, so that a mistake can be told with its line."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Places"]

_HEADER = re.compile(r"^\s*\[{1,2}\s*(.+?)\s*\]{1,2}\s*(#.*)?$")
_KEY = re.compile(r"""^\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
_LONG_TEXT = re.compile(r'"""|\'\'\'')


class Places:
    r"""The lines of a TOML file's keys.

    >>> places = Places('[project]\ntimezone = "Pariss"\n', "tallyline.toml")
    >>> places.of(("project", "timezone"))
    'tallyline.toml:2 project.timezone'
    >>> places.of(("project", "title"))  # not there: the nearest that is
    'tallyline.toml:1 project.title'
    """

    def __init__(self, text: str, file: str) -> None:
        """Read the file's text."""
        self._file = file
        self._lines = dict(reversed(list(_keys(text))))

    def of(self, path: Sequence[str | int]) -> str:
        """Return where the key at `path` stands, with its path."""
        names = tuple(str(key) for key in path)
        near = (self._lines[names[:length]] for length in range(len(names), 0, -1) if names[:length] in self._lines)
        line = next(near, None)
        place = self._file if line is None else f"{self._file}:{line}"
        return f"{place} {'.'.join(map(_quoted, names))}".rstrip()


def _keys(text: str) -> Iterator[tuple[tuple[str, ...], int]]:
    table: tuple[str, ...] = ()
    in_long_text = False
    for number, line in enumerate(text.splitlines(), start=1):
        header, key = _HEADER.match(line), _KEY.match(line)
        if not in_long_text and header:
            table = _path(header[1])
            yield table, number
        elif not in_long_text and key:
            yield (*table, *_path(key[1])), number
        in_long_text ^= len(_LONG_TEXT.findall(line)) % 2 == 1


def _path(dotted: str) -> tuple[str, ...]:
    names: list[str] = []
    try:
        value: object = tomllib.loads(f"{dotted} = 0")
    except tomllib.TOMLDecodeError:
        return ()
    while isinstance(value, dict):
        name, value = next(iter(value.items()))
        names.append(name)
    return tuple(names)


def _quoted(name: str) -> str:
    return f'"{name}"' if "." in name else name
