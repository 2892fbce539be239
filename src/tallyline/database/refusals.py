"""What a database says when it does not answer: whether to try again, or what a person has to do."""

from __future__ import annotations

import re
from enum import Enum, auto

from sqlalchemy.exc import DataError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from tallyline.errors import Denied, SourceFailed, Unavailable, UnexpectedAnswer
from tallyline.secret import masked

__all__ = ["TooSlow", "reason", "refusal"]


class TooSlow(Unavailable):
    """A query that was ended at its time limit: another try at once would cost the database as much again."""


def refusal(error: Exception, who: str, *, doing: str = "", user: str | None = None) -> SourceFailed:
    """Return what the error of a database means: Unavailable, Denied or UnexpectedAnswer, with what it said.

    `who` is the database as messages call it, `doing` what it was asked, `user` whom to grant what is missing.
    """
    said, meaning = reason(error), _meaning(error)
    kind, template = _TOLD[meaning]
    told = template.format(who=who, doing=doing, said=said)
    return kind(masked(f"{told}; {_what_to_grant(said, user)}" if meaning is _Meaning.PERMISSION else told))


def reason(error: Exception) -> str:
    """Return what the database said, without the statement and its parameters."""
    cause = _cause(error)
    told = getattr(cause, "diag", None)  # PostgreSQL's; elsewhere, and while not connected, there is only the text
    said = [told.message_primary, told.message_hint] if told and told.message_primary else [_text(cause)]
    return " ".join(". ".join(filter(None, said)).split())


class _Meaning(Enum):
    BUSY = auto()
    SLOW = auto()
    GARBLED = auto()
    LOGIN = auto()
    PERMISSION = auto()
    WRITES = auto()
    OTHER = auto()


_TOLD: dict[_Meaning, tuple[type[SourceFailed], str]] = {
    _Meaning.BUSY: (Unavailable, "{who} is not available: {said}"),
    _Meaning.SLOW: (
        TooSlow,
        "{who} did not end{doing} in time: {said}; give it longer by time_limit, or less to read at once by at_once",
    ),
    _Meaning.GARBLED: (UnexpectedAnswer, "{who} answered{doing} what cannot be read: {said}"),
    _Meaning.LOGIN: (Denied, "{who} refused who asks: {said}; check the user and password of its URL under [services]"),
    _Meaning.PERMISSION: (Denied, "{who} refused{doing}: {said}"),
    _Meaning.WRITES: (Denied, "{who} refused{doing}: {said}; a source only reads"),
    _Meaning.OTHER: (Denied, "{who} refused{doing}: {said}"),
}
_SQLSTATES = {
    _Meaning.BUSY: ("08", "25P03", "25P04", "40", "53", "55", "57P", "58"),
    _Meaning.SLOW: ("57014",),
    _Meaning.LOGIN: ("28",),
    _Meaning.PERMISSION: ("42501",),
    _Meaning.WRITES: ("25006",),
}
_NUMBERS_OF_MYSQL = {
    **dict.fromkeys((0, 1021, 1040, 1041, 1053, 1152, 1158, 1159, 1160, 1161, 1203, 1205, 1213, 1226), _Meaning.BUSY),
    **dict.fromkeys((1927, 2002, 2003, 2005, 2006, 2012, 2013, 2055, 4031), _Meaning.BUSY),
    **dict.fromkeys((1317, 1969, 3024), _Meaning.SLOW),
    **dict.fromkeys((1045, 1129, 1130, 1251, 1698, 1820, 1862, 2059, 2061, 3118, 4151), _Meaning.LOGIN),
    **dict.fromkeys((1044, 1142, 1143, 1227, 1370), _Meaning.PERMISSION),
    1792: _Meaning.WRITES,
}
_CODES_OF_SQLITE = {
    **dict.fromkeys((5, 6, 7, 10, 15), _Meaning.BUSY),
    9: _Meaning.SLOW,
    8: _Meaning.WRITES,
}
_NO_LOGIN = re.compile(
    r"authentication failed|no password supplied|no pg_hba\.conf entry|not permitted to log in|"
    r'role ".*" does not exist|certificate'
)
_NO_DATABASE = re.compile(r'database ".*" does not exist|does not support SSL|invalid connection option')
_NO_PERMISSION = re.compile(r"permission denied for database")
_GRANTS = (
    (r"permission denied for schema (?P<what>\S+)", "USAGE ON SCHEMA {what}"),
    (r"permission denied for database (?P<what>\S+)", "CONNECT ON DATABASE {what}"),
    (r"permission denied for (?:function|procedure) (?P<what>\S+)", "EXECUTE ON FUNCTION {what}"),
    (r"permission denied for (?:foreign table|materialized view|\w+) (?P<what>\S+)", "SELECT ON {what}"),
    (r"denied to user '(?P<user>[^']+)'@\S+ for column .* in table '(?P<what>[^']+)'", "SELECT ON {what}"),
    (r"denied to user '(?P<user>[^']+)'@\S+ for table '?(?P<what>[^']+)'?", "SELECT ON {what}"),
    (r"denied to user '(?P<user>[^']+)'@\S+ for routine '(?P<what>[^']+)'", "EXECUTE ON FUNCTION {what}"),
    (r"denied for user '(?P<user>[^']+)'@\S+ to database '(?P<what>[^']+)'", "SELECT ON `{what}`.*"),
)
_QUOTED_ALREADY = re.compile(r"[a-z_][a-z0-9_]*|[\"'`].*|.*\..*", re.DOTALL)


def _meaning(error: Exception) -> _Meaning:
    cause = _cause(error)
    state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    code = getattr(cause, "sqlite_errorcode", None)
    if cause.args and isinstance(cause.args[0], int):
        return _NUMBERS_OF_MYSQL.get(cause.args[0], _Meaning.OTHER)
    if state is not None:
        return next((meaning for meaning, states in _SQLSTATES.items() if state.startswith(states)), _Meaning.OTHER)
    if code is not None:
        return _CODES_OF_SQLITE.get(code & 0xFF, _Meaning.OTHER)  # the rest tells more closely what it is
    if isinstance(error, DataError):
        return _Meaning.GARBLED
    return _of_a_connection(str(cause)) if _is_about_the_connection(error) else _Meaning.OTHER


def _is_about_the_connection(error: Exception) -> bool:
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    return lost or isinstance(error, OperationalError | NoConnectionFree)


def _of_a_connection(said: str) -> _Meaning:
    """Return what PostgreSQL means before it is connected, when it gives no code."""
    if _NO_LOGIN.search(said):
        return _Meaning.LOGIN
    if _NO_PERMISSION.search(said):
        return _Meaning.PERMISSION
    return _Meaning.OTHER if _NO_DATABASE.search(said) else _Meaning.BUSY


def _what_to_grant(said: str, user: str | None) -> str:
    for pattern, right in _GRANTS:
        found = re.search(pattern, said)
        if found:
            told = found.groupdict()
            whom = told.get("user") or user
            return f"grant it: GRANT {right.format(what=_quoted(told['what']))} TO {_quoted(whom or 'reader')}"
    return f"grant {user or 'its user'} what the query needs"


def _quoted(name: str) -> str:
    return name if _QUOTED_ALREADY.fullmatch(name) else f'"{name}"'


def _cause(error: Exception) -> BaseException:
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def _text(cause: BaseException) -> str:
    """Return the text of an error; that of a driver of MySQL comes after a number."""
    numbered = len(cause.args) > 1 and isinstance(cause.args[0], int)
    return str(cause.args[1] if numbered else cause)
