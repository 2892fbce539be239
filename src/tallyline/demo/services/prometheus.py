"""A simulated Prometheus: it evaluates no PromQL, and knows the queries of some packs by what stands in them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

from tallyline.api import Answer, Api, Request
from tallyline.demo.services.company import HOUR, Company, chance, no_answer, simulated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

__all__ = ["prometheus_of"]

_MIB = 1024 * 1024
_RANGE = re.compile(r"\[(\d+)s")
_HOURS = """
    WITH called AS (
        SELECT strftime('%s', created_at) / 3600 * 3600 AS hour, count(*) AS calls,
            sum(name = 'screenshot.cached') AS cached, sum(name = 'screenshot.failed') AS failed,
            sum(name IN ('screenshot.taken', 'screenshot.failed')) AS worked
        FROM events WHERE created_at >= datetime(:since, 'unixepoch') GROUP BY 1
    ), seen AS (
        SELECT strftime('%s', hour) + 0 AS hour, sum(pageviews) AS pages
        FROM visits WHERE hour >= datetime(:since, 'unixepoch') GROUP BY 1
    ), queued AS (
        SELECT strftime('%s', recorded_at) + 0 AS hour, count(*) AS workers,
            sum(json_extract(attributes, '$.queue')) AS waiting
        FROM worker_states WHERE recorded_at >= datetime(:since, 'unixepoch') GROUP BY 1
    )
    SELECT queued.hour, coalesce(calls, 0), coalesce(cached, 0), coalesce(failed, 0), coalesce(worked, 0),
        coalesce(pages, 0), workers, waiting
    FROM queued LEFT JOIN called USING (hour) LEFT JOIN seen USING (hour)
