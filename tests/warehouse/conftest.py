"""A warehouse of each test's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tallyline.warehouse import open_warehouse
from tests.warehouse.publishing import UTC_ZONE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tallyline.warehouse import Warehouse


@pytest.fixture
def warehouse(warehouse_url: str) -> Iterator[Warehouse]:
    """An empty warehouse whose days are those of UTC, once on SQLite and once on PostgreSQL."""
    with open_warehouse(warehouse_url, UTC_ZONE, write=True) as warehouse:
        yield warehouse
