"""The files that Pagesnap's mailer and help desk would export, made up to go with its product database."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from tallyline.demo.services.company import Company, chance

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["write_newsletter", "write_tickets"]

_SUBSCRIBING_SHARE, _CHANGELOG_SHARE = 0.35, 0.3
_COMPLAINING_SHARE, _ASKING_SHARE = 0.015, 0.09
_LONGEST_WAIT_MINUTES = 600
_FAILED = "SELECT id, created_at FROM events WHERE name = 'screenshot.failed'"


def write_newsletter(path: Path, product: Path) -> None:
    """Write who subscribed to a newsletter on signing up, as CSV."""
    subscribers = [
        (number, created, "changelog" if chance("changelog", number) < _CHANGELOG_SHARE else "weekly")
        for number, created in Company(product).ask("SELECT id, created_at FROM users ORDER BY id")
        if chance("newsletter", number) < _SUBSCRIBING_SHARE
    ]
    _write(path, ("id", "subscribed_at", "newsletter"), subscribers)


def write_tickets(path: Path, product: Path) -> None:
    """Write which users asked for help when they signed up or a screenshot failed, as CSV."""
    company = Company(product)
    asked = [
        (moment, topic)
        for topic, share, query in (
            ("first steps", _ASKING_SHARE, "SELECT id, created_at FROM users"),
            ("failed screenshot", _COMPLAINING_SHARE, _FAILED),
        )
        for number, moment in company.ask(query)
        if chance(topic, number) < share
    ]
    tickets = [
        (number, moment, topic, round(5 + _LONGEST_WAIT_MINUTES * chance("wait", number) ** 4))
        for number, (moment, topic) in enumerate(sorted(asked), 1)
    ]
    _write(path, ("id", "opened_at", "topic", "answered_after_minutes"), tickets)


def _write(path: Path, header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
