"""A node at work, in the thread of the node that feeds it: batches in, batches out, everything counted."""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
import random
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import chain
from typing import TYPE_CHECKING, cast

from tallyline.errors import NodeFailed, RunFailed, shortened
from tallyline.graph.node import OnError
from tallyline.graph.pace import BATCH, Pace
from tallyline.graph.pages import Pages
from tallyline.graph.report import NodeReport, Skipped, State
from tallyline.graph.traffic import Traffic, Unwanted

if TYPE_CHECKING:
    from tallyline.graph.node import Node

__all__ = [
    "LEFT_OUT",
    "NO_ROW",
    "Batch",
    "Step",
    "Take",
    "gathered",
    "is_asynchronous",
    "own_view",
    "pause_before_retry",
]

Batch = list[object]
Take = Callable[[Batch], None]

SAMPLES = 5
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 10.0
_SHARED_AS_THEY_ARE = frozenset(
    {type(None), bool, int, float, complex, str, bytes, Decimal, date, datetime, timedelta, frozenset}
)


class _LeftOut:
    """Stands in the place of the answer to a row that was skipped."""


LEFT_OUT = _LeftOut()
NO_ROW = object()
_NO_ROWS = frozenset({type(None), _LeftOut})
_PLAIN = frozenset({tuple, dict, list, str, int, float})


class Step:
    """A node at work. Batches are worked through in parts that take little time, so that slow nodes hand on soon."""

    __slots__ = ("_handed_on", "_pace", "_pace_of_pouring", "call", "counts", "node", "outputs", "traffic")

    def __init__(self, node: Node, counts: NodeReport, call: Callable[..., object], traffic: Traffic) -> None:
        self.node = node
        self.counts = counts
        self.call = retrying(call, node.retry, traffic) if node.retry and not is_asynchronous(call) else call
        self.traffic = traffic
        self.outputs: list[Take] = []
        self._handed_on = 0.0
        self._pace = Pace()
        self._pace_of_pouring = Pace()

    def take(self, batch: Batch) -> None:
        """Work through a batch."""
        self.counts.state = State.RUNNING
        begin = 0
        while begin < len(batch):
            self.traffic.check()
            part = batch if not begin and self._pace.rows >= len(batch) else batch[begin : begin + self._pace.rows]
            begin += len(part)
            self._pace.took(len(part), self.timed(self._work_through, part), time.perf_counter())

    def give(self, rows: Batch, answers: Batch) -> None:
        """Hand on what the node answered to `rows`: None is no row, an iterator is that many."""
        kinds = set(map(type, answers))
        special = set(filter(_is_special, kinds - _PLAIN))
        if special <= _NO_ROWS:
            if special == kinds:
                return
            self.hand_on([answer for answer in answers if type(answer) not in special] if special else answers)
            return
        ready: Batch = []
        for row, answer in zip(rows, answers, strict=True):
            if type(answer) not in special:
                ready.append(answer)
            elif isinstance(answer, Iterator):
                ready = self.pour(answer, ready, row)
        self.hand_on(ready)

    def pour(self, rows: Iterator[object], ready: Batch, row: object = NO_ROW) -> Batch:
        """Hand on what an iterator gives after what is `ready` already; return the last few, yet to be handed on."""
        pace, ended = self._pace_of_pouring, False
        pages = rows if isinstance(rows, Pages) else None
        try:
            while not ended:
                part = min(pages.at_hand or 1, BATCH) if pages else pace.rows
                began, before = time.perf_counter(), len(ready)
                error = _extended(ready, map(next, self.traffic.underway(self, [rows] * part)))
                self.traffic.check()
                ended = len(ready) < before + part
                if error is not None:
                    self.failed(row, error)
                now = time.perf_counter()
                pace.took(len(ready) - before, now - began, now)
                if row is NO_ROW or pace.is_slow or len(ready) >= BATCH:
                    self.hand_on(ready)
                    ready = []
        except BaseException:
            with contextlib.suppress(Exception):  # what ended the run is told, not what came of it
                _close(rows)
            raise
        error = _error_of_closing(rows)
        if error is not None:
            self.failed(row, error)
        return ready

    def hand_on(self, batch: Batch) -> None:
        """Give the batch to what follows; each branch of a fork gets a view of its own."""
        if not batch:
            return
        began = time.perf_counter()
        try:
            if len(self.outputs) > 1:
                self._hand_on_to_branches(batch)
                return
            self.counts.rows_out += len(batch)
            for output in self.outputs:
                output(batch)
        finally:
            self._handed_on += time.perf_counter() - began

    def _hand_on_to_branches(self, batch: Batch) -> None:
        views = [batch, *(self._own_views(batch) for _ in self.outputs[1:])]
        self.counts.rows_out += len(batch)
        for output, view in zip(tuple(self.outputs), views, strict=True):
            try:
                output(view)
            except Unwanted:
                self.outputs.remove(output)
        if not self.outputs:
            raise Unwanted

    def _own_views(self, batch: Batch) -> Batch:
        if (copies := _copies_of_flat(batch)) is not None:
            return list(copies)
        views: Batch = []
        error = _extended(views, map(own_view, batch))
        if error is not None:
            msg = f"it gives rows to several branches, and this one cannot be copied: {type(error).__name__}: {error}"
            raise self._ended(batch[len(views)], RunFailed(msg)) from error
        return views

    def timed(self, work: Callable[..., None], *arguments: object) -> float:
        """Do work and count its seconds, without those that what follows took."""
        began, self._handed_on = time.perf_counter(), 0.0
        try:
            work(*arguments)
        finally:
            seconds = time.perf_counter() - began - self._handed_on
            self.counts.seconds += seconds
        return seconds

    def failed(self, row: object, error: BaseException) -> None:
        """Count the row as skipped, or end the run, as the node's options say."""
        if not isinstance(error, Exception):
            raise error
        counts, node = self.counts, self.node
        within_budget = node.max_errors is None or counts.skipped < node.max_errors
        if node.on_error is OnError.SKIP and row is not NO_ROW and within_budget:
            counts.skipped += 1
            if len(counts.samples) < SAMPLES:
                counts.samples.append(Skipped(shortened(repr(row)), f"{type(error).__name__}: {error}"))
            return
        raise self._ended(row, error) from error

    def _ended(self, row: object, error: BaseException) -> NodeFailed:
        self.counts.errors += 1
        self.counts.state = State.FAILED
        return NodeFailed(self.counts.name, None if row is NO_ROW else row, error)

    def _work_through(self, rows: Batch) -> None:
        self.give(rows, self._answers(rows))

    def _answers(self, rows: Batch) -> Batch:
        answers: Batch = []
        answering = map(self.call, self.traffic.underway(self, rows.copy()))
        while True:
            before = len(answers)
            error = _extended(answers, answering)
            is_done = error is None and len(answers) == len(rows)
            self.counts.rows_in += len(answers) - before
            if is_done:
                return answers
            self.traffic.check()
            self.counts.rows_in += 1
            self.failed(rows[len(answers)], error or RuntimeError("it raised StopIteration"))
            answers.append(LEFT_OUT)


