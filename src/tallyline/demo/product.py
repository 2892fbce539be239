"""The product database of Pagesnap, a simulated company: nothing in it is real.

Pagesnap would sell an API that takes screenshots of web pages, by machines called spiders.
`make_product` invents its life and writes it as the SQLite database that such a company would have.
Causes come before effects: visits bring sign-ups, sign-ups activate, active users call the API and
some of them pay. The table `about` inside the database says that it is simulated, and when each story
in it happens.
"""

from __future__ import annotations

import json
import math
import os
import sqlite3
import tempfile
from calendar import monthrange
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from operator import itemgetter
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Counts", "make_product"]

_HOUR: Final = 3600
_DAY: Final = 24 * _HOUR
_EPOCH_WEEKDAY: Final = 3

_Row = tuple[str | int | None, ...]


class _Channel(NamedTuple):
    name: str
    share: float
    conversion: float


class _Plan(NamedTuple):
    name: str
    cents: int
    share: float
    days_loyal: int
    calls_a_day: float


class _Outcome(NamedTuple):
    event: str
    share: float
    share_in_incident: float
    median_ms: int
    spread: float


_CHANNELS: Final = (
    _Channel("organic", 0.36, 0.022),
    _Channel("search", 0.28, 0.020),
    _Channel("referral", 0.15, 0.030),
    _Channel("ads", 0.12, 0.014),
    _Channel("social", 0.09, 0.010),
)
_FREE: Final = "free"
_PLANS: Final = (
    _Plan(_FREE, 0, 0.72, 70, 1.0),
    _Plan("starter", 1900, 0.17, 240, 2.2),
    _Plan("growth", 4900, 0.08, 330, 3.8),
    _Plan("business", 14900, 0.03, 480, 6.5),
)
_OUTCOMES: Final = (
    _Outcome("screenshot.taken", 0.61, 0.36, 2400, 0.50),
    _Outcome("screenshot.cached", 0.31, 0.22, 85, 0.40),
    _Outcome("screenshot.failed", 0.05, 0.32, 7500, 0.35),
    _Outcome("api.error", 0.03, 0.10, 35, 0.60),
)
_TAKEN: Final = _OUTCOMES[0]
_COUNTRIES: Final = {
    "US": 30, "DE": 12, "GB": 10, "FR": 9, "IN": 9, "BR": 6,
    "CA": 5, "NL": 5, "ES": 4, "JP": 4, "PL": 3, "AU": 3,
}  # fmt: skip
_COMPANY_WORDS: Final = (
    (
        "Amber",
        "Bold",
        "Copper",
        "Early",
        "Gentle",
        "Hidden",
        "Little",
        "North",
        "Plain",
        "Quiet",
        "Silver",
        "Tidy",
    ),
    (
        "Anchor",
        "Birch",
        "Canvas",
        "Falcon",
        "Harbor",
        "Lantern",
        "Meadow",
        "Orchard",
        "Pixel",
        "River",
        "Signal",
    ),
    ("Agency", "Analytics", "Apps", "Digital", "Labs", "Media", "Research", "Software", "Studio", "Works"),
)

_RHYTHM_OF_DAY: Final = (
    0.45, 0.40, 0.40, 0.40, 0.45, 0.55, 0.70, 0.95, 1.20, 1.40, 1.45, 1.40,
    1.35, 1.50, 1.65, 1.70, 1.60, 1.45, 1.25, 1.10, 0.95, 0.80, 0.65, 0.55,
)  # fmt: skip
_RHYTHM_OF_WEEK: Final = (1.15, 1.20, 1.20, 1.15, 1.05, 0.65, 0.60)

