"""Writing the files: whole or not at all, nothing of anybody else's, and those that are gone now are removed."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

from tallyline.errors import Refused, RunFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tallyline.dashboards.grafana.files import Delivery

__all__ = ["Exported", "export", "manifest_of"]

_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Exported:
    """The paths of files that were written, that were as they should be already, and that were removed."""

    written: list[str]
    unchanged: list[str]
    removed: list[str]


@dataclass(frozen=True, slots=True)
class _Manifest:
    """What is known of earlier exports: the hashes that a file may have, by its path, and all rules there ever were."""

    files: Mapping[str, Sequence[str]] = field(default_factory=dict)
    rules: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> _Manifest:
        try:
            data = json.loads(path.read_text("utf-8"))
            files = {str(path): [str(known) for known in hashes] for path, hashes in data["files"].items()}
            rules = tuple(map(str, data["rules"]))
        except FileNotFoundError:
            return cls()
        except (ValueError, TypeError, KeyError, AttributeError):
            files, rules = {"..": []}, ()
        if not all(map(_is_inside, files)):
            msg = f"{path} is damaged, so that nobody can tell which files are Tallyline's; remove it and them"
            raise Refused(msg)
        return cls(files, rules)

    def write(self, path: Path) -> None:
        data = {"files": dict(sorted(self.files.items())), "rules": sorted(self.rules)}
        _write(path, json.dumps(data, indent=2) + "\n")


def manifest_of(folder: Path, stem: str) -> Path:
    """Return the file, beside the others, that remembers what exports of a project wrote there."""
    return folder / f".tallyline-grafana-{stem}.json"


def export(delivery: Delivery, folder: Path, *, overwrite: bool = False) -> Exported:
    """Write the files into a folder, which is made where it is missing.

    Files that an earlier export wrote are written anew, or removed where they are gone. Raises Refused, and changes
    nothing, where a file is there that none wrote, or that somebody changed since; `overwrite` replaces these.
    """
    remembered = manifest_of(folder, delivery.definitions.names.stem)
    before = _Manifest.read(remembered)
    files = delivery.files(before.rules)
    if not overwrite:
        _check_own(folder, before, files)
    hashes = {path: [_hash(text)] for path, text in files.items()}
    rules = tuple({*before.rules, *delivery.rules})
    both = {path: [*before.files.get(path, ()), *hashes.get(path, ())] for path in {*before.files, *hashes}}
    _Manifest(both, rules).write(remembered)  # so that one that is killed now is remembered, too
    exported = Exported([], [], [])
    for path, text in files.items():
        is_there = _read(folder / path) == text
        (exported.unchanged if is_there else exported.written).append(path)
        if not is_there:
            _write(folder / path, text)
    for path in sorted(before.files.keys() - files.keys()):
        _remove(folder, path)
        exported.removed.append(path)
    _Manifest(hashes, rules).write(remembered)
    return exported


def _is_inside(path: str) -> bool:
    return not path.startswith("/") and ".." not in path.split("/")


def _check_own(folder: Path, before: _Manifest, files: Mapping[str, str]) -> None:
    changed = [path for path in sorted({*files, *before.files}) if _is_others(folder, path, before, files.get(path))]
    if changed:
        named = ", ".join(changed[:_MOST_NAMED])
        more = f" and {len(changed) - _MOST_NAMED} more" if len(changed) > _MOST_NAMED else ""
        msg = f"{named}{more} in {folder} were not written by an export, or changed since; --overwrite replaces them"
        raise Refused(msg)


def _is_others(folder: Path, path: str, before: _Manifest, text: str | None) -> bool:
    there = _read(folder / path)
    return there is not None and there != text and _hash(there) not in before.files.get(path, ())


def _read(path: Path) -> str | None:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path} cannot be read: {error}"
        raise RunFailed(msg) from None


def _write(path: Path, text: str) -> None:
    """Write a file that is there as a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        beside.write_text(text, encoding="utf-8", newline="\n")
        os.replace(beside, path)  # noqa: PTH105  # as a whole
    finally:
        beside.unlink(missing_ok=True)


def _remove(folder: Path, path: str) -> None:
    """Remove a file, and the folders that are empty without it."""
    (folder / path).unlink(missing_ok=True)
    for parent in (folder / path).parents:
        if parent == folder or not parent.is_dir() or any(parent.iterdir()):
            break
        parent.rmdir()


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
