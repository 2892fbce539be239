"""Secrets: values that were looked up by reference in this process, made unreadable wherever a text leaves it.

A service's password, token or key is remembered here when it is looked up. Messages of errors, the ledger and
recordings pass through `masked`, so that what a server or a driver repeats in its own words is not shown either.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus, unquote

__all__ = ["MASK", "masked", "masked_data", "remember", "remember_passwords", "without_passwords"]

MASK = "***"
_SHORTEST = 4
_PASSWORD = re.compile(r"(://[^/@:\s]*:)([^@\s]+)(?=@)|([?&](?:ssl)?password=)([^&\s]+)", re.IGNORECASE)
_known: set[str] = set()


def remember(secret: str) -> str:
    """Make a secret unreadable from now on, also as it stands in URLs and line by line; return it.

    What has fewer than four characters would be found in any text, and is not remembered.

    >>> masked(f"no such key: {remember('sk_live_Xa9')}")
    'no such key: ***'
    """
    for each in {secret, *secret.splitlines()}:
        if len(each.strip()) >= _SHORTEST:
            _known.update({each.strip(), quote(each.strip(), safe=""), quote_plus(each.strip())})
    _pattern.cache_clear()
    return secret


def remember_passwords(url: str) -> str:
    """Make the passwords that stand in a URL unreadable from now on; return the URL."""
    for found in _PASSWORD.finditer(url):
        remember(unquote(found[2] or found[4]))
    return url


def masked(text: str) -> str:
    """Return the text with known secrets, and the passwords of URLs, made unreadable."""
    known = _pattern()
    return without_passwords(known.sub(MASK, text) if known else text)


def masked_data(data: object) -> Any:  # noqa: ANN401  # of the same shape
    """Return plain data with known secrets made unreadable wherever there is text.

    >>> masked_data({"error": [remember("sk_live_Xa9"), 7]})
    {'error': ['***', 7]}
    """
    match data:
        case str():
            return masked(data)
        case dict():
            return {masked_data(key): masked_data(value) for key, value in data.items()}
        case list() | tuple():
            return [masked_data(each) for each in data]
        case _:
            return data


def without_passwords(text: str) -> str:
    """Return the text with the passwords of the URLs in it made unreadable.

    >>> without_passwords('there is no service "postgresql://reader:hunter2@localhost/shop"')
    'there is no service "postgresql://reader:***@localhost/shop"'
    """
    return _PASSWORD.sub(lambda found: f"{found[1] or found[3]}{MASK}", text)


@lru_cache(1)
def _pattern() -> re.Pattern[str] | None:
    longest_first = sorted(_known, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first))) if longest_first else None
