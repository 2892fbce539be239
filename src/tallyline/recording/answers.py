"""Finding the recorded answer to what is asked, and saying what is near where there is none."""

from __future__ import annotations

import difflib
import json
from collections import Counter
from threading import Lock
from typing import TYPE_CHECKING, Any

from tallyline.errors import RunFailed, shortened
from tallyline.recording.masking import without_numbers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tallyline.recording.recording import Recording

__all__ = ["Answers", "NotRecorded"]

Asked = dict[str, Any]


class NotRecorded(RunFailed):
    """A source asks in a replay what it did not ask when it was recorded."""


class Answers:
    """The answers of a recording, given again: those to the same request in their order, the last one for good."""

    def __init__(self, recording: Recording) -> None:
        """Take the recording."""
        self._recording = recording
        self._given: Counter[str] = Counter()
        self._lock = Lock()

    def answer(self, service: str, asked: Asked) -> Mapping[str, Any]:
        """Return what a service answered; raises NotRecorded, which names the nearest request that there is."""
        alike, exact = _alike(asked), _text(asked)
        of_service = [each for each in self._recording.answers if each["service"] == service]
        found = [each for each in of_service if _alike(each["asked"]) == alike]
        if not found:
            raise NotRecorded(self._missing(service, asked, [each["asked"] for each in of_service]))
        found = [each for each in found if _text(each["asked"]) == exact] or found
        with self._lock:
            at = self._given[f"{service} {_text(found[0]['asked'])}"]
            self._given[f"{service} {_text(found[0]['asked'])}"] += 1
        return found[min(at, len(found) - 1)]

    def _missing(self, service: str, asked: Asked, recorded: list[Asked]) -> str:
        again = f"record it again: tallyline record {self._recording.source}"
        texts = {_text(each): each for each in recorded}
        near = difflib.get_close_matches(_text(asked), texts, n=1, cutoff=0)
        if not near:
            return f'the recording has nothing of the service "{service}", which is asked {told(asked)}; {again}'
        differs = "; ".join(_differences(asked, texts[near[0]]))
        return (
            f'the recording has no answer of "{service}" to {told(asked)}; '
            f"the nearest that it has is to {told(texts[near[0]])} ({differs}); {again}"
        )


def told(asked: Asked) -> str:
    """Return a request in a line, as people read it.

    >>> told({"method": "GET", "url": "https://api.example.com/orders", "params": {"limit": "3"}})
    'GET https://api.example.com/orders?limit=3'
    """
    if "query" in asked:
        return shortened(" ".join(asked["query"]))
    params = "&".join(f"{name}={value}" for name, value in asked["params"].items())
    return shortened(f"{asked['method']} {asked['url']}{'?' if params else ''}{params}")


def _differences(asked: Asked, recorded: Asked) -> Iterator[str]:
    here, there = dict(_leaves(asked)), dict(_leaves(recorded))
    for name in [*there, *(name for name in here if name not in there)]:
        if here.get(name) != there.get(name):
            yield f"{name} is {shortened(str(here.get(name)))}, recorded is {shortened(str(there.get(name)))}"


def _leaves(data: object, path: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(data, dict):
        for key, value in data.items():
            yield from _leaves(value, path if key.startswith("$") else f"{path}.{key}".removeprefix("."))
    elif isinstance(data, list) and path == "query":
        yield path, " ".join(data)
    elif isinstance(data, list):
        for number, value in enumerate(data):
            yield from _leaves(value, f"{path}.{number}")
    else:
        yield path, data


def _alike(asked: Asked) -> str:
    return without_numbers(_text(asked))


def _text(asked: Asked) -> str:
    return json.dumps(asked, sort_keys=True, ensure_ascii=False)
