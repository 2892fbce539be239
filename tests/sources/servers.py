"""The servers of a product, Debian's, each with its exporter, and a Prometheus that scrapes them all."""

from __future__ import annotations

import os
import socket
import subprocess
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING

from tests.sources.prometheus_server import PATIENCE, Exposition, exposing, needs, running, scraping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from sqlalchemy import Engine

__all__ = ["Servers", "started", "until"]

PACKAGES = (
    "prometheus",
    "prometheus-node-exporter",
    "prometheus-postgres-exporter",
    "prometheus-redis-exporter",
    "prometheus-nginx-exporter",
    "redis-server",
    "nginx-light",
    "rabbitmq-server",
)
SOON = 0.05
NGINX = """\
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{ return 200 "a page"; }}
        location = /status {{ stub_status; }}
    }}
}}
"""
RABBITMQ = """\
listeners.tcp.1 = 127.0.0.1:{port}
management.tcp.ip = 127.0.0.1
management.tcp.port = {management}
prometheus.tcp.ip = 127.0.0.1
prometheus.tcp.port = {metrics}
distribution.listener.port_range.min = {distribution}
distribution.listener.port_range.max = {distribution}
collect_statistics_interval = 1000
"""


@dataclass(frozen=True)
class Server:
    """Where a server is spoken to, and where its figures are scraped."""

    address: str
    metrics: str


@dataclass(frozen=True)
class Servers:
    """A product's servers: the addresses of Redis, NGINX and RabbitMQ's management, and the URL of Prometheus.

    `counter` is one more exporter, by which the scrapes are counted.
    """

    redis: str
    nginx: str
    rabbitmq: str
    prometheus: str
    counter: Exposition


@contextmanager
def started(folder: Path, postgres: Engine) -> Iterator[Servers]:
    """Start all servers, once Prometheus has scraped each several times; the job `queues` tells queues one by one."""
    needs(*PACKAGES)
    with ExitStack() as stack:
        broker = stack.enter_context(rabbitmq(_made(folder / "rabbitmq")))
        web = stack.enter_context(nginx(_made(folder / "nginx")))
        store = stack.enter_context(redis())
        counter = stack.enter_context(exposing({"/": "counter 1\n"}))
        port = free_port()
        jobs = {
            "prometheus": f"127.0.0.1:{port}",
            "node": stack.enter_context(exporter("prometheus-node-exporter")),
            "postgres": stack.enter_context(postgresql(postgres)),
            "redis": store.metrics,
            "nginx": web.metrics,
            "rabbitmq": broker.metrics,
        }
        scraped = {name: (address, "/metrics") for name, address in jobs.items()}
        scraped |= {"queues": (broker.metrics, "/metrics/per-object"), "counter": (counter.address, "/")}
        url = stack.enter_context(running(folder / "prometheus", config=scraping(scraped), port=port))
        counter.wait(6)
        yield Servers(store.address, web.address, broker.address, url, counter)


def until(is_so: Callable[[], object]) -> None:
    """Wait until something is so."""
    deadline = monotonic() + PATIENCE
    while not is_so():
        assert monotonic() < deadline, is_so
        Event().wait(SOON)


@contextmanager
def redis() -> Iterator[Server]:
    """Run a Redis and its exporter."""
    port = free_port()
    with (
        serving(port, "redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "") as address,
        exporter("prometheus-redis-exporter", redis_addr=f"redis://{address}") as metrics,
    ):
        yield Server(address, metrics)


@contextmanager
def nginx(folder: Path) -> Iterator[Server]:
    """Run an NGINX that tells its stub status, and its exporter."""
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port), encoding="utf-8")
    with (
        serving(port, "nginx", "-c", str(config), "-e", "stderr") as address,
        exporter("prometheus-nginx-exporter", **{"nginx_scrape-uri": f"http://{address}/status"}) as metrics,
    ):
        yield Server(address, metrics)


@contextmanager
def postgresql(engine: Engine) -> Iterator[str]:
    """Run the exporter of a PostgreSQL."""
    dsn = f"host={engine.url.query['host']} user={engine.url.username} dbname={engine.url.database} sslmode=disable"
    with exporter("prometheus-postgres-exporter", DATA_SOURCE_NAME=dsn) as metrics:
        yield metrics


@contextmanager
def rabbitmq(folder: Path) -> Iterator[Server]:
    """Run a RabbitMQ with its own plugins, and a port mapper of its own."""
    ports = {name: free_port() for name in ("port", "management", "metrics", "distribution")}
    (folder / "rabbitmq.conf").write_text(RABBITMQ.format(**ports), encoding="utf-8")
    (folder / "plugins").write_text("[rabbitmq_management, rabbitmq_prometheus].\n", encoding="utf-8")
    mapper = {"ERL_EPMD_PORT": str(free_port()), "ERL_EPMD_ADDRESS": "127.0.0.1"}
    env = {
        "HOME": str(folder),
        "RABBITMQ_NODENAME": "test@localhost",
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
        "RABBITMQ_CONF_ENV_FILE": os.devnull,
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_DIST_PORT": str(ports["distribution"]),
    }
    try:
        with serving(ports["metrics"], "/usr/lib/rabbitmq/bin/rabbitmq-server", env=env | mapper) as metrics:
            until(lambda: _listens(ports["management"]))
            yield Server(f"127.0.0.1:{ports['management']}", metrics)
    finally:
        subprocess.run(["/usr/bin/epmd", "-kill"], env=os.environ | mapper, check=False, capture_output=True)


@contextmanager
def exporter(program: str, **options: str) -> Iterator[str]:
    """Run an exporter."""
    port = free_port()
    env = {name: value for name, value in options.items() if name.isupper()}
    flags = [f"--{name.replace('_', '.')}={value}" for name, value in options.items() if not name.isupper()]
    with serving(port, program, f"--web.listen-address=127.0.0.1:{port}", *flags, env=env) as address:
        yield address


@contextmanager
def serving(port: int, *command: str, env: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run a server, and wait until it listens on a port of loopback; give its address."""
    nowhere = subprocess.DEVNULL
    with subprocess.Popen(command, env=os.environ | (env or {}), stdout=nowhere, stderr=nowhere) as process:
        try:
            until(lambda: _listens(port) or _ended(process))
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def free_port() -> int:
    """Return a port of loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _ended(process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, process.args
    return False


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
