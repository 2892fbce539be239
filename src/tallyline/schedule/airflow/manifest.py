"""The schedules of sources that are declared in Python, written down for Airflow, which does not run the code.

The file lies beside `tallyline.toml` and belongs to the project: it has no times and no paths of a machine in it, is
the same bytes for the same code, and names what it was made from, so that it is known when the code has changed since.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from tallyline.errors import Problem, ProjectError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tallyline.sources import SourceDeclaration

__all__ = ["MANIFEST", "Manifest", "compile_manifest", "read_manifest"]

MANIFEST = "tallyline.airflow.json"
_HOW = "run `tallyline airflow compile`"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is known of the sources in code, by their names, and what is wrong with that."""

    sources: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def read_manifest(folder: Path) -> Manifest:
    """Read what was written down of the project's code, and whether that has changed since; no code is run."""
    digests = _digests(folder)
    try:
        written = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        code, sources = dict(written["code"]), dict(written["sources"])
    except FileNotFoundError:
        missing = f"what this code declares is not known to Airflow, which does not run it; {_HOW}"
        return Manifest(problems=tuple(Problem(name, missing) for name in digests if _declares(name)))
    except (ValueError, KeyError, TypeError) as error:
        broken = Problem(MANIFEST, f"this cannot be read: {type(error).__name__}: {error}; {_HOW}")
        return Manifest(problems=(broken,))
    changed = [name for name in sorted({*code, *digests}) if code.get(name) != digests.get(name)]
    since = f"this has changed since Airflow was told what it declares, and its DAGs are as they were; {_HOW}"
    return Manifest(sources, tuple(Problem(name, since) for name in changed))


def compile_manifest(folder: Path, *, write: bool = True) -> str | None:
    """Run the project's code, and write down what Airflow has to know of the sources it declares.

    Return the text, None where there is no code and so no file. Raises ProjectError for code that cannot be imported.
    """
    text = _text(folder)
    path = folder / MANIFEST
    if write and text is None:
        path.unlink(missing_ok=True)
    elif write and text is not None:
        _put(path, text)
    return text


def _put(path: Path, text: str) -> None:
    """Write the file as a whole: Airflow may read it at any time."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(text, encoding="utf-8", newline="\n")
    new.replace(path)


def _text(folder: Path) -> str | None:
    from tallyline.project.code import load_code  # noqa: PLC0415  # never where Airflow parses
    from tallyline.sources import SourceDeclaration  # noqa: PLC0415

    digests, problems = _digests(folder), list[Problem]()
    if not any(map(_declares, digests)):
        return None
    declared = load_code(folder, problems)
    if problems:
        raise ProjectError(problems)
    sources = {
        made.name or variable: _told(made) for variable, made in declared.items() if isinstance(made, SourceDeclaration)
    }
    return json.dumps({"code": digests, "sources": sources}, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _told(declaration: SourceDeclaration) -> dict[str, object]:
    options = declaration.options
    told: dict[str, object] = {"schedule": options.schedule}
    if options.start is not None:
        told["start"] = options.start.isoformat()
    return told | ({"snapshot": True} if options.snapshot else {})


def _digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): blake2b(path.read_bytes(), digest_size=16).hexdigest()
        for path in _code(folder)
    }


def _code(folder: Path) -> Iterator[Path]:
    """Yield the code that declares sources, and, where there is any, the files beside it that it may import."""
    own = [*folder.glob("sources.py"), *folder.glob("sources/**/*.py")]
    beside = set(folder.glob("*.py")) - {folder / "dashboards.py"}
    yield from sorted({*own, *beside}) if own else ()


def _declares(name: str) -> bool:
    return name == "sources.py" or name.startswith("sources/")
