"""Install programs that the tests drive from Debian's packages, where that is possible."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_APT_GET = ("apt-get", "--quiet", "--option", "DPkg::Lock::Timeout=300")
_UNATTENDED = {
    "DEBIAN_FRONTEND": "noninteractive",
    "RUNLEVEL": "1",  # the tests start servers of their own; Debian's are not started
}


def installed(*packages: str) -> str:
    """Return nothing where Debian's packages are installed, after installing them if need be, or what is missing."""
    missing = _missing(packages)
    if missing and _may_install():
        with _one_at_a_time():
            missing = _missing(packages)
            if missing and not _install(missing):
                _run("update")
                _install(missing)
        missing = _missing(packages)
    names = " ".join(missing)
    return f"{names} not installed; as root on Debian: apt-get install {names}" if missing else ""


def _missing(packages: tuple[str, ...] | list[str]) -> list[str]:
    return [package for package in packages if not _is_installed(package)]


def _is_installed(package: str) -> bool:
    if not shutil.which("dpkg-query"):
        return False
    told = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package],
        capture_output=True,
        text=True,
        check=False,
    )
    return told.stdout == "installed"


def _may_install() -> bool:
    return sys.platform == "linux" and os.geteuid() == 0 and shutil.which("apt-get") is not None


def _install(packages: list[str]) -> bool:
    return _run("install", "--yes", "--no-install-recommends", *packages)


def _run(*arguments: str) -> bool:
    """Run apt-get, with what it says where errors are told."""
    return (
        subprocess.run(
            [*_APT_GET, *arguments],
            env=os.environ | _UNATTENDED,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            check=False,
        ).returncode
        == 0
    )


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Wait for other processes of this kind: `apt-get update` itself does not."""
    import fcntl  # noqa: PLC0415  # there is none on Windows

    with Path(tempfile.gettempdir(), "tallyline-apt.lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
