"""An HTTP service on loopback that answers as it is told, also wrongly, slowly, or with half of an answer."""

from __future__ import annotations

import json
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["Asked", "Said", "Service", "serving"]


@dataclass(frozen=True)
class Asked:
    """A request: of a parameter that came several times, `params` has the last, `every` has all."""

    method: str
    path: str
    params: Mapping[str, str]
    every: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True)
class Said:
    """An answer. `half` is cut off in the middle, `late` comes only when the service is stopped."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    half: bool = False
    late: bool = False


class Service:
    """What the service answers, by path; and what it was asked.

    A path answers with what was last told of it: several answers are given one after the other, the last for good.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[Asked] = []
        self.stopping = Event()
        self._answers: dict[str, Callable[[Asked], Said] | list[Said]] = {}
        self._times: defaultdict[str, int] = defaultdict(int)

    def answer(self, path: str, *answers: Said | Callable[[Asked], Said]) -> None:
        """Answer requests of a path with these, one after the other, or with what a function makes of each."""
        first = answers[0]
        self._answers[path] = first if callable(first) else [each for each in answers if isinstance(each, Said)]
        self._times[path] = 0

    def said(self, asked: Asked) -> Said:
        """Return the answer to a request."""
        self.asked.append(asked)
        answers = self._answers.get(asked.path)
        if answers is None:
            return Said({"error": f"there is nothing at {asked.path}"}, 404)
        if callable(answers):
            return answers(asked)
        at = self._times[asked.path]
        self._times[asked.path] += 1
        return answers[min(at, len(answers) - 1)]


@contextmanager
def serving() -> Iterator[Service]:
    """Run a service on loopback."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_request(self) -> None:
            split = urlsplit(self.path)
            length = int(self.headers.get("content-length", 0))
            sent = self.rfile.read(length).decode()
            every = parse_qs(split.query, keep_blank_values=True)
            headers = {name.lower(): value for name, value in self.headers.items()}
            params = {name: values[-1] for name, values in every.items()}
            asked = Asked(self.command, split.path, params, every, headers, _as_data(sent))
            self._say(service.said(asked))

        do_GET = do_POST = handle_request  # noqa: N815  # as the base class calls them

        def _say(self, said: Said) -> None:
            if said.late:
                service.stopping.wait()
                return
            body = said.body if isinstance(said.body, bytes) else json.dumps(said.body).encode()
            self.send_response_only(said.status)
            for name, value in {"Content-Type": "application/json", **said.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if said.half else body)
            if said.half:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    service = Service(f"http://127.0.0.1:{server.server_address[1]}")
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        service.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _as_data(sent: str) -> Any:  # noqa: ANN401  # JSON, or text
    try:
        return json.loads(sent) if sent else None
    except ValueError:
        return sent
