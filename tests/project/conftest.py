"""Project folders, written by each test as it needs them."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING, Protocol

import pytest

from tallyline.errors import ProjectError
from tallyline.project import FILE, load_project

if TYPE_CHECKING:
    from pathlib import Path


class Write(Protocol):
    """Write a project folder: its `tallyline.toml`, and other files by their paths."""

    def __call__(self, toml: str = "", files: dict[str, str] | None = None, *, name: str = "shop") -> Path:
        """Return the folder."""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write project folders beside each other."""

    def write_project(toml: str = "", files: dict[str, str] | None = None, *, name: str = "shop") -> Path:
        for path, text in {FILE: toml, **(files or {})}.items():
            file = tmp_path / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(dedent(text), encoding="utf-8")
        return tmp_path / name

    return write_project


def mistakes(folder: Path) -> list[str]:
    """Load a project that is wrong, and return what is told of it, line by line."""
    with pytest.raises(ProjectError) as refused:
        load_project(folder)
    return [str(problem) for problem in refused.value.problems]
