"""Running a graph: threads where something waits or meets, everything else fused into the thread that feeds it.

A start has a thread of its own where there are other threads at all, and so have nodes that wait on purpose
(`concurrency`, `timeout`, asynchronous work), functions over all rows, and nodes in which threads meet. Every other
node runs in the thread of its feeder, so a chain that never waits is one loop in the calling thread.

Rows travel in small batches, in the order in which they were given, on every edge; where branches meet, batches come in
the order of their arrival. The first failure stops all threads: waits end at once, nothing further is handed on, and
the failure is raised with the node, the row and the cause. Ctrl-C and SIGTERM do the same, as soon as calls that cannot
be interrupted return; a second Ctrl-C does not wait for these. Why nobody waits for ever is told in `traffic`.
"""

from __future__ import annotations

import functools
import queue
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from tallyline.errors import GraphError, NodeFailed, Refused
from tallyline.graph.concurrency import run_concurrent
from tallyline.graph.event_loop import EventLoop
from tallyline.graph.heads import run_inbox, run_start, run_whole
from tallyline.graph.node import OnError
from tallyline.graph.report import NodeReport, Report, State
from tallyline.graph.services import Services
from tallyline.graph.step import Batch, Step, Take, is_asynchronous
from tallyline.graph.traffic import Inbox, Stopped, Traffic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType, TracebackType

    from tallyline.graph.node import Node, Work
    from tallyline.graph.structure import Graph

    Observe = Callable[[Report], None]

__all__ = ["run"]

LOOK_EVERY = 0.1
ENDED_BY_SIGTERM = 128 + signal.SIGTERM


def run(
    graph: Graph,
    services: Mapping[str, object] | None = None,
    observe: Observe = lambda _: None,
    *,
    most_rows: int = 2_048,
    most_rows_overall: int = 65_536,
) -> Report:
    """Run `graph` to its end and return what each node took in and gave out.

    `services` are given to nodes by the names of their parameters; a missing one raises GraphError before anything
    starts. `observe` is called with the growing report when the run starts, now and then, and once at its end. The
    first node that fails ends the run with NodeFailed, whose `report` is the run's. Where threads meet, a
    node waits to hand on while `most_rows` wait on that edge, or `most_rows_overall` in the whole graph.

    >>> from tallyline.graph import Graph
    >>> run(Graph([1, 0, 2], lambda row, divisor: row // divisor), {"divisor": 0})
    Traceback (most recent call last):
    tallyline.errors.NodeFailed: <lambda> failed at row 1: ZeroDivisionError: integer division or modulo by zero
    """
    check_again(graph)
    graph.freeze()
    with _sigterm_as_exit():
        traffic = Traffic(most_rows=most_rows, most_rows_overall=most_rows_overall)
        return _Execution(graph, Services(services or {}), observe, traffic).run()


