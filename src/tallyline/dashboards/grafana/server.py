"""Grafana as it is spoken to by HTTP: dashboards, folders, data sources, as its API has them since Grafana 9."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tallyline.api import Request, part
from tallyline.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tallyline.api import Answer, Api

    Json = dict[str, Any]

__all__ = ["EDITOR", "Found", "Server"]

EDITOR = "a service account with the role Editor"
ADMIN = "a service account with the role Admin"
_MISSING, _CONFLICT, _PRECONDITION, _BAD = 404, 409, 412, 400
_OK = range(200, 300)
_MOST = 5000


@dataclass(frozen=True, slots=True)
class Found:
    """A dashboard that is there, and the folder that it lies in; `is_provisioned` where a file delivers it."""

    dashboard: Json
    folder: str
    is_provisioned: bool


@dataclass(frozen=True, slots=True)
class Server:
    """One organisation of a Grafana, by a service account's token."""

    api: Api

    @property
    def url(self) -> str:
        """Where people find it."""
        return self.api.url

    def dashboard(self, uid: str) -> Found | None:
        """Return a dashboard, None where there is none."""
        told = self._ask(Request(f"/api/dashboards/uid/{uid}"), EDITOR, _MISSING)
        if told.status == _MISSING:
            return None
        meta = part(told.data, "meta", dict)
        return Found(part(told.data, "dashboard", dict), meta.get("folderUid", ""), bool(meta.get("provisioned")))

    def last_message(self, uid: str) -> str:
        """Return with which words a dashboard was saved the last time; nothing where that is not known."""
        told = self._ask(Request(f"/api/dashboards/uid/{uid}/versions", {"limit": 1}), EDITOR, _MISSING)
        versions = told.data.get("versions") if isinstance(told.data, dict) else told.data
        return str(versions[0].get("message", "")) if versions else ""

    def save(self, dashboard: Json, folder: str, message: str) -> str:
        """Save a dashboard; return why it was not, nothing where it was.

        One that is there is saved over only where it has the `id` and `version` that are given.
        """
        body = {"dashboard": dashboard, "folderUid": folder, "message": message, "overwrite": False}
        told = self._ask(Request("/api/dashboards/db", body=body), EDITOR, _BAD, _CONFLICT, _PRECONDITION)
        return "" if told.status in _OK else _said(told)

    def remove(self, uid: str) -> None:
        """Remove a dashboard, if it is there."""
        self._ask(Request(f"/api/dashboards/uid/{uid}", verb="DELETE"), EDITOR, _MISSING)

    def tagged(self, *tags: str) -> Iterator[tuple[str, str]]:
        """Yield the uid and title of each dashboard that has all the tags."""
        found = self._ask(Request("/api/search", {"type": "dash-db", "tag": [*tags], "limit": _MOST}), EDITOR)
        for each in found.data:
            yield part(each, "uid", str), part(each, "title", str)

    def ensure_folder(self, uid: str, title: str) -> bool:
        """Make a folder where it is missing, and say whether it was."""
        if self._ask(Request(f"/api/folders/{uid}"), EDITOR, _MISSING).status in _OK:
            return False
        body = {"uid": uid, "title": title}
        told = self._ask(Request("/api/folders", body=body), EDITOR, _CONFLICT, _PRECONDITION)
        if told.status not in _OK:
            why = f'there is another folder called "{title}" in Grafana: {_said(told)}'
            msg = f"{why}; rename it, or give the project another title"
            raise Refused(msg)
        return True

    def data_source(self, uid: str) -> Json | None:
        """Return a data source, None where there is none."""
        told = self._ask(Request(f"/api/datasources/uid/{uid}"), ADMIN, _MISSING)
        return told.data if told.status in _OK else None

    def save_data_source(self, source: Json, *, is_new: bool) -> None:
        """Make or change a data source."""
        request = Request("/api/datasources", body=source)
        if not is_new:
            request = Request(f"/api/datasources/uid/{source['uid']}", body=source, verb="PUT")
        told = self._ask(request, ADMIN, _CONFLICT)
        if told.status not in _OK:
            msg = f'there is another data source called "{source["name"]}" in Grafana: {_said(told)}; rename it'
            raise Refused(msg)

    def public(self, uid: str) -> Json | None:
        """Return how a dashboard is shown to anybody, None where it never was."""
        told = self._ask(Request(_public(uid)), ADMIN, _MISSING)
        return told.data if told.status in _OK and told.data.get("accessToken") else None

    def save_public(self, uid: str, settings: Json, public_uid: str = "") -> Json:
        """Show a dashboard to anybody, or change how that is; return how it is then."""
        path = f"{_public(uid)}/{public_uid}" if public_uid else _public(uid)
        told = self._ask(Request(path, body=settings, verb="PATCH" if public_uid else "POST"), ADMIN)
        return dict(told.data)

    def marks(self, uid: str, tag: str) -> Iterator[Sequence[str]]:
        """Yield the tags of each mark that a dashboard has, of those with a tag."""
        asked = Request("/api/annotations", {"dashboardUID": uid, "tags": tag, "limit": _MOST})
        for each in self._ask(asked, EDITOR).data:
            yield part(each, "tags", list)

    def mark(self, uid: str, mark: Mapping[str, Any]) -> None:
        """Put a mark on a dashboard."""
        self._ask(Request("/api/annotations", body={"dashboardUID": uid, **mark}), EDITOR)

    def _ask(self, asked: Request, needs: str, *expected: int) -> Answer:
        return self.api.ask(asked, needs, expected)


def _public(uid: str) -> str:
    return f"/api/dashboards/uid/{uid}/public-dashboards"


def _said(told: Answer) -> str:
    return str(told.data.get("message", told.data)) if isinstance(told.data, dict) else str(told.data)
