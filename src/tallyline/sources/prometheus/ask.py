"""Asking Prometheus: what it refuses, warns of, or cannot answer now is told with the query."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tallyline.api import as_api, part
from tallyline.errors import Denied, Unavailable
from tallyline.secret import masked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tallyline.api import Api

__all__ = ["ask", "check_whole", "checked", "filled_in", "said", "version"]

NEEDS = "a token, or a user and a password, that may query Prometheus; give them to the service"
_FILLED_IN = re.compile(r"\$(range|match|by)\b")
_LATER = frozenset({"timeout", "canceled", "unavailable", "internal"})
_ONLY_SAID, _OF_THE_QUERY = "PromQL info", "PromQL warning"


def filled_in(query: str, **values: str) -> str:
    """Return a query with values in the places of `$range`, `$match` and `$by`; the others stay.

    >>> filled_in("increase(orders_total{$match}[$range])", range="3600s")
    'increase(orders_total{$match}[3600s])'
    """
    return _FILLED_IN.sub(lambda found: values.get(found[1], found[0]), query)


def checked(api: object) -> Api:
    """Return the service; raise Refused where it is none that is spoken to by HTTP."""
    return as_api(api, "Prometheus", 'prometheus = "http://localhost:9090"')


def ask(api: Api, path: str, params: Mapping[str, object], name: str) -> object:
    """Return the answer to the query in `params`, which tells the metric `name`.

    Raises Unavailable, Denied or UnexpectedAnswer.
    """
    query = f"{name} asks for {params['query']}"
    try:
        answer: object = api.get(path, params, needs=NEEDS).data
    except Denied as denied:
        raise Denied(masked(f"{denied}; {query}")) from denied
    except Unavailable as unavailable:
        raise Unavailable(masked(f"{unavailable}; {query}"), unavailable.wait) from unavailable
    if part(answer, "status", str) == "success":
        return answer
    kind, told = part(answer, "errorType", str), part(answer, "error", str)
    msg = masked(f"{api.name or 'Prometheus'} answered an error, {kind}: {told}; {query}")
    raise (Unavailable if kind in _LATER else Denied)(msg)


def said(answer: object, what: str) -> list[str]:
    """Return the `warnings` or `infos` of an answer."""
    there = isinstance(answer, dict) and answer.get(what)
    return [str(told) for told in part(answer, what, list)] if there else []


def check_whole(answer: object, name: str, query: str) -> None:
    """Refuse an answer from which a part of the data is missing; what PromQL only informs of is no such thing."""
    for told in said(answer, "warnings"):
        if not told.startswith(_ONLY_SAID):
            kind = Denied if told.startswith(_OF_THE_QUERY) else Unavailable
            msg = f"the answer for {name} may not be whole: {told}; it asks for {query}; "
            raise kind(masked(f"{msg}accept_warnings = true takes it as it is"))


def version(api: Api) -> str:
    """Say which version answers, or why that is not known."""
    try:
        return f"Prometheus {part(api.get('api/v1/status/buildinfo', needs=NEEDS).data, 'data.version', str)} answers"
    except Denied as denied:  # what stands before a Prometheus may let only queries pass
        return f"it does not tell its version: {denied}"
