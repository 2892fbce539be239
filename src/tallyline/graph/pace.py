"""How many rows are worked on before they are handed on: many while work is quick, one by one while it waits."""

from __future__ import annotations

__all__ = ["BATCH", "Pace"]

BATCH = 128
LONG_PART = 0.02


class Pace:
    """The size of the next part, learnt from how long the parts before it took.

    It doubles as long as parts take little time. After a part that took long it is one row, for as long a time again:
    so of a burst between two long waits, every row is handed on at once. Moments are those of `time.perf_counter`.

    >>> pace = Pace()
    >>> for seconds, now in (0.001, 1.0), (0.001, 1.1), (5.0, 6.0), (0.001, 10.0):
    ...     pace.took(pace.rows, seconds, now)
    >>> pace.rows, pace.is_slow
    (1, True)
    >>> pace.took(1, 0.001, now=11.0)
    >>> pace.rows, pace.is_slow
    (2, False)
    """

    __slots__ = ("_slow_until", "is_slow", "rows")

    def __init__(self) -> None:
        self.rows = 1
        self.is_slow = False
        self._slow_until = 0.0

    def took(self, rows: int, seconds: float, now: float) -> None:
        """Learn that so many rows took so many seconds, until now."""
        if seconds > LONG_PART:
            self.rows, self.is_slow, self._slow_until = 1, True, now + seconds
        elif self.is_slow and now < self._slow_until:
            return
        else:
            self.is_slow = False
            if rows == self.rows:
                self.rows = min(self.rows * 2, BATCH)
