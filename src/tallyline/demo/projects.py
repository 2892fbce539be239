"""Projects that run as they stand: the demo's company, and the starter that `tallyline init` makes."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import sys
from contextlib import closing
from datetime import timedelta
from importlib.resources import files
from importlib.util import find_spec
from random import Random
from typing import TYPE_CHECKING

from tallyline.demo.exports import write_newsletter, write_tickets
from tallyline.demo.product import make_product
from tallyline.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from pathlib import Path

__all__ = ["has_dlt", "is_company", "make_company", "make_starter"]

DAYS_OF_COMPANY = 730
DAYS_OF_SHOP = 60
COMPANY_DATABASE = "product.db"
_MARK = "was made up by `tallyline demo`"
_PROJECT = "tallyline.toml"
_FILES = (_PROJECT, "sources.py")
_OF_COMPANY = (*_FILES, "tap_newsletter.py")
_START = re.compile(r"start = 2020-01-01( +# (\d+) days before)?")
_PYTHON = 'tap = ["python", '
_COUNTRIES = ("DE", "FR", "GB", "US")


def make_company(folder: Path, now: datetime) -> None:
    """Make the demo's project in `folder`: two simulated years of a company that end now.

    Without dlt there are no support tickets, which are read by it.
    """
    _check_new(folder)
    folder.mkdir(parents=True, exist_ok=True)
    product = folder / COMPANY_DATABASE
    make_product(product, until=now, days=DAYS_OF_COMPANY)
    write_newsletter(folder / "newsletter.csv", product)
    if has_dlt():
        write_tickets(folder / "tickets.csv", product)
        _copy("company", "support.py", folder)
    _write_project("company", _OF_COMPANY, folder, now, DAYS_OF_COMPANY)


def has_dlt() -> bool:
    """Say whether dlt, an extra, is installed."""
    return find_spec("dlt") is not None


def is_company(folder: Path) -> bool:
    """Say whether the project in `folder` is the demo's."""
    return _MARK in (folder / "tallyline.toml").read_text(encoding="utf-8")


def make_starter(folder: Path, now: datetime) -> None:
    """Make a new project in `folder`, with a small made-up shop to read until there is something real."""
    _check_new(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _make_shop(folder / "shop.db", now)
    _write_project("starter", _FILES, folder, now, DAYS_OF_SHOP)


def _check_new(folder: Path) -> None:
    for left_over in folder.glob(f".{COMPANY_DATABASE}-*"):  # of a run that was killed
        shutil.rmtree(left_over)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        msg = f"{folder} is there already and is not empty; choose another name"
        raise Refused(msg)


def _write_project(template: str, names: Iterable[str], folder: Path, now: datetime, days: int) -> None:
    """Write the files of a project, the project file as the last: what has it is whole."""
    for name in names:
        if name != _PROJECT:
            _copy(template, name, folder)
    text = _text(template, _PROJECT)
    if (folder / "support.py").exists():
        text += _text(template, "support.toml")
    text = text.replace(_PYTHON, f"tap = [{json.dumps(sys.executable)}, ")
    text = _START.sub(lambda found: _started(found, now, days), text)
    (folder / _PROJECT).write_text(text, encoding="utf-8")


def _started(found: re.Match[str], now: datetime, days: int) -> str:
    start = now - timedelta(days=min(int(found[2] or days), days))
    return f"start = {start:%Y-%m-%d}{found[1] or ''}"


def _copy(template: str, name: str, folder: Path) -> None:
    (folder / name).write_text(_text(template, name), encoding="utf-8")


def _text(template: str, name: str) -> str:
    return files("tallyline.demo").joinpath(template, name).read_text(encoding="utf-8")


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
