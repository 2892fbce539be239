"""References to the environment, `${NAME}` and `${NAME:-default}`, in place of secrets."""

from __future__ import annotations

import os
import re
from urllib.parse import quote

from tallyline.errors import Refused
from tallyline.secret import without_passwords

__all__ = ["filled_in", "holds_password", "looked_up"]

_REFERENCE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
_WHO = re.compile(r"://([^/]*)@")


def filled_in(text: str, what: str) -> str:
    """Look up the references of `text` in the environment; `what` names it in the error.

    What stands for a user or a password in a URL is written there so that none of its characters has a meaning.

    >>> filled_in("sqlite:///${NO_SUCH_VARIABLE:-shop.db}", "the shop")
    'sqlite:///shop.db'
    >>> filled_in("${NO_SUCH_VARIABLE}", "the shop")
    Traceback (most recent call last):
    tallyline.errors.Refused: the shop needs the environment variable NO_SUCH_VARIABLE, which is not set
    """
    who = _WHO.search(text)

    def value(reference: re.Match[str]) -> str:
        found = looked_up(reference[1], reference[2], what)
        return quote(found, safe="") if who and reference.start() in range(*who.span(1)) else found

    return _REFERENCE.sub(value, text)


def looked_up(name: str, default: str | None, what: str) -> str:
    """Return what the environment has under a name, or the default; raises Refused where there is neither."""
    found = os.environ.get(name) or default
    if found is None:
        msg = f"{what} needs the environment variable {name}, which is not set"
        raise Refused(msg)
    return found


def holds_password(url: str) -> bool:
    """Say whether a password stands in the URL itself, or is the default of a reference in it.

    >>> holds_password("postgresql://reader:hunter2@localhost/shop")
    True
    >>> holds_password("postgresql://reader:${SHOP_PASSWORD}@localhost/shop")
    False
    """
    told = _REFERENCE.sub(lambda reference: reference[2] or "", url)
    return without_passwords(told) != told