_FIRST_DAILY_SESSIONS: Final = 130.0
_SESSIONS_GROWTH: Final = 3.0
_EXTRA_PAGES_A_SESSION: Final = 1.8
_BETA_USERS: Final = 120
_LAUNCH_BUZZ: Final = 12.0
_LAUNCH_FADE_DAYS: Final = 3.0
_CAMPAIGN_BOOST: Final = 3.5
_SUMMER_MIDDLE: Final = 213
_SUMMER_DAYS: Final = 25.0
_SUMMER_DEPTH: Final = 0.25
_FIRST_ACTIVATION: Final = 0.36
_LAST_ACTIVATION: Final = 0.50
_DAYS_TO_ACTIVATE: Final = 1.5
_TRIAL_DAYS: Final = 14
_DELETING_SHARE: Final = 0.4
_PROFILE_SHARE: Final = 0.6
_IDLE_KEY_SHARE: Final = 0.25
_ROTATING_SHARE: Final = 0.12
_FAILED_PAYMENT_SHARE: Final = 0.05
_REFUNDED_SHARE: Final = 0.015
_PAYMENT_RETRY_DAYS: Final = 3
_INCIDENT_SLOWDOWN: Final = 5.0
_CREEP: Final = 0.45
_FIRST_WORKERS: Final = 6
_LAST_WORKERS: Final = 12
_RELEASE_DAYS: Final = 21
_PATCHES_A_MINOR: Final = 4
_KNUTH_LIMIT: Final = 30.0

_TABLES: Final = """
    CREATE TABLE about (
        topic TEXT PRIMARY KEY,
        starts_at TEXT NOT NULL,
        ends_at TEXT NOT NULL,
        note TEXT NOT NULL
    );
    CREATE TABLE users (
        id INTEGER PRIMARY KEY,
        email TEXT NOT NULL UNIQUE,
        country TEXT NOT NULL,
        plan TEXT NOT NULL,
        channel TEXT NOT NULL,
        created_at TEXT NOT NULL,
        activated_at TEXT,
        deleted_at TEXT
    );
    CREATE TABLE profiles (
        id INTEGER PRIMARY KEY,
        user_id INTEGER NOT NULL UNIQUE REFERENCES users (id),
        company TEXT NOT NULL,
        created_at TEXT NOT NULL
    );
    CREATE TABLE api_keys (
        id INTEGER PRIMARY KEY,
        user_id INTEGER NOT NULL REFERENCES users (id),
        created_at TEXT NOT NULL,
        revoked_at TEXT
    );
    CREATE TABLE visits (
        hour TEXT NOT NULL,
        channel TEXT NOT NULL,
        sessions INTEGER NOT NULL,
        pageviews INTEGER NOT NULL,
        PRIMARY KEY (hour, channel)
    ) WITHOUT ROWID;
    CREATE TABLE events (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        user_id INTEGER NOT NULL REFERENCES users (id),
        created_at TEXT NOT NULL,
        duration_ms INTEGER NOT NULL
    );
    CREATE TABLE payments (
        id INTEGER PRIMARY KEY,
        user_id INTEGER NOT NULL REFERENCES users (id),
        created_at TEXT NOT NULL,
        amount_cents INTEGER NOT NULL,
        currency TEXT NOT NULL,
        plan TEXT NOT NULL,
        status TEXT NOT NULL
    );
    CREATE TABLE subscriptions (
        id INTEGER PRIMARY KEY,
        user_id INTEGER NOT NULL UNIQUE REFERENCES users (id),
        plan TEXT NOT NULL,
        amount_cents INTEGER NOT NULL,
        started_at TEXT NOT NULL,
        ended_at TEXT
    );
    CREATE TABLE worker_states (
        recorded_at TEXT NOT NULL,
        worker TEXT NOT NULL,
        state TEXT NOT NULL,
        attributes TEXT NOT NULL,
        PRIMARY KEY (recorded_at, worker)
    ) WITHOUT ROWID;
"""
_INDEXES: Final = """
    CREATE INDEX users_created_at ON users (created_at);
    CREATE INDEX users_activated_at ON users (activated_at);
    CREATE INDEX users_deleted_at ON users (deleted_at);
    CREATE INDEX profiles_created_at ON profiles (created_at);
    CREATE INDEX api_keys_created_at ON api_keys (created_at);
    CREATE INDEX api_keys_revoked_at ON api_keys (revoked_at);
    CREATE INDEX events_created_at ON events (created_at);
    CREATE INDEX payments_created_at ON payments (created_at);
    ANALYZE;
"""
_ADD_ABOUT: Final = "INSERT INTO about VALUES (?, datetime(?, 'unixepoch'), datetime(?, 'unixepoch'), ?)"
_ADD_USER: Final = """
    INSERT INTO users
    VALUES (?, ?, ?, ?, ?, datetime(?, 'unixepoch'), datetime(?, 'unixepoch'), datetime(?, 'unixepoch'))
"""
_ADD_PROFILE: Final = "INSERT INTO profiles VALUES (NULL, ?, ?, datetime(?, 'unixepoch'))"
_ADD_API_KEY: Final = "INSERT INTO api_keys VALUES (NULL, ?, datetime(?, 'unixepoch'), datetime(?, 'unixepoch'))"
_ADD_VISIT: Final = "INSERT INTO visits VALUES (datetime(?, 'unixepoch'), ?, ?, ?)"
_ADD_EVENT: Final = "INSERT INTO events VALUES (NULL, ?, ?, datetime(?, 'unixepoch'), ?)"
_ADD_PAYMENT: Final = "INSERT INTO payments VALUES (NULL, ?, datetime(?, 'unixepoch'), ?, 'USD', ?, ?)"
_ADD_SUBSCRIPTION: Final = """
    INSERT INTO subscriptions VALUES (NULL, ?, ?, ?, datetime(?, 'unixepoch'), datetime(?, 'unixepoch'))
"""
_ADD_WORKER_STATE: Final = "INSERT INTO worker_states VALUES (datetime(?, 'unixepoch'), ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class Counts:
    """How many rows each table of the product database has."""

    users: int
    profiles: int
    api_keys: int
    visits: int
    events: int
    payments: int
    subscriptions: int
    worker_states: int


