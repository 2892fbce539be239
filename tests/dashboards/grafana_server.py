"""A stand-in for Grafana's API, on this machine: of Grafana 11, as its documentation and its source tell."""

from __future__ import annotations

import copy
import json
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Json = dict[str, Any]
    Answer = tuple[int, Any]

TOKEN = "glsa_for_tests"  # noqa: S105  # of no server

NOT_FOUND = (404, {"message": "Dashboard not found", "status": "not-found"})


@dataclass
class Grafana:
    """What the server keeps. `says` may change a dashboard when it is saved, as newer releases do.

    The statuses in `broken` are answered before anything is done, those in `lost` after something was written.
    `meanwhile` is done before the next dashboard is saved.
    """

    url: str = ""
    dashboards: dict[str, Json] = field(default_factory=dict)
    versions: dict[str, list[str]] = field(default_factory=dict)
    folders: dict[str, str] = field(default_factory=dict)
    folder_of: dict[str, str] = field(default_factory=dict)
    sources: dict[str, Json] = field(default_factory=dict)
    public: dict[str, Json] = field(default_factory=dict)
    marks: list[Json] = field(default_factory=list)
    provisioned: set[str] = field(default_factory=set)
    role: str = "Admin"
    says: Callable[[Json], Json] = lambda dashboard: dashboard
    asked: list[str] = field(default_factory=list)
    meanwhile: list[Callable[[], None]] = field(default_factory=list)
    broken: list[int] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)

    @property
    def writes(self) -> list[str]:
        """What was asked for that changes something."""
        return [asked for asked in self.asked if not asked.startswith("GET ")]

    def edit(self, uid: str, **changes: object) -> None:
        """Change a dashboard by hand, as somebody does who saves it in the browser."""
        there = self.dashboards[uid]
        self.dashboards[uid] = {**there, **changes, "version": there["version"] + 1}
        self.versions[uid].insert(0, "mine")

    def answer(self, method: str, path: str, params: dict[str, list[str]], body: Json) -> Answer:
        """Answer as the server does."""
        for pattern, verb, work in self._routes():
            found = re.fullmatch(pattern, path)
            if found and verb == method:
                return work(*found.groups(), params=params, body=body)
        return 404, {"message": "Not found"}

    def _routes(self) -> Iterator[tuple[str, str, Callable[..., Answer]]]:
        yield r"/api/dashboards/uid/([\w-]+)", "GET", self._get
        yield r"/api/dashboards/uid/([\w-]+)", "DELETE", self._delete
        yield r"/api/dashboards/uid/([\w-]+)/versions", "GET", self._versions
        yield r"/api/dashboards/db", "POST", self._save
        yield r"/api/search", "GET", self._search
        yield r"/api/folders/([\w-]+)", "GET", self._folder
        yield r"/api/folders", "POST", self._make_folder
        yield r"/api/datasources/uid/([\w-]+)", "GET", self._source
        yield r"/api/datasources/uid/([\w-]+)", "PUT", self._change_source
        yield r"/api/datasources", "POST", self._make_source
        yield r"/api/dashboards/uid/([\w-]+)/public-dashboards", "GET", self._public
        yield r"/api/dashboards/uid/([\w-]+)/public-dashboards", "POST", self._publish
        yield r"/api/dashboards/uid/([\w-]+)/public-dashboards/([\w-]+)", "PATCH", self._change_public
        yield r"/api/annotations", "GET", self._marks
        yield r"/api/annotations", "POST", self._mark

    def _get(self, uid: str, **_: object) -> Answer:
        if uid not in self.dashboards:
            return NOT_FOUND
        meta = {"folderUid": self.folder_of[uid], "provisioned": uid in self.provisioned, "canSave": True}
        return 200, {"meta": meta, "dashboard": self.dashboards[uid]}

    def _delete(self, uid: str, **_: object) -> Answer:
        return (200, {"title": self.dashboards.pop(uid)["title"]}) if uid in self.dashboards else NOT_FOUND

    def _versions(self, uid: str, **_: object) -> Answer:
        told = [{"version": len(self.versions[uid]), "message": message} for message in self.versions[uid]]
        return 200, {"continueToken": "", "versions": told[:1]}

    def _save(self, body: Json, **_: object) -> Answer:
        while self.meanwhile:
            self.meanwhile.pop()()
        dashboard, uid = body["dashboard"], body["dashboard"]["uid"]
        there = self.dashboards.get(uid)
        if uid in self.provisioned:
            return 400, {"message": "Cannot save provisioned dashboard"}
        if there is None and dashboard.get("id"):
            return NOT_FOUND
        if there and not body["overwrite"] and dashboard.get("version") != there["version"]:
            return 412, {"message": "The dashboard has been changed by someone else", "status": "version-mismatch"}
        if body["folderUid"] and body["folderUid"] not in self.folders:
            return 400, {"message": "folder not found"}
        number = there["id"] if there else len(self.versions) + 1
        version = there["version"] + 1 if there else 1
        self.dashboards[uid] = self.says(copy.deepcopy({**dashboard, "id": number, "version": version}))
        self.versions.setdefault(uid, []).insert(0, body["message"])
        self.folder_of[uid] = body["folderUid"]
        return 200, {"id": number, "uid": uid, "status": "success", "version": version}

    def _search(self, params: dict[str, list[str]], **_: object) -> Answer:
        tags = set(params.get("tag", ()))
        found = [each for each in self.dashboards.values() if tags <= set(each["tags"])]
        return 200, [{"uid": each["uid"], "title": each["title"], "type": "dash-db"} for each in found]

    def _folder(self, uid: str, **_: object) -> Answer:
        if uid in self.folders:
            return 200, {"uid": uid, "title": self.folders[uid]}
        return 404, {"message": "folder not found", "status": "not-found"}

    def _make_folder(self, body: Json, **_: object) -> Answer:
        if body["title"] in self.folders.values():
            return 409, {"message": "a folder with the same name already exists"}
        self.folders[body["uid"]] = body["title"]
        return 200, body

    def _source(self, uid: str, **_: object) -> Answer:
        if uid not in self.sources:
            return 404, {"message": "Data source not found"}
        told = {key: value for key, value in self.sources[uid].items() if key != "secureJsonData"}
        has = dict.fromkeys(self.sources[uid].get("secureJsonData", ()), True)
        kind = told["type"].replace("postgres", "grafana-postgresql-datasource")
        return 200, {**told, "type": kind, "secureJsonFields": has, "id": 1, "readOnly": uid in self.provisioned}

    def _make_source(self, body: Json, **_: object) -> Answer:
        if any(each["name"] == body["name"] for each in self.sources.values()):
            return 409, {"message": "data source with the same name already exists"}
        self.sources[body["uid"]] = body
        return 200, {"message": "Datasource added"}

    def _change_source(self, uid: str, body: Json, **_: object) -> Answer:
        self.sources[uid] = body
        return 200, {"message": "Datasource updated"}

    def _public(self, uid: str, **_: object) -> Answer:
        return (200, self.public[uid]) if uid in self.public else (404, {"message": "Public dashboard not found"})

    def _publish(self, uid: str, body: Json, **_: object) -> Answer:
        made = {"uid": uuid4().hex, "dashboardUid": uid, "accessToken": uuid4().hex}
        self.public[uid] = made | body
        return 200, self.public[uid]

    def _change_public(self, uid: str, public_uid: str, body: Json, **_: object) -> Answer:
        if self.public[uid]["uid"] != public_uid:
            return 404, {"message": "Public dashboard not found"}
        self.public[uid] |= body
        return 200, self.public[uid]

    def _marks(self, params: dict[str, list[str]], **_: object) -> Answer:
        [uid], tags = params["dashboardUID"], set(params["tags"])
        return 200, [mark for mark in self.marks if mark["dashboardUID"] == uid and tags <= set(mark["tags"])]

    def _mark(self, body: Json, **_: object) -> Answer:
        self.marks.append(body)
        return 200, {"message": "Annotation added", "id": len(self.marks)}


@contextmanager
def serving() -> Iterator[Grafana]:
    """Serve on a free port."""
    kept = Grafana()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            asked, sent = urlsplit(self.path), self.rfile.read(int(self.headers.get("Content-Length", "0")))
            kept.asked.append(f"{self.command} {asked.path}")
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                status, told = 401, {"message": "Invalid API key"}
            elif kept.role == "Viewer" and self.command != "GET":
                status, told = 403, {"message": "Access denied"}
            elif kept.broken:
                status, told = kept.broken.pop(), {"message": "Internal server error"}
            else:
                status, told = kept.answer(self.command, asked.path, parse_qs(asked.query), json.loads(sent or b"{}"))
                if kept.lost and self.command != "GET":
                    status = kept.lost.pop()
            body = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815  # as the server asks for them

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        kept.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield kept
        finally:
            server.shutdown()
            thread.join()
