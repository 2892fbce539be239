"""What went wrong in a resource, sorted by whose fault it is; and what dlt looked up, masked from then on."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from tallyline.errors import Denied, Refused, SourceFailed, TallylineError, Unavailable, UnexpectedAnswer, shortened
from tallyline.secret import masked, remember

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["failures_told", "remember_secrets"]

_BUSY = frozenset({408, 425, 429})
_FIRST_SERVER_ERROR = 500


@contextmanager
def failures_told(name: str) -> Iterator[None]:
    """Raise what goes wrong here as Unavailable, Denied, UnexpectedAnswer, Refused or SourceFailed."""
    try:
        yield
    except TallylineError:
        raise
    except Exception as error:
        remember_secrets()
        raise _told(name, error) from error


def _told(name: str, error: BaseException) -> TallylineError:
    """Return what is told of an error, by the first of its causes that says whose fault it is."""
    while (told := _sorted(name, error)) is None and error.__cause__ is not None:
        error = error.__cause__
    return told or SourceFailed(_said(name, error))


def _sorted(name: str, error: BaseException) -> TallylineError | None:
    from dlt.common.configuration.exceptions import ConfigurationException  # noqa: PLC0415  # an extra
    from dlt.extract.incremental import exceptions as of_items  # noqa: PLC0415
    from dlt.sources.helpers import requests  # noqa: PLC0415

    if isinstance(error, TallylineError):
        return error
    lost = (ConnectionError, TimeoutError, requests.ConnectionError, requests.Timeout, requests.ChunkedEncodingError)
    if isinstance(error, lost):
        return Unavailable(_said(name, error))
    if isinstance(error, ConfigurationException):
        return Refused(f"{_said(name, error).splitlines()[0]}; give it among the arguments, as ${{NAME}}")
    if isinstance(error, of_items.IncrementalCursorPathMissing | of_items.IncrementalCursorPathHasValueNone):
        msg = f'{name}: an item has no "{error.json_path}"; it is {shortened(repr(error.item))}'
        return UnexpectedAnswer(masked(msg))
    is_json = type(error).__name__ == "JSONDecodeError"  # there is one in each library for JSON
    if is_json or isinstance(error, of_items.IncrementalCursorInvalidCoercion):
        return UnexpectedAnswer(f"{_said(name, error)}{', of an answer that is not JSON' if is_json else ''}")
    return _answered(name, error)


def _answered(name: str, error: BaseException) -> TallylineError | None:
    """Sort an error of HTTP, of whatever library, by the status that it carries."""
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    if response is None or not isinstance(status, int):
        return None
    if status in _BUSY or status >= _FIRST_SERVER_ERROR:
        wait = str(response.headers.get("retry-after", ""))
        return Unavailable(_said(name, error), timedelta(seconds=int(wait)) if wait.isdecimal() else None)
    return Denied(f"{_said(name, error)}; check who asks there, and what they may read")


def _said(name: str, error: BaseException) -> str:
    return masked(f"{name}: {type(error).__name__}: {error}")


def remember_secrets() -> None:
    """Mask from now on what dlt looked up by itself, in the environment or its files."""
    from dlt.common.configuration.specs.base_configuration import is_secret_hint  # noqa: PLC0415  # an extra
    from dlt.common.configuration.utils import get_resolved_traces  # noqa: PLC0415

    found = get_resolved_traces()
    for trace in found.resolved_traces:
        if isinstance(trace.value, str) and is_secret_hint(trace.hint):
            remember(trace.value)
    found.clear()
