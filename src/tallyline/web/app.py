"""The page as an ASGI app: its addresses, and what each of them answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates

from tallyline import __version__
from tallyline.errors import Refused, RunFailed, UnknownName
from tallyline.web import runs, security
from tallyline.web.asked import DEFAULT_LAST, read_asked
from tallyline.web.layout import placed
from tallyline.web.panels import HOW_TO_READ, Reader
from tallyline.window import Clock, utc_now

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from starlette.requests import Request

    from tallyline.dashboards import Dashboard
    from tallyline.plan import Plan
    from tallyline.sources import Source
    from tallyline.warehouse import Warehouse

__all__ = ["make_app"]

_HERE = Path(__file__).parent
_RANGES = {
    "24h": ("24h", "24 hours"),
    "7d": ("7d", "7 days"),
    "30d": ("30d", "30 days"),
    "90d": ("90d", "90 days"),
    "1y": ("365d", "365 days"),  # "1y" is the running calendar year, which in January is no year to look at
    "2y": ("730d", "730 days"),
}
_GRAINS = ("hour", "day", "week", "month")
_MOST_RUNS = 100
_GREATEST_NUMBER = 2**31 - 1
_BROKEN = "Something broke while this was made. What Tallyline printed says more."


def make_app(  # all that a page knows, by name
    *,
    title: str,
    zone: ZoneInfo,
    plan: Plan,
    dashboards: Sequence[Dashboard],
    warehouse: Warehouse,
    clock: Clock = utc_now,
    sources: Mapping[str, Source] = MappingProxyType({}),
) -> Starlette:
    """Return the page of a project. It only reads, and answers only to 127.0.0.1 and localhost.

    By its `sources` and their schedules the page tells which data is late, and when it is read next.
    """
    by_name = {dashboard.name: dashboard for dashboard in dashboards}
    page = _Page(title, zone, plan, by_name, warehouse, clock, sources)
    return Starlette(
        routes=[
            Route("/", page.home),
            Route("/dashboards/{name}", page.dashboard),
            Route("/dashboards/{name}/data", page.data),
            Route("/runs", page.runs),
            Route("/runs/{number:int}", page.run),
            Mount("/static", StaticFiles(directory=_HERE / "static")),
        ],
        middleware=[
            Middleware(security.SecurityHeaders),
            Middleware(TrustedHostMiddleware, allowed_hosts=security.HOSTS, www_redirect=False),
        ],
        exception_handlers={
            HTTPException: page.say_http_error,
            Refused: page.say_refused,
            RunFailed: page.say_no_warehouse,
            Exception: page.say_broken,
        },
    )


@dataclass(frozen=True)
class _Page:
    title: str
    zone: ZoneInfo
    plan: Plan
    dashboards: Mapping[str, Dashboard]
    warehouse: Warehouse
    clock: Clock
    sources: Mapping[str, Source]

    def home(self, request: Request) -> Response:
        if not self.dashboards:
            raise HTTPException(404, "This project has no dashboard yet.")
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"{_address(next(iter(self.dashboards)))}{query}")

    def dashboard(self, request: Request) -> Response:
        dashboard = self._dashboard(request)
        choices = {"ranges": _RANGES, "grains": _GRAINS, "default_range": DEFAULT_LAST}
        told = {"dashboard": dashboard, "rows": placed(dashboard, self.plan), **choices}
        return self._rendered(request, "dashboard.html", told)

    def data(self, request: Request) -> Response:
        dashboard, now = self._dashboard(request), self.clock()
        asked = read_asked(request.query_params, now, self.zone)
        told = Reader(self.plan, self.warehouse, self.sources, self.zone, now).dashboard(dashboard, asked)
        return JSONResponse(told, headers={"Cache-Control": "no-store"})

    def runs(self, request: Request) -> Response:
        newest = self.warehouse.runs(_MOST_RUNS)
        return self._rendered(request, "runs.html", {"title_of": "Runs", "runs": newest, "most_runs": _MOST_RUNS})

    def run(self, request: Request) -> Response:
        number = request.path_params["number"]
        run = self.warehouse.run(number) if number <= _GREATEST_NUMBER else None
        if run is None:
            raise HTTPException(404, f"The ledger has no run {number}. Old runs may have been cleaned away.")
        told = {"title_of": f"Run {number} of {run.source}", "runs": [run], "most_runs": 0}
        return self._rendered(request, "runs.html", told)

    def say_http_error(self, request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        return self._problem(request, error.status_code, error.detail, error.headers)

    def say_refused(self, request: Request, error: Exception) -> Response:
        return self._problem(request, 400, str(error))

    def say_no_warehouse(self, request: Request, error: Exception) -> Response:
        return self._problem(request, 503, str(error))

    def say_broken(self, request: Request, _: Exception) -> Response:
        return self._problem(request, 500, _BROKEN, security.HEADERS)

    def _dashboard(self, request: Request) -> Dashboard:
        name = request.path_params["name"]
        if name not in self.dashboards:
            raise HTTPException(404, str(UnknownName("dashboard", name, self.dashboards)))
        return self.dashboards[name]

    def _problem(
        self, request: Request, status: int, message: str, headers: Mapping[str, str] | None = None
    ) -> Response:
        if request.url.path.endswith("/data"):
            return JSONResponse({"error": message}, status, headers)
        told = {"status": status, "message": message}
        return self._rendered(request, "problem.html", told, status, headers)

    def _rendered(
        self,
        request: Request,
        template: str,
        context: dict[str, object],
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        return self._templates.TemplateResponse(request, template, context, status, headers)

    @cached_property
    def _templates(self) -> Jinja2Templates:
        environment = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.globals |= {
            "title": self.title,
            "zone": self.zone,
            "dashboards": list(self.dashboards.values()),
            "address": _address,
            "version": __version__,
            "how_to_read": HOW_TO_READ,
            "nodes": runs.nodes,
        }
        environment.filters |= {"duration": runs.duration, "moment": self._moment}
        return Jinja2Templates(env=environment)

    def _moment(self, moment: datetime) -> str:
        return f"{moment.astimezone(self.zone):%Y-%m-%d %H:%M}"


def _address(dashboard: str) -> str:
    return f"/dashboards/{quote(dashboard, safe='')}"
