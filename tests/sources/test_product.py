"""The talk's product, for real: what its servers say of themselves is what the warehouse knows after `read all`."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import httpx2
import pytest
from sqlalchemy import NullPool, create_engine

from tallyline.plan import Kind
from tallyline.warehouse import open_warehouse
from tests.cli.terminal import make_project, tallyline
from tests.postgres import new_database
from tests.sources.servers import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

    from tests.sources.servers import Servers

    Figures = dict[str, object]

PROJECT = """\
[project]
warehouse = "${WAREHOUSE_URL}"
timezone = "ZONE"

[services]
product = "${PRODUCT_URL}"
prometheus = "${PROMETHEUS_URL}"

[sources.objects]
kind = "sql"
service = "product"

[sources.objects.counts]
users = { metric = "users.total", time = "created_at" }
profiles = { metric = "profiles.total", time = "created_at" }
api_keys = { metric = "apikeys.total", time = "created_at" }

[sources.events]
kind = "sql"
service = "product"
query = '''
    SELECT date_trunc('hour', created_at) AS time, name AS event, count(*) AS "events.count"
    FROM events WHERE created_at >= :since AND created_at < :until GROUP BY 1, 2
'''

[sources.timings]
kind = "sql"
service = "product"
query = '''
    SELECT date_trunc('hour', created_at) AS time, name AS event, array_agg(duration_ms) AS "events.duration"
    FROM events WHERE created_at >= :since AND created_at < :until GROUP BY 1, 2
'''

[sources.servers]
kind = "prometheus"
service = "prometheus"
packs = ["redis", "postgres", "nginx", "node", "prometheus"]

[sources.queues]
kind = "prometheus"
service = "prometheus"
pack = "rabbitmq"
match = 'job="rabbitmq"'

[sources.queues.queries]
"queue.messages" = 'sum by (queue) (rabbitmq_queue_messages_ready{job="queues"})'
"targets.up" = "sum by (job) (up)"

[metrics]
"events.count" = { title = "Events", unit = "events" }
"events.duration" = { title = "Time that an event took", unit = "ms", kind = "duration" }
"workers.total" = { title = "Workers", unit = "workers", kind = "level" }
"workers.active" = { title = "Workers at work", unit = "workers", kind = "level" }
"workers.idle" = { title = "Workers that wait", unit = "workers", kind = "level" }
"queue.messages" = { title = "Messages waiting", unit = "messages", kind = "level" }
"targets.up" = { title = "Targets that answered", unit = "targets", kind = "level" }
"""
CODE = """
from sqlalchemy import text

from tallyline import source

STATES = ("total", "active", "idle")


@source(snapshot=True)
def workers(product, now):
    with product.connect() as connection:
        for name, attributes in connection.execute(text("SELECT name, attributes FROM workers")):
            yield {"time": now, "worker": name}, {f"workers.{state}": attributes[state] for state in STATES}
"""
TABLES = """\
CREATE TABLE users (created_at TIMESTAMPTZ NOT NULL);
CREATE TABLE profiles (created_at TIMESTAMPTZ NOT NULL);
CREATE TABLE api_keys (created_at TIMESTAMPTZ NOT NULL);
CREATE TABLE events (created_at TIMESTAMPTZ NOT NULL, name TEXT NOT NULL, duration_ms INTEGER NOT NULL);
CREATE TABLE workers (name TEXT PRIMARY KEY, attributes JSONB NOT NULL);
INSERT INTO users SELECT now() - i * interval '7 min' FROM generate_series(1, 500) i;
INSERT INTO profiles SELECT now() - i * interval '11 min' FROM generate_series(1, 300) i;
INSERT INTO api_keys SELECT now() - i * interval '5 h' FROM generate_series(1, 40) i;
INSERT INTO events
    SELECT now() - i * interval '3 s', (ARRAY['taken', 'cached', 'failed'])[1 + mod(i, 3)], 20 + mod(i * i, 7919)
    FROM generate_series(1, 9000) i;
INSERT INTO workers VALUES
    ('spider', '{"total": 8, "active": 5, "idle": 3, "version": "4.2"}'),
    ('mailer', '{"total": 3, "active": 1, "idle": 2, "version": "4.1"}');