"""


def prometheus_of(product: Path) -> Api:
    """Return a Prometheus that scraped the machines of the simulated company whose product database that is.

    It knows the packs rabbitmq, redis and nginx.
    """
    return simulated("prometheus", "http://prometheus.example:9090", _Prometheus(Company(product)).answer)


class _Hour(NamedTuple):
    """What happened in an hour, by the product database."""

    begins: int
    calls: int
    cached: int
    failed: int
    worked: int
    pages: int
    workers: int
    waiting: int

    @property
    def requests(self) -> int:
        return self.calls + 12 * self.pages

    def wave(self, subject: str) -> float:
        """Return a number about 1 that is another one every hour."""
        return 0.92 + 0.16 * chance(subject, self.begins)


class _Series(NamedTuple):
    """A series: whose it is, and what it is about in an hour, or what an hour adds to it where it only grows."""

    instance: str
    of: Callable[[_Hour], float]


_RABBITMQ, _REDIS, _NGINX = "rabbitmq-1:15692", "redis-1:9121", "edge-1:9113"
_SERIES = {
    "up": _Series(_RABBITMQ, lambda _: 1),
    "rabbitmq_queue_messages_ready": _Series(_RABBITMQ, lambda hour: hour.waiting),
    "rabbitmq_queue_messages_unacked": _Series(_RABBITMQ, lambda hour: 0.4 * hour.workers + hour.worked / 60),
    "rabbitmq_queues": _Series(_RABBITMQ, lambda _: 4),
    "rabbitmq_consumers": _Series(_RABBITMQ, lambda hour: hour.workers),
    "rabbitmq_connections": _Series(_RABBITMQ, lambda hour: hour.workers + 3),
    "rabbitmq_global_messages_received_total": _Series(_RABBITMQ, lambda hour: hour.worked),
    "rabbitmq_global_messages_delivered_total": _Series(_RABBITMQ, lambda hour: hour.worked + hour.failed),
    "rabbitmq_global_messages_redelivered_total": _Series(_RABBITMQ, lambda hour: hour.failed),
    "rabbitmq_global_messages_unroutable_dropped_total": _Series(_RABBITMQ, lambda _: 0),
    "rabbitmq_process_resident_memory_bytes": _Series(
        _RABBITMQ, lambda hour: (190 + hour.waiting / 4) * _MIB * hour.wave("rabbitmq")
    ),
    "rabbitmq_resident_memory_limit_bytes": _Series(_RABBITMQ, lambda _: 1600 * _MIB),
    "redis_memory_used_bytes": _Series(
        _REDIS, lambda hour: (300 + hour.calls) * _MIB * hour.wave("redis")
    ),
    "redis_connected_clients": _Series(_REDIS, lambda hour: 2 * hour.workers + 5 * hour.wave("clients")),
    "redis_db_keys": _Series(_REDIS, lambda hour: round((9000 + 40 * hour.calls) * hour.wave("keys"))),
    "redis_expired_keys_total": _Series(_REDIS, lambda hour: round(0.8 * hour.worked)),
    "redis_evicted_keys_total": _Series(_REDIS, lambda _: 0),
    "redis_commands_processed_total": _Series(_REDIS, lambda hour: 14 * hour.calls + 3 * hour.pages),
    "redis_keyspace_hits_total": _Series(_REDIS, lambda hour: hour.cached),
    "redis_keyspace_misses_total": _Series(_REDIS, lambda hour: hour.worked),
    "nginx_http_requests_total": _Series(_NGINX, lambda hour: hour.requests),
    "nginx_connections_accepted": _Series(_NGINX, lambda hour: hour.calls + 2 * hour.pages),
    "nginx_connections_handled": _Series(_NGINX, lambda hour: hour.calls + 2 * hour.pages),
    "nginx_connections_active": _Series(_NGINX, lambda hour: 3 + hour.requests / 40 * hour.wave("nginx")),
}  # fmt: skip


@dataclass(slots=True)
class _Prometheus:
    """Answers for the hours that there are rows of in the product database; it looks at whole hours only."""

    company: Company
    hours: dict[int, _Hour] = field(default_factory=dict)
    since: int | None = None

    def answer(self, asked: Request) -> Answer:
        """Return the values of a query at the moments that are asked for."""
        match asked.path:
            case "/api/v1/query_range":
                start, end, step = (int(float(asked.params[key])) for key in ("start", "end", "step"))
                return _told("matrix", self._result(asked.params["query"], range(start, end + 1, step)))
            case "/api/v1/query":
                last = self.company.ask("SELECT strftime('%s', max(recorded_at)) + 0 + 3600 FROM worker_states")[0][0]
                found = self._result(asked.params["query"], range(last, last + 1))
                return _told("vector", [{**each, "value": each["values"][-1]} for each in found])
            case "/api/v1/status/buildinfo":
                return Answer({"status": "success", "data": {"version": "3.5.0 (simulated)"}}, {})
        raise no_answer("Prometheus", asked.path, ["/api/v1/query_range", "/api/v1/query", "/api/v1/status/buildinfo"])

    def _result(self, query: str, moments: range) -> list[dict[str, Any]]:
        name = max((name for name in _SERIES if re.search(rf"\b{name}\b", query)), key=len, default="")
        if not name:
            return []
        found = _RANGE.search(query)
        length = int(found[1]) if found else 1
        self._look_up(moments.start - length)
        values = [
            [moment, f"{_value(_SERIES[name], query, hours):.12g}"]
            for moment in moments
            if (hours := self._within(moment - length, moment))
        ]
        return [{"metric": {"instance": _SERIES[name].instance}, "values": values}] if values else []

    def _within(self, since: int, until: int) -> list[_Hour]:
        begins = range(since - since % HOUR, until, HOUR)
        return [self.hours[hour] for hour in begins if hour in self.hours]

    def _look_up(self, since: int) -> None:
        since -= since % HOUR
        if self.since is None or since < self.since:
            self.hours = {row[0]: _Hour(*row) for row in self.company.ask(_HOURS, since=since)}
            self.since = since


def _value(series: _Series, query: str, hours: Sequence[_Hour]) -> float:
    told = [series.of(hour) for hour in hours]
    if "increase(" in query:
        return sum(told)
    if "max_over_time" in query:
        return max(told) * 1.4
    return fmean(told) if "avg_over_time" in query else told[-1]


def _told(kind: str, result: list[dict[str, Any]]) -> Answer:
    return Answer({"status": "success", "data": {"resultType": kind, "result": result}}, {})
