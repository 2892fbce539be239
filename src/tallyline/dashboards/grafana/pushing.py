"""Pushing dashboards: only what differs is written, and nothing that somebody has changed by hand."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from tallyline.dashboards.grafana.dashboard import HASH, TAG, content_hash

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tallyline.dashboards.grafana.address import Address
    from tallyline.dashboards.grafana.dashboard import Definitions
    from tallyline.dashboards.grafana.names import Names
    from tallyline.dashboards.grafana.server import Found, Server

    Json = dict[str, Any]

__all__ = ["Outcome", "Pushed", "ensured", "push", "push_data_source", "push_one"]

_MOST_DIFFERENCES = 5
_NOT_COMPARED = ("id", "version", "tags", "panels")
_ALIASES = {"grafana-postgresql-datasource": "postgres"}


class Pushed(StrEnum):
    """What became of something that was pushed."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "as it was"
    REFUSED = "refused"
    REMOVED = "removed"
    GONE = "no longer defined"
    WITHDRAWN = "taken back"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a folder, a data source or a dashboard, and why."""

    what: str
    became: Pushed
    why: str = ""


def push(
    definitions: Definitions, server: Server, *, overwrite: bool = False, prune: bool = False
) -> Iterator[Outcome]:
    """Push the dashboards, and yield what became of each.

    One that was changed by hand is refused, unless it is to be overwritten. Those that the project no longer defines
    are told of, and removed with `prune`.
    """
    names = definitions.names
    yield from ensured(server, names.folder, names.title)
    ours = list(definitions.rendered())
    for dashboard in ours:
        yield push_one(server, dashboard, names.folder, overwrite=overwrite)
    yield from _gone(server, names, {dashboard["uid"] for dashboard in ours}, overwrite=overwrite, prune=prune)


def push_one(server: Server, dashboard: Json, folder: str, *, overwrite: bool = False) -> Outcome:
    """Push one dashboard into a folder, or where it lies if it is there already."""
    title, there = dashboard["title"], server.dashboard(dashboard["uid"])
    if there is None:
        return _saved(server, dashboard, folder, Pushed.CREATED)
    edited = _is_edited(server, there)
    if _hash_of(there.dashboard) == _hash_of(dashboard) and not edited:
        return Outcome(title, Pushed.UNCHANGED)
    if there.is_provisioned:
        return Outcome(title, Pushed.REFUSED, "it is provisioned from a file: `tallyline grafana export` changes it")
    if edited and not overwrite:
        what = "; ".join(_differences(dashboard, there.dashboard)) or "how it is saved"
        return Outcome(title, Pushed.REFUSED, f"it was changed by hand, --overwrite undoes that: {what}")
    known = {"id": there.dashboard.get("id"), "version": there.dashboard.get("version")}
    return _saved(server, {**dashboard, **known}, there.folder or folder, Pushed.UPDATED)


def push_data_source(server: Server, names: Names, address: Address, password: str, *, again: bool) -> Outcome:
    """Make the data source, or change it where it differs; `again` sends it as it is, for another password."""
    source = address.data_source(names)
    title, there = f"data source {source['name']}", server.data_source(names.data_source)
    if there is not None and there.get("readOnly"):
        return Outcome(title, Pushed.UNCHANGED, "it is provisioned from a file")
    if there is not None and _is_same_source(source, there) and not again:
        return Outcome(title, Pushed.UNCHANGED)
    secret = {"secureJsonData": {"password": password}} if password else {}
    server.save_data_source({**source, **secret}, is_new=there is None)
    return Outcome(title, Pushed.CREATED if there is None else Pushed.UPDATED)


def ensured(server: Server, uid: str, title: str) -> Iterator[Outcome]:
    """Make a folder, and tell of it, where it is missing."""
    if server.ensure_folder(uid, title):
        yield Outcome(f"folder {title}", Pushed.CREATED)


def _saved(server: Server, dashboard: Json, folder: str, became: Pushed) -> Outcome:
    title, mark = dashboard["title"], _hash_of(dashboard)
    refused = server.save(dashboard, folder, _message(mark))
    if not refused:
        return Outcome(title, became)
    there = server.dashboard(dashboard["uid"])
    if there and _hash_of(there.dashboard) == mark and not _is_edited(server, there):
        return Outcome(title, became)  # by an attempt whose answer was lost
    return Outcome(title, Pushed.REFUSED, refused)


def _gone(server: Server, names: Names, ours: Iterable[str], *, overwrite: bool, prune: bool) -> Iterator[Outcome]:
    for uid, title in server.tagged(TAG, names.stem):
        if uid in ours:
            continue
        there = server.dashboard(uid)
        if not prune or there is None:
            yield Outcome(title, Pushed.GONE, "--prune removes it")
        elif there.is_provisioned or (_is_edited(server, there) and not overwrite):
            yield Outcome(title, Pushed.REFUSED, "it is no longer defined, but was changed by hand or by a file")
        else:
            server.remove(uid)
            yield Outcome(title, Pushed.REMOVED)


def _is_edited(server: Server, there: Found) -> bool:
    """Say whether somebody else has saved a dashboard since it was pushed.

    Grafana may keep it in other words than it was given, so that the words of its last version tell, too.
    """
    mark = _hash_of(there.dashboard)
    if mark and content_hash(there.dashboard) == mark:
        return False
    return not mark or server.last_message(there.dashboard["uid"]) != _message(mark)


def _message(mark: str) -> str:
    return f"tallyline grafana push: {HASH}{mark}"


def _hash_of(dashboard: Json) -> str:
    return next((tag.removeprefix(HASH) for tag in dashboard.get("tags") or () if tag.startswith(HASH)), "")


def _differences(ours: Json, theirs: Json) -> list[str]:
    """Return in words where a dashboard differs from ours, the first few places."""
    keys = sorted({*ours, *theirs} - set(_NOT_COMPARED))
    found = [key for key in keys if ours.get(key) != theirs.get(key)]
    mine, other = ({panel.get("id"): panel for panel in each.get("panels") or ()} for each in (ours, theirs))
    for uid in [*mine, *(uid for uid in other if uid not in mine)]:
        found += _differing(mine.get(uid), other.get(uid))
    more = len(found) - _MOST_DIFFERENCES
    return found[:_MOST_DIFFERENCES] + ([f"{more} more"] if more > 0 else [])


def _differing(ours: Json | None, theirs: Json | None) -> Iterator[str]:
    if ours == theirs:
        return
    if theirs is None and ours is not None:
        yield f'the panel "{ours["title"]}" is not there'
    elif ours is None and theirs is not None:
        yield f'the panel "{theirs.get("title", "")}" is another'
    elif ours is not None and theirs is not None:
        keys = sorted(key for key in {*ours, *theirs} if ours.get(key) != theirs.get(key))
        yield f'the panel "{ours["title"]}" has another {", ".join(keys)}'


def _is_same_source(ours: Json, theirs: Json) -> bool:
    """Say whether a data source is as it should be; Grafana never tells its password."""
    there = {**theirs, "type": _ALIASES.get(theirs.get("type", ""), theirs.get("type"))}
    settings = {key: (there.get("jsonData") or {}).get(key) for key in ours["jsonData"]}
    return {key: there.get(key) for key in ours} | {"jsonData": settings} == ours
