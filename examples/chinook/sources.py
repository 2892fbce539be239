"""The shop's sales, from its database on SQLite or on PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallyline import read_sql, source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from zoneinfo import ZoneInfo

    from sqlalchemy.engine import Engine

    from tallyline import Window

    Rows = Iterator[tuple[dict[str, object], dict[str, object]]]

SALES = """
    SELECT date(invoice_date) AS date,
           billing_country AS country,
           sum(total) AS revenue,
           count(*) AS invoices
    FROM invoice
    WHERE invoice_date >= :since AND invoice_date < :until
    GROUP BY date(invoice_date), billing_country
"""

TRACKS = """
    SELECT date(invoice_date) AS date,
           genre.name AS genre,
           sum(quantity) AS "tracks.sold"
    FROM invoice_line
    JOIN invoice ON invoice.invoice_id = invoice_line.invoice_id
    JOIN track ON track.track_id = invoice_line.track_id
    JOIN genre ON genre.genre_id = track.genre_id
    WHERE invoice_date >= :since AND invoice_date < :until
    GROUP BY date(invoice_date), genre.name
"""


@source(schedule="@daily")
def sales(shop: Engine, window: Window, source_zone: ZoneInfo) -> Rows:
    """Revenue and invoices of each day and country."""
    return read_sql(shop, in_words_of(shop, SALES), window, source_zone)


@source(schedule="@daily")
def tracks(shop: Engine, window: Window, source_zone: ZoneInfo) -> Rows:
    """Tracks sold of each day and genre."""
    return read_sql(shop, in_words_of(shop, TRACKS), window, source_zone)


def in_words_of(shop: Engine, query: str) -> str:
    """Return the query as the database names things: invoice_date on PostgreSQL is InvoiceDate on SQLite.

    SQLite does not tell capitals from small letters, so there it is enough to leave out the underscores.
    """
    return query.replace("_", "") if shop.dialect.name == "sqlite" else query
