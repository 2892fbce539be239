"""What the embedded scheduler has to tell, and to whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tallyline.errors import AtWork

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tallyline.runner import ReadResult
    from tallyline.warehouse import Cleaned

__all__ = ["Next", "Ran", "Teller"]

_TAKES_ROWS = "normalize"


@dataclass(frozen=True, slots=True)
class Ran:
    """A run that has ended, and how long it took; one that was stopped has no error of its own."""

    result: ReadResult
    seconds: float
    stopped: bool = False

    @property
    def rows(self) -> int:
        """How many rows its source gave."""
        return sum(node.rows_in for node in self.result.report.nodes if node.name == _TAKES_ROWS)

    @property
    def is_elsewhere(self) -> bool:
        """Whether it did not begin, because another process reads the source, or has just done so."""
        return isinstance(self.result.error, AtWork)


@dataclass(frozen=True, slots=True)
class Next:
    """When a source is looked at next, because something of it is due then."""

    moment: datetime
    source: str


class Teller(Protocol):
    """Who is told what happens, from one thread at a time."""

    def ran(self, run: Ran) -> None:
        """Take a run that has ended."""

    def cleaned(self, source: str, cleaned: Cleaned | Exception) -> None:
        """Take what was removed of a source, or why that could not be."""

    def troubled(self, error: Exception, until: datetime) -> None:
        """Take what keeps everything from going on, first of all a warehouse that is away, until at least a moment."""

    def recovered(self) -> None:
        """Take that all goes on again."""

    def waits(self, coming: Sequence[Next]) -> None:
        """Take what is next, the soonest first: there is nothing to do until then."""
