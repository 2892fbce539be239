"""`tallyline up` serves the page until it is interrupted."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests.cli.terminal import command, make_project, tallyline

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = '[project]\ntitle = "My shop"\n\n[metrics]\norders = { title = "Orders" }\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of which nothing was read yet."""
    return make_project(tmp_path / "project", PROJECT)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_the_page_is_serves_it_and_ends_quietly(project: Path, number: signal.Signals) -> None:
    words = command("up", "--port", "0", "--project", project)
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        told = re.fullmatch(
            r"My shop is at (http://127\.0\.0\.1:\d+/)   \(Ctrl-C ends it\)\n", process.stdout.readline()
        )
        assert told is not None
        with urllib.request.urlopen(told[1], timeout=30) as page:  # noqa: S310  # the address is its own
            assert "My shop" in page.read().decode()
        process.send_signal(number)
        assert process.stderr.read() == ""
    assert process.returncode == 0


def test_a_port_that_is_taken_is_refused(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = tallyline("up", "--port", str(port), project=project)
    assert answer.status == 2
    assert f"port {port} on 127.0.0.1 is taken by another program" in answer.err


def test_what_is_no_port_is_refused(project: Path) -> None:
    answer = tallyline("up", "--port", "70000", project=project)
    assert answer.status == 2
    assert "70000 is not in the range 0<=x<=65535" in answer.err
