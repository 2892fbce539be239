"""What the tests of all sources share: a service on loopback, and retries that do not wait."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import tenacity.nap

from tests.sources.servers import Servers, started
from tests.sources.service import Service, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine


@pytest.fixture
def service() -> Iterator[Service]:
    """An HTTP service that answers as it is told."""
    with serving() as made:
        yield made


@pytest.fixture(scope="package")
def servers(tmp_path_factory: pytest.TempPathFactory, postgres: Engine) -> Iterator[Servers]:
    """The servers of a product, for all tests in this folder: RabbitMQ alone takes most of a minute to start."""
    with started(tmp_path_factory.mktemp("servers"), postgres) as made:
        yield made


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were to be waited before each further attempt; the tests do not wait."""
    told: list[float] = []
    monkeypatch.setattr(tenacity.nap, "time", SimpleNamespace(sleep=told.append))
    return told
