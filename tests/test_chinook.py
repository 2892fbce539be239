"""The example over a real shop: from SQLite and PostgreSQL into SQLite and PostgreSQL, right to the cent."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import time_machine

from tests.cli.terminal import Answer, tallyline
from tests.postgres import new_database
from tests.warehouse.publishing import facts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Engine

    Ask = Callable[[str, str], list[tuple[Any, ...]]]

pytestmark = pytest.mark.realdata

NOTHING = {"added": 0, "changed": 0, "removed": 0}


@pytest.fixture(scope="module")
def postgres_shop(postgres: Engine, chinook_folder: Path) -> Iterator[str]:
    """The shop on PostgreSQL, from its own script but for the lines that choose a database."""
    script = (chinook_folder / "chinook_postgresql.sql").read_text(encoding="utf-8").splitlines(keepends=True)
    choosing = ("DROP DATABASE", "CREATE DATABASE", "\\c ")
    with new_database(postgres, "chinook", "postgresql") as url:
        with psycopg.connect(url) as shop:
            shop.execute("".join(line for line in script if not line.startswith(choosing)).encode())
        yield url


@pytest.fixture(scope="module", params=["shop on sqlite", "shop on postgresql"])
def shop_url(request: pytest.FixtureRequest, chinook_folder: Path) -> str:
    """The shop on either database."""
    if request.param == "shop on sqlite":
        return f"sqlite:///{chinook_folder / 'chinook.sqlite'}"
    url: str = request.getfixturevalue("postgres_shop")
    return url


@pytest.fixture
def ask(shop_url: str) -> Ask:
    """What the shop itself answers, asked in the words of its database: those for SQLite, those for PostgreSQL."""

    def answer(on_sqlite: str, on_postgresql: str) -> list[tuple[Any, ...]]:
        if shop_url.startswith("sqlite:///"):
            with closing(sqlite3.connect(f"file:{shop_url.removeprefix('sqlite:///')}?mode=ro", uri=True)) as shop:
                return shop.execute(on_sqlite).fetchall()
        with psycopg.connect(shop_url) as server:
            return server.execute(on_postgresql.encode()).fetchall()

    return answer


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def warehouse_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A new warehouse on either database, which all tests on the same shop share."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('chinook') / 'warehouse.db'}"
        return
    with new_database(request.getfixturevalue("postgres")) as url:
        yield url


@pytest.fixture(scope="module")
def project(shop_url: str, warehouse_url: str, pytestconfig: pytest.Config) -> Iterator[Path]:
    """The example, read on a day after the last invoice."""
    folder = pytestconfig.rootpath / "examples/chinook"
    with pytest.MonkeyPatch.context() as patch, time_machine.travel(datetime(2026, 1, 5, 12, tzinfo=UTC)):
        patch.setenv("CHINOOK_URL", shop_url)
        patch.setenv("WAREHOUSE_URL", warehouse_url)
        done = tallyline("read", "all", "--write", project=folder)
        assert (done.status, done.err) == (0, "")
        yield folder


def cents_by(ask: Ask, *, country: bool) -> Counter[tuple[str, str | None]]:
    """Return what was sold, in cents, by month and by country."""
    sold = ask(
        "SELECT substr(InvoiceDate, 1, 7), BillingCountry, CAST(round(Total * 100) AS INTEGER) FROM Invoice",
        "SELECT to_char(invoice_date, 'YYYY-MM'), billing_country, (total * 100)::integer FROM invoice",
    )
    assert len(sold) == 412
    assert sum(cents for _, _, cents in sold) == 232_860
    total: Counter[tuple[str, str | None]] = Counter()
    for month, billing_country, cents in sold:
        total[month, billing_country if country else None] += cents
    return total


def as_shown(total: Counter[tuple[str, str | None]], unit: int = 1) -> list[dict[str, object]]:
    """Return months as `show --json` tells them."""
    return [
        {"time": f"{month}-01T00:00:00+00:00", "value": value / unit, "part": part, "complete": True}
        for (month, part), value in sorted(total.items())
    ]


def with_sales(shown: Answer) -> list[dict[str, object]]:
    """Return what was shown, without the months in which nothing was sold."""
    return [value for value in shown.data if value["value"]]


def test_revenue_by_month_is_what_the_shop_says(project: Path, ask: Ask) -> None:
    shown = tallyline("show", "revenue", "--by", "month", "--json", project=project)
    assert with_sales(shown) == as_shown(cents_by(ask, country=False), 100)


def test_revenue_by_month_and_country_is_what_the_shop_says(project: Path, ask: Ask) -> None:
    shown = tallyline("show", "revenue", "--by", "month", "--split", "country", "--json", project=project)
    assert with_sales(shown) == as_shown(cents_by(ask, country=True), 100)


def test_revenue_of_one_country_is_what_the_shop_says(project: Path, ask: Ask) -> None:
    shown = tallyline("show", "revenue", "--by", "month", "--where", "country=France", "--json", project=project)
    of_france = {
        (month, None): cents for (month, part), cents in cents_by(ask, country=True).items() if part == "France"
    }
    assert with_sales(shown) == as_shown(Counter(of_france), 100)


def test_all_invoices_are_there(project: Path) -> None:
    years = {metric: tallyline("show", metric, "--by", "year", "--json", project=project).data for metric in TOTALS}
    assert {metric: round(sum(year["value"] for year in years[metric]), 2) for metric in TOTALS} == TOTALS


TOTALS = {"revenue": 2328.60, "invoices": 412, "tracks.sold": 2240}


def test_tracks_by_genre_are_what_the_shop_says(project: Path, ask: Ask, warehouse_url: str) -> None:
    sold = ask(
        """SELECT (SELECT Name FROM Genre WHERE GenreId = Track.GenreId), Quantity
           FROM InvoiceLine, Track WHERE Track.TrackId = InvoiceLine.TrackId""",
        """SELECT (SELECT name FROM genre WHERE genre_id = track.genre_id), quantity
           FROM invoice_line, track WHERE track.track_id = invoice_line.track_id""",
    )
    genres: Counter[str] = Counter()
    for genre, quantity in sold:
        genres[f'{{"genre": "{genre}"}}'] += quantity
    kept: Counter[str] = Counter()
    for fact in facts(warehouse_url, "daily"):
        if fact.metric == "tracks.sold":
            kept[fact.dims] += int(fact.value)
    assert kept == genres


def test_customers_by_country_are_what_the_shop_says(project: Path, ask: Ask) -> None:
    customers = ask(
        "SELECT Country, count(*) FROM Customer GROUP BY Country",
        "SELECT country, count(*) FROM customer GROUP BY country",
    )
    shown = tallyline("show", "customers", "--split", "country", "--json", project=project)
    assert {value["part"]: value["value"] for value in shown.data} == dict(customers)
    assert (len(customers), sum(count for _, count in customers)) == (24, 59)


@pytest.mark.parametrize("asked", [(), ("--since", "2021-01-01")])
def test_reading_again_changes_nothing(project: Path, warehouse_url: str, asked: tuple[str, ...]) -> None:
    before = facts(warehouse_url, "daily")
    again = tallyline("read", "all", "--write", "--json", *asked, project=project)
    assert again.status == 0
    changes = {result["source"]: result["changes"] for result in again.data}
    for source in ("customers", "sales", "tracks"):
        assert NOTHING.items() <= changes[source].items()
    assert facts(warehouse_url, "daily") == before
    if asked:
        assert {source: change["unchanged"] for source, change in changes.items()} == {
            "customers": 24,
            "sales": 2 * 391,
            "tracks": 711,
        }


def test_a_number_that_the_shop_corrects_is_corrected(
    chinook_folder: Path, warehouse_url: str, tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = facts(warehouse_url, "daily")
    corrected = tmp_path / "corrected.sqlite"
    corrected.write_bytes((chinook_folder / "chinook.sqlite").read_bytes())
    with closing(sqlite3.connect(corrected)) as shop, shop:
        shop.execute("UPDATE Invoice SET Total = Total + 1 WHERE InvoiceId = 1")
        shop.execute("UPDATE Invoice SET BillingCountry = 'Atlantis' WHERE InvoiceId = 412")
    read = ("read", "sales", "--since", "2021-01-01", "--json")
    with monkeypatch.context() as patch:
        patch.setenv("CHINOOK_URL", f"sqlite:///{corrected}")
        for write in ((), ("--write",)):
            [result] = tallyline(*read, *write, project=project).data
            assert result["changes"] == {"added": 2, "changed": 1, "removed": 2, "unchanged": 2 * 391 - 3}
    total = sum(fact.value for fact in facts(warehouse_url, "daily") if fact.metric == "revenue")
    assert round(total, 2) == 2328.60 + 1
    [taken_back] = tallyline(*read, "--write", project=project).data
    assert taken_back["changes"] == {"added": 2, "changed": 1, "removed": 2, "unchanged": 2 * 391 - 3}
    assert facts(warehouse_url, "daily") == before
