"""How long numbers are kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta  # noqa: TC003  # the example makes some

from tallyline.errors import Refused

__all__ = ["Retention"]


@dataclass(frozen=True, slots=True)
class Retention:
    """How long values by the hour and by the day, restated values and runs are kept; None keeps them for good.

    >>> Retention(hours=timedelta(days=90), days=timedelta(days=30))
    Traceback (most recent call last):
    tallyline.errors.Refused: days would be kept for less time (30 days) than their hours (90 days)
    """

    hours: timedelta | None = None
    days: timedelta | None = None
    restatements: timedelta | None = None
    runs: timedelta | None = None

    def __post_init__(self) -> None:
        """Refuse to keep days for less time than hours."""
        if self.hours and self.days and self.days < self.hours:
            msg = f"days would be kept for less time ({self.days.days} days) than their hours ({self.hours.days} days)"
            raise Refused(msg)

    @property
    def keeps_all(self) -> bool:
        """Whether nothing is ever removed."""
        return not any(asdict(self).values())
