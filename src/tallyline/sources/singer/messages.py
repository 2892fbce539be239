"""The messages that a tap writes, line by line."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tallyline.api import part
from tallyline.errors import UnexpectedAnswer, shortened
from tallyline.secret import masked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tallyline.plan.mapping import Item

__all__ = ["Stream", "shown"]

_KNOWN = frozenset({"SCHEMA", "RECORD", "STATE", "ACTIVATE_VERSION"})
_LONGEST_SHOWN = 1000


@dataclass(slots=True)
class Stream:
    """The messages of a stream, one after the other: what its schema says, and which keys came already."""

    tap: str
    names: set[str]
    made: Callable[[Item], object]
    keys: tuple[str, ...] = ()
    fields: dict[str, None] | None = None
    others: set[str] = field(default_factory=set)
    seen: set[tuple[str, ...]] = field(default_factory=set)

    def rows(self, lines: Iterable[bytes]) -> Iterator[object]:
        """Yield what becomes of the records that are new."""
        for line in lines:
            message = self._message(line) if line.strip() else {"type": "STATE"}
            if message.get("stream") not in self.names:
                self.others.add(str(message.get("stream", "")))
            elif message["type"] == "SCHEMA":
                self.keys = tuple(message.get("key_properties") or ())
                self.fields = dict.fromkeys(part(message, "schema.properties", dict))
            elif message["type"] == "RECORD":
                yield from self._row(part(message, "record", dict))

    def check_was_told_of(self) -> None:
        """Refuse a stream that the tap said nothing of."""
        if self.fields is None:
            msg = f"{self.tap} wrote no schema of the stream {min(self.names)}; it wrote of: {', '.join(self.others)}"
            raise UnexpectedAnswer(msg)

    def _row(self, record: Item) -> Iterator[object]:
        if self.fields is None:
            msg = f"{self.tap} wrote a record before the schema of its stream: {shown(json.dumps(record).encode())}"
            raise UnexpectedAnswer(msg)
        row = self.made({**self.fields, **record})  # what is in the schema alone is null
        key = tuple(str(record.get(name)) for name in self.keys)
        if row is not None and key not in self.seen:
            if key:
                self.seen.add(key)
            yield row

    def _message(self, line: bytes) -> dict[str, Any]:
        with suppress(ValueError):
            message = json.loads(line)
            if isinstance(message, dict) and message.get("type") in _KNOWN:
                return message
        msg = f"{self.tap} printed what is no message of Singer that is known here: {shown(line)}"
        raise UnexpectedAnswer(msg)


def shown(text: bytes) -> str:
    """Return what a tap wrote, shortened to be read."""
    return shortened(masked(text[:_LONGEST_SHOWN].decode(errors="replace")))
