"""`tallyline show`."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from functools import partial
from typing import TYPE_CHECKING

import click

from tallyline.cli.chart import chart
from tallyline.cli.options import example, opened, pairs, project_option
from tallyline.plan import named
from tallyline.project import load_project
from tallyline.window import Grain, Window, parse_last, parse_moment, utc_now

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path
    from zoneinfo import ZoneInfo

    from tallyline.project import Project
    from tallyline.warehouse import Value, Warehouse

__all__ = ["command"]

_COLUMNS = ("time", "value", "part", "complete", "before")


@click.command(
    "show",
    epilog=example("tallyline show users.new --by week --last 12w\ntallyline show revenue --by month --json"),
)
@click.argument("metric")
@click.option(
    "--by",
    type=click.Choice([str(grain) for grain in Grain]),
    default="day",
    show_default=True,
    help="The length of a bucket.",
)
@click.option("--since", metavar="TIME", help="From this date or time on.")
@click.option("--until", metavar="TIME", help="Up to, and without, this date or time.")
@click.option("--last", metavar="LENGTH", help="The last 24h, 30d, 12w, 6m, 4q or 2y, the running bucket included.")
@click.option("--split", metavar="DIM", help="Tell the values of a dim apart.")
@click.option("--where", metavar="DIM=VALUE", multiple=True, help="Keep only this value of a dim.")
@click.option(
    "--compare",
    type=click.Choice([str(grain) for grain in Grain]),
    help="Tell with each value the one a day, week, month … before, as JSON or CSV.",
)
@click.option("--as-of", metavar="TIME", help="Show what was known then.")
@click.option("--json", "as_json", is_flag=True, help="Print the values as JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the values as CSV.")
@click.option("--sql", "as_sql", is_flag=True, help="Print the query over the warehouse's views, for Grafana.")
@project_option
def command(
    metric: str,
    *,
    by: str,
    since: str | None,
    until: str | None,
    last: str | None,
    split: str | None,
    where: tuple[str, ...],
    compare: str | None,
    as_of: str | None,
    as_json: bool,
    as_csv: bool,
    as_sql: bool,
    folder: Path,
) -> None:
    """Show METRIC from the warehouse: all that is known, or a window of time.

    Times are the beginnings of buckets, in the business time zone. A bucket that was not read to its end is
    marked as incomplete; one for which nothing is known is missing, never zero.
    """
    if last and (since or until):
        raise click.UsageError("--last says when the window begins and ends; leave out --since and --until")
    if as_json + as_csv + as_sql > 1:
        raise click.UsageError("only one of --json, --csv and --sql can be had at once")
    if as_sql and (compare or as_of):
        raise click.UsageError("--sql tells values as they are now, and no others; leave out --compare and --as-of")
    project = load_project(folder)
    meant, zone = named(project.plan, metric), project.zone
    begin, end = _ends(since, until, last, zone)
    then = parse_moment(as_of, zone) if as_of else None
    with opened(project) as warehouse:
        if as_sql:
            click.echo(warehouse.sql(metric, by=by, since=begin, until=end, where=pairs(where), split=split))
            return
        asked = partial(warehouse.query, metric, by=by, where=pairs(where), split=split, compare=compare, as_of=then)
        values = asked(since=begin, until=end) if _is_written(metric, project, warehouse) else []
    if as_json:
        told = [_as_data(value, zone) for value in values]
        for each in told if not compare else ():
            del each["before"]
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    elif as_csv:
        columns = _COLUMNS if compare else _COLUMNS[:-1]
        writer = csv.DictWriter(sys.stdout, columns, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(_as_data(value, zone) for value in values)
    else:
        click.echo(chart(values, meant, Grain(by), zone, width=shutil.get_terminal_size().columns))


def _is_written(metric: str, project: Project, warehouse: Warehouse) -> bool:
    """Say whether the metric has values, or all that a formula is made of has."""
    if metric in project.plan and project.plan[metric].formula:
        return all(_is_written(part, project, warehouse) for part in project.plan[metric].parsed.metrics)
    written = warehouse.metrics()
    return metric in written or metric.rpartition(".")[0] in written


def _ends(
    since: str | None, until: str | None, last: str | None, zone: ZoneInfo
) -> tuple[datetime | None, datetime | None]:
    if last:
        window = parse_last(last, utc_now(), zone)
        return window.since, window.until
    begin, end = (parse_moment(text, zone) if text else None for text in (since, until))
    if begin and end:
        Window(begin, end)  # refuses an end before the beginning
    return begin, end


def _as_data(value: Value, zone: ZoneInfo) -> dict[str, object]:
    told = (value.time.astimezone(zone).isoformat(), value.value, value.part, value.complete, value.before)
    return dict(zip(_COLUMNS, told, strict=True))
