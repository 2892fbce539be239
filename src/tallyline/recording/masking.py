"""What of a request or an answer may stand in a file: no secret, and nothing of the fields that are dropped."""

from __future__ import annotations

import re
from decimal import Decimal
from operator import itemgetter
from threading import Lock
from typing import TYPE_CHECKING, Any

from tallyline.secret import MASK, masked

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["Masking", "is_secret", "without_numbers"]

_NAMES = (
    "authorization|cookie|credential|passw|passphrase|secret|token|signature|assertion"
    "|api.?key|access.?key|private.?key|session.?id"
)
_SECRET = re.compile(_NAMES, re.IGNORECASE)
_SECRET_PARAMETER = re.compile(rf"^(auth|key|sig)$|{_NAMES}", re.IGNORECASE)
_IN_URL = re.compile(rf"([?&](?:auth|key|sig|[^?&=\s]*(?:{_NAMES})[^?&=\s]*)=)([^&\s\"'<>]+)", re.IGNORECASE)
_MASKED = re.compile(re.escape(MASK) + r"\d*")


class Masking:
    """Masks known secrets, and what lies under names that look secret or are to be dropped.

    The same value is masked by the same number, so that pages still follow each other and things are still told apart.

    >>> Masking(drop=["email"]).data({"next_token": "Zm9v", "orders": [{"email": "a@example.com", "total": 7}]})
    {'next_token': '***1', 'orders': [{'email': '***2', 'total': 7}]}
    """

    def __init__(self, drop: Collection[str] = ()) -> None:
        """Take the names of fields to drop, in any case of letters."""
        self._drop = {name.casefold() for name in drop}
        self._numbers: dict[str, int] = {}
        self._lock = Lock()

    def data(self, data: object, name: str = "") -> Any:  # noqa: ANN401, PLR0911  # of the same shape; one line a type
        """Return data without secrets, the keys of objects in order; `name` is what it is called."""
        match data:
            case dict():
                inside = name if self._hides(name) else ""
                named = sorted(((str(key), value) for key, value in data.items()), key=itemgetter(0))
                return {masked(key): self.data(value, inside or key) for key, value in named}
            case list() | tuple():
                return [self.data(each, name) for each in data]
            case str():
                return self._numbered(data) if self._hides(name) else self.text(data)
            case bytes():
                return b"" if self._hides(name) else masked(data.decode("latin-1")).encode("latin-1")
            case bool() | None:
                return data
            case int() | float() | Decimal():
                return self._number(data, name)
            case _:
                return None if name.casefold() in self._drop else data

    def parameters(self, parameters: Mapping[str, object]) -> dict[str, Any]:
        """Return the parameters of a query, where a mere `key` is a secret too."""
        return {
            name: self.data(value, "api_key" if _SECRET_PARAMETER.search(name) else name)
            for name, value in parameters.items()
        }

    def text(self, text: str) -> str:
        """Return a text, in which URLs may stand, without secrets."""
        return masked(_IN_URL.sub(lambda found: f"{found[1]}{self._numbered(found[2])}", text))

    def _number(self, value: float | Decimal, name: str) -> object:
        if name.casefold() in self._drop:
            return type(value)(0)
        counts = "token" in name.casefold()  # as those who sell texts by the token do
        return self._numbered(str(value)) if self._hides(name) and not counts else value

    def _hides(self, name: str) -> bool:
        return bool(name) and (is_secret(name) or name.casefold() in self._drop)

    def _numbered(self, secret: str) -> str:
        if not secret or _MASKED.fullmatch(secret):
            return secret
        with self._lock:
            return f"{MASK}{self._numbers.setdefault(secret, len(self._numbers) + 1)}"


def is_secret(name: str) -> bool:
    """Say whether what bears the name is likely a secret.

    >>> [name for name in ("author", "refresh_token", "X-Api-Key", "keys") if is_secret(name)]
    ['refresh_token', 'X-Api-Key']
    """
    return _SECRET.search(name) is not None


def without_numbers(text: str) -> str:
    """Return the text with masked values that are no longer told apart."""
    return _MASKED.sub(MASK, text)
