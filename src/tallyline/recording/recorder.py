"""Recording a source, and giving its answers again: the project's services, watched or replaced."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any

from tallyline.api import Api, opened
from tallyline.errors import Refused
from tallyline.graph import Service, asking_like, wrapped
from tallyline.recording import http, sql
from tallyline.recording.answers import Answers, NotRecorded
from tallyline.recording.masking import Masking
from tallyline.recording.recording import Recording

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from datetime import datetime

    from tallyline.project import Project
    from tallyline.window import Window

    Answer = Callable[[dict[str, Any]], Mapping[str, Any]]

__all__ = ["Recorder", "replaying"]


class Recorder:
    """Hears what the services of a project answer while a source is read. What the source sees is not changed.

    HTTP services (`Api`) and databases (engines) are heard, whether the project declares them in its file or in code.
    """

    def __init__(self, drop: Collection[str] = ()) -> None:
        """Take the names of fields whose values are not to be kept."""
        self._drop = drop
        self._masking = Masking(drop)
        self._answers: list[dict[str, Any]] = []
        self._services: dict[str, str] = {}
        self._lock = Lock()

    def heard(self, project: Project) -> Project:
        """Return the project, its services heard."""
        services = {
            name: wrapped(declared, partial(self._listening, name)) for name, declared in project.services.items()
        }
        return replace(project, services=services)

    def recording(self, source: str, window: Window, now: datetime) -> Recording:
        """Return what was heard."""
        services = dict(sorted(self._services.items()))
        return Recording(source, window, now, services, list(self._answers), tuple(self._drop))

    @contextmanager
    def _listening(self, name: str, service: object) -> Iterator[None]:
        keep = partial(self._keep, name)
        match service:
            case Api():
                try:
                    with http.listening(service, self._masking, keep):
                        yield
                finally:  # by now the source has told a service without a URL its own
                    self._services[name] = self._masking.text(service.url)
            case sql.Engine():
                self._services[name] = f"{service.url.drivername}://"
                with sql.listening(service, self._masking, keep):
                    yield
            case _:
                yield

    def _keep(self, service: str, asked: dict[str, Any], said: dict[str, Any]) -> None:
        kept = {"service": service, "asked": asked, **said}
        with self._lock:
            again = next((at for at, each in enumerate(self._answers) if _was_busy(each, service, asked)), None)
            if again is None:
                self._answers.append(kept)
            else:
                self._answers[again] = kept


def replaying(project: Project, recording: Recording, given: Mapping[str, object]) -> Project:
    """Return the project, its services answering from the recording, or those that are `given` instead.

    A service in code that is neither an HTTP API nor a database is opened as always.
    """
    answers, masking = Answers(recording), Masking(recording.dropped)
    services: dict[str, object] = {}
    for name, declared in project.services.items():
        if name in recording.services:
            services[name] = _stand_in(name, recording.services[name], masking, partial(answers.answer, name))
        else:
            services[name] = _unrecorded(name, declared, recording.source)
    return replace(project, services={**services, **given})


def _stand_in(name: str, url: str, masking: Masking, answer: Answer) -> Service:
    driver, ends, _ = url.partition("://")
    if ends and driver not in {"http", "https"}:
        return Service(lambda: sql.replaying(driver, masking, answer))
    return Service(lambda: opened(http.replaying(name, url, masking, answer)))


def _unrecorded(name: str, declared: object, source: str) -> Service:
    msg = f'the recording has nothing of the service "{name}"; record it again: tallyline record {source}'

    @contextmanager
    def refusing(service: object) -> Iterator[None]:
        if isinstance(service, Api | sql.Engine):
            raise NotRecorded(msg)
        yield

    refuses: Any = wrapped(declared, refusing).make

    @contextmanager
    def make(**services: object) -> Iterator[object]:
        with ExitStack() as closing:
            try:
                service = closing.enter_context(refuses(**services))
            except Refused as refused:  # such as for a variable of the environment that a replay does without
                raise NotRecorded(msg) from refused
            yield service

    return Service(asking_like(declared, make))


def _was_busy(answer: Mapping[str, Any], service: str, asked: dict[str, Any]) -> bool:
    return answer.get("status") in http.BUSY and answer["service"] == service and answer["asked"] == asked
