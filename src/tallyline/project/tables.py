"""Tables of a TOML file, validated into dataclasses; every mistake is kept with its place."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError

from tallyline.errors import Problem, Refused, UnknownName, what_exists

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from pydantic_core import ErrorDetails

    Path = tuple[str | int, ...]
    Table = dict[str, Any]

__all__ = ["Tables", "field_names"]

T = TypeVar("T")


class Placing(Protocol):
    """Tells where a key stands."""

    def of(self, path: Sequence[str | int]) -> str:
        """Return the place of the key at `path`, with its path."""


@dataclass(slots=True)
class Tables:
    """The tables of a file, and the problems found in them so far."""

    content: Table
    places: Placing
    problems: list[Problem] = field(default_factory=list)

    def table(self, *path: str) -> Table:
        """Return the table at `path`, an empty one where there is none."""
        found: Any = self.content
        for key in path:
            found = found.get(key, {}) if isinstance(found, dict) else {}
        if isinstance(found, dict):
            return found
        self.problem(path, f"this is a table of keys and values, not {_kind_of(found)}")
        return {}

    def check_keys(self, table: Mapping[str, Any], known: Iterable[str], path: Path) -> None:
        """Keep a problem for each key that does not exist."""
        known = list(known)
        for key in table:
            if key not in known:
                self.problem((*path, key), str(UnknownName("key", key, known)))

    def read(self, kind: type[T], table: Any, path: Path) -> T | None:  # noqa: ANN401  # whatever a file has there
        """Return the table as the dataclass `kind`, None where it has problems, which are kept; ignore other keys."""
        known = field_names(kind)
        if isinstance(table, dict):
            table = {key: value for key, value in table.items() if key in known}
        with self.refusals(path):
            try:
                return TypeAdapter(kind).validate_python(table)
            except ValidationError as invalid:
                for mistake in invalid.errors(include_url=False):
                    self.problem((*path, *mistake["loc"]), _told(mistake))
        return None

    def check_name(self, what: str, name: str, existing: Collection[str], path: Path) -> bool:
        """Say whether something of that name exists, and keep a problem where it does not."""
        if name not in existing:
            self.problem(path, str(UnknownName(what, name, existing)))
        return name in existing

    def problem(self, path: Path, message: str) -> None:
        """Keep a problem of the key at `path`, once."""
        problem = Problem(self.places.of(path), message, path)
        if problem not in self.problems:
            self.problems.append(problem)

    @contextmanager
    def refusals(self, path: Path) -> Iterator[None]:
        """Keep a refusal as a problem of the key at `path`, and go on."""
        try:
            yield
        except Refused as refused:
            self.problem(path, str(refused))


def field_names(kind: type) -> list[str]:
    """Return the names of a dataclass's fields."""
    return [each.name for each in fields(kind)]


def _told(mistake: ErrorDetails) -> str:
    given = mistake["input"]
    if mistake["type"] == "missing":
        return "this key is missing"
    if mistake["type"] == "enum":
        expected = mistake["ctx"]["expected"].replace(" or ", ", ").replace("'", "").split(", ")
        return f'"{given}" is not possible here; {what_exists(str(given), expected)}'
    if mistake["type"] == "dataclass_type":
        return f"{given!r} is {_kind_of(given)}; this is to be a table of keys and values"
    if mistake["type"].endswith(("_type", "_parsing")):
        wanted = mistake["msg"].removeprefix("Input should be ").removeprefix("a valid ").partition(",")[0]
        return f"{given!r} is {_kind_of(given)}; this is to be a {wanted}"
    return f"{given!r} cannot stand here: {mistake['msg']}"


def _kind_of(value: object) -> str:
    names = {
        str: "text",
        bool: "a truth value",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "a table",
    }
    return names.get(type(value), f"a {type(value).__name__}")