"""
P95 = """\
SELECT date_trunc('hour', created_at), name, percentile_disc(0.95) WITHIN GROUP (ORDER BY duration_ms)
FROM events GROUP BY 1, 2
"""
MADE = "SELECT (SELECT count(*) FROM {table} WHERE created_at < until) FROM unnest(%(ends)s::timestamptz[]) until"
PUBLISHED, TAKEN = {"pages": 60, "mails": 25}, {"pages": 20, "mails": 5}
CONNECTIONS, REQUESTS = 20, 30
KEYS, MISSED, EXPIRED = 200, 50, 40
TRANSACTIONS = 300
SCRAPES = 15
ESTIMATED = 0.15
"""`increase` goes on to the ends of the bucket: by up to 1.6 of the seconds between scrapes, where they are fifteen."""
HOUR = timedelta(hours=1)
OF_THE_DATABASE = ("objects", "events", "timings", "workers")
NOTHING = {"added": 0, "changed": 0, "removed": 0, "unchanged": 0}


@dataclass(frozen=True)
class Product:
    """A product at work: its servers, its database, and the project that measures it."""

    servers: Servers
    http: httpx2.Client
    database: Engine
    project: Path
    warehouse: str
    zone: ZoneInfo

    def read(self) -> dict[str, dict[str, int]]:
        """Read all and write it, as users do; return what each source changed."""
        answer = tallyline("read", "all", "--write", "--json", project=self.project)
        assert (answer.status, answer.err) == (0, "")
        return {result["source"]: result["changes"] for result in answer.data}

    def asked(self, query: str, **parameters: object) -> list[Any]:
        """Ask the product's database."""
        with self.database.connect() as connection:
            return list(connection.exec_driver_sql(query, parameters).all())

    def told(self, metric: str, **where: str) -> float | None:
        """Return what the warehouse knows of a metric: the total of counts, of others the newest value."""
        with open_warehouse(self.warehouse, self.zone) as warehouse:
            values = [value.value for value in warehouse.query(metric, by="hour", where=where)]
            kind = warehouse.metrics()[metric].kind
        return sum(values) if kind is Kind.COUNT else values[-1] if values else None

    def parts(self, metric: str, split: str | None = None) -> dict[tuple[datetime, str | None], float]:
        """Return what the warehouse knows of a metric, by the hour and a dim."""
        with open_warehouse(self.warehouse, self.zone) as warehouse:
            return {(value.time, value.part): value.value for value in warehouse.query(metric, by="hour", split=split)}

    def prometheus(self, path: str, query: str = "") -> Any:  # noqa: ANN401  # JSON may be anything
        """Ask Prometheus."""
        url = f"{self.servers.prometheus}/api/v1/{path}"
        return self.http.get(url, params={"query": query}).raise_for_status().json()["data"]

    def rabbitmq(self, method: str, path: str, **told: object) -> Any:  # noqa: ANN401  # JSON may be anything
        """Ask RabbitMQ's management."""
        url = f"http://{self.servers.rabbitmq}/api/{path}"
        answer = self.http.request(method, url, auth=("guest", "guest"), json=told or None).raise_for_status()
        return answer.json() if answer.content else None

    def redis(self, *commands: str) -> str:
        """Give commands to Redis; return all that it answers."""
        host, _, port = self.servers.redis.partition(":")
        typed = ["redis-cli", "-h", host, "-p", port]
        return subprocess.run(typed, input="\n".join(commands), check=True, capture_output=True, text=True).stdout

    def nginx(self, path: str, times: int = 1) -> str:
        """Ask NGINX for a page, several times over one connection."""
        connection = HTTPConnection(self.servers.nginx)
        for _ in range(times):
            connection.request("GET", path)
            answer = connection.getresponse().read().decode()
        connection.close()
        return answer


