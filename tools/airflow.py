"""Make the environment that the tests run a real Airflow in: `.venv-airflow`, from the same lock file as `.venv`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from tools.debian import installed

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["made", "python"]

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".venv-airflow"
STAMP = HOME / "made-from"


def python() -> Path:
    """Return the Python of the environment, which is there once it was made."""
    return HOME / "bin/python"


def made() -> str:
    """Return nothing where the environment is there, after making it if need be, or why it is not."""
    if _is_current():
        return ""
    with _one_at_a_time():
        if not _is_current():
            return _make()
    return ""


def _make() -> str:
    uv = shutil.which("uv") or shutil.which(str(ROOT / ".uv/bin/uv"))
    if uv is None:
        return "no uv, which makes the environment of Airflow; run `make setup`"
    base = Path(sys.base_prefix, "bin/python3")
    sync = ["sync", "--locked", "--no-default-groups", "--group=airflow", "--compile-bytecode", f"--python={base}"]
    done = subprocess.run(
        [uv, *sync],
        cwd=ROOT,
        env={**os.environ, "UV_PROJECT_ENVIRONMENT": str(HOME), "VIRTUAL_ENV": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return f"the environment of Airflow cannot be made: {done.stderr.strip()}"
    STAMP.write_text(_wanted(), encoding="utf-8")
    return ""


def _is_current() -> bool:
    return python().exists() and STAMP.exists() and STAMP.read_text(encoding="utf-8") == _wanted()


def _wanted() -> str:
    """Return what tells one content of the environment from another."""
    files = [ROOT / "uv.lock", ROOT / "pyproject.toml"]
    content = b"".join(path.read_bytes() for path in files)
    return f"{sys.version} {blake2b(content, digest_size=16).hexdigest()}"


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Wait for other processes that make it, such as those of pytest-xdist."""
    import fcntl  # noqa: PLC0415  # there is none on Windows

    with (ROOT / ".venv-airflow.lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Make the environment, and say what is missing; in CI that is an error, elsewhere the tests are skipped."""
    missing = [text for text in (made(), installed("redis-server")) if text]
    print("\n".join(missing) if missing else f"tests of Airflow use {HOME.name}")
    return int(bool(missing) and "CI" in os.environ)


if __name__ == "__main__":
    sys.exit(main())
