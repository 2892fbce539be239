"""What is asked of a service and what it answers, and the parts of an answer."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

from tallyline.errors import UnexpectedAnswer, shortened
from tallyline.secret import masked

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Answer", "Request", "part"]

T = TypeVar("T")
_KINDS: dict[type, str] = {list: "a list", dict: "an object", str: "text", int: "a whole number", float: "a number"}


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked: a path below the service's URL, parameters of the query, a body that is sent as JSON.

    `verb` is what HTTP calls it where it is not to read or, with a body, to POST: ``PUT``, ``PATCH``, ``DELETE``.
    """

    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    verb: str = ""

    @property
    def method(self) -> str:
        """What HTTP calls it."""
        return self.verb or ("GET" if self.body is None else "POST")

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered: data that was JSON, the headers, and the status."""

    data: Any
    headers: Mapping[str, str]
    status: int = 200


def part(data: object, path: str, kind: type[T]) -> T:
    """Return what lies in an answer at a path of keys and numbers, `data.0.id`; raises UnexpectedAnswer.

    >>> part({"data": [{"id": "in_1"}]}, "data.0.id", str)
    'in_1'
    >>> part({"data": []}, "rows", list)
    Traceback (most recent call last):
    tallyline.errors.UnexpectedAnswer: the answer has no "rows"; it is {"data": []}
    """
    found: Any = data
    for key in path.split("."):
        try:
            found = found[int(key)] if isinstance(found, list) else found[key]
        except (LookupError, TypeError, ValueError):
            msg = f'the answer has no "{path}"; it is {_shown(data)}'
            raise UnexpectedAnswer(msg) from None
    if kind is float and isinstance(found, int) and not isinstance(found, bool):
        return cast("T", float(found))
    if not isinstance(found, kind) or (isinstance(found, bool) and kind is not bool):
        msg = f'"{path}" of the answer is {_shown(found)}, where {_KINDS.get(kind, kind.__name__)} is expected'
        raise UnexpectedAnswer(msg)
    return found


def _shown(data: object) -> str:
    return shortened(masked(json.dumps(data, ensure_ascii=False, default=str)))
