"""How many rows are worked on before they are handed on: many while work is quick, one by one while it waits."""

from __future__ import annotations

__all__ = ["BATCH", "Pace"]

BATCH = 128
LONG_PART = 0.02


class Pace:
    """The size of the next part, learnt from how long the parts before it took.

    It doubles as long as parts take little time. After a part that took long it is one row, until the work has been
    quick for as long as it was slow: so of a burst between two long waits, every row is handed on at once.

    >>> pace = Pace()
    >>> for seconds in (0.001, 0.001, 5.0, 0.001):
    ...     pace.took(pace.rows, seconds)
    >>> pace.rows, pace.is_slow
    (1, True)
    """

    __slots__ = ("_slow", "rows")

    def __init__(self) -> None:
        self.rows = 1
        self._slow = 0.0

    @property
    def is_slow(self) -> bool:
        """Whether the work was slow, and has not been quick for as long since."""
        return self._slow > 0

    def took(self, rows: int, seconds: float) -> None:
        """Learn that so many rows took so many seconds."""
        if seconds > LONG_PART:
            self.rows, self._slow = 1, seconds
        elif self.is_slow:
            self._slow -= seconds
        elif rows == self.rows:
            self.rows = min(self.rows * 2, BATCH)
