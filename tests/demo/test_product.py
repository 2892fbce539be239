"""The simulated product database: the same each time, whole, and with its stories in it."""

from __future__ import annotations

import sqlite3
from calendar import monthrange
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from tallyline.demo import product
from tallyline.demo.product import make_product

if TYPE_CHECKING:
    from pathlib import Path

UNTIL = datetime(2025, 11, 23, 21, 40, 17, 250_000, tzinfo=UTC)
UNTIL_TEXT = "2025-11-23 21:40:17"
DAYS = 40
TABLES = ("users", "profiles", "api_keys", "visits", "events", "payments", "subscriptions", "worker_states")
MOMENTS = (
    ("users", "created_at"),
    ("users", "activated_at"),
    ("users", "deleted_at"),
    ("profiles", "created_at"),
    ("api_keys", "created_at"),
    ("api_keys", "revoked_at"),
    ("visits", "hour"),
    ("events", "created_at"),
    ("payments", "created_at"),
    ("subscriptions", "started_at"),
    ("subscriptions", "ended_at"),
    ("worker_states", "recorded_at"),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, product.Counts]:
    path = tmp_path_factory.mktemp("product") / "pagesnap.db"
    return path, make_product(path, until=UNTIL, days=DAYS)


@pytest.fixture(scope="module")
def half_year(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("half-year") / "pagesnap.db"
    make_product(path, until=UNTIL, days=183)
    return path


def ask(path: Path, question: str, **parameters: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(question, parameters).fetchall()


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        return list(database.iterdump())


def test_counts_are_the_rows_of_each_table(made: tuple[Path, product.Counts]) -> None:
    path, counts = made
    rows = {table: ask(path, f"SELECT count(*) FROM {table}")[0][0] for table in TABLES}  # noqa: S608
    assert asdict(counts) == rows
    assert all(rows.values())


def test_same_arguments_make_the_same_rows(made: tuple[Path, product.Counts], tmp_path: Path) -> None:
    again = tmp_path / "again.db"
    elsewhere = UNTIL.astimezone(timezone(timedelta(hours=9)))
    assert make_product(again, until=elsewhere, days=DAYS) == made[1]
    assert dump(again) == dump(made[0])


def test_another_seed_makes_another_life(made: tuple[Path, product.Counts], tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    make_product(other, until=UNTIL, days=DAYS, seed=7)
    assert dump(other) != dump(made[0])


@pytest.mark.parametrize(("table", "column"), MOMENTS)
def test_every_moment_is_text_within_the_life(made: tuple[Path, product.Counts], table: str, column: str) -> None:
    span = ask(made[0], f"SELECT min({column}), max({column}) FROM {table}")  # noqa: S608
    first, last = span[0]
    assert datetime.strptime(first, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC) >= UNTIL - timedelta(days=DAYS, hours=1)
    assert datetime.strptime(last, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC) < UNTIL
    assert last < UNTIL_TEXT


def test_moment_on_the_hour_begins_no_further_hour(tmp_path: Path) -> None:
    path = tmp_path / "pagesnap.db"
    make_product(path, until=datetime(2025, 3, 5, 12, tzinfo=UTC), days=3)
    assert ask(path, "SELECT min(recorded_at), max(recorded_at) FROM worker_states") == [
        ("2025-03-02 12:00:00", "2025-03-05 11:00:00"),
    ]


@pytest.mark.parametrize("days", [1, 2, 15])
def test_short_lives_keep_their_stories_inside(tmp_path: Path, days: int) -> None:
    path = tmp_path / "pagesnap.db"
    make_product(path, until=UNTIL, days=days)
    outside = "SELECT topic FROM about WHERE starts_at >= ends_at OR ends_at > :until"
    assert ask(path, outside, until=UNTIL_TEXT) == []


def test_database_is_sound(made: tuple[Path, product.Counts]) -> None:
    assert ask(made[0], "PRAGMA foreign_key_check") == []
    assert ask(made[0], "PRAGMA integrity_check") == [("ok",)]


def test_database_says_that_it_is_simulated(made: tuple[Path, product.Counts]) -> None:
    notes = ask(made[0], "SELECT note FROM about WHERE topic = 'simulated'")
    assert "simulated company" in notes[0][0]


def test_every_email_is_on_example_com(made: tuple[Path, product.Counts]) -> None:
    assert ask(made[0], "SELECT email FROM users WHERE email NOT LIKE '%@example.com'") == []


def test_activation_is_the_first_event_of_a_user(made: tuple[Path, product.Counts]) -> None:
    different = """
        SELECT users.id FROM users LEFT JOIN events ON events.user_id = users.id
        GROUP BY users.id HAVING min(events.created_at) IS NOT users.activated_at
    """
    assert ask(made[0], different) == []


@pytest.mark.parametrize("table", ["events", "payments", "api_keys", "profiles"])
def test_nothing_comes_from_a_user_before_sign_up_or_after_deletion(
    made: tuple[Path, product.Counts], table: str
) -> None:
    stray = f"""
        SELECT users.id FROM users JOIN {table} AS deeds ON deeds.user_id = users.id
        WHERE deeds.created_at < users.created_at OR deeds.created_at >= users.deleted_at
    """  # noqa: S608
    assert ask(made[0], stray) == []


def test_identifiers_follow_time(made: tuple[Path, product.Counts]) -> None:
    by_id, by_time = (
        ask(made[0], f"SELECT created_at FROM events ORDER BY {order}")  # noqa: S608
        for order in ("id", "created_at")
    )
    assert by_id == by_time


@pytest.mark.parametrize(("table", "column", "amount"), [("visits", "hour", "sessions"), ("events", "created_at", "1")])
def test_weekdays_are_busier_than_weekends(
    made: tuple[Path, product.Counts], table: str, column: str, amount: str
) -> None:
    question = f"""
        SELECT sum({amount}) * 1.0 / count(DISTINCT date({column})) FROM {table}
        GROUP BY strftime('%w', {column}) IN ('0', '6') ORDER BY 1
    """  # noqa: S608
    (weekend,), (weekday,) = ask(made[0], question)
    assert weekday > 1.3 * weekend
    busiest = f"SELECT strftime('%w', {column}) FROM {table} GROUP BY 1 ORDER BY sum({amount}) DESC LIMIT 5"  # noqa: S608
    assert {day for (day,) in ask(made[0], busiest)} == {"1", "2", "3", "4", "5"}


def test_afternoons_are_busier_than_nights(made: tuple[Path, product.Counts]) -> None:
    question = """
        SELECT
            sum(strftime('%H', created_at) IN ('13', '14', '15')),
            sum(strftime('%H', created_at) IN ('01', '02', '03'))
        FROM events
    """
    afternoon, night = ask(made[0], question)[0]
    assert afternoon > 2 * night


def test_incident_slows_and_fails_screenshots(made: tuple[Path, product.Counts]) -> None:
    question = """
        SELECT
            events.created_at >= starts_at AND events.created_at < ends_at AS in_incident,
            avg(CASE name WHEN 'screenshot.taken' THEN duration_ms END),
            avg(name = 'screenshot.failed')
        FROM events, about WHERE topic = 'incident' GROUP BY 1 ORDER BY 1
    """
    usual, incident = ask(made[0], question)
    assert incident[1] > 3 * usual[1]
    assert incident[2] > 3 * usual[2]


def test_incident_takes_three_hours_twenty_days_before(made: tuple[Path, product.Counts]) -> None:
    span = ask(made[0], "SELECT starts_at, ends_at FROM about WHERE topic = 'incident'")
    assert span == [("2025-11-03 14:00:00", "2025-11-03 17:00:00")]


def test_screenshots_become_slower(made: tuple[Path, product.Counts]) -> None:
    question = """
        SELECT
            avg(CASE WHEN created_at < date(:until, '-20 days') THEN duration_ms END),
            avg(CASE WHEN created_at >= date(:until, '-7 days') THEN duration_ms END)
        FROM events WHERE name = 'screenshot.taken'
    """
    before, lately = ask(made[0], question, until=UNTIL_TEXT)[0]
    assert lately > 1.2 * before


def test_workers_grow_from_six_to_twelve(made: tuple[Path, product.Counts]) -> None:
    question = "SELECT count(*) FROM worker_states GROUP BY recorded_at ORDER BY recorded_at"
    sizes = [size for (size,) in ask(made[0], question)]
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (6, 12)


def test_worker_attributes_are_json(made: tuple[Path, product.Counts]) -> None:
    question = """
        SELECT DISTINCT
            typeof(json_extract(attributes, '$.queue')),
            typeof(json_extract(attributes, '$.version'))
        FROM worker_states
    """
    assert ask(made[0], question) == [("integer", "text")]


def test_subscriptions_are_due_each_month_on_the_day_they_began(half_year: Path) -> None:
    question = """
        SELECT user_id, created_at FROM payments
        WHERE user_id NOT IN (SELECT user_id FROM payments WHERE status = 'failed') ORDER BY id
    """
    first: dict[int, datetime] = {}
    for user, created in ask(half_year, question):
        due = datetime.strptime(created, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
        began = first.setdefault(user, due)
        assert due.time() == began.time()
        assert due.day == min(began.day, monthrange(due.year, due.month)[1])
    assert any(began.day > 28 for began in first.values())


def test_payments_of_a_user_skip_no_month(half_year: Path) -> None:
    question = """
        SELECT user_id FROM payments WHERE status <> 'failed' GROUP BY user_id
        HAVING count(*) < (julianday(max(created_at)) - julianday(min(created_at))) / 31
    """
    assert ask(half_year, question) == []


def test_who_is_on_a_paid_plan_has_a_subscription_that_runs(half_year: Path) -> None:
    running = "SELECT user_id, plan FROM subscriptions WHERE ended_at IS NULL ORDER BY 1"
    assert ask(half_year, running) == ask(half_year, "SELECT id, plan FROM users WHERE plan <> 'free' ORDER BY 1")


def test_existing_file_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "pagesnap.db"
    path.write_text("precious")
    with pytest.raises(FileExistsError, match="delete it first"):
        make_product(path, until=UNTIL, days=DAYS)
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]


def test_naive_until_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="until must have a time zone"):
        make_product(tmp_path / "pagesnap.db", until=UNTIL.replace(tzinfo=None), days=DAYS)


@pytest.mark.parametrize("days", [0, -1])
def test_empty_life_is_refused(tmp_path: Path, days: int) -> None:
    with pytest.raises(ValueError, match=f"days must be at least 1, not {days}"):
        make_product(tmp_path / "pagesnap.db", until=UNTIL, days=days)


@pytest.mark.parametrize("death", [RuntimeError, KeyboardInterrupt])
def test_killed_run_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, death: type[BaseException]) -> None:
    def die(*_: object) -> NoReturn:
        raise death

    monkeypatch.setattr(product, "_payments", die)
    with pytest.raises(death):
        make_product(tmp_path / "pagesnap.db", until=UNTIL, days=2)
    assert list(tmp_path.iterdir()) == []