def make_product(path: Path, *, until: datetime, days: int = 730, seed: int = 2018) -> Counts:
    """Write the database of the simulated company, with its life up to a moment.

    The same `until`, `days` and `seed` give the same rows. The file appears complete or not at all.

    Args:
        path: The SQLite file to make; it must not exist, its folder must.
        until: The moment when the life ends, with its time zone; every row is before it.
        days: How long the life is.
        seed: Another seed is another life of the same shape.

    Returns:
        The number of rows of each table.

    Raises:
        FileExistsError: Something is at `path` already.
        ValueError: `until` has no time zone, or `days` is not positive.
    """
    life = _imagine_life(until, days, seed)
    if os.path.lexists(path):
        message = f"{path} exists already and is left as it is: delete it first, or choose another path"
        raise FileExistsError(message)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
        unfinished = Path(folder, path.name)
        counts = _write(unfinished, life)
        unfinished.replace(path)
    return counts


def _write(path: Path, life: _Life) -> Counts:
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = OFF")
        database.executescript(_TABLES)
        database.executemany(_ADD_ABOUT, life.stories())
        counts = _fill(database, life)
        database.executescript(_INDEXES)
    return counts


def _fill(database: sqlite3.Connection, life: _Life) -> Counts:
    def insert(statement: str, rows: Iterable[_Row]) -> int:
        return database.executemany(statement, rows).rowcount

    visits = list(_visits(life))
    users = list(_users(life, _sign_ups(life, visits)))
    return Counts(
        visits=insert(_ADD_VISIT, visits),
        users=insert(_ADD_USER, map(_user_row, users)),
        profiles=insert(_ADD_PROFILE, _profiles(life, users)),
        api_keys=insert(_ADD_API_KEY, _api_keys(life, users)),
        events=insert(_ADD_EVENT, _events(life, users)),
        payments=insert(_ADD_PAYMENT, _payments(life, users)),
        subscriptions=insert(_ADD_SUBSCRIPTION, _subscriptions(users)),
        worker_states=insert(_ADD_WORKER_STATE, _worker_states(life)),
    )


