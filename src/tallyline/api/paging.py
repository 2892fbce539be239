"""How services tell of further pages."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from tallyline.api.messages import part

if TYPE_CHECKING:
    from tallyline.api.messages import Answer, Request

__all__ = ["After", "Link", "Offset", "Paging"]


class Paging(Protocol):
    """How a service tells of further pages."""

    def following(self, asked: Request, answer: Answer) -> Request | None:
        """Return what to ask for the next page, None after the last one."""


@dataclass(frozen=True, slots=True)
class After:
    """Pages that begin after the last item of the one before, as Stripe has them."""

    items: str = "data"
    more: str = "has_more"
    key: str = "id"
    parameter: str = "starting_after"

    def following(self, asked: Request, answer: Answer) -> Request | None:
        """Ask for what comes after the last item."""
        items = part(answer.data, self.items, list)
        if not items or not part(answer.data, self.more, bool):
            return None
        last = part(items[-1], self.key, str)
        return replace(asked, params={**asked.params, self.parameter: last})


@dataclass(frozen=True, slots=True)
class Offset:
    """Pages of so many rows, asked for in the body by how many came before, as Google has them."""

    limit: int
    total: str = "rowCount"

    def following(self, asked: Request, answer: Answer) -> Request | None:
        """Ask for the rows after these, while there are."""
        body = dict(asked.body or {})
        reached = int(body.get("offset", 0)) + self.limit
        total = answer.data.get(self.total, 0) if isinstance(answer.data, dict) else 0
        return replace(asked, body={**body, "offset": reached}) if reached < int(total) else None


@dataclass(frozen=True, slots=True)
class Link:
    """Pages that are told of by the header `Link`, as Sentry and GitHub have them."""

    def following(self, asked: Request, answer: Answer) -> Request | None:
        """Ask for what the header calls the next page."""
        import httpx2  # noqa: PLC0415  # there already where an answer is

        told = httpx2.Response(200, headers={"link": answer.headers.get("link", "")}).links.get("next", {})
        if not told.get("url") or told.get("results") == "false":
            return None
        return replace(asked, path=told["url"], params={})
