"""Serving on this machine, and stopping."""

from __future__ import annotations

import signal
import socket
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest
from starlette.applications import Starlette

from tallyline.errors import Refused
from tallyline.web import serve
from tests.web.conftest import served_company

if TYPE_CHECKING:
    from pathlib import Path


def never(address: str) -> None:
    pytest.fail(f"it listens at {address}")


def test_a_taken_port_is_refused_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Refused) as refused:
            serve(Starlette(), port=port, ready=never)
    assert str(refused.value) == (
        f"port {port} on 127.0.0.1 is taken by another program; choose another with --port, or --port 0 for a free one"
    )


@pytest.mark.parametrize("port", [-1, 65536])
def test_what_is_no_port_is_refused(port: int) -> None:
    with pytest.raises(Refused, match=f"{port} is not a port; choose one from 1024 to 65535"):
        serve(Starlette(), port=port, ready=never)


def test_a_port_that_may_not_be_opened_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(_: object) -> socket.socket:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "create_server", forbidden)
    with pytest.raises(Refused, match=r"port 80 on 127.0.0.1 cannot be opened \(Permission denied\); choose another"):
        serve(Starlette(), port=80, ready=never)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_answers_until_it_is_told_to_end_and_then_says_nothing(tmp_path: Path, how: signal.Signals) -> None:
    with served_company(tmp_path) as (address, program):
        with urlopen(f"{address}runs") as answer:  # noqa: S310  # our own, on this machine
            assert answer.status == 200
            assert answer.headers["server"] is None
        program.send_signal(how)
        assert program.wait(timeout=20) == 0
