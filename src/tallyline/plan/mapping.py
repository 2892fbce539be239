"""What the items of another system mean, and what that system is asked: for sources that other people's code reads."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from operator import methodcaller
from typing import TYPE_CHECKING, Any

from tallyline.errors import Refused, UnexpectedAnswer, shortened
from tallyline.reference import looked_up
from tallyline.secret import masked, remember
from tallyline.window import Grain, parse_moment, start_of_day

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from tallyline.window import Window

__all__ = ["ISO", "Bounds", "Item", "ItemMapping", "Row", "as_moment", "check_no_secret", "filled_in", "moment_of"]

ISO = "%Y-%m-%dT%H:%M:%SZ"

Item = Mapping[str, Any]
Row = tuple[dict[str, object], dict[str, object]]

_WHEN = frozenset({"time", "date", "hour"})
_OF_THE_DAY = re.compile(r"%-?[HIMSTXcs]")
_REFERENCE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}|\{(since|until)\}")
_A_SECRET = re.compile(r"(password|secret|token|api_?key|access_?key|private_?key)$", re.IGNORECASE)
_TOLD_AS: dict[str, Callable[[datetime], object]] = {
    "datetime": lambda moment: moment,
    "local": lambda moment: moment.replace(tzinfo=None),
    "date": datetime.date,
    "seconds": lambda moment: int(moment.timestamp()),
    "milliseconds": lambda moment: int(moment.timestamp() * 1000),
}


@dataclass(frozen=True, slots=True)
class ItemMapping:
    """Where an item says when, of what, and how much.

    A place is a path of keys and numbers, ``billing.country`` or ``lines.0.sku``; one that some items lack ends with
    ``?``. `values` are metrics by name: a number that stands for each item, or the place of one. What is null there is
    not measured, or left out of the dims; what is missing raises UnexpectedAnswer.

    >>> from zoneinfo import ZoneInfo
    >>> from tallyline.window import Window
    >>> day = Window(datetime(2026, 7, 14, tzinfo=UTC), datetime(2026, 7, 15, tzinfo=UTC))
    >>> orders = ItemMapping("at", {"orders.count": 1, "orders.revenue": "total"}, {"country": "billing.country"})
    >>> dims, metrics = orders.row(
    ...     {"at": "2026-07-14T10:00Z", "total": "71.50", "billing": {"country": "FR"}}, day, ZoneInfo("UTC")
    ... )
    >>> dims["time"].isoformat(), dims["country"], metrics
    ('2026-07-14T10:00:00+00:00', 'FR', {'orders.count': 1, 'orders.revenue': 71.5})
    """

    time: str
    values: Mapping[str, float | str]
    dims: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a mapping that makes no value, and dims that would say when."""
        if not self.values:
            msg = 'values is empty; say what each item counts for, such as values = {"orders.count" = 1}'
            raise Refused(msg)
        for name in sorted(_WHEN & self.dims.keys()):
            msg = f'a dim cannot be called "{name}", which says when; choose another name'
            raise Refused(msg)

    @property
    def fields(self) -> set[str]:
        """The fields of an item that are needed, at its top."""
        places = [self.time, *self.dims.values(), *(place for place in self.values.values() if isinstance(place, str))]
        return {place.removesuffix("?").partition(".")[0] for place in places}

    def row(self, item: Item, window: Window, zone: ZoneInfo) -> Row | None:
        """Return the item's `(dims, metrics)`, None where its time is not in the window.

        A time without an offset is in `zone`.
        """
        moment = moment_of(item, self.time, zone)
        if moment not in window:
            return None
        dims = {name: _text(item, place) for name, place in self.dims.items()}
        return {"time": moment, **dims}, {name: _number(item, value) for name, value in self.values.items()}

    def rows(self, items: Iterable[Item], window: Window, zone: ZoneInfo) -> Iterator[Row]:
        """Yield the `(dims, metrics)` of the items whose time is in the window."""
        return (row for item in items if (row := self.row(item, window, zone)) is not None)


@dataclass(frozen=True, slots=True)
class Bounds:
    """The ends of a window as another system has them: text, numbers, datetimes or dates.

    `form` is a form of `strftime`, in UTC where it ends with Z and else in `zone`; or "datetime" (with an offset),
    "local" (a datetime without one, in `zone`), "date" (in `zone`), "seconds" or "milliseconds" (since 1970). What
    tells days alone tells whole days, with those at the ends.

    >>> from zoneinfo import ZoneInfo
    >>> from tallyline.window import Window
    >>> hours = Window(datetime(2026, 7, 14, 22, tzinfo=UTC), datetime(2026, 7, 14, 23, tzinfo=UTC))
    >>> Bounds.of(hours, ZoneInfo("Europe/Paris"), ISO)
    Bounds(since='2026-07-14T22:00:00Z', until='2026-07-14T23:00:00Z')
    >>> Bounds.of(hours, ZoneInfo("Europe/Paris"), "%Y-%m-%d")
    Bounds(since='2026-07-15', until='2026-07-16')
    """

    since: object
    until: object

    @classmethod
    def of(cls, window: Window, zone: ZoneInfo, form: str) -> Bounds:
        """Return the ends of `window`; raises Refused where the form is none."""
        if form not in _TOLD_AS and "%" not in form:
            msg = f'form is "{form}"; write one of {", ".join(_TOLD_AS)}, or a form such as "{ISO}"'
            raise Refused(msg)
        if form == "date" or (form not in _TOLD_AS and not _OF_THE_DAY.search(form)):
            window = window.widened(Grain.DAY, zone)
        in_utc = form == "datetime" or form.endswith("Z")
        told = _TOLD_AS.get(form) or methodcaller("strftime", form)
        since, until = (told(moment.astimezone(UTC if in_utc else zone)) for moment in (window.since, window.until))
        return cls(since, until)


