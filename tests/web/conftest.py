"""A page over a warehouse of each test's own, and the made-up company's page as a program of its own."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest
from starlette.testclient import TestClient

from tallyline.dashboards import Dashboard, Panel
from tallyline.warehouse import open_warehouse
from tallyline.web import make_app
from tests.web import company

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tallyline.sources import Source
    from tallyline.warehouse import Warehouse

    Visit = Callable[..., TestClient]

ADDRESS = "http://127.0.0.1:7411"


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    """An empty warehouse in Paris, on the company's present day."""
    url = f"sqlite:///{tmp_path / 'warehouse.db'}"
    with open_warehouse(url, company.ZONE, write=True, clock=lambda: company.NOW, plan=company.PLAN) as warehouse:
        yield warehouse


@pytest.fixture
def visit(warehouse: Warehouse) -> Visit:
    """Visit the page of a dashboard "main" with the given panels."""

    def visit(
        *panels: Panel | str,
        title: str = "Pagesnap",
        dashboard: str = "Main",
        others: tuple[Dashboard, ...] = (),
        base_url: str = ADDRESS,
        sources: Mapping[str, Source] = MappingProxyType({}),
    ) -> TestClient:
        shown = tuple(panel if isinstance(panel, Panel) else Panel(panel) for panel in panels)
        app = make_app(
            title=title,
            zone=company.ZONE,
            plan=company.PLAN,
            dashboards=[Dashboard("main", dashboard, shown), *others],
            warehouse=warehouse,
            clock=lambda: company.NOW,
            sources=sources,
        )
        return TestClient(app, base_url=base_url, raise_server_exceptions=False, follow_redirects=False)

    return visit


@pytest.fixture(scope="session")
def company_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the made-up company's page."""
    with served_company(tmp_path_factory.mktemp("company")) as (url, _):
        yield url


@contextmanager
def served_company(folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run the company's page as a program; it must end by itself once it is told to."""
    command = [sys.executable, str(Path(company.__file__)), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout
            yield program.stdout.readline().strip(), program
        finally:
            program.terminate()
            _, complaints = program.communicate(timeout=20)
    assert (program.returncode, complaints) == (0, "")
