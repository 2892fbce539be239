"""Values of a database as JSON, and back: what JSON has no word for is an object of one key, `{"$decimal": "0.10"}`."""

from __future__ import annotations

import math
from base64 import b64decode, b64encode
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["as_json", "from_json"]

_WRITTEN: dict[type, tuple[str, Callable[[Any], object]]] = {
    Decimal: ("$decimal", str),
    datetime: ("$datetime", datetime.isoformat),
    date: ("$date", date.isoformat),
    time: ("$time", time.isoformat),
    timedelta: ("$seconds", timedelta.total_seconds),
    UUID: ("$uuid", str),
    bytes: ("$bytes", lambda value: b64encode(value).decode()),
    float: ("$float", str),
}
_READ: dict[str, Callable[[Any], object]] = {
    "$decimal": Decimal,
    "$datetime": datetime.fromisoformat,
    "$date": date.fromisoformat,
    "$time": time.fromisoformat,
    "$seconds": lambda seconds: timedelta(seconds=seconds),
    "$uuid": UUID,
    "$bytes": b64decode,
    "$float": float,
}


def as_json(value: object) -> Any:  # noqa: ANN401  # what JSON can say
    """Return a value as what JSON can say; of a type that is not known, its text.

    >>> from_json(as_json([Decimal("0.10"), date(2026, 7, 14), None]))
    [Decimal('0.10'), datetime.date(2026, 7, 14), None]
    """
    match value:
        case None | bool() | int() | str():
            return value
        case float() if math.isfinite(value):
            return value
        case dict():
            return {str(key): as_json(each) for key, each in value.items()}
        case list() | tuple():
            return [as_json(each) for each in value]
    return _tagged(bytes(value) if isinstance(value, memoryview | bytearray) else value)


def from_json(value: object) -> Any:  # noqa: ANN401  # what a driver gives
    """Return the value that `as_json` made this of."""
    match value:
        case list():
            return [from_json(each) for each in value]
        case dict() if len(value) == 1 and (tag := next(iter(value))) in _READ:
            return _READ[tag](value[tag])
        case dict():
            return {key: from_json(each) for key, each in value.items()}
    return value


def _tagged(value: object) -> object:
    for kind, (tag, write) in _WRITTEN.items():
        if isinstance(value, kind):
            return {tag: write(value)}
    return str(value)
