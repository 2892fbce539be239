"""The tables as they are now, for SQLAlchemy Core. `migrations` makes them; a test holds the two together."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    TypeDecorator,
    cast,
    extract,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.types import JSON, TypeEngine

from tallyline.window import Grain

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement
    from sqlalchemy.engine import Dialect

__all__ = [
    "FACTS",
    "NAMES",
    "RESTATEMENTS",
    "Moment",
    "alert",
    "calendar_bucket",
    "cleaned",
    "covered",
    "daily_value",
    "definition",
    "hourly_value",
    "incomplete",
    "metadata",
    "metric",
    "metric_source",
    "run",
    "run_missing",
    "run_node",
    "seconds",
    "series",
    "setting",
]


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

metric_source = Table(
    "metric_source",
    metadata,
    Column("metric_id", _ID, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("since", Moment, primary_key=True),
    Column("run_id", Integer, nullable=False),
)


def seconds(bucket: ColumnElement[datetime], dialect: str) -> ColumnElement[int]:
    """Return a bucket as seconds since 1970: an object for each value would cost more."""
    return cast(extract("epoch", bucket), BigInteger) if dialect == "postgresql" else type_coerce(bucket, Integer)


def _facts(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("bucket", Moment),
        Column("value", Double, nullable=False),
        Column("series_id", Integer),
        Column("run_id", Integer, nullable=False),
        Column("sketch", _JSON),
        PrimaryKeyConstraint("series_id", "bucket"),
    )


def _restatements(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("bucket", Moment),
        Column("value", Double, nullable=False),
        Column("series_id", Integer),
        Column("run_id", Integer, nullable=False),
        Column("sketch", _JSON),
        Column("replaced_by", Integer),
        PrimaryKeyConstraint("series_id", "bucket", "replaced_by"),  # on PostgreSQL replaced_by is the first
    )


NAMES = {
    Grain.HOUR: "hourly",
    Grain.DAY: "daily",
    Grain.WEEK: "weekly",
    Grain.MONTH: "monthly",
    Grain.QUARTER: "quarterly",
    Grain.YEAR: "yearly",
}
FACTS = {grain: _facts(f"{name}_value") for grain, name in NAMES.items()}
RESTATEMENTS = {grain: _restatements(f"{name}_restatement") for grain, name in NAMES.items()}

hourly_value, daily_value = FACTS[Grain.HOUR], FACTS[Grain.DAY]

covered = Table(
    "covered",
    metadata,
    Column("source", Text, primary_key=True),
    Column("since", Moment, primary_key=True),
    Column("until", Moment, nullable=False),
    Column("state", Text, nullable=False),
    Column("run_id", Integer, nullable=False),
)

incomplete = Table(
    "incomplete",
    metadata,
    Column("source", Text, primary_key=True),
    Column("grain", Text, primary_key=True),
    Column("bucket", Moment, primary_key=True),
)

cleaned = Table(
    "cleaned",
    metadata,
    Column("source", Text, primary_key=True),
    Column("grain", Text, primary_key=True),
    Column("until", Moment, nullable=False),
)

calendar_bucket = Table(
    "calendar_bucket",
    metadata,
    Column("grain", Text, primary_key=True),
    Column("bucket", Moment, primary_key=True),
    Column("until", Moment, nullable=False),
    *(Column(str(grain), Moment) for grain in Grain if grain is not Grain.HOUR),
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
    Column("holder", Text, nullable=False),
    Column("definition", Text, nullable=False),
    Column("lateness", BigInteger),
    Column("covers_since", Moment),
)

run_missing = Table(
    "run_missing",
    metadata,
    Column("run_id", Integer, primary_key=True),
    Column("since", Moment, primary_key=True),
    Column("until", Moment, nullable=False),
)

run_node = Table(
    "run_node",
    metadata,
    Column("run_id", Integer, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("rows_in", BigInteger, nullable=False),
    Column("rows_out", BigInteger, nullable=False),
    Column("skipped", BigInteger, nullable=False),
    Column("errors", BigInteger, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("state", Text, nullable=False),
)

definition = Table(
    "definition",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("text", Text, nullable=False),
)

alert = Table(
    "alert",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("name", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("opened_at", Moment, nullable=False),
    Column("closed_at", Moment),
)
