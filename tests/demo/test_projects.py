"""The projects that are made are whole, are for now, and are never put over something else."""

from __future__ import annotations

import sqlite3
import tomllib
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tallyline.demo import projects
from tallyline.demo.projects import DAYS_OF_SHOP, make_company, make_starter
from tallyline.errors import Refused
from tallyline.plan import named
from tallyline.project import load_project

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOW = datetime(2026, 7, 14, 10, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def few_days(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a company of a few days only."""
    monkeypatch.setattr(projects, "DAYS_OF_COMPANY", 5)


@pytest.mark.parametrize("make", [make_company, make_starter])
def test_a_project_is_without_mistakes(tmp_path: Path, make: Callable[[Path, datetime], None]) -> None:
    make(tmp_path / "made", NOW)
    project = load_project(tmp_path / "made")
    assert project.sources
    assert project.plan
    shown = {panel.metric for dashboard in project.dashboards for panel in dashboard.panels if panel.metric}
    assert all(named(project.plan, metric) for metric in shown)


@pytest.mark.parametrize(("make", "days"), [(make_company, 5), (make_starter, DAYS_OF_SHOP)])
def test_a_project_starts_on_its_first_day_with_data(
    tmp_path: Path, make: Callable[[Path, datetime], None], days: int
) -> None:
    make(tmp_path / "made", NOW)
    text = (tmp_path / "made" / "tallyline.toml").read_text(encoding="utf-8")
    assert tomllib.loads(text)["project"]["start"] == (NOW - timedelta(days=days)).date()


@pytest.mark.parametrize("make", [make_company, make_starter])
def test_what_is_there_already_is_left_alone(tmp_path: Path, make: Callable[[Path, datetime], None]) -> None:
    (tmp_path / "letter.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(Refused, match="is there already and is not empty; choose another name"):
        make(tmp_path, NOW)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_folders_on_the_way_are_made(tmp_path: Path) -> None:
    make_starter(tmp_path / "a" / "b", NOW)
    assert (tmp_path / "a" / "b" / "tallyline.toml").is_file()


def test_the_shop_has_orders_up_to_now_and_none_before_its_start(tmp_path: Path) -> None:
    make_starter(tmp_path / "made", NOW)
    with closing(sqlite3.connect(tmp_path / "made" / "shop.db")) as shop:
        [(count, first, last, least)] = shop.execute(
            "SELECT count(*), min(created_at), max(created_at), min(total) FROM orders"
        )
    assert count > 1000
    assert f"{NOW - timedelta(days=DAYS_OF_SHOP):%Y-%m-%d %H:%M:%S}" <= first
    assert f"{NOW - timedelta(days=1):%Y-%m-%d %H:%M:%S}" < last <= f"{NOW:%Y-%m-%d %H:%M:%S}"
    assert least > 0


def test_the_shop_is_the_same_each_time(tmp_path: Path) -> None:
    dumps = []
    for name in ("one", "two"):
        make_starter(tmp_path / name, NOW)
        with closing(sqlite3.connect(tmp_path / name / "shop.db")) as shop:
            dumps.append(list(shop.iterdump()))
    assert dumps[0] == dumps[1]
