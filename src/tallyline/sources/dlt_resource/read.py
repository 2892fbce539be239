"""The items of a resource, one by one, for a window."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from tallyline.errors import Refused, UnknownName, shortened
from tallyline.plan.mapping import ISO, Bounds, as_moment
from tallyline.sources.dlt_resource.failures import failures_told, remember_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import ModuleType

    from dlt.extract import DltResource, DltSource

    from tallyline.window import Window

__all__ = ["dlt_library", "read_dlt"]

AT_A_TIME = 1000
UTC = ZoneInfo("UTC")


def read_dlt(
    made: DltResource | DltSource,
    window: Window,
    incremental: str = "",
    *,
    select: str = "",
    zone: ZoneInfo = UTC,
    form: str = ISO,
    row_order: str = "",
    to_the_end: bool = True,
) -> Iterator[Any]:
    """Yield the items of a dlt resource one by one, whatever pages, tables or frames they come in.

    Of a source, `select` names the resource, if it has several. With `incremental`, the name of a field, the resource
    is asked for the window: from its beginning up to its end, or, not `to_the_end`, up to now, since items that are
    chosen by when they were changed may be changed after the window. dlt keeps nothing: the same window gives the same
    items again. `form` is how the window is told, as `Bounds` says; text is compared as the times that it means. Raises
    Unavailable, Denied, UnexpectedAnswer, Refused where configuration is missing, and SourceFailed otherwise.

    >>> def orders(window):
    ...     for item in read_dlt(shop.orders(), window, "created_at"):
    ...         yield {"time": item["created_at"]}, {"orders.count": 1}
    """
    dlt = dlt_library()
    with failures_told(getattr(made, "name", "")):
        whole, resource = _selected(dlt, made, select)
        if incremental:
            bounds = Bounds.of(window, zone, form)
            asked = dlt.sources.incremental(
                incremental,
                initial_value=bounds.since,
                end_value=bounds.until if to_the_end else None,
                last_value_func=_latest(zone) if isinstance(bounds.since, str) else max,
                row_order=row_order or None,
            )
            resource.apply_hints(incremental=asked)
        for page in _pages(whole):
            yield from _singly(page)


def dlt_library() -> ModuleType:
    """Import dlt, with its telemetry off; raises Refused where it is not installed."""
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    try:
        return import_module("dlt")
    except ModuleNotFoundError:
        msg = 'dlt is not installed, which the kind "dlt" needs; pip install "tallyline[dlt]"'
        raise Refused(msg) from None


def _selected(dlt: ModuleType, made: object, select: str) -> tuple[Any, DltResource]:
    """Return what to iterate over, and the resource in it: copies, so that what is asked of them is asked once."""
    if isinstance(made, dlt.sources.DltResource):
        resource = made.with_name(made.name)
        return resource, resource
    if not isinstance(made, dlt.sources.DltSource):
        msg = f"it gave {shortened(repr(made))}, where a resource or a source of dlt is expected"
        raise Refused(msg)
    names = list(made.resources)
    name = select or (names[0] if len(names) == 1 else "")
    if name not in names:
        what = f"resource in {made.name} called"
        raise UnknownName(what, name, names)
    source = made.with_resources(name)
    return source, source.resources[name]


def _pages(whole: Iterable[Any]) -> Iterator[Any]:
    """Iterate with a state that is nobody's, as dlt would take that of the last pipeline that this process made."""
    from dlt.common.configuration.container import Container  # noqa: PLC0415  # an extra
    from dlt.common.pipeline import StateInjectableContext  # noqa: PLC0415

    try:
        with Container().injectable_context(StateInjectableContext(state={})):
            return iter(whole)
    finally:
        remember_secrets()


def _singly(page: Any) -> Iterator[Any]:  # noqa: ANN401  # whatever a resource gives
    if isinstance(page, list):
        for each in page:
            yield from _singly(each)
    elif hasattr(page, "__arrow_c_stream__"):  # a table of Arrow, a frame of pandas or Polars
        for batch in import_module("pyarrow").table(page).to_batches(AT_A_TIME):
            yield from batch.to_pylist()
    else:
        yield page.model_dump() if hasattr(page, "model_dump") else page


def _latest(zone: ZoneInfo) -> Callable[[Sequence[object]], object]:
    """Return what tells the latest of several times, whatever their offsets and fractions are: `max` compares text."""

    def latest(values: Sequence[object]) -> object:
        return max(values, key=lambda value: as_moment(value, zone))

    return latest
