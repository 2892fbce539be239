"""The views that people and Grafana read: they stay as they are where the tables behind them change."""

from __future__ import annotations

__all__ = ["NAMES", "VIEWS"]

_GRAINS = {
    "hourly": "hour",
    "daily": "day",
    "weekly": "week",
    "monthly": "month",
    "quarterly": "quarter",
    "yearly": "year",
}
NAMES = (*_GRAINS, "restatements", "runs", "nodes", "coverage")


def _values(view: str, table: str, grain: str) -> str:
    return f"""
        CREATE VIEW {view} AS
        SELECT
            metric.name AS metric,
            {table}.bucket AS time,
            {table}.value AS value,
            series.dims AS dims,
            series.source AS source,
            incomplete.bucket IS NULL AS complete,
            {table}.sketch AS sketch
        FROM {table}
        JOIN series ON series.id = {table}.series_id
        JOIN metric ON metric.id = series.metric_id
        LEFT JOIN incomplete
            ON incomplete.source = series.source
            AND incomplete.grain = '{grain}'
            AND incomplete.bucket = {table}.bucket
    """  # noqa: S608  # names of our own


def _restated(table: str, grain: str) -> str:
    return f"""
        SELECT
            metric.name AS metric,
            '{grain}' AS grain,
            {table}.bucket AS time,
            {table}.value AS value,
            series.dims AS dims,
            {table}.run_id AS run,
            {table}.replaced_by AS replaced_by,
            run.ended_at AS replaced_at
        FROM {table}
        JOIN series ON series.id = {table}.series_id
        JOIN metric ON metric.id = series.metric_id
        JOIN run ON run.id = {table}.replaced_by
    """  # noqa: S608  # names of our own


VIEWS = (
    *(_values(view, f"{view}_value", grain) for view, grain in _GRAINS.items()),
    "CREATE VIEW restatements AS"
    + " UNION ALL ".join(_restated(f"{view}_restatement", grain) for view, grain in _GRAINS.items()),
    """
        CREATE VIEW runs AS
        SELECT
            id, source, since, until, started_at, ended_at, state, added, changed, removed, unchanged, error, version
        FROM run
    """,
    """
        CREATE VIEW nodes AS
        SELECT run_id AS run, position, name, rows_in, rows_out, skipped, errors, seconds, state
        FROM run_node
    """,
    "CREATE VIEW coverage AS SELECT source, since, until, state, run_id AS run FROM covered",
)
