"""What Grafana's queries tell, beside what the page is told."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.dashboards.expanding import OWN, expanded, moment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from tallyline.dashboards import PanelData
    from tallyline.window import Window
    from tests.dashboards.expanding import Ask, Row

    Told = dict[tuple[datetime, str], float]


CHANGE = 1e-9
"""How far a change may be off, which is worked out of numbers that are rounded here and not there."""


@dataclass(frozen=True)
class Queries:
    """The queries of a panel: of its lines by what they draw, of its headline, of the line under a number alone."""

    dialect: str
    complete: str = ""
    running: str = ""
    before: str = ""
    target: str = ""
    headline: str = ""
    recent: str = ""


@dataclass(frozen=True)
class Grafana:
    """Asks queries for a range of time, with variables as they were chosen."""

    ask: Ask
    window: Window
    chosen: Mapping[str, str | Sequence[str]]

    def lines(self, query: str, dialect: str, *, known: bool = False) -> Told:
        """Return the values that are drawn; what would not become lines, or not these, fails.

        Where something is `known` there are rows: without any, the plugin for SQLite draws lines that have no name.
        """
        rows = self.rows(query, dialect)
        assert rows or not known
        assert [*rows[0]] == ["time", "metric", "Value"] if rows else True
        keys = [(moment(row["time"]), row["metric"]) for row in rows]
        assert [time for time, _ in keys] == sorted(time for time, _ in keys)
        assert len(set(keys)) == len(keys)
        # of a column that begins with a whole number, the plugin for SQLite cuts off what is none
        assert {type(row["Value"]) for row in rows} <= {float, type(None)}
        told = zip(keys, rows, strict=True)
        return {key: row["Value"] for key, row in told if row["Value"] is not None}

    def rows(self, query: str, dialect: str) -> list[Row]:
        """Return the rows of a table."""
        return self.ask(expanded(query, self.window, dialect, self.chosen))


def differences(queries: Queries, data: PanelData, grafana: Grafana, *, split: bool) -> Iterator[str]:
    """Say what differs between the lines and the number of Grafana and those of the page."""
    complete, running, before = _of_page(data, split=split)
    if queries.complete:
        drawn = grafana.lines(queries.complete, queries.dialect)
        yield from _differing("complete", _named(drawn, split=split), complete)
        yield from _running(queries, grafana, complete, running, split=split)
    if queries.before and data.compare:
        drawn = _named(grafana.lines(queries.before, queries.dialect), split=split)
        read = _read(data, grafana)
        yield from _differing(
            "before", *({key: told[key] for key in told if key[0] in read} for told in (drawn, before))
        )
    if queries.target:
        drawn = grafana.lines(queries.target, queries.dialect, known=True)
        if set(drawn.values()) != ({data.target} if data.target is not None else set()):
            yield f"target: {drawn}, not {data.target}"
    if queries.headline:
        yield from _headline(queries, data, grafana)


def _of_page(data: PanelData, *, split: bool) -> tuple[Told, Told, Told]:
    complete: Told = {}
    running: Told = {}
    before: Told = {}
    for line in data.lines:
        label = line.label if split else ""
        for time, value in zip(data.times, line.values, strict=True):
            if value is not None:
                is_running = data.incomplete_from is not None and time >= data.incomplete_from
                (running if is_running else complete)[time, label] = value
        if line.before:
            told = zip(data.times, line.before, strict=True)
            before |= {(time, label): value for time, value in told if value is not None}
    return complete, running, before


def _running(queries: Queries, grafana: Grafana, complete: Told, running: Told, *, split: bool) -> Iterator[str]:
    drawn = _named(grafana.lines(queries.running, queries.dialect, known=bool(complete)), split=split)
    last = max((time for time, _ in complete), default=None)
    joint = {key: value for key, value in drawn.items() if key[0] == last}
    yield from _differing("running", {key: drawn[key] for key in drawn if key not in joint}, running)
    expected = {key: value for key, value in complete.items() if running and key[0] == last}
    yield from _differing("where the running buckets begin", joint, expected)


def _headline(queries: Queries, data: PanelData, grafana: Grafana) -> Iterator[str]:
    [row] = grafana.rows(queries.headline, queries.dialect)
    told = (row["value"], row["change"]) if "value" in row else (None, row["change"])
    expected = (data.headline.value, data.headline.change) if data.headline else (None, None)
    if queries.recent:
        recent = grafana.lines(queries.recent, queries.dialect)
        told = (recent[max(recent)] if recent else None, row["change"])
    elif data.headline and moment(row["time"]) != data.headline.time:
        yield f"headline of {row['time']}, not of {data.headline.time}"
    if not (_same(told[0], expected[0]) and _same(told[1], expected[1], CHANGE)):
        yield f"headline: {told}, not {expected}"


def _read(data: PanelData, grafana: Grafana) -> set[datetime]:
    """Return the buckets that the page draws, but for those that no source ever read: only it has these."""
    calendar = grafana.ask(f"SELECT time FROM calendar WHERE grain = '{data.by}'")  # noqa: S608  # a grain
    return {moment(row["time"]) for row in calendar} & set(data.times)


def _named(drawn: Told, *, split: bool) -> Told:
    return drawn if split else {(time, ""): value for (time, _), value in drawn.items()}


def _differing(what: str, told: Told, expected: Told) -> Iterator[str]:
    for key in sorted({*told, *expected}):
        if not _same(told.get(key), expected.get(key)):
            yield f"{what} of {key}: {told.get(key)}, not {expected.get(key)}"


def _same(told: float | None, expected: float | None, within: float = 1e-12) -> bool:
    if told is None or expected is None:
        return told is expected
    return math.isclose(told, expected, rel_tol=1e-11, abs_tol=within)


__all__ = ["OWN", "Grafana", "Queries", "differences"]
