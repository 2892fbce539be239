"""The catalog of a tap: its streams, of which one is selected, with the fields that are needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tallyline.api import part
from tallyline.errors import UnknownName

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["id_of", "select"]


def select(catalog: object, stream: str, fields: set[str], key: str, tap: str) -> tuple[dict[str, Any], str]:
    """Select a stream in a catalog, with the fields that are needed; return its entry and its replication key."""
    streams = part(catalog, "streams", list)
    named = {each.get("stream"): each for each in streams} | {id_of(each): each for each in streams}
    if stream not in named:
        what = f"stream in {tap} called"
        raise UnknownName(what, stream, map(id_of, streams))
    entry = named[stream]
    for each in streams:
        each["selected"] = each.setdefault("schema", {})["selected"] = _root(each)["selected"] = each is entry
    key = _bookmarked(entry, key)
    needed = {*fields, key, *(entry.get("key_properties") or [])}
    for told in entry["metadata"] if fields else ():
        if told["breadcrumb"]:
            is_automatic = told["metadata"].get("inclusion") == "automatic"
            told["metadata"]["selected"] = is_automatic or told["breadcrumb"][1] in needed
    return entry, key


def id_of(entry: Mapping[str, Any]) -> str:
    """Return what tells a stream from the others."""
    return str(entry.get("tap_stream_id") or entry.get("stream"))


def _bookmarked(entry: dict[str, Any], key: str) -> str:
    """Let a stream go on from its bookmark, by this key or by the one that the tap names."""
    root = _root(entry)
    declared = [entry.get("replication_key"), root.get("replication-key"), *root.get("valid-replication-keys", [])]
    key = next(filter(None, [key, *declared]), "")
    if key:
        entry |= {"replication_method": "INCREMENTAL", "replication_key": key}
        root |= {"replication-method": "INCREMENTAL", "replication-key": key}
    return key


def _root(entry: dict[str, Any]) -> dict[str, Any]:
    """Return what a catalog says of a stream as a whole, made where it says nothing."""
    metadata = entry.setdefault("metadata", [])
    for told in metadata:
        if not told["breadcrumb"]:
            found: dict[str, Any] = told["metadata"]
            return found
    metadata.append({"breadcrumb": [], "metadata": {}})
    return _root(entry)
