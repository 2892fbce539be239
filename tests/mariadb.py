"""A MariaDB server of the tests' own: its data in a temporary folder, its port on loopback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine

from tools import debian

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

__all__ = ["missing", "serving"]

PACKAGES = ("mariadb-server-core", "mariadb-client-core")
PROGRAMS = ("mariadbd", "mariadb-install-db", "my_print_defaults")  # the second runs the third
SETTINGS = (
    "--bind-address=127.0.0.1",
    "--innodb-buffer-pool-size=32M",
    "--innodb-doublewrite=OFF",  # nothing here outlives the session
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-flush-method=nosync",
    "--innodb-log-file-size=8M",
    "--log-warnings=0",
    "--performance-schema=OFF",
    "--skip-name-resolve",
    "--sync-frm=OFF",
)
AS_ROOT = ("--user=root",) if hasattr(os, "geteuid") and os.geteuid() == 0 else ()


def missing() -> str:
    """Return nothing where there is a MariaDB, after installing it if need be, or what to install."""
    return "" if all(map(_path, PROGRAMS)) else debian.installed(*PACKAGES)


@contextmanager
def serving() -> Iterator[Engine]:
    """Run a server, and connect to it as its administrator."""
    with TemporaryDirectory(prefix="tallyline-") as folder:
        _install(folder)
        port = _free_port()
        with _running(folder, port):
            engine = create_engine(f"mysql+pymysql://root@127.0.0.1:{port}/", isolation_level="AUTOCOMMIT")
            yield engine
            engine.dispose()


def _install(folder: str) -> None:
    install = [str(_path("mariadb-install-db")), "--no-defaults", *AS_ROOT, f"--datadir={folder}/data"]
    options = ("--auth-root-authentication-method=normal", "--skip-test-db", "--innodb-log-file-size=8M")
    subprocess.run([*install, *options], check=True, capture_output=True)


@contextmanager
def _running(folder: str, port: int) -> Iterator[None]:
    paths = [f"--{name}={folder}/{name}" for name in ("pid-file", "socket")]
    command = [str(_path("mariadbd")), "--no-defaults", *AS_ROOT, *SETTINGS, *paths]
    places = [f"--datadir={folder}/data", f"--port={port}"]
    with subprocess.Popen([*command, *places], stderr=subprocess.PIPE, text=True) as server:
        told: Any = server.stderr
        said = []
        for line in told:
            said.append(line)
            if "ready for connections" in line:
                break
        else:
            raise RuntimeError("".join(said))
        Thread(target=told.read, daemon=True).start()  # or it would wait for somebody to read what it says
        try:
            yield
        finally:
            server.kill()


def _path(program: str) -> Path | None:
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    return Path(found) if found else None


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
