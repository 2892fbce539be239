"""A service that is spoken to by HTTP: what may work again is tried again, what does not work is told plainly.

One place knows how: JSON in and out, waits between attempts (with jitter, or as long as the service asks for by
`Retry-After`), time limits, pages as small objects, and errors of three kinds: Unavailable, Denied, UnexpectedAnswer.
The client itself is imported when a service is opened.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from tallyline.api.messages import Answer, Request, part
from tallyline.api.paging import After, Link, Offset, Paging
from tallyline.errors import Refused

if TYPE_CHECKING:
    from tallyline.api.client import Api, Auth, opened, stand_in

__all__ = [
    "After",
    "Answer",
    "Api",
    "Auth",
    "Link",
    "Offset",
    "Paging",
    "Request",
    "as_api",
    "opened",
    "part",
    "stand_in",
]

_OF_CLIENT = ("Api", "Auth", "opened", "stand_in")


def __getattr__(name: str) -> object:
    if name not in _OF_CLIENT:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module("tallyline.api.client"), name)


def as_api(service: object, called: str, declared: str) -> Api:
    """Return a service that is spoken to by HTTP; raises Refused for any other, with how it is `declared`.

    >>> as_api({}, "Stripe", 'stripe = { token = "${STRIPE_KEY}" }')
    Traceback (most recent call last):
    tallyline.errors.Refused: Stripe is spoken to by HTTP, and the service is a dict; write under [services]: \
stripe = { token = "${STRIPE_KEY}" }
    """
    from tallyline.api.client import Api  # noqa: PLC0415  # there already where it is one

    if isinstance(service, Api):
        return service
    what = type(service).__name__
    msg = f"{called} is spoken to by HTTP, and the service is a {what}; write under [services]: {declared}"
    raise Refused(msg)