class _Execution:
    def __init__(self, graph: Graph, services: Services, observe: Observe, traffic: Traffic) -> None:
        check(graph, services)
        self._graph = graph
        self._services = services
        self._observe = observe
        self._traffic = traffic
        self._loop = EventLoop(traffic)
        self._began = time.perf_counter()
        self._observed = float("-inf")
        self._works: dict[int, Work] = {}
        self._ended: set[str] = set()
        self._endings: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._report = Report([NodeReport(name) for name in graph.names])

    def run(self) -> Report:
        self._report.state = State.RUNNING
        self._look()
        try:
            with self._services, ExitStack() as entered:
                steps = {name: self._step(name, entered) for name in self._graph.names}
                entered.callback(self._loop.close)
                self._run_heads(steps)
        except BaseException as error:
            state = State.FAILED if isinstance(error, Exception) else State.STOPPED
            self._end(state, str(error) or type(error).__name__)
            if isinstance(error, NodeFailed):
                error.report = self._report
            raise
        self._end(State.DONE)
        return self._report

    def _step(self, name: str, entered: ExitStack) -> Step:
        node, counts = self._graph.node(name), self._report[name]
        work, takes_row = node.work, name not in self._graph.starts
        services: dict[str, object] = {}
        try:
            if callable(work):
                services = self._services.bound(work, node.services, takes_row=takes_row)
            if isinstance(work, AbstractContextManager):  # an instance, not a class of them
                work = self._entered(name, work, entered)
        except Refused:
            raise
        except Exception as error:
            raise self._failed(name, error) from error
        call = work if callable(work) else lambda: work
        return Step(node, counts, functools.partial(call, **services) if services else call, self._traffic)

    def _entered(self, name: str, work: AbstractContextManager[Work], entered: ExitStack) -> Work:
        if id(work) not in self._works:
            leaving = ExitStack()
            self._works[id(work)] = leaving.enter_context(work)
            entered.push(functools.partial(self._leave, name, leaving))
        return self._works[id(work)]

    def _leave(
        self,
        name: str,
        work: ExitStack,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            work.__exit__(kind, error, trace)
        except Exception as leaving:
            if error is None:
                raise self._failed(name, leaving) from leaving
            if leaving is not error:
                error.add_note(f"{name} failed when it was left: {type(leaving).__name__}: {leaving}")

    def _failed(self, name: str, error: Exception) -> NodeFailed:
        self._report[name].errors, self._report[name].state = 1, State.FAILED
        return NodeFailed(name, None, error)

    def _run_heads(self, steps: Mapping[str, Step]) -> None:
        heads = heads_of(self._graph)
        segments = {head: [name for name in heads if heads[name] == head] for head in heads.values()}
        inboxes = {
            head: Inbox(self._traffic, len(self._graph.before(head)))
            for head in segments
            if head not in self._graph.starts
        }
        for name, step in steps.items():
            step.outputs = [self._output(step, steps[after], inboxes.get(after)) for after in self._graph.after(name)]
        if len(segments) == 1:
            self._run_here(steps[next(iter(segments))])
        else:
            self._run_threads([self._thread(steps, segment, inboxes) for segment in segments.values()])

    def _output(self, step: Step, follower: Step, inbox: Inbox | None) -> Take:
        return follower.take if inbox is None else functools.partial(_put, inbox, step.counts)

    def _run_here(self, start: Step) -> None:
        start.outputs = [self._looking(output) for output in start.outputs]
        run_start(start, self._loop)

    def _looking(self, output: Take) -> Take:
        def look_and_put(batch: Batch) -> None:
            self._look()
            output(batch)

        return look_and_put

    def _thread(
        self, steps: Mapping[str, Step], segment: Sequence[str], inboxes: Mapping[str, Inbox]
    ) -> threading.Thread:
        head = steps[segment[0]]
        followers = [inboxes[after] for name in segment for after in self._graph.after(name) if after in inboxes]

        def work() -> None:
            try:
                self._run_head(head, inboxes.get(segment[0]))
                for name in segment:
                    steps[name].counts.state = State.DONE
                for inbox in followers:
                    inbox.feeder_ended()
            except Stopped:
                pass
            except BaseException as error:  # noqa: BLE001  # it is raised where the threads are waited for
                self._traffic.stop(error)
            finally:
                self._ended.add(segment[0])
                self._endings.put(segment[0])

        return threading.Thread(target=work, name=segment[0], daemon=True)

    def _run_head(self, step: Step, inbox: Inbox | None) -> None:
        if inbox is None:
            run_start(step, self._loop)
        elif step.node.whole:
            run_whole(step, inbox)
        elif waits(step.node) and not _is_plain(step.node):
            run_concurrent(step, inbox, self._loop)
        else:
            run_inbox(step, inbox)

    def _run_threads(self, threads: Sequence[threading.Thread]) -> None:
        try:
            for thread in threads:
                thread.start()
            self._wait_for(threads, self._look)
        except BaseException:
            self._traffic.stop()
            self._wait_for([thread for thread in threads if thread.ident is not None])
            raise
        if self._traffic.failure is not None:
            raise self._traffic.failure

    def _wait_for(self, threads: Sequence[threading.Thread], meanwhile: Callable[[], None] = lambda: None) -> None:
        # not by Thread.join alone: where a signal interrupts it, Python 3.11 takes a running thread for one that ended
        while not {thread.name for thread in threads} <= self._ended:
            with suppress(queue.Empty):
                self._endings.get(timeout=LOOK_EVERY)
            meanwhile()
        for thread in threads:
            thread.join()

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
                counts.state = State.DONE if state is State.DONE else State.STOPPED
        self._observe(self._report)


def heads_of(graph: Graph) -> dict[str, str]:
    """Return for each node, feeders first, the node at the head of the thread that it runs in.

    >>> from tallyline.graph import Graph, node
    >>> heads_of(Graph([1], str, node(print, concurrency=2), len))
    {'list': 'list', 'str': 'list', 'print': 'print', 'len': 'print'}
    """
    heads: dict[str, str] = {}
    for name in graph.ordered:
        feeding = {heads[feeder] for feeder in graph.before(name)}
        joins = len(feeding) == 1 and not waits(graph.node(name))
        heads[name] = feeding.pop() if joins else name
    return heads


def waits(node: Node) -> bool:
    """Say whether a node is run apart from the node that feeds it."""
    is_concurrent = node.concurrency is not None or node.timeout is not None
    return is_concurrent or node.whole or (callable(node.work) and is_asynchronous(node.work))


def _is_plain(node: Node) -> bool:
    """Say whether a node with a thread of its own takes batches there like any other."""
    is_alone = node.concurrency == 1 and node.timeout is None and node.on_error is OnError.FAIL
    return is_alone and callable(node.work) and not is_asynchronous(node.work)


def check(graph: Graph, services: Services) -> None:
    """Refuse what cannot run: an empty graph, an iterable that is fed, a missing service."""
    if not graph.names:
        msg = "the graph is empty: it has no node to run"
        raise GraphError(msg)
    for name in graph.names:
        node, is_start = graph.node(name), name in graph.starts
        if node.whole and is_start:
            msg = f"{name} takes all rows, but no node feeds it"
            raise GraphError(msg)
        if callable(node.work):
            services.check(name, node.work, node.services, takes_row=not is_start)
        elif not is_start:
            msg = f"{name} is fed by another node but is no callable: only a start can be an iterable"
            raise GraphError(msg)


def check_again(graph: Graph) -> None:
    """Refuse to run a graph again whose start is an iterator, which the first run has used up."""
    used_up = [name for name in graph.starts if graph.is_frozen and isinstance(graph.node(name).work, Iterator)]
    if used_up:
        msg = f"{used_up[0]} is an iterator and was used up by the first run; start with a function that makes one"
        raise GraphError(msg)


def _put(inbox: Inbox, counts: NodeReport, batch: Batch) -> None:
    inbox.put(batch, counts)


@contextmanager
def _sigterm_as_exit() -> Iterator[None]:
    """Let SIGTERM, where it would kill at once, end the run first."""
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _exit(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(ENDED_BY_SIGTERM)
