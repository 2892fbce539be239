"""What the simulated services know of the company: its product database, and chance that is the same each time."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from tallyline.api import Answer, Api, Request, stand_in
from tallyline.errors import Refused, what_exists

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

__all__ = ["HOUR", "Company", "chance", "no_answer", "rounded", "simulated"]

HOUR = 3600


@dataclass(frozen=True, slots=True)
class Company:
    """The simulated company, by its product database."""

    product: Path

    def ask(self, query: str, **parameters: object) -> list[Any]:
        """Return the rows that a query has; raises Refused where the database is gone."""
        try:
            with closing(sqlite3.connect(f"{self.product.absolute().as_uri()}?mode=ro", uri=True)) as database:
                return database.execute(query, parameters).fetchall()
        except sqlite3.Error as error:
            msg = f"{self.product} cannot be read: {error}; make the demo anew in another folder"
            raise Refused(msg) from error

    def incident(self) -> range:
        """Return the hours of the incident, in seconds since 1970."""
        query = "SELECT strftime('%s', starts_at) + 0, strftime('%s', ends_at) + 0 FROM about WHERE topic = 'incident'"
        return next((range(starts, ends, HOUR) for starts, ends in self.ask(query)), range(0))


def chance(*subject: object) -> float:
    """Return a number from 0 to below 1, always the same for a subject.

    >>> chance("crash", 7) == chance("crash", 7) != chance("crash", 8)
    True
    """
    return int.from_bytes(blake2b(repr(subject).encode(), digest_size=4).digest()) / 2**32


def rounded(number: float, *subject: object) -> int:
    """Round up or down by chance, so that many of them add up to about what they are."""
    return int(number + chance(*subject))


def simulated(name: str, url: str, answer: Callable[[Request], Answer]) -> Api:
    """Return a service that is answered for in this process, at the URL of the real one, which it says where asked."""

    def told(asked: Request) -> Answer:
        return Answer({"simulated": name}, {}) if asked.path == "/" else answer(asked)

    return stand_in(told, url, name=name)


def no_answer(service: str, path: str, paths: Iterable[str]) -> Refused:
    """Return what is raised where a simulated service is asked for what it does not have."""
    return Refused(f"the simulated {service} has no answer to {path}; {what_exists(path, paths)}")