def filled_in(data: Any, what: str, bounds: Bounds) -> Any:  # noqa: ANN401  # of the same shape
    """Return plain data with its references filled in: `${NAME}` from the environment, `{since}` and `{until}`.

    What comes from the environment is a secret from now on. Raises Refused where a variable is not set.

    >>> filled_in({"key": "${NO_KEY:-none}", "from": "{since}"}, "the shop", Bounds("2026-07-14", "2026-07-15"))
    {'key': 'none', 'from': '2026-07-14'}
    """
    match data:
        case "{since}" | "{until}":
            return getattr(bounds, data.strip("{}"))
        case str():
            return _REFERENCE.sub(lambda found: _looked_up(found, what, bounds), data)
        case dict():
            return {key: filled_in(value, what, bounds) for key, value in data.items()}
        case list():
            return [filled_in(each, what, bounds) for each in data]
        case _:
            return data


def check_no_secret(data: object, path: str) -> None:
    """Refuse a secret that stands in plain data itself, and is no reference."""
    for key, value in data.items() if isinstance(data, dict) else ():
        if isinstance(value, str) and value and "${" not in value and _A_SECRET.search(key):
            msg = f"{path}.{key}: a secret stands in the file; put it into the environment and write ${{NAME}} instead"
            raise Refused(msg)
        check_no_secret(value, f"{path}.{key}")


def as_moment(value: object, zone: ZoneInfo) -> datetime:
    """Return a time in UTC: a datetime, a date, ISO 8601 text (without an offset in `zone`) or seconds since 1970.

    Raises ValueError.

    >>> from zoneinfo import ZoneInfo
    >>> as_moment("2026-07-14 12:00", ZoneInfo("Europe/Paris")).isoformat()
    '2026-07-14T10:00:00+00:00'
    """
    try:
        match value:
            case datetime():
                return (value if value.tzinfo else value.replace(tzinfo=zone)).astimezone(UTC)
            case date():
                return start_of_day(value, zone)
            case str():
                return parse_moment(value, zone)
            case int() | float() | Decimal() if not isinstance(value, bool):
                return datetime.fromtimestamp(0, UTC) + timedelta(seconds=float(value))
    except (OverflowError, Refused):
        pass
    msg = f"{value!r} is not a time"
    raise ValueError(msg)


def moment_of(item: Item, place: str, zone: ZoneInfo) -> datetime:
    """Return the time at a place of an item, in UTC; raises UnexpectedAnswer."""
    value = _found(item, place)
    try:
        return as_moment(value, zone)
    except ValueError:
        expected = "a time (ISO 8601 text, or seconds since 1970)"
        raise _not_what_is_expected(item, place, value, expected) from None


def _looked_up(found: re.Match[str], what: str, bounds: Bounds) -> str:
    name, default, end = found.groups()
    if end:
        return str(getattr(bounds, end))
    value = looked_up(name, default, what)
    return value if value == default else remember(value)


def _found(item: Item, place: str) -> Any:  # noqa: ANN401  # whatever the item holds there
    path = place.removesuffix("?")
    found: Any = item
    for key in path.split("."):
        if found is None:
            return None
        try:
            found = found[int(key)] if isinstance(found, list) else found[key]
        except (LookupError, TypeError, ValueError):
            if place.endswith("?"):
                return None
            msg = f'an item has no "{path}"; write "{path}?" if it may be missing. It is {_shown(item)}'
            raise UnexpectedAnswer(msg) from None
    return found


def _text(item: Item, place: str) -> object:
    value = _found(item, place)
    if isinstance(value, dict | list):
        raise _not_what_is_expected(item, place, value, "text")
    return value


def _number(item: Item, value: float | str) -> object:
    found = _found(item, value) if isinstance(value, str) else value
    try:
        return float(found) if isinstance(found, str) else found
    except ValueError:
        raise _not_what_is_expected(item, str(value), found, "a number") from None


def _not_what_is_expected(item: Item, place: str, value: object, expected: str) -> UnexpectedAnswer:
    return UnexpectedAnswer(f'"{place}" is {_shown(value)}, where {expected} is expected; the item is {_shown(item)}')


def _shown(data: object) -> str:
    return shortened(masked(json.dumps(data, ensure_ascii=False, default=str)))
