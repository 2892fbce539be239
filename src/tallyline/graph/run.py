"""Running a graph: every start in a thread of its own where there are several, all that follows in one.

Rows travel in small batches and in the order in which they were given; where branches meet, batches come in the order
of their arrival. A row that comes a while after the last was handed on goes on at once, so a slow start streams. When a
node fails, the starts are stopped, nothing is handed on any more, and the failure is raised with the node, the row and
the cause.

Why it cannot lock up: only starts hand batches to a queue, and only the one thread that runs everything else takes
them from it. That thread never waits for anything but the queue; a start that waits for room in it looks every tenth
of a second whether it should stop. After Ctrl-C a start that hangs in a call of its own is waited for only briefly.
"""

from __future__ import annotations

import contextlib
import copy
import queue
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, cast

from tallyline.errors import GraphError, NodeFailed, Refused, RunFailed
from tallyline.graph.report import NodeReport, Report, State
from tallyline.graph.services import Services

if TYPE_CHECKING:
    from collections.abc import Callable

    from tallyline.graph.structure import Graph

    Take = Callable[[list[object]], None]

__all__ = ["run"]

BATCH = 256
BATCHES_AHEAD = 16
HAND_ON_AFTER = 0.05
LOOK_EVERY = 0.1
PATIENCE = 2.0

_SHARED_AS_THEY_ARE = frozenset(
    {type(None), bool, int, float, complex, str, bytes, Decimal, date, datetime, timedelta, frozenset}
)


def run(
    graph: Graph,
    services: Mapping[str, object] | None = None,
    observe: Callable[[Report], None] = lambda _: None,
) -> Report:
    """Run `graph` to its end and return what each node took in and gave out.

    `services` are given to nodes by the names of their parameters; a missing one raises GraphError before anything
    starts. `observe` is called with the growing report now and then, and once at the end. The first node that
    raises ends the run with NodeFailed.

    >>> from tallyline.graph import Graph
    >>> run(Graph([1, 0, 2], lambda row, divisor: row // divisor), {"divisor": 0})
    Traceback (most recent call last):
    tallyline.errors.NodeFailed: <lambda> failed at row 1: ZeroDivisionError: integer division or modulo by zero
    """
    return _Execution(graph, Services(services or {}), observe).run()


@dataclass(slots=True)
class _Step:
    """A node at work: it takes batches, counts, and hands on what comes out."""

    counts: NodeReport
    call: Callable[..., object]
    services: Mapping[str, object]
    stop: threading.Event
    outputs: list[Take] = field(default_factory=list)
    handed_on: float = 0.0

    def take(self, batch: list[object]) -> None:
        """Work through a batch."""
        self.counts.state = State.RUNNING
        self.counts.rows_in += len(batch)
        with self._timed():
            self._work_through(batch)

    def _work_through(self, batch: list[object]) -> None:
        call, services, out = self.call, self.services, _Outbox(self)
        for row in batch:
            try:
                answer = call(row, **services)
                if answer is None:
                    continue
                if not isinstance(answer, Iterator):
                    out.add(answer)
                    continue
                rows = answer
            except Exception as error:
                raise self._failed(row, error) from error
            self._give(rows, row, out)
        out.flush()

    def start(self) -> None:
        """Hand on what a start gives, until it ends or the run stops."""
        self.counts.state = State.RUNNING
        self.counts.rows_in = 1
        with self._timed():
            out = _Outbox(self)
            self._give(self._rows(), None, out)
            out.flush()

    def _rows(self) -> Iterator[object]:
        try:
            return iter(self._iterable(self.call(**self.services)))
        except Exception as error:
            raise self._failed(None, error) from error

    @staticmethod
    def _iterable(given: object) -> Iterable[object]:
        if isinstance(given, Iterable):
            return given
        msg = f"a start gives rows, not {given!r}"
        raise TypeError(msg)

    def _give(self, rows: Iterator[object], row: object, out: _Outbox) -> None:
        try:
            while not self.stop.is_set():
                try:
                    answer = next(rows)
                except StopIteration:
                    break
                except Exception as error:
                    raise self._failed(row, error) from error
                out.add(answer)
        except BaseException:
            with contextlib.suppress(Exception):  # what ended the run is told, not what came of it
                _close(rows)
            raise
        try:
            _close(rows)
        except Exception as error:
            raise self._failed(row, error) from error

    def hand_on(self, batch: list[object]) -> None:
        """Give the batch to what follows; each branch of a fork gets a view of its own."""
        began = time.perf_counter()
        try:
            views = [batch, *(list(map(self._own_view, batch)) for _ in self.outputs[1:])]
            self.counts.rows_out += len(batch)
            for output, view in zip(self.outputs, views, strict=False):
                output(view)
        finally:
            self.handed_on += time.perf_counter() - began

    def _own_view(self, row: object) -> object:
        try:
            return _own_view(row)
        except Exception as error:
            msg = f"it gives rows to several branches, and this one cannot be copied: {type(error).__name__}: {error}"
            raise self._failed(row, RunFailed(msg)) from error

    @contextlib.contextmanager
    def _timed(self) -> Iterator[None]:
        began, self.handed_on = time.perf_counter(), 0.0
        try:
            yield
        finally:
            self.counts.seconds += time.perf_counter() - began - self.handed_on

    def _failed(self, row: object, error: Exception) -> NodeFailed:
        self.counts.errors += 1
        self.counts.state = State.FAILED
        return NodeFailed(self.counts.name, row, error)


