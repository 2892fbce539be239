"""What a query answers: plain values, or the same as columns for pandas, Polars and Arrow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from tallyline.errors import Refused

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["Answer", "Value"]


class Value(NamedTuple):
    """A value of a bucket that began at `time` (UTC). `part` is the split dim's value, None where it has none.

    `complete` is False while the bucket was not read to its end. `before` is the value that it is compared with.
    """

    time: datetime
    value: float
    part: str | None
    complete: bool
    before: float | None = None


class Answer(list[Value]):
    """The values that a query found, in the order of time and part.

    >>> from datetime import UTC, datetime
    >>> answer = Answer([Value(datetime(2026, 7, 14, tzinfo=UTC), 3.0, "FR", True)])
    >>> answer.columns()["value"]
    [3.0]
    """

    def columns(self) -> dict[str, list[Any]]:
        """Return the values as columns: time, value, part, complete and before."""
        columns = zip(*self, strict=True) if self else [()] * len(Value._fields)
        return {name: list(column) for name, column in zip(Value._fields, columns, strict=True)}

    def to_frame(self, backend: Literal["pandas", "polars", "pyarrow"]) -> Any:  # noqa: ANN401  # a frame of the backend
        """Return the values as a frame of "pandas", "polars" or "pyarrow", whichever is installed."""
        try:
            import narwhals  # noqa: PLC0415  # an extra

            return narwhals.from_dict(self.columns(), backend=backend).to_native()
        except ModuleNotFoundError as missing:
            msg = f'{missing.name} is not installed; pip install "tallyline[frames]" {backend}'
            raise Refused(msg) from None
