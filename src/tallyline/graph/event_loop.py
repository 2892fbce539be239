"""The event loop of a run: asynchronous work in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Coroutine
from typing import TYPE_CHECKING, cast

from tallyline.graph.traffic import Stopped

if TYPE_CHECKING:
    from concurrent.futures import Future

    from tallyline.graph.traffic import Traffic

__all__ = ["EventLoop", "awaited"]

_Outcome = tuple[object, BaseException | None]


class EventLoop:
    """The event loop of a run, in a thread of its own that starts with the first asynchronous work."""

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._kept: list[AsyncIterator[object]] = []

    def submit(self, work: Coroutine[object, object, object]) -> Future[object]:
        """Let the loop work, and return at once."""
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="event loop", daemon=True)
                self._thread.start()
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def result(self, work: Coroutine[object, object, object]) -> object:
        """Let the loop work, and wait for it; raises Stopped, and cancels the work, where the run stops."""
        future = self.submit(_outcome(work))
        future.add_done_callback(lambda _: self._traffic.poke())
        self._traffic.wait_until(future.done)
        if not future.done():
            future.cancel()
            raise Stopped
        answer, error = cast("_Outcome", future.result())
        if error is not None:
            raise error
        return answer

    def keep(self, rows: AsyncIterator[object]) -> None:
        """Hold an asynchronous generator until the loop ends, which closes it."""
        self._kept.append(rows)

    def close(self) -> None:
        """Cancel what is still at work, and end the loop."""
        if self._loop is None or self._thread is None:
            return
        asyncio.run_coroutine_threadsafe(_finish(self._loop), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def awaited(answer: object) -> object:
    """Return what was awaited; of an asynchronous iterator, an iterator of all that it gave."""
    if isinstance(answer, AsyncIterator):
        return iter([row async for row in answer])
    return await cast("Awaitable[object]", answer)


async def _outcome(work: Coroutine[object, object, object]) -> _Outcome:
    try:
        return await work, None
    except (KeyboardInterrupt, SystemExit) as error:  # they would end the event loop
        return None, error


async def _finish(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await loop.shutdown_asyncgens()
    await loop.shutdown_default_executor()
