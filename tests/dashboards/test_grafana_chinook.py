"""The example over a real shop in Grafana: each panel tells the numbers of the page and of `show --json`."""

from __future__ import annotations

import math
import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import time_machine

from tallyline.window import Grain, Window
from tests.cli.terminal import tallyline
from tests.dashboards.comparing import Grafana
from tests.dashboards.expanding import OWN, asked
from tests.dashboards.exported import Exported

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.realdata

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
YEARS = Window(datetime(2021, 1, 1, tzinfo=UTC), NOW)


@pytest.fixture
def exported(
    chinook_folder: Path,
    warehouse_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pytestconfig: pytest.Config,
) -> Iterator[Exported]:
    """The example, read into a new warehouse on a day after the last invoice, and exported."""
    folder = tmp_path / "chinook"
    shutil.copytree(pytestconfig.rootpath / "examples/chinook", folder)
    monkeypatch.setenv("CHINOOK_URL", f"sqlite:///{chinook_folder / 'chinook.sqlite'}")
    monkeypatch.setenv("WAREHOUSE_URL", warehouse_url)
    with time_machine.travel(NOW, tick=False):
        assert tallyline("read", "all", "--write", project=folder).status == 0
        exported = Exported(folder, tmp_path / "deploy")
        exported.export()
        yield exported


@pytest.mark.parametrize("by", [None, Grain.MONTH, Grain.YEAR])
def test_each_panel_tells_the_numbers_of_the_page(exported: Exported, by: Grain | None) -> None:
    told = [what for _, what in exported.differences(YEARS, by) if by is None or not what.startswith("headline")]
    assert not told


def test_each_panel_tells_the_numbers_of_show(exported: Exported) -> None:
    with asked(exported.url) as ask:
        for panel, queries in exported.panels():
            grafana = Grafana(ask, YEARS, OWN)
            drawn = grafana.lines(queries.complete, queries.dialect) | grafana.lines(queries.running, queries.dialect)
            shown = exported.shown(panel, YEARS)
            assert drawn
            assert math.isclose(sum(drawn.values()), sum(shown.values()), rel_tol=1e-11), panel
            own = {key: value for key, value in drawn.items() if not key[1].startswith("other (")}
            expected = {key: shown[key[0], key[1] if panel.split else None] for key in own}
            assert [key for key in own if not math.isclose(own[key], expected[key], rel_tol=1e-11)] == []


def test_most_countries_are_one_line(exported: Exported) -> None:
    with asked(exported.url) as ask:
        [queries] = [queries for panel, queries in exported.panels() if panel.title == "Revenue by country"]
        names = {name for _, name in Grafana(ask, YEARS, OWN).lines(queries.complete, queries.dialect)}
    assert len(names) == 9
    assert "other (16)" in names
    assert {"USA", "Canada", "France", "Brazil", "Germany"} < names
