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
NAMES = (*_GRAINS, "known", "calendar", "metric_series", "restatements", "runs", "nodes", "coverage")


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


def _of_the_same(name: str) -> str:
    return f"{name}.metric = told.metric AND {name}.grain = told.grain"


def _one_has_not_read(moment: str, since: str, until: str) -> str:
    """Say whether a source that tells of the metric has not read a moment, or what it read was cleaned away.

    With `<=` and `>` that is the moment and what follows it, with `<` and `>=` what comes before it.
    """
    return f"""
        EXISTS (
            SELECT 1
            FROM teller AS other
            WHERE {_of_the_same("other")} AND NOT EXISTS (
                SELECT 1
                FROM covered
                WHERE covered.source = other.source
                    AND covered.state IN ('final', 'provisional')
                    AND covered.since {since} {moment}
                    AND covered.until {until} {moment}
                    AND (other.cleaned IS NULL OR other.cleaned {since} {moment})
            )
        )
    """  # noqa: S608  # names of our own


# What is known of each metric. There are no groups and no window functions: through those SQLite passes no condition,
# so that it would work this out for all metrics to tell of one.
_KNOWN = (
    f"""
        CREATE VIEW teller AS
        SELECT
            metric.name AS metric,
            grains.grain AS grain,
            metric_source.source AS source,
            metric_source.since AS since,
            cleaned.until AS cleaned
        FROM metric
        CROSS JOIN ({" UNION ALL ".join(f"SELECT '{grain}' AS grain" for grain in _GRAINS.values())}) AS grains
        JOIN metric_source ON metric_source.metric_id = metric.id
        LEFT JOIN cleaned
            ON cleaned.source = metric_source.source
            AND cleaned.grain = CASE
                WHEN metric.kind = 'distinct' OR grains.grain = 'hour' THEN grains.grain
                ELSE 'day'
            END
        WHERE NOT EXISTS (
            SELECT 1
            FROM metric_source AS earlier
            WHERE earlier.metric_id = metric_source.metric_id
                AND earlier.source = metric_source.source
                AND earlier.since < metric_source.since
        )
    """,  # noqa: S608  # names of our own
    """
        CREATE VIEW kept_window AS
        SELECT
            teller.metric AS metric,
            teller.grain AS grain,
            CASE WHEN teller.cleaned > covered.since THEN teller.cleaned ELSE covered.since END AS since,
            covered.until AS until
        FROM teller
        JOIN covered ON covered.source = teller.source AND covered.state IN ('final', 'provisional')
        WHERE teller.cleaned IS NULL OR teller.cleaned < covered.until
    """,
    f"""
        CREATE VIEW known_window AS
        SELECT DISTINCT
            told.metric AS metric,
            told.grain AS grain,
            told.since AS since,
            (
                SELECT min(ends.until)
                FROM kept_window AS ends
                WHERE {_of_the_same("ends")}
                    AND ends.until > told.since
                    AND {_one_has_not_read("ends.until", "<=", ">")}
            ) AS until,
            (
                SELECT max(former.until)
                FROM kept_window AS former
                WHERE {_of_the_same("former")}
                    AND former.until <= told.since
                    AND NOT {_one_has_not_read("former.until", "<", ">=")}
            ) AS former_until,
            (SELECT max(latest.since) FROM teller AS latest WHERE {_of_the_same("latest")}) AS told_since
        FROM kept_window AS told
        WHERE {_one_has_not_read("told.since", "<", ">=")}
            AND NOT {_one_has_not_read("told.since", "<=", ">")}
    """,  # noqa: S608  # names of our own
    """
        CREATE VIEW known AS
        SELECT
            known_window.metric AS metric,
            known_window.grain AS grain,
            calendar_bucket.bucket AS time,
            calendar_bucket.bucket >= known_window.since AND calendar_bucket.until <= known_window.until AS complete
        FROM known_window
        JOIN calendar_bucket
            ON calendar_bucket.grain = known_window.grain
            AND calendar_bucket.bucket < known_window.until
            AND calendar_bucket.until > known_window.since
            AND calendar_bucket.until > known_window.told_since
        WHERE known_window.former_until IS NULL OR calendar_bucket.bucket >= known_window.former_until
    """,
)

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
    """
        CREATE VIEW metric_series AS
        SELECT metric.name AS metric, series.dims AS dims, series.source AS source
        FROM series
        JOIN metric ON metric.id = series.metric_id
    """,
    """
        CREATE VIEW calendar AS
        SELECT grain, bucket AS time, until, {seconds} AS seconds, day, week, month, quarter, year
        FROM calendar_bucket
    """,
    *_KNOWN,
)
