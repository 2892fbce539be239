"""The dashboards of a project as they are exported, and the queries of each panel in them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tallyline.cli import grafana as command
from tallyline.dashboards import Shows, read_panel
from tallyline.errors import UnknownName
from tallyline.plan import named
from tallyline.project import load_project
from tallyline.warehouse import open_warehouse
from tests.cli.terminal import tallyline
from tests.dashboards.comparing import Grafana, Queries, differences
from tests.dashboards.expanding import OWN, asked, moment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from tallyline.dashboards import Panel
    from tallyline.dashboards.grafana import Definitions
    from tallyline.project import Project
    from tallyline.window import Grain, Window

    Json = dict[str, Any]

QUERY = ("rawSql", "queryText")


@dataclass(frozen=True)
class Exported:
    """A project that was read into its warehouse, and the folder that its dashboards are exported into."""

    folder: Path
    files: Path
    role: str = ""

    @cached_property
    def project(self) -> Project:
        """The project."""
        return load_project(self.folder)

    @cached_property
    def definitions(self) -> Definitions:
        """What is exported, as objects."""
        address = command._address(self.project, None, self.role or "grafana")  # noqa: SLF001
        return command._definitions(self.project, address, "")  # noqa: SLF001

    @cached_property
    def dashboards(self) -> dict[str, Json]:
        """The dashboards in the files, by uid."""
        read = (json.loads(path.read_text("utf-8")) for path in sorted(self.files.glob("dashboards/*/*.json")))
        return {dashboard["uid"]: dashboard for dashboard in read}

    @property
    def dialect(self) -> str:
        """The database."""
        return self.definitions.dialect

    @property
    def url(self) -> str:
        """The URL of the warehouse, its file from anywhere."""
        url = self.project.warehouse_url
        return url if self.dialect == "postgresql" else f"sqlite:///{self.folder / url.removeprefix('sqlite:///')}"

    def export(self) -> None:
        """Write the files."""
        done = tallyline("grafana", "export", self.files, project=self.folder)
        assert (done.status, done.err) == (0, "")

    def panels(self, *, public: bool = True) -> Iterator[tuple[Panel, Queries]]:
        """Yield the panels of metrics with their queries, as the company sees them and as they are in `public`."""
        for shown in self.definitions.shown():
            if shown.panel.shows is not Shows.METRIC:
                continue
            names = self.definitions.names
            uids = [names.dashboard(shown.dashboard.name)]
            uids += [names.public_dashboard(shown.dashboard.name)] if public and shown.dashboard.public else []
            for uid in uids:
                yield shown.panel, self._queries(self.dashboards[uid]["panels"], shown.id)

    def _queries(self, panels: Sequence[Json], last: int) -> Queries:
        [at] = [number for number, panel in enumerate(panels) if panel["id"] == last]
        targets = {target["refId"]: query_of(target) for target in panels[at]["targets"]}
        if panels[at]["type"] == "stat":
            return Queries(self.dialect, recent=targets["A"], headline=targets["B"])
        [headline] = map(query_of, panels[at - 1]["targets"])
        drawn = {name: targets.get(ref, "") for name, ref in REFS.items()}
        return Queries(self.dialect, headline=headline, **drawn)

    def differences(self, window: Window, by: Grain | None = None) -> Iterator[tuple[str, str]]:
        """Say which panel tells other numbers than the page, and which."""
        plan, zone = self.project.plan, self.project.zone
        chosen: Mapping[str, str] = {"by": str(by)} if by else OWN
        with open_warehouse(self.url, zone, plan=plan) as warehouse, asked(self.url, self.role) as ask:
            for panel, queries in self.panels(public=by is None):
                metric = named(plan, panel.metric)
                grafana = Grafana(ask, window, chosen)
                try:
                    data = read_panel(panel, metric, warehouse, window, zone, by=by)
                except UnknownName:  # nothing of it was read
                    yield from ((panel.metric, what) for what in anything(queries, grafana))
                    continue
                for difference in differences(queries, data, grafana, split=bool(panel.split)):
                    yield panel.metric, difference

    def shown(self, panel: Panel, window: Window) -> dict[tuple[datetime, str | None], float]:
        """Return what `show --json` tells of a panel."""
        where = [f"--where={dim}={value}" for dim, value in panel.where.items()]
        split = [f"--split={panel.split}"] if panel.split else []
        bounds = [f"--since={window.since.isoformat()}", f"--until={window.until.isoformat()}"]
        told = tallyline(
            "show", panel.metric, f"--by={panel.by}", *bounds, *where, *split, "--json", project=self.folder
        )
        assert (told.status, told.err) == (0, "")
        return {(moment(datetime.fromisoformat(row["time"])), row["part"]): row["value"] for row in told.data}


REFS = {"complete": "A", "running": "B", "before": "C", "target": "T"}


def anything(queries: Queries, grafana: Grafana) -> Iterator[str]:
    """Say what is drawn of a metric of which nothing is known."""
    for query in filter(None, (queries.complete, queries.running, queries.before, queries.recent)):
        if drawn := grafana.lines(query, queries.dialect):
            yield f"drawn, and unknown: {drawn}"


def query_of(target: Json) -> str:
    """Return the SQL of a query, whichever the data source."""
    [query] = [target[key] for key in QUERY if key in target]
    return str(query)
