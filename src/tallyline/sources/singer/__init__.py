"""`kind = "singer"`: any Singer tap as a source, run as a process of its own, with the window as its bookmark."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tallyline.errors import Refused
from tallyline.graph import Graph, node, unbatch
from tallyline.plan.mapping import ISO, ItemMapping, check_no_secret
from tallyline.sources.kinds import Kind
from tallyline.sources.singer.read import SECONDS, Asked, pages, read_singer, tried

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from tallyline.window import Window

__all__ = ["SingerBridge", "read_singer"]


@dataclass(frozen=True, slots=True)
class SingerBridge(Kind):
    """Reads a stream of a Singer tap, and makes of each record `(dims, metrics)`.

    `tap` is the command, run without a shell in the project's folder. In `config`, `${NAME}` stands for what the
    environment holds, `{since}` and `{until}` for the ends of the window in the given `form`. `incremental` is the
    stream's replication key, by default the one that the tap names. `catalog` is the option by which the tap takes its
    catalog: "catalog", or "properties" of older ones, or "" for a tap that has no discovery. `timeout` is how many
    seconds the tap may be silent. `time`, `dims` and `values` are those of `ItemMapping`.
    """

    tap: list[str]
    stream: str
    time: str
    values: dict[str, float | str]
    dims: dict[str, str] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    incremental: str = ""
    catalog: Literal["catalog", "properties", ""] = "catalog"
    form: str = ISO
    timeout: float = SECONDS

    def __post_init__(self) -> None:
        """Refuse what can be known to be wrong before the tap is run."""
        if not self.tap or self.timeout <= 0:
            msg = 'a tap is a command and a time to wait for it, such as tap = ["tap-shop"] and timeout = 600'
            raise Refused(msg)
        check_no_secret(self.config, "config")
        self.mapping  # noqa: B018  # it refuses what makes no value

    @property
    def mapping(self) -> ItemMapping:
        """What of a record says when, of what, and how much."""
        return ItemMapping(self.time, self.values, self.dims)

    @property
    def definition(self) -> str:
        """The keys, with references as they are written."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False)

    def graph(self, name: str) -> Graph:
        """Return the graph of a node that bears the source's name and gives pages, and one that gives their rows."""
        return Graph(node(partial(pages, self._asked, self.mapping.row), name=name), unbatch)

    def probe(self, name: str) -> Graph | None:
        """Return a graph that asks the tap for its streams; None where it cannot tell."""
        return Graph(node(self.tried, name=name)) if self.catalog else None

    async def tried(self, window: Window, source_zone: ZoneInfo, folder: Path = Path()) -> list[str]:
        """Return a line on the stream; raises what running the tap raises."""
        return [await tried(self._asked, window, source_zone, folder)]

    @property
    def _asked(self) -> Asked:
        options = (self.incremental, self.catalog, self.form, self.timeout)
        return Asked(self.tap, self.stream, self.config, *options, self.mapping.fields)
