"""YAML for Grafana's provisioning files: tables and lists by indentation, everything else as JSON writes it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["as_yaml", "literal"]


_NO_KEYS = ("y", "n", "yes", "no", "on", "off", "true", "false", "null")
_NO_TEXT = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def as_yaml(data: object, comment: str = "") -> str:
    """Return data as YAML, in the order that it has.

    >>> print(as_yaml({"apiVersion": 1, "groups": [{"name": "yes", "rules": []}]}), end="")
    apiVersion: 1
    groups:
      - name: "yes"
        rules: []
    """
    lines = [f"# {line}" if line else "#" for line in comment.splitlines()]
    return "\n".join([*lines, *_lines(data)]) + "\n"


def literal(data: object) -> object:
    """Return data in which no text is taken for a reference to the environment: Grafana reads $$ as a dollar sign.

    >>> literal({"rawSql": "SELECT $1"})
    {'rawSql': 'SELECT $$1'}
    """
    match data:
        case str():
            return data.replace("$", "$$")
        case dict():
            return {key: literal(value) for key, value in data.items()}
        case list() | tuple():
            return [literal(each) for each in data]
        case _:
            return data


def _lines(data: object) -> Iterator[str]:
    match data:
        case dict() if data:
            for key, value in data.items():
                yield from _entry(f"{_scalar(key) if key in _NO_KEYS else key}:", value)
        case list() if data:
            for value in data:
                yield from _item(value)
        case _:
            yield _scalar(data)


def _scalar(value: object) -> str:
    """Return a value as JSON, with what YAML takes for no text as the number of its character."""
    return _NO_TEXT.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))


def _entry(key: str, value: object) -> Iterator[str]:
    if isinstance(value, dict | list) and value:
        yield key
        yield from (f"  {line}" for line in _lines(value))
    else:
        yield f"{key} {_scalar(value)}"


def _item(value: object) -> Iterator[str]:
    first, *others = _lines(value)
    yield f"- {first}"
    yield from (f"  {line}" for line in others)
