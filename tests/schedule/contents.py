"""All that a warehouse holds but its ledger, with names in place of numbers: two that hold the same are equal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, select

from tallyline.warehouse import schema

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

LEDGER = {"alert", "definition", "run", "run_missing", "run_node"}
NUMBERS = {"id", "run_id", "replaced_by"}


def contents(url: str) -> dict[str, list[str]]:
    """Return the rows of each table as text, in a fixed order."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    try:
        with engine.connect() as connection:
            names = _names(connection)
            tables = [table for name, table in schema.metadata.tables.items() if name not in LEDGER]
            return {table.name: sorted(_told(row, names) for row in _rows(connection, table)) for table in tables}
    finally:
        engine.dispose()


def _rows(connection: Connection, table: Any) -> list[dict[str, Any]]:  # noqa: ANN401  # a table
    return [dict(row) for row in connection.execute(select(table)).mappings()]


def _names(connection: Connection) -> dict[str, dict[int, str]]:
    metrics = {row["id"]: row["name"] for row in _rows(connection, schema.metric)}
    series = {
        row["id"]: f"{metrics[row['metric_id']]} {json.dumps(row['dims'], sort_keys=True)} {row['source']}"
        for row in _rows(connection, schema.series)
    }
    return {"metric_id": metrics, "series_id": series}


def _told(row: dict[str, Any], names: dict[str, dict[int, str]]) -> str:
    told = {key: names[key][value] if key in names else value for key, value in row.items() if key not in NUMBERS}
    return json.dumps(told, default=repr, sort_keys=True)