@dataclass(frozen=True, slots=True)
class _Span:
    """The time from `start` to before `end`, in seconds since 1970."""

    start: int
    end: int

    def __contains__(self, moment: int) -> bool:
        return self.start <= moment < self.end

    def progress(self, moment: int) -> float:
        return (moment - self.start) / (self.end - self.start)


@dataclass(frozen=True, slots=True)
class _Life:
    """When the company lives, and what happens to it then."""

    span: _Span
    beta: _Span
    launch: _Span
    campaign: _Span
    incident: _Span
    creep: _Span
    seed: int

    def random(self, subject: str) -> Random:
        return Random(f"{self.seed} {subject}")  # noqa: S311 - a simulation, not a secret

    def hours(self) -> range:
        return range(self.span.start, self.span.end, _HOUR)

    def seconds_of(self, hour: int) -> int:
        """Tell how much of an hour is lived: all of it, but for the last."""
        return min(_HOUR, self.span.end - hour)

    def pace(self, hour: int) -> float:
        """Return the part of an average day's business that is done in an hour."""
        rhythm = _RHYTHM_OF_DAY[hour // _HOUR % 24] * _RHYTHM_OF_WEEK[(hour // _DAY + _EPOCH_WEEKDAY) % 7]
        return rhythm * self.seconds_of(hour) / _DAY

    def or_never(self, moment: float) -> int | None:
        return int(moment) if moment < self.span.end else None

    def stories(self) -> Iterator[_Row]:
        for topic, span, note in (
            (
                "simulated",
                self.span,
                f"Pagesnap is a simulated company (seed {self.seed}): nothing here is real.",
            ),
            ("beta", self.beta, "The first users are invited by hand, so they sign up without visits."),
            (
                "launch",
                self.launch,
                "Launch day: many visits from social networks and referrals, soon fading.",
            ),
            ("campaign", self.campaign, "A campaign of advertisements: more visits and sign-ups from ads."),
            (
                "incident",
                self.incident,
                "Screenshots take five times as long and many fail; spiders go down.",
            ),
            ("creep", self.creep, "Taking a screenshot becomes slower, a little every day."),
        ):
            if span.start < span.end:
                yield topic, span.start, span.end, note


def _imagine_life(until: datetime, days: int, seed: int) -> _Life:
    if until.utcoffset() is None:
        message = f"until must have a time zone, {until.isoformat()} has none: write datetime(..., tzinfo=UTC)"
        raise ValueError(message)
    if days < 1:
        message = f"days must be at least 1, not {days}"
        raise ValueError(message)
    end = math.floor(until.timestamp())
    start = _floor(end - days * _DAY, _HOUR)
    launch = _floor(start + days * _DAY * 3 // 10, _DAY) + 9 * _HOUR
    campaign = _floor(start + days * _DAY * 8 // 10, _DAY) + 7 * _HOUR
    incident = _floor(end - min(40, days // 2) * _DAY, _DAY) + 14 * _HOUR
    return _Life(
        span=_Span(start, end),
        beta=_Span(start, min(end, start + 7 * _DAY)),
        launch=_Span(launch, min(end, launch + 14 * _DAY)),
        campaign=_Span(campaign, min(end, campaign + min(21, 1 + days // 10) * _DAY)),
        incident=_Span(incident, min(end, incident + 3 * _HOUR)),
        creep=_Span(_floor(end - min(120, days // 2) * _DAY, _DAY), end),
        seed=seed,
    )


def _floor(moment: int, step: int) -> int:
    return moment - moment % step


def _poisson(random: Random, mean: float) -> int:
    if mean > _KNUTH_LIMIT:
        return max(0, round(random.gauss(mean, math.sqrt(mean))))
    threshold, product, count = math.exp(-mean), random.random(), 0
    while product > threshold:
        product *= random.random()
        count += 1
    return count


class _Visit(NamedTuple):
    hour: int
    channel: str
    sessions: int
    pageviews: int


def _visits(life: _Life) -> Iterator[_Visit]:
    random = life.random("visits")
    for hour in life.hours():
        growth = _SESSIONS_GROWTH ** life.span.progress(hour)
        sessions = _FIRST_DAILY_SESSIONS * growth * _season(hour) * life.pace(hour)
        for channel in _CHANNELS:
            count = _poisson(random, sessions * channel.share * _attention(life, channel.name, hour))
            if count:
                pages = count + _poisson(random, count * _EXTRA_PAGES_A_SESSION)
                yield _Visit(hour, channel.name, count, pages)


def _season(hour: int) -> float:
    distance = (datetime.fromtimestamp(hour, UTC).timetuple().tm_yday - _SUMMER_MIDDLE) / _SUMMER_DAYS
    return 1 - _SUMMER_DEPTH * math.exp(-distance * distance)


def _attention(life: _Life, channel: str, hour: int) -> float:
    if channel in {"social", "referral"} and hour in life.launch:
        return 1 + _LAUNCH_BUZZ * math.exp((life.launch.start - hour) / _DAY / _LAUNCH_FADE_DAYS)
    if channel == "ads" and hour in life.campaign:
        return _CAMPAIGN_BOOST
    return 1.0


def _sign_ups(life: _Life, visits: Iterable[_Visit]) -> list[tuple[int, str]]:
    random = life.random("sign-ups")
    conversions = {channel.name: channel.conversion for channel in _CHANNELS}
    invited = [(random.randrange(life.beta.start, life.beta.end), "referral") for _ in range(_BETA_USERS)]
    convinced = [
        (hour + random.randrange(life.seconds_of(hour)), channel)
        for hour, channel, sessions, _ in visits
        for _ in range(_poisson(random, sessions * conversions[channel]))
    ]
    return sorted(invited + convinced)


@dataclass(frozen=True, slots=True)
class _User:
    id: int
    country: str
    channel: str
    plan: _Plan
    created: int
    activated: int | None
    subscribed: int | None
    left: int | None
    deletes: bool
    calls_a_day: float

    @property
    def deleted(self) -> int | None:
        return self.left if self.deletes else None

    @property
    def current_plan(self) -> str:
        return _FREE if self.subscribed is None or self.left is not None else self.plan.name


def _users(life: _Life, sign_ups: Iterable[tuple[int, str]]) -> Iterator[_User]:
    random = life.random("users")
    plan_shares = [plan.share for plan in _PLANS]
    for number, (created, channel) in enumerate(sign_ups, 1):
        plan = random.choices(_PLANS, plan_shares)[0]
        activated = _activation(life, random, created)
        stays = _DAY + random.expovariate(1 / plan.days_loyal) * _DAY
        left = life.or_never((activated or created) + stays)
        yield _User(
            id=number,
            country=random.choices(tuple(_COUNTRIES), tuple(_COUNTRIES.values()))[0],
            channel=channel,
            plan=plan,
            created=created,
            activated=activated,
            subscribed=_subscription(random, plan, activated, left or life.span.end),
            left=left,
            deletes=random.random() < _DELETING_SHARE,
            calls_a_day=plan.calls_a_day * random.lognormvariate(0, 0.45),
        )


def _activation(life: _Life, random: Random, created: int) -> int | None:
    chance = _FIRST_ACTIVATION + (_LAST_ACTIVATION - _FIRST_ACTIVATION) * life.span.progress(created)
    waits = 2 * 60 + random.expovariate(1 / _DAYS_TO_ACTIVATE) * _DAY
    return life.or_never(created + waits) if random.random() < chance else None


def _subscription(random: Random, plan: _Plan, activated: int | None, gone: int) -> int | None:
    if activated is None or not plan.cents:
        return None
    subscribed = activated + random.randrange(_TRIAL_DAYS * _DAY)
    return subscribed if subscribed < gone else None


def _user_row(user: _User) -> _Row:
    email = f"user{user.id}@example.com"
    moments = (user.created, user.activated, user.deleted)
    return user.id, email, user.country, user.current_plan, user.channel, *moments


def _profiles(life: _Life, users: Iterable[_User]) -> list[_Row]:
    random = life.random("profiles")
    profiles: list[tuple[int, int, str]] = []
    for user in users:
        company = " ".join(random.choice(words) for words in _COMPANY_WORDS)
        created = user.created + 30 + int(random.expovariate(2) * _DAY)
        if random.random() < _PROFILE_SHARE and created < (user.left or life.span.end):
            profiles.append((created, user.id, company))
    return [(user, company, created) for created, user, company in sorted(profiles)]


def _api_keys(life: _Life, users: Iterable[_User]) -> list[_Row]:
    random = life.random("api keys")
    keys = [(created, user.id, revoked) for user in users for created, revoked in _keys_of(life, random, user)]
    keys.sort(key=itemgetter(0, 1))
    return [(user, created, revoked) for created, user, revoked in keys]


def _keys_of(life: _Life, random: Random, user: _User) -> Iterator[tuple[int, int | None]]:
    gone = user.left or life.span.end
    if user.activated is None:
        created = user.created + random.randrange(60, _DAY)
        if random.random() < _IDLE_KEY_SHARE and created < gone:
            yield created, user.deleted
        return
    created = random.randrange(user.created + 1, user.activated)
    if random.random() < _ROTATING_SHARE and gone - user.activated > _DAY:
        rotated = random.randrange(user.activated, gone - _HOUR)
        yield created, rotated + _HOUR // 2
        created = rotated
    yield created, user.deleted


class _Crowd:
    """The users who call the API at an hour, from their activation until they leave."""

    def __init__(self, users: Iterable[_User]) -> None:
        self._coming: defaultdict[int, list[_User]] = defaultdict(list)
        self._leaving: defaultdict[int, list[_User]] = defaultdict(list)
        self._calls_a_day: dict[int, float] = {}
        self._totals: list[float] = []
        self._ids: list[int] = []
        for user in users:
            if user.activated is not None:
                self._coming[_floor(user.activated, _HOUR)].append(user)
            if user.left is not None:
                self._leaving[_floor(user.left, _HOUR)].append(user)

    @property
    def calls_a_day(self) -> float:
        return self._totals[-1] if self._totals else 0.0

    def callers(self, random: Random, count: int) -> list[int]:
        return random.choices(self._ids, cum_weights=self._totals, k=count) if count else []

    def welcome(self, hour: int) -> list[_User]:
        """Let go who leaves in an hour, admit who came the hour before, and return who comes now."""
        coming, leaving = self._coming[hour - _HOUR], self._leaving[hour]
        if coming or leaving:
            self._calls_a_day.update((user.id, user.calls_a_day) for user in coming)
            for user in leaving:
                self._calls_a_day.pop(user.id, None)
            self._ids = list(self._calls_a_day)
            self._totals = list(accumulate(self._calls_a_day.values()))
        return self._coming[hour]


def _events(life: _Life, users: Iterable[_User]) -> Iterator[_Row]:
    random = life.random("events")
    crowd = _Crowd(users)
    for hour in life.hours():
        newcomers = crowd.welcome(hour)
        callers = crowd.callers(random, _poisson(random, crowd.calls_a_day * life.pace(hour)))
        seconds = life.seconds_of(hour)
        calls = [
            (hour + random.randrange(seconds), caller, outcome)
            for caller, outcome in zip(callers, _outcomes(life, random, hour, len(callers)), strict=True)
        ]
        calls += [(user.activated, user.id, _TAKEN) for user in newcomers if user.activated is not None]
        calls.sort(key=itemgetter(0))
        for moment, caller, outcome in calls:
            yield outcome.event, caller, moment, _duration_ms(life, random, outcome, hour)


def _outcomes(life: _Life, random: Random, hour: int, count: int) -> list[_Outcome]:
    incident = hour in life.incident
    shares = [outcome.share_in_incident if incident else outcome.share for outcome in _OUTCOMES]
    return random.choices(_OUTCOMES, shares, k=count)


def _duration_ms(life: _Life, random: Random, outcome: _Outcome, hour: int) -> int:
    duration = outcome.median_ms * random.lognormvariate(0, outcome.spread)
    if hour in life.incident:
        duration *= _INCIDENT_SLOWDOWN
    if outcome is _TAKEN and hour in life.creep:
        duration *= 1 + _CREEP * life.creep.progress(hour)
    return round(duration)


def _payments(life: _Life, users: Iterable[_User]) -> list[_Row]:
    random = life.random("payments")
    payments = [
        (moment, user.id, user.plan.cents, user.plan.name, status)
        for user in users
        for due in _due_dates(user, life.span.end)
        for moment, status in _attempts(random, due)
        if moment < (user.left or life.span.end)
    ]
    return [(user, moment, cents, plan, status) for moment, user, cents, plan, status in sorted(payments)]


def _subscriptions(users: Iterable[_User]) -> list[_Row]:
    subscribed = sorted((user.subscribed, user.id, user) for user in users if user.subscribed is not None)
    return [(number, user.plan.name, user.plan.cents, began, user.left) for began, number, user in subscribed]


def _due_dates(user: _User, end: int) -> Iterator[int]:
    """Yield the subscription's moment and its monthly returns, on the last day of a shorter month."""
    if user.subscribed is None:
        return
    due = first = datetime.fromtimestamp(user.subscribed, UTC)
    while due.timestamp() < (user.left or end):
        yield int(due.timestamp())
        following = due.replace(day=28) + timedelta(days=4)
        last_day = monthrange(following.year, following.month)[1]
        due = following.replace(day=min(first.day, last_day))


def _attempts(random: Random, due: int) -> Iterator[tuple[int, str]]:
    if random.random() < _FAILED_PAYMENT_SHARE:
        yield due, "failed"
        due += _PAYMENT_RETRY_DAYS * _DAY
    yield due, "refunded" if random.random() < _REFUNDED_SHARE else "paid"


def _worker_states(life: _Life) -> Iterator[_Row]:
    random = life.random("workers")
    states: dict[int, str] = {}
    for hour in life.hours():
        progress = life.span.progress(hour)
        load = life.pace(hour) * 24 * (1 + progress) / 2
        if hour in life.incident:
            load *= _INCIDENT_SLOWDOWN
        for worker in range(1, _workers_at(progress) + 1):
            states[worker] = _next_state(random, states.get(worker), load, in_incident=hour in life.incident)
            attributes = {"queue": _poisson(random, 5 * load), "version": _version(life, hour, worker)}
            yield hour, f"spider-{worker:02}", states[worker], json.dumps(attributes)


def _workers_at(progress: float) -> int:
    return _FIRST_WORKERS + int((_LAST_WORKERS - _FIRST_WORKERS + 1) * progress)


def _next_state(random: Random, state: str | None, load: float, *, in_incident: bool) -> str:
    if state == "down":
        down = random.random() < (0.8 if in_incident else 0.4)
    else:
        down = random.random() < (0.3 if in_incident else 0.0015)
    if down:
        return "down"
    return "active" if random.random() < 1 - math.exp(-3 * load) else "idle"


def _version(life: _Life, hour: int, worker: int) -> str:
    """Return the release that a worker runs: the newest, which reaches one worker an hour."""
    releases = max(0, hour - worker * _HOUR - life.span.start) // (_RELEASE_DAYS * _DAY)
    minor, patch = divmod(releases, _PATCHES_A_MINOR)
    return f"1.{minor}.{patch}"
