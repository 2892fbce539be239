"""What the SQL in Grafana says in the words of either database: macros, moments and lengths of time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallyline.dashboards.grafana.clock import ahead_at_first, changes_of
from tallyline.warehouse.wording import from_, select
from tallyline.window import Grain

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

__all__ = ["WORDS", "PostgreSQL", "SQLite"]


class SQLite:
    """What is said to the plugin for SQLite, whose moments and lengths of time are seconds."""

    since = "$__from / 1000"
    until = "$__to / 1000"
    now = "CAST(strftime('%s', 'now') AS integer)"
    in_order = ""

    def moment(self, seconds: str) -> str:
        """Return seconds since 1970 as a moment."""
        return seconds

    def length(self, seconds: str) -> str:
        """Return seconds as a length of time."""
        return seconds

    def seconds(self, length: str) -> str:
        """Return a length of time in seconds, as a number that may have decimals."""
        return f"CAST({length} AS double precision)"

    def milliseconds(self, moment: str) -> str:
        """Return a moment in milliseconds since 1970."""
        return f"CAST({moment} * 1000 AS integer)"

    def begun(self, moments: str, by: Grain, zone: ZoneInfo) -> dict[str, str]:
        """Return what tells, as `_begun`, the `bucket` of the business time zone that each `moment` lies in."""
        first = ahead_at_first(zone)
        ahead = select(["*", f"{_AHEAD.format('moment', first)} AS ahead"], *from_(moments, "told"))
        begin = f"midnight - {_AHEAD.format('midnight - ahead', first)}"
        if by is Grain.HOUR:
            begin = "CAST(moment AS integer) - CAST(moment + ahead AS integer) % 3600"
        return {
            "_change": select(["column1 AS begins", "column2 AS shift"], *from_(changes_of(zone), "listed")),
            "_local": select(["*", f"{_MIDNIGHTS[by]} AS midnight"], *from_(ahead, "told")),
            "_begun": select(["*", f"{begin} AS bucket"], "FROM _local"),
        }

    def noon_before(self, noon: str, months: int, ahead: int) -> str:
        """Return the noon of the day so many months before another, where the clock is so many seconds ahead of UTC.

        From the 31st it goes to the last day of a shorter month.
        """
        day = f"date({noon} + {ahead}, 'unixepoch')"
        first = f"{day}, 'start of month', '-{months} months'"
        same_day = f"date({first}, '+' || (strftime('%d', {day}) - 1) || ' days')"
        last_day = f"date({first}, '+1 month', '-1 day')"
        return f"CAST(strftime('%s', min({same_day}, {last_day}) || ' 12:00') AS integer) - {ahead}"


_AHEAD = "({1} + coalesce((SELECT sum(shift) FROM _change WHERE begins <= {0}), 0))"
_DAY = "moment + ahead, 'unixepoch'"
_THIRD_OF_QUARTER = f"(strftime('%m', {_DAY}) - 1) % 3"
_MIDNIGHTS = {
    grain: f"CAST(strftime('%s', date({_DAY}{first})) AS integer)"
    for grain, first in {
        Grain.HOUR: "",
        Grain.DAY: "",
        Grain.WEEK: ", '-6 days', 'weekday 1'",
        Grain.MONTH: ", 'start of month'",
        Grain.QUARTER: f", 'start of month', '-' || ({_THIRD_OF_QUARTER}) || ' months'",
        Grain.YEAR: ", 'start of year'",
    }.items()
}


class PostgreSQL(SQLite):
    """What is said to Grafana's own data source for PostgreSQL."""

    since = "CAST($__timeFrom() AS timestamptz)"
    until = "CAST($__timeTo() AS timestamptz)"
    now = "now()"
    in_order = ' COLLATE "C"'

    def moment(self, seconds: str) -> str:
        """Return seconds since 1970 as a moment."""
        return f"to_timestamp({seconds})"

    def length(self, seconds: str) -> str:
        """Return seconds as a length of time."""
        return f"{seconds} * interval '1 second'"

    def seconds(self, length: str) -> str:
        """Return a length of time in seconds, as a number that may have decimals."""
        return f"CAST(extract(epoch FROM {length}) AS double precision)"

    def milliseconds(self, moment: str) -> str:
        """Return a moment in milliseconds since 1970."""
        return f"CAST(extract(epoch FROM {moment}) * 1000 AS bigint)"

    def begun(self, moments: str, by: Grain, zone: ZoneInfo) -> dict[str, str]:
        """Return what tells, as `_begun`, the `bucket` of the business time zone that each `moment` lies in."""
        bucket = f"date_trunc('{by}', moment, '{zone.key}') AS bucket"
        return {"_begun": select(["*", bucket], *from_(moments, "told"))}

    def noon_before(self, noon: str, months: int, ahead: int) -> str:
        """Return the noon of the day so many months before another, where the clock is so many seconds ahead of UTC."""
        local = f"({noon} + {self.length(str(ahead))}) AT TIME ZONE 'UTC' - interval '{months} months'"
        return f"({local}) AT TIME ZONE 'UTC' - {self.length(str(ahead))}"


WORDS = {"sqlite": SQLite(), "postgresql": PostgreSQL()}
