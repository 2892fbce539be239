"""A private Prometheus on loopback, Debian's: with a history that a test made up, or scraping what a test tells."""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue
from threading import Condition, Thread
from typing import TYPE_CHECKING

import pytest

from tools.debian import installed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from pathlib import Path

    Sample = tuple[str, float, datetime]

__all__ = ["Exposition", "exposing", "needs", "running", "scraping"]

LISTENS = re.compile(r'"Listening on" address=(\S+)')
READY = "Server is ready to receive web requests"
PATIENCE = 60


def needs(*packages: str) -> None:
    """Skip a test where Debian's packages are missing and cannot be installed; in CI that is a failure."""
    missing = installed(*packages)
    if missing and "CI" in os.environ:
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)


@contextmanager
def running(folder: Path, history: Iterable[Sample] = (), config: str = "", port: int = 0) -> Iterator[str]:
    """Run a Prometheus that keeps its data in `folder`, and knows this history; give its URL."""
    needs("prometheus")
    folder.mkdir(exist_ok=True)
    _remember(folder, history)
    (folder / "prometheus.yml").write_text(config, encoding="utf-8")
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        lines: SimpleQueue[str | None] = SimpleQueue()
        reader = Thread(target=_pump, args=(process.stderr, lines), daemon=True)
        reader.start()
        try:
            yield f"http://{_address(lines)}"
        finally:
            process.terminate()
            process.wait()
            reader.join()


def _pump(lines: Iterable[str] | None, into: SimpleQueue[str | None]) -> None:
    for line in lines or ():
        into.put(line)
    into.put(None)


def _remember(folder: Path, history: Iterable[Sample]) -> None:
    lines = [f"{series} {value!r} {moment.timestamp()}" for series, value, moment in history]
    if lines:
        (folder / "history.txt").write_text("\n".join([*lines, "# EOF\n"]), encoding="utf-8")
        files = [str(folder / "history.txt"), str(folder / "data")]
        command = ["promtool", "tsdb", "create-blocks-from", "--max-block-duration=744h", "openmetrics", *files]
        subprocess.run(command, check=True, capture_output=True)


def _address(lines: SimpleQueue[str | None]) -> str:
    """Return where it listens, once it has also said that it is ready: it says the two in either order."""
    told = ""
    while line := lines.get(timeout=PATIENCE):
        told += line
        found = LISTENS.search(told)
        if found is not None and READY in told:
            return found[1]
    raise AssertionError(told)


@dataclass
class Exposition:
    """What a loopback exporter tells, by path; each scrape of a path is counted."""

    address: str
    told: dict[str, str] = field(default_factory=dict)
    scrapes: dict[str, int] = field(default_factory=dict)
    scraped: Condition = field(default_factory=Condition)

    def wait(self, times: int = 3) -> None:
        """Wait until every path was scraped so many times more: all but the last of them were taken in by then."""
        with self.scraped:
            wanted = {path: self.scrapes.get(path, 0) + times for path in self.told}
            reached = self.scraped.wait_for(
                lambda: all(self.scrapes.get(path, 0) >= n for path, n in wanted.items()), PATIENCE
            )
        assert reached


@contextmanager
def exposing(told: dict[str, str]) -> Iterator[Exposition]:
    """Serve expositions on loopback, by path."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = exposition.told[self.path].encode()
            self.send_response_only(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            with exposition.scraped:
                exposition.scrapes[self.path] = exposition.scrapes.get(self.path, 0) + 1
                exposition.scraped.notify_all()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    exposition = Exposition(f"127.0.0.1:{server.server_address[1]}", told)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield exposition
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def scraping(jobs: dict[str, tuple[str, str]]) -> str:
    """Return the configuration that scrapes jobs by the second: by name, an address and a path."""
    scraped = [
        f"  - {{job_name: {job}, metrics_path: {path}, honor_labels: true, "
        f"static_configs: [{{targets: ['{address}']}}]}}"
        for job, (address, path) in jobs.items()
    ]
    return "\n".join(["global: {scrape_interval: 1s}", "scrape_configs:", *scraped])
