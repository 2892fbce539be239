"""A whole Airflow of the tests' own: its servers, workers and message broker, started one by one and ended together."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tests.schedule.airflow_home import Airflow

DEADLINE = 600
SOON = 0.2
ENDED = {"success", "failed"}
USER = "admin"


@dataclass
class Server:
    """A running Airflow, spoken to by its REST API."""

    airflow: Airflow
    port: int
    token: str = ""
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def get(self, path: str) -> Any:  # noqa: ANN401  # JSON may be anything
        """Ask for what is there."""
        return self._asked("GET", f"/api/v2/{path}")

    def post(self, path: str, body: Mapping[str, object]) -> Any:  # noqa: ANN401  # JSON may be anything
        """Ask for something to be done."""
        return self._asked("POST", f"/api/v2/{path}", body)

    def patch(self, path: str, body: Mapping[str, object]) -> Any:  # noqa: ANN401  # JSON may be anything
        """Ask for something to be changed."""
        return self._asked("PATCH", f"/api/v2/{path}", body)

    def sign_in(self) -> None:
        """Ask for a token, as the user that Airflow made up."""
        kept = self.airflow.home / "simple_auth_manager_passwords.json.generated"
        password = json.loads(kept.read_text("utf-8"))[USER]
        answer = self._asked("POST", "/auth/token", {"username": USER, "password": password})
        self.token = answer["access_token"]

    def is_up(self) -> bool:
        """Say whether it answers."""
        try:
            self._asked("GET", "/api/v2/version")
        except OSError:
            return False
        return True

    def until(self, what: str, is_so: Callable[[], Any]) -> Any:  # noqa: ANN401  # whatever it is
        """Return what is so as soon as it is."""
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            for name, process in self.processes.items():
                assert process.poll() is None, f"{name} has ended: {self.log(name)}"
            found = is_so()
            if found:
                return found
            time.sleep(SOON)  # Airflow says nothing by itself
        logs = "\n".join(f"--- {name}\n{self.log(name)}" for name in self.processes)
        msg = f"{what} took longer than {DEADLINE} s\n{logs}"
        raise AssertionError(msg)

    def log(self, name: str) -> str:
        """Return the end of what a process has said."""
        return (self.airflow.home / f"{name}.log").read_text("utf-8", errors="replace")[-3000:]

    def _asked(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:  # noqa: ANN401
        url = f"http://127.0.0.1:{self.port}{path}"
        headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {self.token}"} if self.token else {}
        )
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, headers, method=method)  # on loopback
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            msg = f"{method} {path}: {error.code} {error.read().decode()}"
            raise AssertionError(msg) from None


@contextmanager
def running(airflow: Airflow, worker: Mapping[str, str]) -> Iterator[Server]:
    """Run the API server and a Celery worker, the latter with an environment of its own; no scheduler yet."""
    server = Server(airflow, int(airflow.settings["AIRFLOW__API__PORT"]))
    with ExitStack() as ending:
        ending.enter_context(_process(server, "redis", _redis(airflow), {}))
        ending.enter_context(_process(server, "api", _airflow(airflow, "api-server", "--workers", "1"), {}))
        _migrated(airflow, "dags", "reserialize")
        server.until("the API server", server.is_up)  # a task that begins before it listens is lost
        server.sign_in()
        ending.enter_context(_process(server, "worker", _airflow(airflow, "celery", "worker", "-s", "-c", "2"), worker))
        yield server


@contextmanager
def scheduling(server: Server, *, by_schedule: bool) -> Iterator[None]:
    """Run the scheduler, which starts by itself what is scheduled, or only what it is asked for."""
    of_schedule = {"AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": str(by_schedule)}
    with _process(server, "scheduler", _airflow(server.airflow, "scheduler", "-s"), of_schedule):
        yield


def settings(database: str, home: Path) -> dict[str, str]:
    """Return the settings of an Airflow that keeps what it knows in a PostgreSQL database."""
    api, redis = _free_ports(2)
    return {
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(api),
        "AIRFLOW__API_AUTH__JWT_SECRET": "of-the-tests-" * 8,
        "AIRFLOW__CELERY__BROKER_URL": f"redis://127.0.0.1:{redis}/0",
        "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{database}",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{api}/execution/",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor,CeleryExecutor",
        "AIRFLOW__CORE__FERNET_KEY": "",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "120",  # a busy machine answers late
        "REDIS_PORT": str(redis),
        "COVERAGE_PROCESS_CONFIG": "",
        "HOME": str(home),
    }


def prepare(airflow: Airflow) -> None:
    """Make the tables of Airflow's database."""
    _migrated(airflow, "db", "migrate")


def _migrated(airflow: Airflow, *command: str) -> None:
    done = airflow.run("-m", "airflow", *command)
    assert done.returncode == 0, done.stderr


def _airflow(airflow: Airflow, *command: str) -> list[str]:
    return [str(airflow.python), "-m", "airflow", *command]


def _redis(airflow: Airflow) -> list[str]:
    port = airflow.settings["REDIS_PORT"]
    return ["redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--dir", str(airflow.home)]


@contextmanager
def _process(server: Server, name: str, command: list[str], environment: Mapping[str, str]) -> Iterator[None]:
    """Run a process in a session of its own, and end it with all that it started."""
    with (server.airflow.home / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env={**server.airflow.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server.processes[name] = process
    try:
        yield
    finally:
        del server.processes[name]
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _free_ports(count: int) -> list[int]:
    with ExitStack() as open_still:
        sockets = [open_still.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