@pytest.fixture(scope="module")
def product(servers: Servers, postgres: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A product that had its traffic, all of which Prometheus knows."""
    zone = ZoneInfo("Europe/Paris" if 15 <= datetime.now(UTC).minute < 45 else "Asia/Kolkata")  # no hour ends meanwhile
    project = make_project(tmp_path_factory.mktemp("product"), PROJECT.replace("ZONE", zone.key), CODE)
    with new_database(postgres, "product") as url, new_database(postgres, "warehouse") as warehouse:
        engine = create_engine(
            url, poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args={"options": f"-c timezone={zone.key}"}
        )
        with pytest.MonkeyPatch.context() as patch, httpx2.Client() as http:
            patch.setenv("PRODUCT_URL", url)
            patch.setenv("WAREHOUSE_URL", warehouse)
            patch.setenv("PROMETHEUS_URL", servers.prometheus)
            made = Product(servers, http, engine, project, warehouse, zone)
            work(made)
            yield made


def work(product: Product) -> None:
    """Make all traffic, once every server and database is known, and wait until all of it is known."""
    with product.database.connect() as connection:
        connection.exec_driver_sql(TABLES)
    for queue in PUBLISHED:
        product.rabbitmq("PUT", f"queues/%2F/{queue}", durable=True)
    scrapes = f'count_over_time(pg_stat_database_xact_commit{{datname="{product.database.url.database}"}}[1h])'
    until(lambda: values(product.prometheus("query", scrapes)))
    for _ in range(CONNECTIONS):
        product.nginx("/", REQUESTS)
    look_up(product)
    send(product)
    with product.database.connect() as connection:
        for _ in range(TRANSACTIONS):
            connection.exec_driver_sql("SELECT 1")
    until(lambda: values(product.prometheus("query", scrapes)) >= [SCRAPES])
    product.servers.counter.wait(4)
    until(lambda: 0 not in values(product.prometheus("query", "up")))


def look_up(product: Product) -> None:
    """Set keys and ask for them, and for others; let some expire."""
    keys = range(KEYS)
    product.redis(*(f"SET key:{key} {key}" for key in keys), *(f"GET key:{key}" for key in keys))
    product.redis(*(f"GET none:{key}" for key in range(MISSED)))
    product.redis(*(f"SET short:{key} 1 PX 1" for key in range(EXPIRED)))
    until(lambda: f"expired_keys:{EXPIRED}" in product.redis("INFO"))


def send(product: Product) -> None:
    """Publish messages to RabbitMQ, and take some."""
    for queue, times in PUBLISHED.items():
        for _ in range(times):
            message = {"routing_key": queue, "payload": "a page", "payload_encoding": "string", "properties": {}}
            assert product.rabbitmq("POST", "exchanges/%2F/amq.default/publish", **message) == {"routed": True}
        how = {"count": TAKEN[queue], "ackmode": "ack_requeue_false", "encoding": "auto"}
        assert len(product.rabbitmq("POST", f"queues/%2F/{queue}/get", **how)) == TAKEN[queue]


def values(data: Any) -> list[float]:  # noqa: ANN401  # JSON may be anything
    """Return the values of an instant query."""
    return [float(series["value"][1]) for series in data["result"]]


def estimated(value: float) -> object:
    """Return about what `increase` makes of a counter's value."""
    return pytest.approx(value, rel=ESTIMATED)


def about(value: float) -> object:
    """Return about what the mean may be of what is going up and down."""
    return pytest.approx(value, rel=0.3)


def said_by_rabbitmq(product: Product) -> Figures:
    [node] = product.rabbitmq("GET", "nodes")
    overview = product.rabbitmq("GET", "overview")
    return {
        "queue.messages": overview["queue_totals"]["messages_ready"],
        "rabbitmq.queues": overview["object_totals"]["queues"],
        "rabbitmq.messages.received": estimated(overview["message_stats"]["publish"]),
        "rabbitmq.messages.delivered": estimated(overview["message_stats"]["deliver_get"]),
        "rabbitmq.memory.used": about(node["mem_used"]),
        "rabbitmq.memory.limit": pytest.approx(node["mem_limit"]),
    }


def said_by_redis(product: Product) -> Figures:
    info = dict(re.findall(r"(\w+):(?:keys=)?(\d+)", product.redis("INFO")))
    told = {name: int(value) for name, value in info.items()}
    return {
        "redis.keys": told["db0"],
        "redis.cache.hits": estimated(told["keyspace_hits"]),
        "redis.cache.misses": estimated(told["keyspace_misses"]),
        "redis.keys.expired": estimated(told["expired_keys"]),
        "redis.keys.evicted": told["evicted_keys"],
        "redis.commands": estimated(told["total_commands_processed"]),
        "redis.memory.used": about(told["used_memory"]),
        "redis.clients": pytest.approx(told["connected_clients"], abs=1),
    }


def said_by_nginx(product: Product) -> Figures:
    active, accepted, handled, requests, *_ = map(int, re.findall(r"\d+", product.nginx("/status")))
    return {
        "nginx.connections.active": pytest.approx(active, abs=1),
        "nginx.connections.accepted": estimated(accepted),
        "nginx.connections.handled": estimated(handled),
        "nginx.requests": estimated(requests),
    }


def said_by_postgresql(product: Product) -> Figures:
    [(size, commits, limit)] = product.asked(
        "SELECT pg_database_size(datname), xact_commit, current_setting('max_connections')::int "
        "FROM pg_stat_database WHERE datname = current_database()"
    )
    return {
        "postgres.size": pytest.approx(size, rel=0.02),
        "postgres.transactions.committed": estimated(commits),
        "postgres.connections.limit": limit,
    }


def said_by_the_machine(product: Product) -> Figures:
    del product
    told = dict(re.findall(r"(\w+): +(\d+) kB", Path("/proc/meminfo").read_text("utf-8")))
    return {
        "node.memory.total": pytest.approx(1024 * int(told["MemTotal"])),
        "node.memory.available": about(1024 * int(told["MemAvailable"])),
    }


def said_by_prometheus(product: Product) -> Figures:
    targets = product.prometheus("targets")["activeTargets"]
    return {
        "targets.up": [target["health"] for target in targets].count("up"),
        "prometheus.series": pytest.approx(product.prometheus("status/tsdb")["headStats"]["numSeries"], rel=0.05),
    }


SERVERS = {
    "rabbitmq": said_by_rabbitmq,
    "redis": said_by_redis,
    "nginx": said_by_nginx,
    "postgresql": said_by_postgresql,
    "node": said_by_the_machine,
    "prometheus": said_by_prometheus,
}


@pytest.fixture(scope="module")
def said(product: Product) -> dict[str, Figures]:
    """What each server says of itself at the moment when all is read."""
    figures = {name: says(product) for name, says in SERVERS.items()}
    changes = product.read()
    assert changes.keys() == {"objects", "events", "timings", "servers", "queues", "workers"}
    assert all(changed["added"] and not (changed["changed"] or changed["removed"]) for changed in changes.values())
    return figures


@pytest.mark.parametrize("server", SERVERS)
def test_what_a_server_says_of_itself_is_in_the_warehouse(
    product: Product, said: dict[str, Figures], server: str
) -> None:
    here = {"datname": str(product.database.url.database)}
    told = {
        metric: product.told(metric, **here if metric in {"postgres.size", "postgres.transactions.committed"} else {})
        for metric in said[server]
    }
    assert told == said[server]


@pytest.mark.usefixtures("said")
def test_traffic_is_in_the_warehouse(product: Product) -> None:
    newest = max(time for time, _ in product.parts("queue.messages", "queue"))
    waiting = {queue: PUBLISHED[queue] - TAKEN[queue] for queue in PUBLISHED}
    assert product.parts("queue.messages", "queue") == {(newest, queue): left for queue, left in waiting.items()}
    assert product.told("nginx.requests") == estimated(CONNECTIONS * REQUESTS)
    assert product.told("redis.keys") == KEYS
    assert product.told("redis.cache.misses") == estimated(MISSED)


@pytest.mark.usefixtures("said")
@pytest.mark.parametrize(
    ("metric", "table"), [("users.total", "users"), ("profiles.total", "profiles"), ("apikeys.total", "api_keys")]
)
def test_objects_are_counted_at_the_end_of_every_hour(product: Product, metric: str, table: str) -> None:
    told = product.parts(metric)
    ends = [time + HOUR for time, _ in told]
    assert len(ends) >= 48
    assert list(told.values()) == [made for (made,) in product.asked(MADE.format(table=table), ends=ends)]


@pytest.mark.usefixtures("said")
def test_events_and_their_timings_are_those_of_the_database(product: Product) -> None:
    counted = product.asked("SELECT date_trunc('hour', created_at), name, count(*) FROM events GROUP BY 1, 2")
    told = {key: value for key, value in product.parts("events.count", "event").items() if value}
    assert told == {(time, name): events for time, name, events in counted}
    percentiles = {(time, name): pytest.approx(value, rel=0.004) for time, name, value in product.asked(P95)}
    assert product.parts("events.duration.p95", "event") == percentiles


@pytest.mark.usefixtures("said")
def test_workers_are_those_of_their_attributes(product: Product) -> None:
    told = {state: product.told(f"workers.{state}") for state in ("total", "active", "idle")}
    assert told == {"total": 11, "active": 6, "idle": 5}
    assert sorted(product.parts("workers.idle", "worker").values()) == [2, 3]


@pytest.mark.usefixtures("said")
def test_a_second_read_changes_only_what_moved(product: Product) -> None:
    waiting, requests = product.parts("queue.messages", "queue"), product.told("nginx.requests")
    again = product.read()
    assert {name: again[name] | {"unchanged": 0} for name in OF_THE_DATABASE} == dict.fromkeys(OF_THE_DATABASE, NOTHING)
    assert (again["servers"]["removed"], again["queues"]["removed"]) == (0, 0)
    assert product.parts("queue.messages", "queue") == waiting
    assert (product.told("nginx.requests") or 0) > (requests or 0)  # its exporter went on asking
    product.asked("INSERT INTO users VALUES (now()), (now()) RETURNING 1")
    product.asked("""UPDATE workers SET attributes = attributes || '{"active": 6, "idle": 2}' RETURNING 1""")
    after = product.read()
    assert {name: after[name] | {"unchanged": 0} for name in OF_THE_DATABASE} == {
        "objects": NOTHING | {"changed": 1},
        "events": NOTHING,
        "timings": NOTHING,
        "workers": NOTHING | {"changed": 3},
    }
    assert product.told("users.total") == 502
