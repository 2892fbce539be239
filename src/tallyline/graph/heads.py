"""The nodes that have a thread of their own because they start, meet others, or take all rows."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from tallyline.graph.event_loop import awaited
from tallyline.graph.report import State
from tallyline.graph.step import NO_ROW, is_asynchronous
from tallyline.graph.traffic import Unwanted

if TYPE_CHECKING:
    from tallyline.graph.event_loop import EventLoop
    from tallyline.graph.step import Step
    from tallyline.graph.traffic import Inbox

__all__ = ["run_inbox", "run_start", "run_whole"]


def run_start(step: Step, loop: EventLoop) -> None:
    """Hand on the rows of a start: of an iterable, or of what a callable gives when it is called with its services."""
    step.counts.state, step.counts.rows_in = State.RUNNING, 1
    with contextlib.suppress(Unwanted):
        step.timed(lambda: step.hand_on(step.pour(_rows_of_start(step, loop), [])))


def run_inbox(step: Step, inbox: Inbox) -> None:
    """Work through batches as they arrive, as long as somebody takes what comes of them."""
    with contextlib.suppress(Unwanted):
        while (batch := inbox.get(step.counts)) is not None:
            step.take(batch)
    inbox.close()


def run_whole(step: Step, inbox: Inbox) -> None:
    """Give all rows to a function over them; when it wants no more, take no more."""
    step.counts.state = State.RUNNING
    waited = step.counts.waiting

    def rows() -> Iterator[object]:
        while (batch := inbox.get(step.counts)) is not None:
            for row in batch:
                step.traffic.check()
                step.counts.rows_in += 1
                yield row

    with contextlib.suppress(Unwanted):
        step.timed(lambda: step.hand_on(step.pour(_started(step, lambda: step.call(rows())), [])))
    step.counts.seconds -= step.counts.waiting - waited
    inbox.close()


def _rows_of_start(step: Step, loop: EventLoop) -> Iterator[object]:
    if is_asynchronous(step.call):
        return _rows_of_async_start(step.call(), loop)
    return _started(step, step.call)


def _started(step: Step, call: Callable[[], object]) -> Iterator[object]:
    try:
        return _iterator(call())
    except Exception as error:
        step.failed(NO_ROW, error)
        raise


def _iterator(rows: object) -> Iterator[object]:
    if not isinstance(rows, Iterable):
        msg = f"it is to give rows, and gave {rows!r}"
        raise TypeError(msg)
    return iter(rows)


def _rows_of_async_start(answer: object, loop: EventLoop) -> Iterator[object]:
    if not isinstance(answer, AsyncIterator):
        yield from _iterator(loop.result(awaited(answer)))
        return
    end = object()
    loop.keep(answer)

    async def following() -> object:
        return await anext(answer, end)

    while (row := loop.result(following())) is not end:
        yield row
