"""Where in a TOML file a key stands, so that a mistake can be told with its line."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Path = tuple[str, ...]

__all__ = ["Places"]

_NAME = r"""(?:[\w-]+|"(?:\\.|[^"\\])*"|'[^']*')"""
_NAMES = rf"({_NAME}(?:\s*\.\s*{_NAME})*)"
_HEADER = re.compile(rf"\s*(\[\[?)\s*{_NAMES}\s*\]\]?\s*(?:#.*)?")
_KEY = re.compile(rf"\s*{_NAMES}\s*=")
_TOKEN = re.compile(r'"""|\'\'\'|"(?:\\.|[^"\\])*"|\'[^\']*\'|#.*|[][{},]')
_LONG_TEXT = {
    '"""': re.compile(r'(?:\\.|[^"\\]|"(?!""))*"{3,5}'),
    "'''": re.compile(r"(?:[^']|'(?!''))*'{3,5}"),
}


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


def _keys(text: str) -> Iterator[tuple[Path, int]]:
    tables: Counter[Path] = Counter()  # how often each [[array of tables]] has come
    table: Path = ()
    value: Path = ()
    depth = item = 0
    quote = ""
    for number, line in enumerate(text.split("\n"), start=1):
        begins = not depth and not quote
        if begins and (header := _HEADER.fullmatch(line)):
            table = _numbered(_path(header[2]), tables, is_item=header[1] == "[[")
            yield from _parts(table, number)
            continue
        if begins and (key := _KEY.match(line)):
            value, item = (*table, *_path(key[1])), 0
            yield from _parts(value, number)
        marks, quote = _marks(line, quote)
        for mark in marks:
            if depth == 1 and mark == "{":
                yield (*value, str(item)), number
            item += depth == 1 and mark == ","
            depth += (mark in "[{") - (mark in "]}")


def _parts(path: Path, number: int) -> Iterator[tuple[Path, int]]:
    return ((path[:length], number) for length in range(1, len(path) + 1))


def _numbered(path: Path, tables: Counter[Path], *, is_item: bool) -> Path:
    """Return the path with the number of the latest item after each name of an array of tables."""
    numbered: Path = ()
    for position, name in enumerate(path, start=1):
        numbered = (*numbered, name)
        tables[numbered] += is_item and position == len(path)
        if tables[numbered]:
            numbered = (*numbered, str(tables[numbered] - 1))
    return numbered


def _marks(line: str, quote: str) -> tuple[str, str]:
    """Return the line's brackets and commas outside of texts and comments, and the quotes of a text that goes on."""
    marks = ""
    position = 0
    while found := _LONG_TEXT[quote].match(line, position) if quote else _TOKEN.search(line, position):
        position = found.end()
        if quote:
            quote = ""
        elif found[0] in _LONG_TEXT:
            quote = found[0]
        elif len(found[0]) == 1:
            marks += found[0]
    return marks, quote


def _path(dotted: str) -> Path:
    names: list[str] = []
    value: object = tomllib.loads(f"{dotted} = 0")
    while isinstance(value, dict):
        name, value = next(iter(value.items()))
        names.append(name)
    return tuple(names)


def _quoted(name: str) -> str:
    return f'"{name}"' if "." in name else name
