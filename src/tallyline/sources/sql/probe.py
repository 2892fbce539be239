"""What a source's database lets it do, tried out for a window in which nothing is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

from tallyline.database import what_it_is
from tallyline.errors import Denied
from tallyline.sources.sql.counts import no_rows
from tallyline.sources.sql.query import bound, statement

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tallyline.database import Session
    from tallyline.sources.sql.counts import Count
    from tallyline.window import Grain

__all__ = ["probed"]

_READ_ONLY = {
    "postgresql": "SELECT current_setting('transaction_read_only')",
    "mysql": "SHOW SESSION VARIABLES WHERE Variable_name IN ('transaction_read_only', 'tx_read_only')",
    "sqlite": "PRAGMA query_only",
}


def probed(session: Session, queries: Mapping[str, str], counts: Sequence[Count], grain: Grain) -> Iterator[str]:
    """Yield a line for what works: who is connected, that nothing can be written, that each query runs.

    `queries` are named as messages call them. What does not work raises Denied, Unavailable or UnexpectedAnswer.
    """
    yield f"connected to {what_it_is(session.engine, session.name)}"
    yield from _read_only(session)
    for doing, query in queries.items():
        asked = bound(session, query, session.window.since, grain)
        with session.ask(statement(query), asked, doing=doing) as answer:
            yield f"{doing.strip() or 'the query'} runs; its columns are {', '.join(answer.columns)}"
    for count in counts:
        with session.ask(no_rows(count), doing=count.doing):
            yield f'may count "{count.table}"'


def _read_only(session: Session) -> Iterator[str]:
    if session.dialect not in _READ_ONLY:
        return
    with session.ask(text(_READ_ONLY[session.dialect])) as answer:
        said = [row[-1] for page in answer.pages for row in page]
    if not said or str(said[0]).lower() not in {"on", "1"}:
        msg = f"{session.who} would let a source write: its transaction is not read-only"
        raise Denied(msg)
    yield "the transaction is read-only"
