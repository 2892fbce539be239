"""A service that is spoken to by HTTP: what may work again is tried again, what does not work is told plainly.

One place knows how: JSON in and out, waits between attempts (with jitter, or as long as the service asks for by
`Retry-After`), time limits, pages as small objects, and errors of three kinds: Unavailable, Denied, UnexpectedAnswer.
"""

from __future__ import annotations

import json
import logging
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast
from urllib.parse import urljoin, urlsplit

import httpx2
import stamina

from tallyline.errors import Denied, Refused, SourceFailed, Unavailable, UnexpectedAnswer, shortened
from tallyline.secret import masked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["After", "Answer", "Api", "Link", "Offset", "Paging", "Request", "opened", "part"]

ATTEMPTS = 5
LONGEST_WAIT = timedelta(minutes=2)
CONNECT_SECONDS = 10.0
_BUSY = frozenset({408, 425, 429})
_FIRST_ERROR, _FIRST_SERVER_ERROR = 400, 500
_ALLOWED = range(200, 300)
_CREDENTIALS, _PERMISSION = 401, 403

logging.getLogger("stamina").addHandler(logging.NullHandler())  # it tells of each wait; on a terminal only if asked to

T = TypeVar("T")
Auth = httpx2.Auth


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked: a path below the service's URL, parameters of the query, a body that is sent as JSON."""

    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None

    @property
    def method(self) -> str:
        """What HTTP calls it."""
        return "GET" if self.body is None else "POST"

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered: data that was JSON, and the headers."""

    data: Any
    headers: Mapping[str, str]


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
        told = httpx2.Response(200, headers={"link": answer.headers.get("link", "")}).links.get("next", {})
        if not told.get("url") or told.get("results") == "false":
            return None
        return replace(asked, path=told["url"], params={})


class Api:
    """A client of one service, for as long as a run: its URL, who asks, and how patiently.

    `token` is sent as ``Authorization: Bearer``, `user` and `password` as Basic; `headers` are sent as they are.
    `credentials` is kept for sources that know what to do with it. `timeout` is how long one answer may take.
    """

    def __init__(
        self,
        url: str = "",
        *,
        name: str = "",
        token: str = "",
        user: str = "",
        password: str = "",
        headers: Mapping[str, str] | None = None,
        credentials: str = "",
        timeout: timedelta = timedelta(minutes=1),
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        """Take where the service is and who asks; nothing is sent yet."""
        self.url = url.rstrip("/")
        self.name = name
        self.credentials = credentials
        bearer = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = httpx2.Client(
            headers={"Accept": "application/json", **bearer, **(headers or {})},
            auth=httpx2.BasicAuth(user, password) if user or password else None,
            timeout=httpx2.Timeout(timeout.total_seconds(), connect=CONNECT_SECONDS),
            transport=transport,
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def default(self, url: str) -> Api:
        """Return the service at its own URL, or at this one where a project gives none."""
        self.url = self.url or url.rstrip("/")
        return self

    def authorized(self, auth: Auth) -> Api:
        """Return the service with another way of saying who asks."""
        self._client.auth = auth
        return self

    def get(self, path: str, params: Mapping[str, Any] | None = None, *, needs: str = "") -> Answer:
        """Return what the service answers; parameters that are None are left out."""
        return self.ask(
            Request(path, {key: value for key, value in (params or {}).items() if value is not None}), needs
        )

    def post(self, path: str, body: Mapping[str, Any], *, needs: str = "") -> Answer:
        """Return what the service answers to a body that is sent as JSON: of an API that only reads."""
        return self.ask(Request(path, body=body), needs)

    def pages(self, first: Request, paging: Paging, *, needs: str = "") -> Iterator[Answer]:
        """Yield page after page."""
        asked: Request | None = first
        while asked is not None:
            answer = self.ask(asked, needs)
            yield answer
            following = paging.following(asked, answer)
            if following == asked:
                msg = f"{self._told(asked)} names itself as its next page, which would never end"
                raise UnexpectedAnswer(msg)
            asked = following

    def ask(self, asked: Request, needs: str = "") -> Answer:
        """Return what the service answers, of several attempts.

        `needs` says which permission it takes, for who is refused. Raises Unavailable where the service is down, slow
        or busy to the end, Denied where it refuses, UnexpectedAnswer where it answers with something that is not JSON.
        """
        try:
            for attempt in stamina.retry_context(_wait, attempts=ATTEMPTS, timeout=None, wait_initial=0.5, wait_max=20):
                with attempt:
                    return self._once(asked, needs)
        except _Garbled as garbled:
            raise UnexpectedAnswer(str(garbled)) from garbled.__cause__
        raise AssertionError  # pragma: no cover  # the last attempt returns or raises

    def _once(self, asked: Request, needs: str) -> Answer:
        url = self._address(asked)
        try:
            response = self._client.request(asked.method, url, params=asked.params or None, json=asked.body)
        except httpx2.TransportError as error:
            msg = f"{self._told(asked)}: {_reason(error)}"
            raise Unavailable(masked(msg)) from error
        self._check(asked, response, needs)
        try:
            return Answer(json.loads(response.content), response.headers)
        except ValueError as error:
            msg = f"{self._told(asked)} answered what is not JSON: {_sample(response)}"
            raise _Garbled(masked(msg)) from error

    def _check(self, asked: Request, response: httpx2.Response, needs: str) -> None:
        status = response.status_code
        if status in _ALLOWED:
            return
        said = f"{self._told(asked)} answered {status} {response.reason_phrase}: {_sample(response)}"
        if status in _BUSY or status >= _FIRST_SERVER_ERROR:
            raise Unavailable(masked(said), _asked_to_wait(response))
        if status < _FIRST_ERROR:
            said = f"{self._told(asked)} answered {status}: it has moved; give the URL where it is now"
        if status in {_CREDENTIALS, _PERMISSION} and needs:
            said = f"{said}; it needs {needs}"
        raise Denied(masked(said))

    def _address(self, asked: Request) -> str:
        if not self.url:
            msg = f"{self._told(asked)}: the service has no URL; give it one under [services]"
            raise Refused(msg)
        address = urljoin(f"{self.url}/", asked.path.removeprefix("/") if "://" not in asked.path else asked.path)
        if _origin(address) != _origin(self.url):  # who asks is told to nobody else
            msg = f"{self.name or self.url} names a page at {_origin(address)}, which is another server"
            raise UnexpectedAnswer(msg)
        return address

    def _told(self, asked: Request) -> str:
        return f"{self.name or _origin(self.url)}: {asked.method} {urlsplit(asked.path).path}"


@contextmanager
def opened(api: Api) -> Iterator[Api]:
    """Close a service's connections in the end."""
    try:
        yield api
    finally:
        api.close()


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


