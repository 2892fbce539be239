"""A resource of dlt: the tickets of Pagesnap's support, as its help desk would export them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import dlt

if TYPE_CHECKING:
    from collections.abc import Iterator

TICKETS = Path(__file__).with_name("tickets.csv")


@dlt.resource
def tickets() -> Iterator[dict[str, str]]:
    """Yield the tickets: when each was opened, about what, and after how many minutes it was answered."""
    with TICKETS.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)
