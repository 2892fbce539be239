"""Serving the page on this machine alone."""

from __future__ import annotations

import errno
import signal
import socket
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import uvicorn

from tallyline.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.applications import Starlette

__all__ = ["serve"]

_HOST = "127.0.0.1"
_SECONDS_TO_FINISH = 3
_LAST_PORT = 65535


def serve(app: Starlette, *, port: int, ready: Callable[[str], None]) -> None:
    """Serve `app` on 127.0.0.1 until Ctrl-C or SIGTERM; call `ready` with its address once it listens.

    Port 0 takes a free one. Raises Refused where the port cannot be had.
    """
    with closing(_listening(port)) as listener, _signals_end_quietly():
        _Server(app, listener, ready).run(sockets=[listener])


class _Server(uvicorn.Server):
    def __init__(self, app: Starlette, listener: socket.socket, ready: Callable[[str], None]) -> None:
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=_SECONDS_TO_FINISH,
        )
        super().__init__(config)
        self._address = f"http://{_HOST}:{listener.getsockname()[1]}/"
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready(self._address)


def _listening(port: int) -> socket.socket:
    if port not in range(_LAST_PORT + 1):
        msg = f"{port} is not a port; choose one from 1024 to {_LAST_PORT} with --port, or 0 for a free one"
        raise Refused(msg)
    try:
        return socket.create_server((_HOST, port))
    except OSError as error:
        raise Refused(_why_not(port, error)) from None


def _why_not(port: int, error: OSError) -> str:
    another = "choose another with --port, or --port 0 for a free one"
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {_HOST} is taken by another program; {another}"
    return f"port {port} on {_HOST} cannot be opened ({error.strerror}); {another}"


@contextmanager
def _signals_end_quietly() -> Iterator[None]:
    """Let uvicorn, which raises the signal that ended it once more, do that to nobody."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.signal(each, _nothing) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _nothing(*_: object) -> None:
    pass
