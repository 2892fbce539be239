"""What a tap is asked for, in private files that are gone with it, and the records that it gives."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from tallyline.errors import UnexpectedAnswer
from tallyline.plan.mapping import ISO, Bounds, filled_in, moment_of
from tallyline.sources.singer.catalog import id_of, select
from tallyline.sources.singer.messages import Stream, shown
from tallyline.sources.singer.process import Tap

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence

    from tallyline.plan.mapping import Item
    from tallyline.window import Window

__all__ = ["SECONDS", "Asked", "pages", "read_singer", "tried"]

SECONDS = 600.0
A_MOMENT = timedelta(seconds=1)
UTC = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a tap is asked for; of no `fields`, all."""

    command: Sequence[str]
    stream: str
    config: Mapping[str, Any]
    incremental: str
    catalog: str
    form: str
    timeout: float
    fields: set[str] = field(default_factory=set)

    @property
    def tap(self) -> str:
        """What the tap is called, behind `uvx --from …` too."""
        parts = [Path(part).name for part in self.command]
        return next((part for part in parts if part.startswith("tap-")), parts[0])

    def bounds(self, window: Window, zone: ZoneInfo) -> Bounds:
        """Return the window as the tap is told it.

        It begins a moment before, since some taps compare times as text, or leave out what is as old as the bookmark.
        """
        return Bounds.of(replace(window, since=window.since - A_MOMENT), zone, self.form)

    async def started(self, folder: Path, options: Sequence[str]) -> Tap:
        """Run the tap."""
        return await Tap.started(self.tap, [*self.command, *options], folder, self.timeout)


def read_singer(  # noqa: PLR0913  # the options, by name
    tap: Sequence[str],
    stream: str,
    window: Window,
    *,
    config: Mapping[str, Any] | None = None,
    time: str = "",
    zone: ZoneInfo = UTC,
    incremental: str = "",
    catalog: str = "catalog",
    form: str = ISO,
    timeout: float = SECONDS,
    folder: Path = Path(),
) -> Iterator[dict[str, Any]]:
    """Yield the records of a tap's stream from the beginning of the window on, each key once.

    With `time`, the place of a record's time, only those in the window are given. The other arguments are those of
    `SingerBridge`. Not to be called from asynchronous code. Raises Unavailable, Denied, UnexpectedAnswer, Refused where
    the tap is not there, and SourceFailed where it ends badly for another reason.

    >>> def orders(window):
    ...     for order in read_singer(["tap-shop"], "orders", window, time="created_at"):
    ...         yield {"time": order["created_at"]}, {"orders.count": 1}
    """

    def kept(record: Item, window: Window, zone: ZoneInfo) -> Item | None:
        return record if not time or moment_of(record, time, zone) in window else None

    asked = Asked(tap, stream, config or {}, incremental, catalog, form, timeout)
    given = pages(asked, kept, window, zone, folder)

    async def following() -> list[Any]:
        return await anext(given, [])

    with asyncio.Runner() as runner:  # it closes the pages, too, which ends the tap
        while page := runner.run(following()):
            yield from page


async def pages(
    asked: Asked,
    made: Callable[[Item, Window, ZoneInfo], object],
    window: Window,
    source_zone: ZoneInfo,
    folder: Path = Path(),
) -> AsyncGenerator[list[Any], None]:
    """Yield what is made of the records, page by page, None left out."""
    bounds = asked.bounds(window, source_zone)
    names, key = {asked.stream}, asked.incremental
    with TemporaryDirectory(prefix="tallyline-") as private:
        options = _configured(asked, private, bounds)
        if asked.catalog:
            catalog = await _discovered(asked, folder, options)
            entry, key = select(catalog, asked.stream, asked.fields, key, asked.tap)
            names |= {id_of(entry), str(entry.get("stream"))}
            options += _option(private, asked.catalog, catalog)
        if key:
            bookmark = {"replication_key": key, "replication_key_value": bounds.since, key: bounds.since}
            options += _option(private, "state", {"bookmarks": dict.fromkeys(sorted(names), bookmark)})
        stream = Stream(asked.tap, names, lambda record: made(record, window, source_zone))
        tap = await asked.started(folder, options)
        try:
            while (lines := await tap.lines()) is not None:
                if page := list(stream.rows(lines)):
                    yield page
        finally:
            await tap.end()
    if not asked.catalog:
        stream.check_was_told_of()


async def tried(asked: Asked, window: Window, zone: ZoneInfo, folder: Path) -> str:
    """Return a line on the stream, of the tap's catalog."""
    with TemporaryDirectory(prefix="tallyline-") as private:
        catalog = await _discovered(asked, folder, _configured(asked, private, asked.bounds(window, zone)))
    entry, key = select(catalog, asked.stream, asked.fields, asked.incremental, asked.tap)
    by = f"by {key}" if key else "as a whole each time, as it names no replication key"
    return f"{asked.tap} has the stream {id_of(entry)}, read {by}"


async def _discovered(asked: Asked, folder: Path, options: Sequence[str]) -> Any:  # noqa: ANN401  # JSON
    tap = await asked.started(folder, [*options, "--discover"])
    told: list[bytes] = []
    try:
        while (lines := await tap.lines()) is not None:
            told += lines
    finally:
        await tap.end()
    try:
        return json.loads(b"\n".join(told))
    except ValueError:
        msg = f"{asked.tap} --discover printed what is no catalog: {shown(b' '.join(told))}"
        raise UnexpectedAnswer(msg) from None


def _configured(asked: Asked, private: str, bounds: Bounds) -> list[str]:
    return _option(private, "config", filled_in(dict(asked.config), asked.tap, bounds))


def _option(private: str, name: str, data: object) -> list[str]:
    """Write what an option names into a file that nobody else can read."""
    file = Path(private, f"{name}.json")
    file.touch(mode=0o600)
    file.write_text(json.dumps(data, default=str), encoding="utf-8")
    return [f"--{name}", str(file)]
