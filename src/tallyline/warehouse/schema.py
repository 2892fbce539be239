"""The tables as they are now, for SQLAlchemy Core. `migrations` makes them; a test holds the two together."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Column, Double, Integer, MetaData, Table, Text, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.types import JSON, TypeEngine

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

__all__ = ["daily_value", "hourly_value", "metric", "run", "series", "setting"]


class Moment(TypeDecorator[datetime]):
    """An aware datetime: `timestamptz` on PostgreSQL, seconds since 1970 in UTC on SQLite, whole ones for buckets."""

    impl = BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the column's type."""
        chosen: TypeEngine[Any] = TIMESTAMP(timezone=True) if dialect.name == "postgresql" else Integer()
        return dialect.type_descriptor(chosen)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> object:
        """Turn a moment into what is stored."""
        if value is None or dialect.name == "postgresql":
            return value
        seconds = value.timestamp()
        return int(seconds) if seconds.is_integer() else seconds

    def process_result_value(self, value: object, dialect: Dialect) -> datetime | None:
        """Turn what is stored into an aware datetime in UTC."""
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        assert value is None or isinstance(value, datetime), dialect.name  # noqa: S101
        return value.astimezone(UTC) if value else None


_JSON = JSON().with_variant(JSONB(), "postgresql")
_ID = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData()

setting = Table(
    "setting",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

metric = Table(
    "metric",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("title", Text, nullable=False),
)

series = Table(
    "series",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("metric_id", _ID, nullable=False),
    Column("digest", Text, nullable=False),
    Column("dims", _JSON, nullable=False),
    Column("source", Text, nullable=False),
)

hourly_value = Table(
    "hourly_value",
    metadata,
    Column("series_id", _ID, primary_key=True),
    Column("bucket", Moment, primary_key=True),
    Column("value", Double, nullable=False),
)

daily_value = Table(
    "daily_value",
    metadata,
    Column("series_id", _ID, primary_key=True),
    Column("bucket", Moment, primary_key=True),
    Column("value", Double, nullable=False),
)

run = Table(
    "run",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("source", Text, nullable=False),
    Column("since", Moment, nullable=False),
    Column("until", Moment, nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("ended_at", Moment),
    Column("state", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("process", Integer, nullable=False),
    Column("version", Text, nullable=False),
    Column("added", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
    Column("removed", BigInteger, nullable=False),
    Column("unchanged", BigInteger, nullable=False),
    Column("error", Text, nullable=False),
    Column("report", _JSON, nullable=False),
)
