"""Projects that run as they stand: the demo's company, and the starter that `tallyline init` makes."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from datetime import timedelta
from importlib.resources import files
from random import Random
from typing import TYPE_CHECKING

from tallyline.demo.product import make_product
from tallyline.errors import Refused

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

__all__ = ["is_company", "make_company", "make_starter"]

DAYS_OF_COMPANY = 730
DAYS_OF_SHOP = 60
COMPANY_DATABASE = "product.db"
_MARK = "was made up by `tallyline demo`"
_FILES = ("tallyline.toml", "sources.py")
_START = "start = 2020-01-01"
_COUNTRIES = ("DE", "FR", "GB", "US")


def make_company(folder: Path, now: datetime) -> None:
    """Make the demo's project in `folder`: two simulated years of a company that end now."""
    _check_new(folder)
    folder.mkdir(parents=True, exist_ok=True)
    make_product(folder / COMPANY_DATABASE, until=now, days=DAYS_OF_COMPANY)
    _write_project("company", folder, now - timedelta(days=DAYS_OF_COMPANY))


def is_company(folder: Path) -> bool:
    """Say whether the project in `folder` is the demo's."""
    return _MARK in (folder / "tallyline.toml").read_text(encoding="utf-8")


def make_starter(folder: Path, now: datetime) -> None:
    """Make a new project in `folder`, with a small made-up shop to read until there is something real."""
    _check_new(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _make_shop(folder / "shop.db", now)
    _write_project("starter", folder, now - timedelta(days=DAYS_OF_SHOP))


def _check_new(folder: Path) -> None:
    for left_over in folder.glob(f".{COMPANY_DATABASE}-*"):  # of a run that was killed
        shutil.rmtree(left_over)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        msg = f"{folder} is there already and is not empty; choose another name"
        raise Refused(msg)


def _write_project(template: str, folder: Path, start: datetime) -> None:
    for name in reversed(_FILES):
        text = files("tallyline.demo").joinpath(template, name).read_text(encoding="utf-8")
        text = text.replace(_START, f"start = {start:%Y-%m-%d}")
        (folder / name).write_text(text, encoding="utf-8")


def _make_shop(path: Path, now: datetime) -> None:
    chance = Random(1)  # noqa: S311  # made-up orders are no secret
    ago = sorted(chance.expovariate(1 / (DAYS_OF_SHOP / 3)) for _ in range(2000))
    orders = [
        (
            f"{now - timedelta(days=days):%Y-%m-%d %H:%M:%S}",
            chance.choice(_COUNTRIES),
            f"customer-{chance.randrange(400)}",
            round(chance.lognormvariate(3.3, 0.6), 2),
        )
        for days in ago
        if days < DAYS_OF_SHOP
    ]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE orders (created_at TEXT, country TEXT, customer TEXT, total REAL)")
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", orders)
