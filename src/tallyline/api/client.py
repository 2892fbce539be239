"""The client of a service, and what stands in for one."""

from __future__ import annotations

import json
import logging
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import httpx2
import stamina

from tallyline.api.messages import Answer, Request
from tallyline.errors import Denied, Refused, SourceFailed, Unavailable, UnexpectedAnswer, shortened
from tallyline.secret import masked

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterator, Mapping

    from tallyline.api.paging import Paging

__all__ = ["Api", "Auth", "opened", "stand_in"]

ATTEMPTS = 5
LONGEST_WAIT = timedelta(minutes=2)
CONNECT_SECONDS = 10.0
_BUSY = frozenset({408, 425, 429})
_FIRST_ERROR, _FIRST_SERVER_ERROR = 400, 500
_ALLOWED = range(200, 300)
_CREDENTIALS, _PERMISSION = 401, 403

logging.getLogger("stamina").addHandler(logging.NullHandler())  # it tells of each wait; on a terminal only if asked to


def _mask_log(record: logging.LogRecord) -> bool:
    record.msg, record.args = masked(record.getMessage()), ()
    return True


for _name in ("httpx2", *(f"httpcore2.{part}" for part in ("connection", "http11", "http2", "proxy", "socks"))):
    logging.getLogger(_name).addFilter(_mask_log)  # they tell the URLs that are asked for, and headers of answers

Auth = httpx2.Auth


class _Bearer(Auth):
    def __init__(self, token: Callable[[], str]) -> None:
        self._token = token

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        request.headers["Authorization"] = f"Bearer {self._token()}"
        yield request


class Api:
    """A client of one service, for as long as a run: its URL, who asks, and how patiently.

    `token` is sent as ``Authorization: Bearer``, `user` and `password` as Basic; `headers` are sent as they are.
    `credentials` is kept for sources that know what to do with it. `timeout` is how long one answer may take.
    With a `transport` it stands in for the service, and nobody has to sign in.
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
        self.is_stand_in = transport is not None
        self.attempts = ATTEMPTS
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

    def with_token(self, token: Callable[[], str]) -> Api:
        """Return the service with a token that does not last: it is asked for before each attempt."""
        return self.authorized(_Bearer(token))

    def with_headers(self, headers: Mapping[str, str]) -> Api:
        """Return the service with further headers."""
        self._client.headers.update(headers)
        return self

    def reach(self) -> str:
        """Ask for the service's own URL, and return where and what it answered; whatever that is, it is there.

        Raises Unavailable where it is not, or says so.
        """
        try:
            response = self._client.get(self.url)
        except httpx2.TransportError as error:
            msg = f"{self.name or _origin(self.url)}: {_reason(error)}"
            raise Unavailable(masked(msg)) from error
        if response.status_code >= _FIRST_SERVER_ERROR:
            msg = f"{_origin(self.url)} answered {response.status_code} {response.reason_phrase}: {_sample(response)}"
            raise Unavailable(masked(msg))
        return f"answers at {_origin(self.url)}"

    @contextmanager
    def heard_by(self, listener: Callable[[httpx2.Response], None]) -> Iterator[None]:
        """Tell a listener of every answer, its body read, before it is looked at here."""

        def tell(response: httpx2.Response) -> None:
            response.read()
            listener(response)

        listeners = self._client.event_hooks["response"]
        listeners.append(tell)
        try:
            yield
        finally:
            listeners.remove(tell)

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

    def ask(self, asked: Request, needs: str = "", expected: Collection[int] = ()) -> Answer:
        """Return what the service answers, of several attempts.

        `needs` says which permission it takes, for who is refused; `expected` are statuses of errors, such as 404, that
        are an answer, too. Raises Unavailable where the service is down, slow
        or busy to the end, Denied where it refuses, UnexpectedAnswer where it answers with something that is not JSON.
        """
        try:
            for attempt in stamina.retry_context(
                _wait, attempts=self.attempts, timeout=None, wait_initial=0.5, wait_max=20
            ):
                with attempt:
                    return self._once(asked, needs, expected)
        except _Garbled as garbled:
            raise UnexpectedAnswer(str(garbled)) from garbled.__cause__
        raise AssertionError  # pragma: no cover  # the last attempt returns or raises

    def exchange(self, url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Return the status and the answer of a server that gives out tokens, which is asked once.

        Raises Unavailable where it is down, slow or busy; what it refuses is returned.
        """
        told = f"{self.name or _origin(self.url)}: signing in at {_origin(url)}"
        try:
            with httpx2.Client(timeout=self._client.timeout) as client:  # which is told nothing else, and not recorded
                response = client.post(url, content=body, headers=headers)
        except httpx2.TransportError as error:
            msg = f"{told}: {_reason(error)}"
            raise Unavailable(masked(msg)) from error
        if response.status_code in _BUSY or response.status_code >= _FIRST_SERVER_ERROR:
            msg = f"{told} answered {response.status_code} {response.reason_phrase}: {_sample(response)}"
            raise Unavailable(masked(msg), _asked_to_wait(response))
        return response.status_code, response.content

    def _once(self, asked: Request, needs: str, expected: Collection[int]) -> Answer:
        url = self._address(asked)
        try:
            response = self._client.request(asked.method, url, params=asked.params or None, json=asked.body)
        except httpx2.TransportError as error:
            msg = f"{self._told(asked)}: {_reason(error)}"
            raise Unavailable(masked(msg)) from error
        if response.status_code not in expected:
            self._check(asked, response, needs)
        try:
            return Answer(json.loads(response.content), response.headers, response.status_code)
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


def stand_in(answer: Callable[[Request], Answer], url: str, *, name: str = "") -> Api:
    """Return a service that a function answers for, in this process: nothing is sent, and nobody has to sign in.

    The function is given the path, the parameters of the query as text (a list where one is there more than once), and
    the body that was JSON.

    >>> shop = stand_in(lambda asked: Answer({"asked": asked.path, **asked.params}, {}), "https://shop.example")
    >>> shop.get("/orders", {"limit": 2}).data
    {'asked': '/orders', 'limit': '2'}
    """
    return Api(url, name=name, transport=_StandIn(answer))


class _StandIn(httpx2.BaseTransport):
    def __init__(self, answer: Callable[[Request], Answer]) -> None:
        self._answer = answer

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        given = request.url.params
        several = {key: given.get_list(key) for key in given}
        params = {key: values if len(values) > 1 else values[0] for key, values in several.items()}
        sent = request.read()
        asked = Request(request.url.path, params, json.loads(sent) if sent else None)
        if request.method != asked.method:
            asked = replace(asked, verb=request.method)
        told = self._answer(asked)
        return httpx2.Response(told.status, headers=dict(told.headers), json=told.data)


@contextmanager
def opened(api: Api) -> Iterator[Api]:
    """Close a service's connections in the end."""
    try:
        yield api
    finally:
        api.close()


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
    return shortened(" ".join(_text(response).split())) or "nothing"


def _text(response: httpx2.Response) -> str:
    try:
        return response.content.decode(response.charset_encoding or "utf-8", "backslashreplace")
    except LookupError:  # what it says that it is encoded in is no encoding, or none of text
        return response.content.decode("utf-8", "backslashreplace")


def _origin(url: str) -> str:
    split = urlsplit(url)
    return f"{split.scheme}://{split.hostname}{f':{split.port}' if split.port else ''}"
