"""A recording: what a source was answered when it was read for a window, as a file that people can read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tallyline import __version__
from tallyline.errors import Refused
from tallyline.secret import masked_data
from tallyline.window import Window

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["FOLDER", "Recording"]

FOLDER = "recordings"
FORMAT = 1
_WIDTH = 110
_INDENT = "  "


@dataclass(frozen=True, slots=True)
class Recording:
    """What a source was answered for `window` at the moment `now`.

    `services` are those that were asked, with the URL of an API or the driver of a database. Each of the `answers`
    names its `service`, what was `asked`, and what the answer was: `status`, `headers` and `body` or `text`, or
    `columns` and `rows`. `dropped` are the names of fields whose values were left out.
    """

    source: str
    window: Window
    now: datetime
    services: Mapping[str, str]
    answers: Sequence[Mapping[str, Any]]
    dropped: Sequence[str] = ()
    version: str = __version__

    def write(self, file: Path) -> None:
        """Write the file, and its folder; whatever secret is known by now is masked."""
        told = {
            "tallyline": self.version,
            "format": FORMAT,
            "source": self.source,
            "since": self.window.since.isoformat(),
            "until": self.window.until.isoformat(),
            "now": self.now.isoformat(),
            "dropped": list(self.dropped),
            "services": self.services,
            "answers": self.answers,
        }
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_text(masked_data(told)) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, file: Path) -> Recording:
        """Read a file; raises Refused where there is none, or one of another kind."""
        if not file.is_file():
            msg = f"there is no recording {file}; make one with `tallyline record SOURCE`"
            raise Refused(msg)
        try:
            told = json.loads(file.read_text("utf-8"))
            if told["format"] > FORMAT:
                msg = f"{file} was made by a newer release of Tallyline, {told['tallyline']}; upgrade to replay it"
                raise Refused(msg)
            since, until, now = (datetime.fromisoformat(told[key]) for key in ("since", "until", "now"))
            window = Window(since, until)
            kept = (told["services"], told["answers"], told["dropped"], told["tallyline"])
            return cls(told["source"], window, now, *kept)
        except (ValueError, LookupError, TypeError) as error:
            msg = f"{file} is no recording: {type(error).__name__}: {error}; make one with `tallyline record SOURCE`"
            raise Refused(msg) from error


def _text(data: object, before: str = "") -> str:
    """Write JSON that people read: what fits into a line stands in one.

    >>> print(_text({"columns": ["n"], "rows": [["x" * 60], ["y" * 60]]}))
    {
      "columns": ["n"],
      "rows": [
        ["xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"],
        ["yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"]
      ]
    }
    """
    line = json.dumps(data, ensure_ascii=False)
    if not (data and isinstance(data, dict | list | tuple)) or len(before) + len(line) <= _WIDTH:
        return line
    inside = before + _INDENT
    if isinstance(data, dict):
        named = (f"{json.dumps(key, ensure_ascii=False)}: {_text(value, inside)}" for key, value in data.items())
        return "{\n" + ",\n".join(f"{inside}{each}" for each in named) + f"\n{before}}}"
    return "[\n" + ",\n".join(f"{inside}{_text(each, inside)}" for each in data) + f"\n{before}]"
