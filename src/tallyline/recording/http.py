"""An HTTP service recorded, and the service that answers from the recording."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from binascii import Error as NotBase64
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import httpx2

from tallyline.api import Api
from tallyline.recording.masking import is_secret
from tallyline.secret import remember

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Asked = dict[str, Any]
    Keep = Callable[[Asked, dict[str, Any]], None]
    Answer = Callable[[Asked], Mapping[str, Any]]

    from tallyline.recording.masking import Masking

__all__ = ["BUSY", "listening", "replaying"]

BUSY = frozenset({408, 425, 429, *range(500, 600)})
"""What a service answers that is asked again."""

_KEPT = re.compile(r"content-type|date|etag|last-modified|link|retry-after|.*(count|cursor|limit|page|range|total)")
_KEY = re.compile(r"key|auth", re.IGNORECASE)
_SHORTEST = 8


@contextmanager
def listening(api: Api, masking: Masking, keep: Keep) -> Iterator[None]:
    """Hand every request and its answer to `keep`, and make who asks unreadable."""

    def heard(response: httpx2.Response) -> None:
        _remember_who_asks(response.request)
        keep(_asked(response.request, masking), _said(response, masking))

    with api.heard_by(heard):
        yield


def replaying(name: str, url: str, masking: Masking, answer: Answer) -> Api:
    """Return a client of a service that asks `answer`, and nobody else."""
    api = Api(url, name=name, transport=_Replaying(masking, answer))
    api.attempts = 1
    return api


class _Replaying(httpx2.BaseTransport):
    def __init__(self, masking: Masking, answer: Answer) -> None:
        self._masking = masking
        self._answer = answer

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        said = self._answer(_asked(request, self._masking))
        content = said["text"] if "text" in said else json.dumps(said["body"])
        return httpx2.Response(said["status"], headers=said["headers"], content=content.encode())


def _asked(request: httpx2.Request, masking: Masking) -> Asked:
    params = parse_qs(request.url.query.decode(), keep_blank_values=True)
    single = {name: values if len(values) > 1 else values[0] for name, values in sorted(params.items())}
    url = request.url.copy_with(query=None, fragment=None, username="", password="")
    asked = {"method": request.method, "url": masking.text(str(url)), "params": masking.parameters(single)}
    sent = request.read().decode(errors="replace")
    body = _sent(sent, request.headers.get("content-type", ""))
    return {**asked, "body": masking.data(body)} if sent else asked


def _sent(text: str, kind: str) -> object:
    if kind.startswith("application/x-www-form-urlencoded"):
        return {name: values[-1] for name, values in parse_qs(text, keep_blank_values=True).items()}
    try:
        return json.loads(text)
    except ValueError:
        return text


def _said(response: httpx2.Response, masking: Masking) -> dict[str, Any]:
    kept = {name: value for name, value in sorted(response.headers.items()) if _KEPT.fullmatch(name)}
    said: dict[str, Any] = {"status": response.status_code, "headers": masking.data(kept)}
    try:
        return {**said, "body": masking.data(json.loads(response.content))}
    except ValueError:
        return {**said, "text": masking.text(response.text)}


def _remember_who_asks(request: httpx2.Request) -> None:
    told = [value for name, value in request.headers.items() if is_secret(name) or _KEY.search(name)]
    told += [value for name, value in request.url.params.multi_items() if is_secret(name) or name in {"key", "sig"}]
    for secret in {word for value in told for word in (value, *re.split(r"[\s;]+", value))}:
        if len(secret) >= _SHORTEST:
            remember(secret)
            _remember_password(secret)


def _remember_password(basic: str) -> None:
    try:
        _, colon, password = b64decode(basic, validate=True).decode().partition(":")
    except (NotBase64, UnicodeDecodeError):
        return
    if colon:
        remember(password)
