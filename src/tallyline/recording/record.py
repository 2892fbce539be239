"""Reading a source as a run does, with its services heard, and nothing written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallyline.recording.recorder import Recorder, replaying
from tallyline.runner import read_source
from tallyline.warehouse import open_warehouse

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import datetime

    from tallyline.graph import Report
    from tallyline.project import Project
    from tallyline.recording.recording import Recording
    from tallyline.runner import ReadResult
    from tallyline.sources import Source
    from tallyline.window import Window

__all__ = ["record", "replaying"]


def record(
    project: Project,
    source: Source,
    window: Window,
    *,
    now: datetime,
    drop: Collection[str] = (),
    observe: Callable[[Report], None] = lambda _: None,
) -> tuple[ReadResult, Recording]:
    """Read `source` for `window`, and return how it went, with the recording of what it was answered.

    Nothing is written. `drop` names fields of answers whose values are left out.
    """
    recorder = Recorder(drop)
    with open_warehouse("sqlite://", project.zone, write=True, plan=project.plan) as nowhere:
        result = read_source(recorder.heard(project), source, nowhere, window, now=now, write=False, observe=observe)
    return result, recorder.recording(source.name, window, now)
