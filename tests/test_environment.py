"""What the other tests stand on is what it says."""

from __future__ import annotations

import sqlite3
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, inspect

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("turn", ["first", "second"])
def test_every_test_has_a_warehouse_of_its_own_and_empty(warehouse_url: str, turn: str) -> None:
    engine = create_engine(warehouse_url)
    with engine.begin() as connection:
        assert inspect(connection).get_table_names() == []
        connection.exec_driver_sql("CREATE TABLE trace (n INTEGER)")
    engine.dispose()


@pytest.mark.realdata
def test_the_music_shop_is_the_one_whose_answers_are_known(chinook_folder: Path) -> None:
    with closing(sqlite3.connect(f"file:{chinook_folder}/chinook.sqlite?mode=ro", uri=True)) as shop:
        assert shop.execute("SELECT count(*), round(sum(Total), 2) FROM Invoice").fetchone() == (412, 2328.6)


@pytest.mark.browser
def test_the_browser_starts(chromium: str) -> None:
    answer = subprocess.run([chromium, "--version"], capture_output=True, check=True, text=True)
    assert "Chrom" in answer.stdout
