"""A way to a server on loopback that refuses, or breaks off in the middle of an answer."""

from __future__ import annotations

import socket
from contextlib import ExitStack, contextmanager, suppress
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import URL

__all__ = ["cut"]

LONGEST = 65_536


@contextmanager
def cut(url: URL, *, refused: int = 0, after: int | None = None) -> Iterator[URL]:
    """Give a URL that leads to the server of another one.

    The first so many connections are `refused`; the others break off `after` so many bytes of answers.
    """
    with ExitStack() as closing:
        listening = closing.enter_context(socket.create_server(("127.0.0.1", 0)))
        thread = Thread(target=_serve, args=(listening, url, refused, after), daemon=True)
        thread.start()
        query = {name: value for name, value in url.query.items() if name != "host"}
        yield url.set(host="127.0.0.1", port=listening.getsockname()[1], query=query)
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)


def _serve(listening: socket.socket, url: URL, refused: int, after: int | None) -> None:
    with suppress(OSError):
        while True:
            client, _ = listening.accept()
            if refused:
                refused -= 1
                client.close()
                continue
            server = _connected(url)
            Thread(target=_pass_on, args=(client, server, None), daemon=True).start()
            Thread(target=_pass_on, args=(server, client, after), daemon=True).start()


def _connected(url: URL) -> socket.socket:
    folder = url.query.get("host")
    if folder is None:
        return socket.create_connection((str(url.host), int(url.port or 0)))
    server = socket.socket(socket.AF_UNIX)
    server.connect(f"{folder}/.s.PGSQL.5432")
    return server


def _pass_on(giving: socket.socket, taking: socket.socket, most: int | None) -> None:
    passed = 0
    with suppress(OSError), giving, taking:
        while (most is None or passed < most) and (said := giving.recv(LONGEST)):
            passed += len(said)
            taking.sendall(said)
        for end in (giving, taking):
            end.shutdown(socket.SHUT_RDWR)
