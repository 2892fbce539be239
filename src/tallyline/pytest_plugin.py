"""The fixtures that pytest finds where Tallyline is installed: a project's sources, replayed from their recordings."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tallyline.testing import Replay
    from tallyline.warehouse import Warehouse

__all__ = ["replay", "tallyline_project", "tallyline_warehouse"]

FILE = "tallyline.toml"


@pytest.fixture
def tallyline_project(request: pytest.FixtureRequest) -> Path:
    """The project's folder: the nearest above the test that has a `tallyline.toml`; override it to say otherwise."""
    above = request.path.parents
    found = next((folder for folder in above if (folder / FILE).is_file()), None)
    if found is None:
        pytest.fail(f"there is no {FILE} above {request.path}; override the fixture tallyline_project", pytrace=False)
    return found


@pytest.fixture
def tallyline_warehouse(tallyline_project: Path) -> Iterator[Warehouse]:
    """An empty warehouse of the project, in memory."""
    from tallyline.project import load_project  # noqa: PLC0415  # only where a test asks for it
    from tallyline.testing import warehouse  # noqa: PLC0415

    project = load_project(tallyline_project)
    with warehouse(project.zone, plan=project.plan) as opened:
        yield opened


@pytest.fixture
def replay(tallyline_project: Path, tallyline_warehouse: Warehouse) -> Callable[..., Replay]:
    """Replay a source of the project offline, `replay("orders")`, as `tallyline.testing.replayed` does."""
    from tallyline.testing import replayed  # noqa: PLC0415

    return partial(replayed, tallyline_project, into=tallyline_warehouse)
