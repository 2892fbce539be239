"""SQL as text: its clauses, laid out to be read, and what either database says in its own words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

__all__ = ["WORDS", "PostgreSQL", "SQLite", "from_", "group_by", "indented", "select", "where", "with_"]

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class SQLite:
    """What SQLite says in its own words."""

    new_line = "char(10)"
    each_bucket = "json_each(sketch, '$.buckets')"
    rounded = "CAST(printf('%.12g', value) AS double precision)"

    def moment(self, moment: datetime) -> str:
        """Return a moment."""
        return str(int(moment.timestamp()))

    def dim(self, name: str) -> str:
        """Return what tells the value of a dim."""
        path = name if _PLAIN_NAME.fullmatch(name) else f'$."{name}"'
        return f"dims ->> {self.text(path)}"

    def text(self, value: str) -> str:
        """Return a literal; it has no line breaks, so that it is not changed where its statement is indented."""
        lines = ["'" + line.replace("'", "''") + "'" for line in value.split("\n")]
        return lines[0] if len(lines) == 1 else f"({f' || {self.new_line} || '.join(lines)})"

    def between(self, value: str, lowest: str, highest: str) -> str:
        """Return a value, or the end that it is beyond."""
        return f"min(max({value}, {lowest}), {highest})"

    def same(self, part: str, other: str) -> str:
        """Return whether two parts are the same, or both missing."""
        return f"{part} IS {other}"


class PostgreSQL(SQLite):
    """What PostgreSQL says in its own words."""

    new_line = "chr(10)"
    each_bucket = "jsonb_each_text(sketch -> 'buckets')"
    rounded = "CAST(to_char(value, '9.99999999999EEEE') AS double precision)"

    def moment(self, moment: datetime) -> str:
        """Return a moment."""
        return f"'{moment.isoformat()}'"

    def dim(self, name: str) -> str:
        """Return what tells the value of a dim."""
        return f"dims ->> {self.text(name)}"

    def between(self, value: str, lowest: str, highest: str) -> str:
        """Return a value, or the end that it is beyond."""
        return f"least(greatest({value}, {lowest}), {highest})"

    def same(self, part: str, other: str) -> str:
        """Return what IS NOT DISTINCT FROM says, in words that let the database look up the one by the other."""
        return f"coalesce({part}, '') = coalesce({other}, '') AND ({part} IS NULL) = ({other} IS NULL)"


WORDS = {"sqlite": SQLite(), "postgresql": PostgreSQL()}


def with_(told: Mapping[str, str], statement: str) -> str:
    """Return a statement with what it is made of."""
    made = ",\n".join(f"{name} AS (\n{indented(inner)}\n)" for name, inner in told.items())
    return f"WITH {made}\n{statement}"


def select(columns: Iterable[str], *clauses: str) -> str:
    """Return a statement, one clause a line."""
    listed = indented(",\n".join(columns))
    return "\n".join([f"SELECT\n{listed}" if "\n" in listed else f"SELECT {listed.strip()}", *clauses])


def from_(statement: str, name: str) -> tuple[str, ...]:
    """Return the lines that select from a statement."""
    return "FROM (", indented(statement), f") AS {name}"


def where(conditions: Iterable[str]) -> str:
    """Return a clause of conditions that all hold."""
    return "WHERE " + "\n  AND ".join(conditions)


def group_by(columns: Iterable[str]) -> str:
    """Return the clause that groups."""
    return f"GROUP BY {', '.join(columns)}"


def indented(text: str) -> str:
    """Return lines two characters further in."""
    return "  " + text.replace("\n", "\n  ")
