"""Kinds of sources: ours by name, and those that an installed package brings."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tallyline.errors import ProjectError, Refused, UnknownName
from tallyline.project import load_project
from tallyline.sources import KINDS, Kind, load_kind
from tests.cli.terminal import tallyline

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Install = Callable[..., None]

WEATHER = """
from dataclasses import dataclass

from tallyline import Graph, node
from tallyline.plan import Kind as MetricKind, Metric
from tallyline.sources import Kind


@dataclass(frozen=True, slots=True)
class Weather(Kind):
    city: str

    @property
    def definition(self):
        return f"the weather of {self.city}"

    @property
    def metrics(self):
        return {"weather.warmth": Metric("weather.warmth", "Warmth", "K", MetricKind.LEVEL)}

    def graph(self, name):
        return Graph(node(self.rows, name=name))

    def rows(self, window):
        yield {"time": window.since, "city": self.city}, {"weather.warmth": 290}
"""
PROJECT = """
[project]
title = "Shop"

[metrics]
"comfort" = { formula = "weather.warmth / weather.warmth" }

[sources.weather]
kind = "weather"
city = "Lyon"
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a package with an entry point where Python finds it."""

    def install(code: str, value: str) -> None:
        (tmp_path / "tallyline_weather.py").write_text(code, "utf-8")
        described = tmp_path / "tallyline_weather-1.0.dist-info"
        described.mkdir()
        (described / "METADATA").write_text("Metadata-Version: 2.1\nName: tallyline-weather\nVersion: 1.0\n", "utf-8")
        (described / "entry_points.txt").write_text(f"[tallyline.sources]\nweather = {value}\n", "utf-8")

    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tallyline_weather", raising=False)
    return install


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a source of that kind, and a formula over the metric that it tells."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "tallyline.toml").write_text(PROJECT, "utf-8")
    return folder


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_is_a_kind(name: str) -> None:
    assert issubclass(load_kind(name), Kind)


def test_a_package_brings_a_kind_with_its_metrics(install: Install, project: Path) -> None:
    install(WEATHER, "tallyline_weather:Weather")
    answer = tallyline("read", "all", "--write", "--since", "2026-07-01", "--until", "2026-07-02", project=project)
    assert answer.status == 0
    assert tallyline("show", "weather.warmth", "--csv", "--since", "2026-07-01", project=project).out.count("290") == 1
    assert load_project(project).plan["weather.warmth"].title == "Warmth"


@pytest.mark.parametrize(
    ("code", "value", "said"),
    [
        ("raise OSError('no such disk')", "tallyline_weather:Weather", "cannot be imported: OSError: no such disk"),
        ("Weather = 7", "tallyline_weather:Weather", "tallyline_weather:Weather, is no subclass of"),
    ],
)
def test_a_package_that_is_wrong_is_told_with_its_place(
    install: Install, project: Path, code: str, value: str, said: str
) -> None:
    install(code, value)
    with pytest.raises(ProjectError, match=r"sources\.weather\.kind") as refused:
        load_project(project)
    assert said in str(refused.value)


def test_a_kind_that_nobody_brings_is_unknown() -> None:
    with pytest.raises(UnknownName, match=r'there is no kind of source "stirpe"; did you mean "stripe"\?'):
        load_kind("stirpe")
    assert issubclass(UnknownName, Refused)
