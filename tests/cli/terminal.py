"""The command line, as it is typed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest

from tallyline.cli import main

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Answer:
    """What a command printed, and its exit status."""

    status: int
    out: str
    err: str

    @property
    def data(self) -> Any:  # noqa: ANN401  # JSON may be anything
        """What was printed, read as JSON."""
        return json.loads(self.out)


def tallyline(*arguments: str | Path, project: Path | None = None) -> Answer:
    """Run a command in this process, up to its exit status."""
    out, err = StringIO(), StringIO()
    before = signal.getsignal(signal.SIGTERM)
    typed = ["tallyline", *map(str, arguments), *([f"--project={project}"] if project else [])]
    try:
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setattr(sys, "argv", typed)
            main()
    except SystemExit as exiting:
        status = exiting.code
    else:
        status = 0
    finally:
        signal.signal(signal.SIGTERM, before)
    assert isinstance(status, int)
    return Answer(status, out.getvalue(), err.getvalue())


def command(*arguments: str | Path) -> list[str]:
    """Return the words of a command to be run as a process of its own."""
    return [sys.executable, "-m", "tallyline", *map(str, arguments)]


def in_a_process(*arguments: str | Path, folder: Path | None = None) -> Answer:
    """Run a command as a process of its own."""
    done = subprocess.run(command(*arguments), cwd=folder, capture_output=True, text=True, check=False)
    return Answer(done.returncode, done.stdout, done.stderr)


def make_project(folder: Path, text: str, code: str = "") -> Path:
    """Write a project, and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tallyline.toml").write_text(text, encoding="utf-8")
    if code:
        (folder / "sources.py").write_text(code, encoding="utf-8")
    return folder
