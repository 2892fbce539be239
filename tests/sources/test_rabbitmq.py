"""RabbitMQ's management API, read by a source in Python through the client that kinds use: with its real answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tallyline.api import Api, opened, part
from tallyline.testing import read_rows
from tests.sources.service import Said, Service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    Row = tuple[dict[str, object], dict[str, object]]

pytestmark = pytest.mark.realdata


@pytest.fixture
def broker(service: Service, pytestconfig: pytest.Config) -> Service:
    """A service that answers as a RabbitMQ did."""
    folder: Path = pytestconfig.rootpath.parent / "shared/data/rabbitmq"
    if not folder.is_dir():
        pytest.skip("no real data beside this checkout")
    for name in ("overview", "queues"):
        service.answer(f"/api/{name}", Said(json.loads((folder / f"{name}.json").read_text("utf-8"))))
    return service


def queues(rabbitmq: Api, now: datetime) -> Iterator[Row]:
    """Tell how many messages wait in each queue, and how many there are in all."""
    for queue in rabbitmq.get("api/queues").data:
        yield {"time": now, "queue": queue["name"]}, {"queue.messages": queue["messages"]}
    told = rabbitmq.get("api/overview").data
    yield {"time": now}, {"messages": part(told, "queue_totals.messages", int)}


def test_queues_of_a_real_broker(broker: Service) -> None:
    with opened(Api(broker.url, user="guest", password="guest")) as rabbitmq:  # noqa: S106  # RabbitMQ's own
        rows = read_rows(queues, window=("2026-07-14 10:00", "2026-07-14 11:00"), rabbitmq=rabbitmq)
    assert [metrics for _, metrics in rows] == [*[{"queue.messages": 0}] * 5, {"messages": 30}]
    assert all(asked.headers["authorization"].startswith("Basic ") for asked in broker.asked)
