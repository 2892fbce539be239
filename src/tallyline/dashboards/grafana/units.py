"""Our units as Grafana knows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tallyline.plan import Metric

__all__ = ["Unit", "unit_of"]

_UNITS = {
    "%": "percent",
    "ns": "ns",
    "µs": "µs",
    "us": "µs",
    "ms": "ms",
    "s": "s",
    "min": "m",
    "h": "h",
    "d": "d",
    "days": "d",
    "B": "decbytes",
    "bytes": "decbytes",
    "kB": "deckbytes",
    "MB": "decmbytes",
    "GB": "decgbytes",
    "KiB": "kbytes",
    "MiB": "mbytes",
    "GiB": "gbytes",
    "bit/s": "bps",
    "B/s": "Bps",
    "Hz": "rothz",
    "W": "watt",
    "kWh": "kwatth",
    "°C": "celsius",
    "m": "lengthm",
    "km": "lengthkm",
    "kg": "masskg",
}
_CURRENCIES = "BRL BTC CHF CZK DKK EUR GBP IDR INR ISK JPY KRW NOK PHP PLN RUB SEK UAH USD VND ZAR"


class Unit(NamedTuple):
    """A unit by the name that Grafana has for it, and what is still to be said of it, where it has none."""

    name: str
    words: str = ""


def unit_of(metric: Metric) -> Unit:
    """Return the unit of a metric; things that are counted are told as plain numbers, and the things beside them.

    >>> from tallyline.plan import Metric
    >>> unit_of(Metric("revenue", unit="USD")), unit_of(Metric("users.new", unit="users"))
    (Unit(name='currencyUSD', words=''), Unit(name='locale', words='users'))
    """
    if metric.share:
        return Unit("percentunit")
    if metric.unit in _CURRENCIES.split():
        return Unit(f"currency{metric.unit}")
    return Unit(_UNITS[metric.unit]) if metric.unit in _UNITS else Unit("locale", metric.unit)
