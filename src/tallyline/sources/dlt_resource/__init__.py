"""`kind = "dlt"`: any resource of dlt as a source, read for a window, without a pipeline, a state or a destination."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tallyline.errors import Refused
from tallyline.graph import Graph, node
from tallyline.plan.mapping import ISO, Bounds, ItemMapping, check_no_secret, filled_in
from tallyline.sources.dlt_resource.code import import_function
from tallyline.sources.dlt_resource.failures import failures_told
from tallyline.sources.dlt_resource.read import dlt_library, read_dlt
from tallyline.sources.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from zoneinfo import ZoneInfo

    from tallyline.plan.mapping import Row
    from tallyline.window import Window

__all__ = ["DltBridge", "read_dlt"]


@dataclass(frozen=True, slots=True)
class DltBridge(Kind):
    """Reads the items of a dlt resource, and makes of each `(dims, metrics)`.

    `resource` is ``package.module:function``, of the project or of an installed package, which is called with
    `arguments` and gives a resource, or a source of which `select` names a resource. `incremental` is the field by
    which it is asked for a window, told in the given `form`; `row_order` may say that the newest come first. `time`,
    `dims` and `values` are those of `ItemMapping`. In `arguments`, `${NAME}` stands for what the environment holds,
    `{since}` and `{until}` for the ends of the window.
    """

    resource: str
    time: str
    values: dict[str, float | str]
    dims: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)
    select: str = ""
    incremental: str = ""
    row_order: str = ""
    form: str = ISO

    def __post_init__(self) -> None:
        """Refuse what can be known to be wrong before dlt is loaded."""
        module, colon, name = self.resource.partition(":")
        if not (module and colon and name):
            msg = f'resource is "{self.resource}"; write package.module:function, such as "shop:orders"'
            raise Refused(msg)
        check_no_secret(self.arguments, "arguments")
        self.mapping  # noqa: B018  # it refuses what makes no value

    @property
    def mapping(self) -> ItemMapping:
        """What of an item says when, of what, and how much."""
        return ItemMapping(self.time, self.values, self.dims)

    @property
    def definition(self) -> str:
        """The keys, with references as they are written."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False)

    def graph(self, name: str) -> Graph:
        """Return the graph of one node, which bears the source's name."""
        return Graph(node(self.rows, name=name))

    def rows(self, window: Window, source_zone: ZoneInfo, folder: Path = Path()) -> Iterator[Row]:
        """Yield `(dims, metrics)` for each item whose time is in the window."""
        return self.mapping.rows(self._items(window, source_zone, folder), window, source_zone)

    def probe(self, name: str) -> Graph:
        """Return a graph that reads the first item."""
        return Graph(node(self.tried, name=name))

    def tried(self, window: Window, source_zone: ZoneInfo, folder: Path = Path()) -> Iterator[str]:
        """Yield what the resource has; raises what reading it raises."""
        for item in self._items(window, source_zone, folder):
            self.mapping.row(item, window, source_zone)
            yield f"{self.resource} may be read, and its items have what is needed"
            return
        yield f"{self.resource} may be read; it has nothing in {window.text(source_zone)}"

    def _items(self, window: Window, zone: ZoneInfo, folder: Path) -> Iterator[Any]:
        dlt_library()
        function = import_function(self.resource, folder.resolve())
        arguments = filled_in(self.arguments, self.resource, Bounds.of(window, zone, self.form))
        with failures_told(self.resource):
            made = function(**arguments)
        return read_dlt(
            made,
            window,
            self.incremental,
            select=self.select,
            zone=zone,
            form=self.form,
            row_order=self.row_order,
            to_the_end=self.incremental == self.time,
        )
