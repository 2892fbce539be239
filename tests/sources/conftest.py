"""What the tests of all sources share: a service on loopback, and the servers of a product."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

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