_KINDS: dict[type, str] = {list: "a list", dict: "an object", str: "text", int: "a whole number", float: "a number"}


class _Garbled(SourceFailed):
    """An answer that was cut off, or is no JSON at all: worth another try, but not later."""


def _wait(error: Exception) -> bool | timedelta:
    """Say whether to try again, or after how long: not where a service wants to be left alone for too long."""
    if isinstance(error, Unavailable) and error.wait is not None:
        return error.wait if error.wait <= LONGEST_WAIT else False
    return isinstance(error, Unavailable | _Garbled)


def _asked_to_wait(response: httpx2.Response) -> timedelta | None:
    told = response.headers.get("retry-after", "").strip()
    if told.isdecimal():
        return timedelta(seconds=int(told))
    try:
        said_at = parsedate_to_datetime(response.headers["date"])
        return max(parsedate_to_datetime(told) - said_at, timedelta())
    except (KeyError, ValueError, TypeError, OverflowError):
        return None


def _reason(error: httpx2.TransportError) -> str:
    match error:
        case httpx2.TimeoutException():
            return "it did not answer in time"
        case httpx2.ConnectError():
            return f"it cannot be reached ({error})"
        case _:
            return f"the answer broke off ({error})"


def _sample(response: httpx2.Response) -> str:
    try:
        told = " ".join(response.text.split())
    except LookupError:  # an encoding that does not exist
        told = repr(response.content)
    return shortened(told) or "nothing"


def _shown(data: object) -> str:
    return shortened(masked(json.dumps(data, ensure_ascii=False, default=str)))


def _origin(url: str) -> str:
    split = urlsplit(url)
    return f"{split.scheme}://{split.hostname}{f':{split.port}' if split.port else ''}"