def retrying(call: Callable[..., object], times: int, traffic: Traffic) -> Callable[..., object]:
    """Return `call` with so many further tries, after pauses that double; a run that stops ends the pauses."""

    def answered(*arguments: object) -> object:
        answer = call(*arguments)
        return gathered(answer, traffic) if arguments else answer  # the rows of a start may have no end

    @functools.wraps(call)
    def tried(*arguments: object) -> object:
        for attempt in range(times):
            try:
                return answered(*arguments)
            except Exception:  # noqa: BLE001  # the last try's error counts
                traffic.pause(pause_before_retry(attempt))
        return answered(*arguments)

    return tried


def gathered(answer: object, traffic: Traffic) -> object:
    """Return the answer; if it is an iterator, what it has to do is done here and now."""
    if not isinstance(answer, Iterator):
        return answer
    rows: Batch = []
    try:
        for row in answer:
            traffic.check()
            rows.append(row)
    finally:
        _close(answer)
    return iter(rows)


def is_asynchronous(call: Callable[..., object]) -> bool:
    """Say whether calling gives something to await, or to iterate asynchronously."""
    while isinstance(call, functools.partial):
        call = call.func
    own = call if inspect.isroutine(call) else type(call).__call__
    return inspect.iscoroutinefunction(own) or inspect.isasyncgenfunction(own)


def pause_before_retry(attempt: int) -> float:
    """Return the seconds to wait before trying again: 0.1, 0.2, 0.4 … up to 10, each by chance up to half longer."""
    return min(FIRST_PAUSE * 2.0**attempt, LONGEST_PAUSE) * random.uniform(1, 1.5)  # noqa: S311  # no secret


def _copies_of_flat(column: Sequence[object]) -> Sequence[object] | None:
    """Return what own_view gives for each value, column by column and so without a call a value; None if too nested."""
    kinds = set(map(type, column))
    if kinds <= _SHARED_AS_THEY_ARE:
        return column
    if kinds == {dict}:
        dicts = cast("Sequence[dict[object, object]]", column)
        items = chain.from_iterable(map(dict.values, dicts))
        return list(map(dict.copy, dicts)) if _SHARED_AS_THEY_ARE.issuperset(map(type, items)) else None
    if kinds == {tuple}:
        return _copies_of_flat_tuples(cast("Sequence[tuple[object, ...]]", column))
    return None


def _copies_of_flat_tuples(column: Sequence[tuple[object, ...]]) -> Sequence[object] | None:
    if not column[0] or len(set(map(len, column))) > 1:
        return None
    copies = []
    for values in zip(*column, strict=True):
        if (copied := _copies_of_flat(values)) is None:
            return None
        copies.append(copied)
    return list(zip(*copies, strict=True))


def own_view(value: object) -> object:
    """Return a view of a row that nobody else can change: containers are copied, plain values shared."""
    kind = type(value)
    if kind in _SHARED_AS_THEY_ARE:
        return value
    if kind is dict:
        return {key: own_view(item) for key, item in cast("dict[object, object]", value).items()}
    if kind is list:
        return [own_view(item) for item in cast("list[object]", value)]
    if kind is tuple:
        return tuple(own_view(item) for item in cast("tuple[object, ...]", value))
    return copy.deepcopy(value)


def _close(rows: Iterator[object]) -> None:
    if isinstance(rows, Generator | Pages):
        rows.close()


def _error_of_closing(rows: Iterator[object]) -> Exception | None:
    try:
        _close(rows)
    except Exception as error:  # noqa: BLE001
        return error
    return None


def _extended(answers: Batch, answering: Iterator[object]) -> Exception | None:
    try:
        answers.extend(answering)
    except Exception as error:  # noqa: BLE001  # what it means is the node's to say
        return error
    return None


@functools.lru_cache(maxsize=1024)
def _is_special(kind: type) -> bool:
    return kind in _NO_ROWS or issubclass(kind, Iterator)
