"""Public dashboards: shown to anybody who has the address, which stays the same as long as Grafana keeps it."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any, NamedTuple

from tallyline.dashboards.grafana.dashboard import TAG
from tallyline.dashboards.grafana.pushing import Outcome, Pushed, ensured, push_one

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from tallyline.dashboards.grafana.dashboard import Definitions
    from tallyline.dashboards.grafana.server import Server
    from tallyline.warehouse import RunRecord

    Json = dict[str, Any]

__all__ = ["publish", "withdraw"]

_SHOWN = {"isEnabled": True, "annotationsEnabled": True, "timeSelectionEnabled": True, "share": "public"}
_LONGEST_ADDRESS = 32


class Marked(NamedTuple):
    """A run that failed, to be marked on a dashboard; nothing is said of why."""

    run: int
    source: str
    state: str
    since: int
    until: int

    @classmethod
    def of(cls, run: RunRecord) -> Marked:
        """Return a run of the ledger, its times in milliseconds."""
        since, until = (int(moment.timestamp() * 1000) for moment in (run.started_at, run.ended_at or run.started_at))
        return cls(run.id, run.source, run.state, since, until)

    def as_json(self) -> Json:
        """Return the mark as Grafana takes it."""
        text = f"{self.source}: a run {'was lost' if self.state == 'lost' else self.state}"
        return {"time": self.since, "timeEnd": self.until, "text": text, "tags": [TAG, self.tag]}

    @property
    def tag(self) -> str:
        """What tells it from the others."""
        return f"run-{self.run}"


def publish(
    definitions: Definitions,
    server: Server,
    failed: Mapping[str, Sequence[RunRecord]],
    *,
    secret: str = "",
    overwrite: bool = False,
) -> Iterator[Outcome]:
    """Show the public dashboards to anybody, and yield what became of each, with its address.

    `failed` are by the name of a dashboard the runs that are marked there. With a `secret` a new address is made of
    it, the same in any Grafana; otherwise Grafana makes one up. What is public no longer is taken back.
    """
    names, public = definitions.names, [each for each in definitions.dashboards if each.public]
    if public:
        yield from ensured(server, names.public_folder, names.public_title)
    for dashboard, rendered in zip(public, definitions.rendered_public(), strict=True):
        pushed = push_one(server, rendered, names.public_folder, overwrite=overwrite)
        yield pushed
        if pushed.became is not Pushed.REFUSED:
            yield _shown(server, rendered, secret)
            yield from _marked(server, rendered, failed.get(dashboard.name, ()))
    yield from withdraw(definitions, server, but={names.public_dashboard(each.name) for each in public})


def withdraw(definitions: Definitions, server: Server, *, but: Collection[str] = ()) -> Iterator[Outcome]:
    """Show the project's public dashboards to nobody any more; their addresses are kept for another time."""
    for uid, title in server.tagged(TAG, f"{definitions.names.stem}-public"):
        shown = server.public(uid)
        if uid not in but and shown is not None and shown.get("isEnabled"):
            server.save_public(uid, {**_SHOWN, "isEnabled": False}, shown["uid"])
            yield Outcome(title, Pushed.WITHDRAWN)


def _shown(server: Server, rendered: Json, secret: str) -> Outcome:
    uid, what = rendered["uid"], f"{rendered['title']}, in public"
    shown = server.public(uid)
    if shown is None:
        address = {"accessToken": _address(uid, secret)} if secret else {}
        made = server.save_public(uid, _SHOWN | address)
        return Outcome(what, Pushed.CREATED, _url(server, made))
    if any(shown.get(key, value) != value for key, value in _SHOWN.items()):
        server.save_public(uid, _SHOWN, shown["uid"])
        return Outcome(what, Pushed.UPDATED, _url(server, shown))
    return Outcome(what, Pushed.UNCHANGED, _url(server, shown))


def _marked(server: Server, rendered: Json, failed: Iterable[RunRecord]) -> Iterator[Outcome]:
    wanted = [Marked.of(run) for run in failed]
    there = {tag for tags in server.marks(rendered["uid"], TAG) for tag in tags} if wanted else set()
    new = [mark for mark in wanted if mark.tag not in there]
    for mark in new:
        server.mark(rendered["uid"], mark.as_json())
    if new:
        yield Outcome(f"{rendered['title']}: {len(new)} runs that failed", Pushed.CREATED)


def _address(uid: str, secret: str) -> str:
    return hmac.new(secret.encode(), uid.encode(), hashlib.sha256).hexdigest()[:_LONGEST_ADDRESS]


def _url(server: Server, shown: Json) -> str:
    return f"{server.url}/public-dashboards/{shown['accessToken']}"
