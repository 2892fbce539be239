"""A tap at work: a process of its own, whose output is read line by line, and which leaves nothing behind."""

from __future__ import annotations

import asyncio
import atexit
import os
import re
import signal
from contextlib import suppress
from subprocess import DEVNULL
from typing import TYPE_CHECKING, Any

from tallyline.errors import Denied, Refused, SourceFailed, Unavailable, UnexpectedAnswer, shortened
from tallyline.secret import masked
from tallyline.sources.singer.messages import shown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Tap"]

LONGEST_MESSAGE = 16 * 1024 * 1024
GRACE_SECONDS = 5.0
_LAST_WORDS = 8 * 1024
_OF_OUR_PYTHON = frozenset({"PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV"})
_IN_PASSING = re.compile(r"^\s|^Traceback|\b(DEBUG|INFO)\b")
_BUSY = re.compile(r"\b429\b|too many requests|rate.?limit", re.IGNORECASE)
_DENIED = re.compile(
    r"\b40[13]\b|unauthori[sz]ed|forbidden|denied|permission|authenticat|credential|invalid.{0,20}(key|token|password)",
    re.IGNORECASE,
)
_LATER = re.compile(
    r"\b(408|50\d)\b|timed? ?-?out|unavailable|unreachable|name resolution|closed the connection|"
    r"connection ?(refused|reset|aborted|closed|error)",
    re.IGNORECASE,
)


_at_work: set[int] = set()


@atexit.register
def _end_all() -> None:
    """End the taps of threads that are left behind where this process ends."""
    for number in _at_work:
        _signal(number, signal.SIGKILL)


def _signal(number: int, told: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(number, told)


class Tap:
    """A tap at work, in a session of its own, so that what it starts ends with it."""

    def __init__(self, name: str, transport: asyncio.SubprocessTransport, told: _Told, seconds: float) -> None:
        """Take the process, what it tells, and how many seconds it may be silent."""
        self._name, self._transport, self._told, self.seconds = name, transport, told, seconds
        self._rest: bytes | None = b""

    @classmethod
    async def started(cls, name: str, command: Sequence[str], folder: Path, seconds: float) -> Tap:
        """Run a command in a folder, without a shell; raises Refused where that cannot be."""
        environment = {name: value for name, value in os.environ.items() if name not in _OF_OUR_PYTHON}
        try:
            transport, told = await asyncio.get_running_loop().subprocess_exec(
                _Told, *command, stdin=DEVNULL, cwd=folder, env=environment, start_new_session=True
            )
        except OSError as error:
            msg = f"{command[0]} cannot be run in {folder}: {error.strerror}; install it, or give its path"
            raise Refused(msg) from error
        _at_work.add(transport.get_pid())
        return cls(name, transport, told, seconds)

    async def lines(self) -> list[bytes] | None:
        """Return the next few lines, None after the last one; raises where the tap is silent or ended badly."""
        if self._rest is None:
            return None
        try:
            async with asyncio.timeout(self.seconds):
                chunk = await self._told.chunk()
                if not chunk:
                    await self._told.ended.wait()
        except TimeoutError:
            msg = f"{self._name} wrote nothing for {self.seconds:g} seconds, and was ended{self._said()}"
            raise Unavailable(msg) from None
        if not chunk and (status := self._transport.get_returncode()):
            raise await self._failure(status)
        *lines, rest = (self._rest + chunk).split(b"\n")
        if len(rest) > LONGEST_MESSAGE:
            msg = f"{self._name} wrote a line of more than {LONGEST_MESSAGE} bytes: {shown(rest)}"
            raise UnexpectedAnswer(msg)
        self._rest = rest if chunk else None
        return lines if chunk else [rest]

    async def end(self) -> None:
        """End the tap, and all that it started, where they have not ended."""
        try:
            await self._ended_by(signal.SIGTERM)
        finally:
            self._transport.close()
            await self._ended_by(signal.SIGKILL)
            _at_work.discard(self._transport.get_pid())

    async def _ended_by(self, number: signal.Signals) -> None:
        _signal(self._transport.get_pid(), number)
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE_SECONDS):
                await self._told.ended.wait()

    def _last_words(self) -> list[str]:
        lines = [line for line in masked(self._told.words.decode(errors="replace")).splitlines() if line.strip()]
        return ([line for line in lines if not _IN_PASSING.search(line)] or lines)[-3:]

    def _said(self) -> str:
        return "".join(f"\n  {shortened(line)}" for line in self._last_words())

    async def _failure(self, status: int) -> SourceFailed:
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE_SECONDS):
                await self._told.all_said.wait()
        ended = f"status {status}" if status > 0 else f"the signal {signal.Signals(-status).name}"
        msg = f"{self._name} ended with {ended}{self._said()}"
        said = "\n".join(self._last_words())
        if _BUSY.search(said):
            return Unavailable(msg)
        if _DENIED.search(said):
            return Denied(f"{msg}\ncheck the config, and what who asks there may read")
        return Unavailable(msg) if _LATER.search(said) else SourceFailed(msg)


class _Told(asyncio.SubprocessProtocol):
    """What a process tells: chunks of its output, read no faster than they are taken, its last words, and its end."""

    def __init__(self) -> None:
        self.words = bytearray()
        self.ended, self.all_said = asyncio.Event(), asyncio.Event()
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue()
        self._output: Any = None

    async def chunk(self) -> bytes:
        """Return the next chunk of output, an empty one at its end."""
        chunk = await self._chunks.get()
        self._output.resume_reading()
        return chunk

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401  # as the base class has it, of a process
        """Keep what can be told to wait."""
        self._output = transport.get_pipe_transport(1)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Take in a chunk of output, or a word."""
        if fd == 1:
            self._chunks.put_nowait(data)
            self._output.pause_reading()
            return
        self.words += data
        if len(self.words) > _LAST_WORDS:  # cut between lines, so that no secret is cut
            del self.words[: self.words.find(b"\n", len(self.words) - _LAST_WORDS) + 1 or -_LAST_WORDS]

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """Note that there is no more of it."""
        del exc
        if fd == 1:
            self._chunks.put_nowait(b"")
        else:
            self.all_said.set()

    def process_exited(self) -> None:
        """Note that the process has ended, whoever else may hold its output."""
        self.ended.set()