class _Outbox:
    """Rows on their way out of a step: handed on when there are enough, or when the last ones left a while ago."""

    __slots__ = ("_rows", "_since", "_step")

    def __init__(self, step: _Step) -> None:
        self._step = step
        self._rows: list[object] = []
        self._since = time.monotonic()

    def add(self, row: object) -> None:
        self._rows.append(row)
        if len(self._rows) >= BATCH or time.monotonic() - self._since > HAND_ON_AFTER:
            self.flush()

    def flush(self) -> None:
        if self._rows:
            rows, self._rows = self._rows, []
            self._step.hand_on(rows)
        self._since = time.monotonic()


class _Execution:
    def __init__(self, graph: Graph, services: Services, observe: Callable[[Report], None]) -> None:
        _check(graph, services)
        self._graph = graph
        self._services = services
        self._observe = observe
        self._observed = self._began = time.perf_counter()
        self._stop = threading.Event()
        self._report = Report([NodeReport(name) for name in graph.names])
        self._inbox: queue.Queue[Callable[[], None]] = queue.Queue(BATCHES_AHEAD)

    def run(self) -> Report:
        self._report.state = State.RUNNING
        try:
            with self._services:
                self._run_starts(self._connected_starts())
        except BaseException as error:
            state = State.FAILED if isinstance(error, Exception) else State.STOPPED
            self._end(state, str(error) or type(error).__name__)
            raise
        self._end(State.DONE)
        return self._report

    def _connected_starts(self) -> list[_Step]:
        steps = {name: self._step(name) for name in self._graph.names}
        for name, step in steps.items():
            step.outputs = [self._observed_take(steps[after]) for after in self._graph.after(name)]
        return [steps[name] for name in self._graph.starts]

    def _step(self, name: str) -> _Step:
        node, counts = self._graph.node(name), self._report[name]
        work, takes_row = node.work, name not in self._graph.starts
        if not callable(work):
            return _Step(counts, lambda: work, {}, self._stop)
        try:
            services = self._services.bound(work, node.services, takes_row=takes_row)
            return _Step(counts, work, services, self._stop)
        except Refused:
            raise
        except Exception as error:
            counts.errors, counts.state = 1, State.FAILED
            raise NodeFailed(name, None, error) from error

    def _run_starts(self, steps: list[_Step]) -> None:
        if len(steps) == 1:
            steps[0].start()
            self._mark_done(steps[0].counts.name)
            return
        for step in steps:
            step.outputs = [self._queued(take) for take in step.outputs]
        threads = [
            threading.Thread(target=self._in_thread, args=(step,), name=step.counts.name, daemon=True) for step in steps
        ]
        patience = None
        try:
            for thread in threads:
                thread.start()
            while any(step.counts.state is not State.DONE for step in steps):
                self._take_next()
        except BaseException as error:
            patience = None if isinstance(error, Exception) else PATIENCE
            raise
        finally:
            self._stop.set()
            for thread in threads:
                if thread.ident is not None:
                    thread.join(patience)

    def _take_next(self) -> None:
        try:
            job = self._inbox.get(timeout=LOOK_EVERY)
        except queue.Empty:
            self._look()
        else:
            job()

    def _in_thread(self, step: _Step) -> None:
        try:
            step.start()
        except BaseException as error:  # noqa: BLE001  # it is raised again where the run is waited for
            failure = error
            self._put(lambda: _reraise(failure))
        else:
            self._put(lambda: self._mark_done(step.counts.name))

    def _mark_done(self, name: str) -> None:
        self._report[name].state = State.DONE
        for after in self._graph.after(name):
            if all(self._report[before].state is State.DONE for before in self._graph.before(after)):
                self._mark_done(after)

    def _queued(self, take: Take) -> Take:
        return lambda batch: self._put(lambda: take(batch))

    def _put(self, job: Callable[[], None]) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(queue.Full):
                self._inbox.put(job, timeout=LOOK_EVERY)
                return

    def _observed_take(self, step: _Step) -> Take:
        def take(batch: list[object]) -> None:
            step.take(batch)
            self._look()

        return take

    def _look(self) -> None:
        now = time.perf_counter()
        if now - self._observed >= LOOK_EVERY:
            self._observed = now
            self._report.seconds = now - self._began
            self._observe(self._report)

    def _end(self, state: State, error: str = "") -> None:
        self._report.state, self._report.error = state, error
        self._report.seconds = time.perf_counter() - self._began
        for counts in self._report.nodes:
            if not counts.state.ended:
                counts.state = State.STOPPED
        self._observe(self._report)


def _reraise(error: BaseException) -> None:
    raise error


def _close(rows: Iterator[object]) -> None:
    if isinstance(rows, Generator):
        rows.close()


def _check(graph: Graph, services: Services) -> None:
    if not graph.names:
        msg = "the graph is empty: it has no node to run"
        raise GraphError(msg)
    for name in graph.names:
        node, is_start = graph.node(name), name in graph.starts
        if callable(node.work):
            services.check(name, node.work, node.services, takes_row=not is_start)
        elif not is_start:
            msg = f"{name} is fed by another node but is no callable: only a start can be an iterable"
            raise GraphError(msg)


def _own_view(value: object) -> object:
    kind = type(value)
    if kind in _SHARED_AS_THEY_ARE:
        return value
    if kind is dict:
        return {key: _own_view(item) for key, item in cast("dict[object, object]", value).items()}
    if kind is list:
        return [_own_view(item) for item in cast("list[object]", value)]
    if kind is tuple:
        return tuple(_own_view(item) for item in cast("tuple[object, ...]", value))
    return copy.deepcopy(value)
