"""Sources that are code: functions that give pairs of dicts, (dims, metrics)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallyline import source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sqlalchemy.engine import Engine


@source(schedule="@hourly", snapshot=True)
def customers(shop: Engine, now: datetime) -> Iterator[tuple[dict[str, object], dict[str, object]]]:
    """Count the customers there are now; `shop` is the service of that name."""
    with shop.connect() as connection:
        count = connection.exec_driver_sql("SELECT count(DISTINCT customer) FROM orders").scalar_one()
    yield {"time": now}, {"customers.total": count}
