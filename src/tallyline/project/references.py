"""References to the environment, `${NAME}` and `${NAME:-default}`, in place of secrets."""

from __future__ import annotations

import os
import re

from tallyline.errors import Refused

__all__ = ["filled_in", "holds_password"]

_REFERENCE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
_LITERAL_PASSWORD = re.compile(r"://[^/@:\s]*:(?!\$\{)[^/@\s]+@")


def filled_in(text: str, what: str) -> str:
    """Look up the references of `text` in the environment; `what` names it in the error.

    >>> filled_in("sqlite:///${NO_SUCH_VARIABLE:-shop.db}", "the shop")
    'sqlite:///shop.db'
    >>> filled_in("${NO_SUCH_VARIABLE}", "the shop")
    Traceback (most recent call last):
    tallyline.errors.Refused: the shop needs the environment variable NO_SUCH_VARIABLE, which is not set
    """

    def value(reference: re.Match[str]) -> str:
        found = os.environ.get(reference[1]) or reference[2]
        if found is None:
            msg = f"{what} needs the environment variable {reference[1]}, which is not set"
            raise Refused(msg)
        return found

    return _REFERENCE.sub(value, text)


def holds_password(url: str) -> bool:
    """Say whether a password stands in the URL itself.

    >>> holds_password("postgresql://reader:hunter2@localhost/shop")
    True
    >>> holds_password("postgresql://reader:${SHOP_PASSWORD}@localhost/shop")
    False
    """
    return _LITERAL_PASSWORD.search(url) is not None
