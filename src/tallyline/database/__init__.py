"""Databases by their URLs: opened, read in a session of their own, and what they say when they refuse."""

from __future__ import annotations

from tallyline.database.opening import database_url, open_database, reading, sqlite_file
from tallyline.database.present import Engine, what_it_is
from tallyline.database.refusals import reason
from tallyline.database.session import Answer, Session

__all__ = [
    "Answer",
    "Engine",
    "Session",
    "database_url",
    "open_database",
    "reading",
    "reason",
    "sqlite_file",
    "what_it_is",
]
